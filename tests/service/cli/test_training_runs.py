"""Training asked for by command: the same request as over REST, in the service's own database."""

import json
import re
from pathlib import Path
from typing import Any

import pypdf
import pytest
from sqlalchemy import Engine, event, select, update

from service.db.engine import make_engine, session_factory
from service.db.rows import TrainingLogRow, TrainingRunRow
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
    (tmp_path / "cohort").rename(tmp_path / "away")
    _, printed, _ = restnet("cohort", "list", "--json")
    assert json.loads(printed)[0]["state"] == "missing"
    (tmp_path / "away").rename(tmp_path / "cohort")
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
        codes = [warning["code"] for warning in json.loads(printed)[0]["warnings"]]
        assert codes == (["nobody_agreed"] if asked else [])
    _, _, told = restnet("training", "start", cohort, "--folds", 2, "--with-reviewed-scans")
    assert "0 people agree to it now" in told


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


def test_a_run_is_named_by_the_beginning_of_its_id(cohort: str, restnet: Any, tmp_path: Path) -> None:
    _, printed, _ = restnet("training", "start", cohort, "--seed", 1, "--seed", 2, "--folds", 2, "--json")
    one, other = (run["id"] for run in json.loads(printed))
    engine = make_engine(Settings().database_url.get_secret_value())
    with session_factory(engine).begin() as session:
        # As if chance had made them alike.
        alike = one[:8] + other[8:]
        session.execute(update(TrainingLogRow).where(TrainingLogRow.run_id == other).values(run_id=one))
        session.execute(update(TrainingRunRow).where(TrainingRunRow.id == other).values(id=alike))
    engine.dispose()

    def error_of(*words: object) -> dict[str, Any]:
        status, printed, _ = restnet("training", *words, "--json")
        assert status == 2
        error: dict[str, Any] = json.loads(printed)["error"]
        return error

    for act, state in (("show", "queued"), ("cancel", "cancelled"), ("resume", "queued")):
        status, printed, _ = restnet("training", act, one[:12].upper(), "--json")
        assert (status, json.loads(printed)["id"], json.loads(printed)["status"]) == (0, one, state)
        assert error_of(act, one[:8])["code"] == "training_run_ambiguous"
        assert error_of(act, one[:8])["found"] == 2
        short = error_of(act, one[:5])
        assert (short["code"], "6 characters of it or more" in short["message"]) == ("usage", True)
        # What a pattern means to the database is a letter like any other here.
        assert error_of(act, "%%%%%%")["code"] == "training_run_not_found"
    plan = tmp_path / "plan.html"
    assert restnet("training", "change-plan", one[:12], "--out", plan)[0] == 0
    assert one in plan.read_text()
    assert error_of("change-plan", one[:8], "--out", plan)["code"] == "training_run_ambiguous"


def test_people_of_the_evaluation_set_are_warned_of(
    cohort: str, restnet: Any, tmp_path: Path, data_dir: Path
) -> None:
    assert data_dir
    words = ("training", "start", cohort, "--folds", 2)
    status, printed, told = restnet(*words, "--json")
    assert (status, told, json.loads(printed)[0]["warnings"]) == (0, "", [])
    large = tiny_store(tmp_path / "large", n_subjects=20).folder
    assert restnet("cohort", "register", large, "--name", "large")[0] == 0
    assert restnet("evaluation", "add", "held out", "--cohort", "large", "--use")[0] == 0
    for named, warned in ((cohort, False), ("large", True)):
        status, printed, told = restnet("training", "start", named, "--folds", 2, "--seed", 0, "--seed", 1)
        assert status == 0
        assert ("[meets_evaluation_set]" in told) is warned
        assert "held out" not in printed
    assert told.count("the gate stops a model that was trained on people of the set") == 1
    _, printed, _ = restnet("training", "start", "large", "--folds", 2, "--json")
    [warning] = json.loads(printed)[0]["warnings"]
    assert warning["code"] == "meets_evaluation_set"
    assert "held out" in warning["message"]


def test_the_change_plan_is_written_as_rest_gives_it(cohort: str, restnet: Any, tmp_path: Path) -> None:
    _, printed, _ = restnet("training", "start", cohort, "--seed", 7, "--folds", 2, "--json")
    run_id = json.loads(printed)[0]["id"]
    html = tmp_path / "plan.html"
    status, printed, told = restnet("training", "change-plan", run_id, "--out", html)
    assert (status, printed) == (0, f"Written: {html}\n"), told
    text = html.read_text()
    assert run_id in text
    assert re.findall(r"<h2 id=\"(.*?)\">", text) == ["modifications", "verification", "impact"]
    assert "by the command line" in text

    pdf = tmp_path / "plan.PDF"
    words = ("--out", pdf, "--language", "zh-Hans", "--json")
    status, printed, told = restnet("training", "change-plan", run_id, *words)
    written = {"run_id": run_id, "language": "zh-Hans", "written": str(pdf)}
    assert (status, json.loads(printed)) == (0, written), told
    [page, *_] = pypdf.PdfReader(pdf).pages
    assert "变更" in page.extract_text()

    for named, asked, code in (
        ("plan.txt", run_id, "usage"),
        ("plan.html", "nobody", "training_run_not_found"),
    ):
        other = tmp_path / "other" / named
        status, printed, _ = restnet("training", "change-plan", asked, "--out", other, "--json")
        assert (status, json.loads(printed)["error"]["code"]) == (2, code)
        assert not other.exists()


def test_what_cannot_be_is_refused_with_its_code(cohort: str, restnet: Any, tmp_path: Path) -> None:
    def refused(*words: object) -> dict[str, Any]:
        status, printed, _ = restnet("training", *words, "--json")
        assert status == 2
        error: dict[str, Any] = json.loads(printed)["error"]
        return error

    assert refused("start", "nobody")["code"] == "cohort_not_known"
    assert refused("start", cohort, "--folds", 9)["code"] == "cohort_too_small"
    for selection in ("train", "seed430"):
        assert refused("start", cohort, "--select", selection)["code"] == "selection_needs_release"
    assert "found 'E'" in refused("start", cohort, "--network", "E")["message"]
    assert refused("show", "nothing")["code"] == "training_run_not_found"
    config = tmp_path / "request.json"
    config.write_text('{"epochs": 0}')
    assert "epochs" in refused("start", cohort, "--config", config)["message"]
    config.write_text("no json")
    said = refused("start", cohort, "--config", config)["message"]
    assert said.endswith("found text that is none, from line 1, column 1 on")
    config.write_bytes(b"\xff\xfe")
    assert refused("start", cohort, "--config", config)["message"].endswith("found no text in UTF-8")
    missing = refused("start", cohort, "--config", tmp_path / "missing.json")["message"]
    assert missing.endswith("--config takes a file of JSON, found no such file or directory")
