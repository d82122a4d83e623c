"""Training over REST: asked for, refused, followed. That it is done is for tests/integration to show."""

from typing import Any

import pytest
from sqlalchemy import select

from service.db.rows import (
    AuditEventRow,
    CohortState,
    FoldState,
    RunState,
    ScanRow,
    TrainingFoldRow,
    TrainingRunRow,
)
from service.identity.roles import Role
from tests.service.api.serving import Serving, sample_result

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
    [run] = served.train(key, cohort="tiny", reviewed_scans=True)
    assert run["reviewed_scans"] is True
    [plain] = served.train(key, cohort="tiny")
    assert plain["reviewed_scans"] is False
    assert refused(served, key, reviewed_scans="yes")[1] == "request_not_valid"


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
    with served.sessions() as session:
        assert session.scalars(select(TrainingRunRow)).all() == []


@pytest.mark.parametrize("state", [CohortState.CHANGED, CohortState.MISSING])
def test_a_cohort_that_is_not_as_registered_is_not_trained_on(
    served: Serving, key: dict[str, str], state: CohortState
) -> None:
    served.register_cohort("other", state=state)
    expected = {"name": "other", "found": state.value}
    assert refused(served, key, cohort="other") == (409, "cohort_not_usable", expected)


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
    assert (run["status"], run["progress"], run["plan"]["n_subjects"]) == ("training", 0.1, 40)
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


def test_a_run_is_cancelled_and_gone_on_with(served: Serving, key: dict[str, str]) -> None:
    run_id = in_training(served, key)
    resume = served.client.post(f"{RUNS}/{run_id}/resume", headers=key)
    assert (resume.status_code, resume.json()["code"]) == (409, "training_run_not_resumable")
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
