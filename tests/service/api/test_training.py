"""Training over REST: asked for, refused, followed. That it is done is for tests/integration to show."""

import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update

from service.db.rows import (
    AuditEventRow,
    CohortRow,
    CohortState,
    FoldState,
    RunState,
    ScanRow,
    TrainingFoldRow,
    TrainingRunRow,
)
from service.identity.roles import Role
from service.presence import say_present
from tests.service.api.serving import Serving, sample_result, scan_bytes

RUNS = "/api/v1/admin/training-runs"


@pytest.fixture
def key(served: Serving) -> dict[str, str]:
    served.register_cohort()
    return served.key("chief", Role.ADMINISTRATOR)


def refused(served: Serving, key: dict[str, str], **asked: Any) -> tuple[int, str, Any]:
    answer = served.client.post(RUNS, headers=key, json={"cohort": "tiny"} | asked)
    body = answer.json()
    return answer.status_code, body["code"], body.get("details")


def test_a_request_queues_a_run_for_each_network_layer_and_seed(served: Serving, key: dict[str, str]) -> None:
    body = {"cohort": "tiny", "networks": ["A", "C"], "rnns": ["gru"], "seeds": [1, 2], "epochs": 3}
    answer = served.client.post(RUNS, headers=key, json=body)
    assert answer.status_code == 202
    runs = answer.json()["runs"]
    assert {(run["network"], run["rnn"], run["seed"], run["status"]) for run in runs} == {
        (network, "gru", seed, "queued") for network in "AC" for seed in (1, 2)
    }
    assert {run["grid_id"] for run in runs} == {answer.json()["id"]}
    assert {run["method"] for run in runs} == {"network"}
    with served.sessions() as session:
        rows = session.scalars(select(TrainingRunRow)).all()
        folder = served.resources.settings.runs_dir
        assert {row.run_folder for row in rows} == {str(folder / row.id) for row in rows}
        assert all(row.published_at is not None for row in rows), "nobody was told"
        told = session.scalars(select(AuditEventRow.action)).all()
    assert told.count("training.request") == 4
    listed = served.client.get(RUNS, headers=key, params={"limit": 3}).json()
    rest = served.client.get(RUNS, headers=key, params={"cursor": listed["next_cursor"]}).json()
    found = [run["id"] for page in (listed, rest) for run in page["items"]]
    assert sorted(found) == sorted(run["id"] for run in runs)


def ask(served: Serving, key: dict[str, str], **asked: Any) -> Any:
    return served.client.post(RUNS, headers=key, json={"cohort": "tiny"} | asked)


def test_the_same_key_and_body_give_the_same_runs(served: Serving, key: dict[str, str]) -> None:
    once = key | {"Idempotency-Key": "night-1"}
    body = {"networks": ["D", "A"], "seeds": [7, 3]}
    first = ask(served, once, **body)
    assert ask(served, once, **body).json() == first.json()
    # What is left out and what is said as the default are one request.
    assert ask(served, once, **body, epochs=100).json() == first.json()
    assert ask(served, key, **body).json()["id"] != first.json()["id"]
    with served.sessions() as session:
        assert len(session.scalars(select(TrainingRunRow)).all()) == 8
        told = session.scalars(select(AuditEventRow.action)).all()
    assert told.count("training.request") == 8


def test_a_repeat_tells_how_the_runs_stand_now_whatever_became_of_the_cohort(
    served: Serving, key: dict[str, str]
) -> None:
    once = key | {"Idempotency-Key": "night-1"}
    [run] = ask(served, once).json()["runs"]
    assert served.client.post(f"{RUNS}/{run['id']}/cancel", headers=key).status_code == 200
    with served.sessions.begin() as session:
        session.execute(update(CohortRow).values(state=CohortState.MISSING))
    answer = ask(served, once)
    assert answer.status_code == 202
    assert [(one["id"], one["status"]) for one in answer.json()["runs"]] == [(run["id"], "cancelled")]


def test_the_same_key_for_another_training_is_refused(served: Serving, key: dict[str, str]) -> None:
    once = key | {"Idempotency-Key": "night-1"}
    ask(served, once)
    assert refused(served, once, epochs=2)[:2] == (422, "idempotency_key_reused")
    served.upload(key | {"Idempotency-Key": "scan-1"})
    assert refused(served, key | {"Idempotency-Key": "scan-1"})[:2] == (422, "idempotency_key_reused")
    files = {"scan": ("s.nii.gz", scan_bytes())}
    answer = served.client.post("/api/v1/scans", headers=once, files=files)
    assert (answer.status_code, answer.json()["code"]) == (422, "idempotency_key_reused")
    with served.sessions() as session:
        assert len(session.scalars(select(TrainingRunRow)).all()) == 1


def test_a_refused_training_leaves_its_key_free(served: Serving, key: dict[str, str]) -> None:
    once = key | {"Idempotency-Key": "night-1"}
    assert refused(served, once, folds=21)[1] == "cohort_too_small"
    assert ask(served, once, folds=5).status_code == 202


def test_a_key_of_training_belongs_to_its_account(served: Serving, key: dict[str, str]) -> None:
    other = served.key("second", Role.ADMINISTRATOR)
    ids = {ask(served, each | {"Idempotency-Key": "night-1"}).json()["id"] for each in (key, other)}
    assert len(ids) == 2


def test_simultaneous_repeats_start_one_training(served: Serving, key: dict[str, str]) -> None:
    once = key | {"Idempotency-Key": "race"}
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda _: ask(served, once, seeds=[1, 2]), range(6)))
    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.json()["id"] for answer in answers}) == 1
    with served.sessions() as session:
        assert len(session.scalars(select(TrainingRunRow)).all()) == 2


@pytest.mark.parametrize("sent", ["", "a b", "x" * 256])
def test_an_idempotency_key_that_cannot_be_is_refused(
    served: Serving, key: dict[str, str], sent: str
) -> None:
    status, code, details = refused(served, key | {"Idempotency-Key": sent})
    assert (status, code) == (422, "request_not_valid")
    assert details["errors"] == [
        {
            "where": "header.Idempotency-Key",
            "problem": "expected 1 to 255 printable ASCII characters without blanks",
        }
    ]


def test_reviewed_scans_are_counted_and_asked_for(served: Serving, key: dict[str, str]) -> None:
    model = served.register_model()
    for subject, diagnosis, consent in (("A", "adhd", True), ("B", "control", True), ("C", "adhd", None)):
        # Uploads of the tests are one file: by its digest they would be one person.
        accepted = served.upload(key, subject_id=subject)
        with served.sessions.begin() as session:
            session.get_one(ScanRow, accepted["scan_id"]).sha256 = subject.lower() * 64
        served.finish(accepted["prediction_id"], sample_result(), model_version_id=model)
        said = {"verdict": "accepted", "diagnosis": diagnosis, "training_consent": consent}
        address = f"/api/v1/predictions/{accepted['prediction_id']}/review"
        assert served.client.post(address, headers=key, json=said).status_code == 201
    counts = served.client.get("/api/v1/admin/reviewed-scans", headers=key).json()
    assert counts == {"people": 2, "scans": 2, "cases": 1, "controls": 1, "left_out": {}}
    body = {"cohort": "tiny", "reviewed_scans": True}
    accepted = served.client.post("/api/v1/admin/training-runs", headers=key, json=body).json()
    assert accepted["warnings"] == []
    [run] = accepted["runs"]
    assert run["reviewed_scans"] is True
    [plain] = served.train(key, cohort="tiny")
    assert plain["reviewed_scans"] is False
    assert refused(served, key, reviewed_scans="yes")[1] == "request_not_valid"


def test_reviewed_scans_that_nobody_agreed_to_are_warned_of_each_time_it_is_asked(
    served: Serving, key: dict[str, str]
) -> None:
    headers = key | {"Idempotency-Key": "one"}
    body = {"cohort": "tiny", "reviewed_scans": True}
    for _ in range(2):
        answer = served.client.post("/api/v1/admin/training-runs", headers=headers, json=body)
        assert answer.status_code == 202
        warnings = answer.json()["warnings"]
        assert [warning["code"] for warning in warnings] == ["nobody_agreed"]
        assert "0 people agree to it now" in warnings[0]["message"]
    [run] = served.train(key, cohort="tiny")
    log = served.client.get(f"/api/v1/admin/training-runs/{run['id']}/log", headers=key).json()
    assert [line["event"] for line in log["items"]] == ["queued"]


def test_a_run_that_lost_its_copies_cannot_be_gone_on_with(served: Serving, key: dict[str, str]) -> None:
    [run] = served.train(key, cohort="tiny", reviewed_scans=True)
    with served.sessions.begin() as session:
        row = session.get_one(TrainingRunRow, run["id"])
        row.state, row.plan = RunState.CANCELLED, {"fold_names": ["0", "1"], "n_subjects": 40}
        session.add(
            TrainingFoldRow(
                organisation_id=row.organisation_id, run_id=row.id, fold=0, state=FoldState.CANCELLED
            )
        )
    assert served.client.get(f"{RUNS}/{run['id']}", headers=key).json()["resumable"] is False
    answer = served.client.post(f"{RUNS}/{run['id']}/resume", headers=key)
    assert (answer.status_code, answer.json()["code"]) == (409, "training_run_not_resumable")


def test_a_cohort_is_named_by_its_id_or_its_name(served: Serving, key: dict[str, str]) -> None:
    cohorts = served.client.get("/api/v1/admin/cohorts", headers=key).json()["items"]
    assert [(one["name"], one["n_cases"], one["state"]) for one in cohorts] == [("tiny", 20, "present")]
    assert "/cohorts" not in str(cohorts), "where it lies is no client's business"
    [run] = served.train(key, cohort=cohorts[0]["id"])
    assert (run["cohort"], run["cohort_id"]) == ("tiny", cohorts[0]["id"])


def test_what_cannot_be_is_refused_at_once_with_what_was_expected_and_found(
    served: Serving, key: dict[str, str]
) -> None:
    assert refused(served, key, cohort="nobody") == (422, "cohort_not_known", {"found": "nobody"})
    too_many = {"expected": 21, "n_cases": 20, "n_controls": 20}
    assert refused(served, key, folds=21) == (422, "cohort_too_small", too_many)
    for name, value in (("folds", 1), ("epochs", True), ("width", "4"), ("networks", ["E"]), ("seeds", [-1])):
        status, code, details = refused(served, key, **{name: value})
        assert (status, code) == (422, "request_not_valid"), name
        assert name in str(details), name
    status, code, details = refused(served, key, protocol="paper", inner_stopping=0.2)
    assert (status, code) == (422, "request_not_valid")
    assert "no effect with protocol = 'paper', found 0.2" in str(details)
    assert refused(served, key, unknown=1)[1] == "request_not_valid"
    assert "micro_batch to be at most batch_size" in str(refused(served, key, micro_batch=64))
    for condition in ("foo==1", "dx=1", "site=KKI"):
        status, code, details = refused(served, key, where=["age>1", condition])
        assert (status, code, details["condition"]) == (422, "cohort_filter_invalid", condition)
    with served.sessions() as session:
        assert session.scalars(select(TrainingRunRow)).all() == []


@pytest.mark.parametrize("selection", ["train", "seed430"])
def test_a_selection_by_release_is_refused_at_once_where_nobodys_is_known(
    served: Serving, key: dict[str, str], selection: str
) -> None:
    served.register_cohort("none known", releases=[], n_cases=15)
    expected = {"name": selection, "n_subjects": 35}
    asked = {"cohort": "none known", "selection": selection}
    assert refused(served, key, **asked) == (422, "selection_needs_release", expected)
    served.train(key, cohort="none known", selection="all")
    served.register_cohort("known", releases=["test", "train"])
    served.train(key, cohort="known", selection=selection)
    # A row from before anybody looked: whoever opens the cohort decides.
    served.register_cohort("not looked at")
    served.train(key, cohort="not looked at", selection=selection)


@pytest.mark.parametrize("state", [CohortState.CHANGED, CohortState.MISSING])
def test_a_cohort_that_is_not_as_registered_is_not_trained_on(
    served: Serving, key: dict[str, str], state: CohortState
) -> None:
    served.register_cohort("other", state=state)
    expected = {"name": "other", "found": state.value}
    assert refused(served, key, cohort="other") == (409, "cohort_not_usable", expected)


def test_a_folder_that_is_gone_is_noticed_where_a_worker_of_this_machine_would_not_see_it(
    served: Serving, key: dict[str, str], tmp_path: Path
) -> None:
    folder = tmp_path / "moved"
    folder.mkdir()
    served.register_cohort("moved", folder=str(folder))

    def state() -> str:
        cohorts = served.client.get("/api/v1/admin/cohorts", headers=key).json()["items"]
        return str(next(one["state"] for one in cohorts if one["name"] == "moved"))

    folder.rmdir()
    # A web process in a container of its own sees no cohort, and every one may be there.
    assert state() == "present"
    with served.sessions.begin() as session:
        say_present(session, worker="planning-1-a@here", queues=["planning"], host=socket.gethostname())
    assert state() == "missing"
    gone = {"name": "moved", "found": "missing"}
    assert refused(served, key, cohort="moved") == (409, "cohort_not_usable", gone)
    folder.mkdir()
    assert state() == "present"
    assert served.train(key, cohort="moved")


def in_training(served: Serving, key: dict[str, str]) -> str:
    """Bring a run where its first fold is in its third epoch and its second one waits."""
    [run] = served.train(key, epochs=10)
    epochs = [
        {
            "epoch": number,
            "training_loss": 0.7 - number / 100,
            "stopping_loss": 0.69,
            "stopping_auc": 0.6,
            "learning_rate": 1e-4,
            "seconds": 2.0,
        }
        for number in (1, 2)
    ]
    figures = {"epoch": 3, "n_epochs": 10, "training_loss": 0.66, "stopping_loss": 0.69, "remaining_s": 16.0}
    with served.sessions.begin() as session:
        row = session.get_one(TrainingRunRow, run["id"])
        row.state, row.plan = RunState.TRAINING, {"fold_names": ["0", "1"], "n_subjects": 40}
        for number in range(2):
            session.add(TrainingFoldRow(organisation_id=row.organisation_id, run_id=row.id, fold=number))
        session.flush()
        [first, _second] = session.scalars(select(TrainingFoldRow).order_by(TrainingFoldRow.fold))
        first.state, first.progress, first.figures, first.epochs = FoldState.TRAINING, 0.2, figures, epochs
    return str(run["id"])


def test_a_run_is_followed_by_its_folds_their_epochs_and_its_log(
    served: Serving, key: dict[str, str]
) -> None:
    run_id = in_training(served, key)
    run = served.client.get(f"{RUNS}/{run_id}", headers=key).json()
    assert (run["status"], run["progress"], run["plan"]["n_subjects"]) == ("training", 0.185, 40)
    first, second = run["folds"]
    assert (first["epoch"], first["n_epochs"], first["training_loss"]) == (3, 10, 0.66)
    assert [epoch["stopping_auc"] for epoch in first["epochs"]] == [0.6, 0.6]
    assert (second["status"], second["epochs"]) == ("queued", [])
    # A fifth took 4 s: a whole fold takes 20, and one worker does one after the other.
    assert run["remaining_s"] == pytest.approx(36.0)
    assert run["estimated_end_at"] > run["created_at"]
    assert [line["text"] for line in run["log"]] == ["Asked for: C with lstm, seed 0, on tiny."]

    listed = served.client.get(RUNS, headers=key).json()["items"]
    assert [fold["epoch"] for fold in listed[0]["folds"]] == [3, None]
    log = served.client.get(f"{RUNS}/{run_id}/log", headers=key).json()
    assert [line["event"] for line in log["items"]] == ["queued"]
    more = served.client.get(f"{RUNS}/{run_id}/log", headers=key, params={"after": log["next_after"]}).json()
    assert (more["items"], more["next_after"]) == ([], log["next_after"])


def test_a_fold_that_waits_to_be_gone_on_with_says_what_is_kept(served: Serving, key: dict[str, str]) -> None:
    run_id = in_training(served, key)
    with served.sessions.begin() as session:
        fold = session.scalars(select(TrainingFoldRow).where(TrainingFoldRow.fold == 0)).one()
        # As the sweep leaves it when its worker is lost.
        fold.state, fold.progress, fold.figures = FoldState.QUEUED, 0.0, None
    shown = served.client.get(f"{RUNS}/{run_id}", headers=key).json()
    listed = served.client.get(RUNS, headers=key).json()["items"][0]
    for run in (shown, listed):
        first, second = run["folds"]
        kept = (first["status"], first["progress"], first["epoch"], first["training_loss"])
        assert kept == ("queued", 0.2, 2, pytest.approx(0.68))
        assert (second["progress"], second["epoch"]) == (0.0, None)
        assert run["progress"] == pytest.approx(0.185)


def test_a_run_that_planning_refused_for_what_it_asked_for_is_not_gone_on_with(
    served: Serving, key: dict[str, str]
) -> None:
    [run] = served.train(key)

    def fails_with(code: str) -> bool:
        with served.sessions.begin() as session:
            row = session.get_one(TrainingRunRow, run["id"])
            row.state, row.error_code, row.error_message = RunState.FAILED, code, "found another"
        return bool(served.client.get(f"{RUNS}/{run['id']}", headers=key).json()["resumable"])

    assert not fails_with("selection_filter_invalid")
    answer = served.client.post(f"{RUNS}/{run['id']}/resume", headers=key).json()
    assert answer["code"] == "training_run_not_resumable"
    assert "refused for what it asked for (selection_filter_invalid)" in answer["detail"]
    # Room may be made.
    assert fails_with("memory_too_small")
    assert served.client.post(f"{RUNS}/{run['id']}/resume", headers=key).status_code == 202
    again = served.client.post(f"{RUNS}/{run['id']}/resume", headers=key).json()
    assert again["detail"].endswith("found one that is queued")


def test_a_run_is_cancelled_and_gone_on_with(served: Serving, key: dict[str, str]) -> None:
    run_id = in_training(served, key)
    resume = served.client.post(f"{RUNS}/{run_id}/resume", headers=key)
    assert (resume.status_code, resume.json()["code"]) == (409, "training_run_not_resumable")
    assert resume.json()["detail"].endswith("found one that is training"), "none of its folds stops"
    for _ in range(2):
        stopped = served.client.post(f"{RUNS}/{run_id}/cancel", headers=key)
        assert (stopped.status_code, stopped.json()["status"]) == (200, "cancelled")
    assert [fold["status"] for fold in stopped.json()["folds"]] == ["training", "cancelled"]
    assert stopped.json()["folds"][0]["cancel_requested"] is True
    assert stopped.json()["resumable"] is False, "a fold still stops"
    with served.sessions.begin() as session:
        fold = session.scalars(select(TrainingFoldRow).where(TrainingFoldRow.fold == 0)).one()
        fold.state = FoldState.CANCELLED
    resumed = served.client.post(f"{RUNS}/{run_id}/resume", headers=key)
    assert (resumed.status_code, resumed.json()["status"]) == (202, "training")
    assert [fold["status"] for fold in resumed.json()["folds"]] == ["queued", "queued"]
    with served.sessions.begin() as session:
        session.get_one(TrainingRunRow, run_id).state = RunState.SUCCEEDED
    over = served.client.post(f"{RUNS}/{run_id}/cancel", headers=key)
    assert (over.status_code, over.json()["code"]) == (409, "training_run_over")


def test_a_run_that_nobody_knows_is_not_there(served: Serving, key: dict[str, str]) -> None:
    for method, path in (("GET", ""), ("GET", "/log"), ("POST", "/cancel"), ("POST", "/resume")):
        answer = served.client.request(method, f"{RUNS}/nothing{path}", headers=key)
        assert (answer.status_code, answer.json()["code"]) == (404, "training_run_not_found")
