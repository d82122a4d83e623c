import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from service import logs


@pytest.fixture(autouse=True)
def put_back() -> Iterator[None]:
    root = logging.getLogger()
    before = (root.handlers[:], root.level)
    yield
    root.handlers[:], root.level = before[0], before[1]
    structlog.reset_defaults()


def test_a_line_for_machines_has_no_private_value(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure(log_format="json", log_level="info")
    logs.get_logger("service.x").info("stored", scan_id="s1", display_name="Anna Müller.nii", age_years=9)
    line = json.loads(capsys.readouterr().err)
    assert (line["event"], line["scan_id"], line["level"]) == ("stored", "s1", "info")
    assert line["display_name"] == line["age_years"] == logs.REMOVED


def test_libraries_write_in_the_same_form(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure(log_format="json", log_level="info")
    logging.getLogger("some.library").warning("odd")
    logging.getLogger("celery.worker").info("chatter")
    assert json.loads(capsys.readouterr().err)["event"] == "odd"


def test_the_level_and_the_form_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure(log_format="console", log_level="warning")
    log = logs.get_logger("service.x")
    log.info("hidden")
    try:
        int("no number")
    except ValueError:
        log.exception("shown", reference="abc")
    text = capsys.readouterr().err
    assert "hidden" not in text
    assert "reference=abc" in text
    assert "ValueError" in text
