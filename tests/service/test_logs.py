import json
import logging

import pytest

from service import logs


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


@pytest.mark.parametrize("name", ["celery.worker.request", "multiprocessing"])
def test_a_fault_inside_the_queue_is_one_line(capsys: pytest.CaptureFixture[str], name: str) -> None:
    # billiard cuts its logger off from the root.
    logging.getLogger("multiprocessing").propagate = False
    logs.configure(log_format="json", log_level="info")
    logging.getLogger(name).error("Task %r failed:\nall of it", "t", exc_info=RuntimeError("lost"))
    [line] = capsys.readouterr().err.splitlines()
    assert json.loads(line)["event"] == "Task 't' failed: (RuntimeError)"
    assert "exception" not in json.loads(line)


def test_debugging_shows_the_whole_of_it(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure(log_format="json", log_level="debug")
    logging.getLogger("celery.worker.request").error("failed", exc_info=RuntimeError("lost"))
    assert "RuntimeError: lost" in json.loads(capsys.readouterr().err)["exception"]


def test_our_own_tracebacks_stay(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure(log_format="json", log_level="info")
    logs.get_logger("service.x").error("failed", reference="abc", exc_info=RuntimeError("ours"))
    assert "RuntimeError: ours" in json.loads(capsys.readouterr().err)["exception"]
