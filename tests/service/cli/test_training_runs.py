"""Training asked for by command: the same request as over REST, in the service's own database."""

import json
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, event, select

from service.db.engine import make_engine, session_factory
from service.db.rows import TrainingRunRow
from service.settings import Settings
from tests.training.validation.tiny_cohorts import tiny_store


@pytest.fixture
def data_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RESTNET_DATA_DIR", str(tmp_path / "data"))
    return tmp_path / "data"


@pytest.fixture
def cohort(tmp_path: Path, data_dir: Path, restnet: Any) -> str:
    assert data_dir
    folder = tiny_store(tmp_path / "cohort").folder
    status, printed, _ = restnet("cohort", "register", folder, "--name", "small", "--json")
    assert status == 0
    return str(json.loads(printed)["name"])


def test_a_cohort_is_registered_by_name_and_listed(cohort: str, restnet: Any, tmp_path: Path) -> None:
    _, printed, _ = restnet("cohort", "list", "--json")
    [listed] = json.loads(printed)
    assert (listed["name"], listed["state"], listed["n_cases"], listed["n_scans"]) == (
        cohort,
        "present",
        8,
        17,
    )
    status, printed, _ = restnet("cohort", "register", tmp_path, "--json")
    assert (status, json.loads(printed)["error"]["code"]) == (2, "cohort_not_found")
    other = tiny_store(tmp_path / "other", seed=1).folder
    status, printed, _ = restnet("cohort", "register", other, "--name", cohort, "--json")
    assert (status, json.loads(printed)["error"]["code"]) == (2, "cohort_name_taken")


def test_reviewed_scans_are_counted_and_asked_for(cohort: str, restnet: Any, data_dir: Path) -> None:
    assert data_dir
    status, printed, _ = restnet("training", "reviewed-scans", "--json")
    assert (status, json.loads(printed)) == (
        0,
        {"people": 0, "scans": 0, "cases": 0, "controls": 0, "left_out": {}},
    )
    status, printed, _ = restnet("training", "reviewed-scans")
    assert (status, printed) == (0, "0 people with 0 scans: 0 ADHD, 0 control\n")
    for words, asked in (((), False), (("--with-reviewed-scans",), True)):
        status, printed, told = restnet("training", "start", cohort, "--folds", 2, *words, "--json")
        assert status == 0, told
        engine = make_engine(Settings().database_url.get_secret_value())
        with session_factory(engine)() as session:
            row = session.get_one(TrainingRunRow, json.loads(printed)[0]["id"])
            assert (row.request or {})["reviewed_scans"] is asked
        engine.dispose()


def test_runs_are_queued_shown_stopped_and_gone_on_with(cohort: str, restnet: Any, data_dir: Path) -> None:
    words = ["--network", "A", "--network", "C", "--seed", 3, "--folds", 2, "--epochs", 1]
    status, printed, told = restnet("training", "start", cohort, *words, "--json")
    assert status == 0, told
    runs = json.loads(printed)
    assert [(run["network"], run["rnn"], run["seed"], run["status"]) for run in runs] == [
        ("A", "lstm", 3, "queued"),
        ("C", "lstm", 3, "queued"),
    ]
    assert len(list((data_dir / "broker" / "messages").glob("*.planning.msg"))) == 2
    engine = make_engine(Settings().database_url.get_secret_value())
    with session_factory(engine)() as session:
        rows = session.scalars(select(TrainingRunRow)).all()
        assert {row.run_folder for row in rows} == {str(data_dir / "runs" / row.id) for row in rows}
    engine.dispose()
    run_id = runs[0]["id"]
    for act, state in (("cancel", "cancelled"), ("cancel", "cancelled"), ("resume", "queued")):
        status, printed, _ = restnet("training", act, run_id, "--json")
        assert (status, json.loads(printed)["status"]) == (0, state)
    status, printed, _ = restnet("training", "show", run_id, "--json")
    assert [line["text"] for line in json.loads(printed)["log"]] == [
        "Asked for: A with lstm, seed 3, on small.",
        "Cancelled.",
        "Resumed; folds left: 0.",
    ]
    looked: list[str] = []
    event.listen(Engine, "before_cursor_execute", note := lambda *call: looked.append(call[2]))
    status, printed, _ = restnet("training", "list")
    event.remove(Engine, "before_cursor_execute", note)
    assert status == 0
    assert run_id in printed
    assert sum("FROM training_folds" in statement for statement in looked) == 1 < len(runs)


def test_what_cannot_be_is_refused_with_its_code(cohort: str, restnet: Any, tmp_path: Path) -> None:
    def refused(*words: object) -> dict[str, Any]:
        status, printed, _ = restnet("training", *words, "--json")
        assert status == 2
        error: dict[str, Any] = json.loads(printed)["error"]
        return error

    assert refused("start", "nobody")["code"] == "cohort_not_known"
    assert refused("start", cohort, "--folds", 9)["code"] == "cohort_too_small"
    assert "found 'E'" in refused("start", cohort, "--network", "E")["message"]
    assert refused("show", "nothing")["code"] == "training_run_not_found"
    config = tmp_path / "request.json"
    config.write_text('{"epochs": 0}')
    assert "epochs" in refused("start", cohort, "--config", config)["message"]
    config.write_text("no json")
    assert "--config" in refused("start", cohort, "--config", config)["message"]
