"""Evaluations in this process, of real trainings: what each challenger comes to before the gate."""

import shutil
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update

from imaging import PreprocessingSpec
from model.checkpoint import load_checkpoint, save_checkpoint
from service import evaluations, jobs
from service.db.base import utc_now
from service.db.organisations import DEFAULT_ORGANISATION_ID
from service.db.rows import (
    AuditEventRow,
    CohortRow,
    EvaluationRow,
    EvaluationSetRow,
    ModelVersionRow,
    RunState,
    TrainingRunRow,
)
from service.identity.actor import Actor
from service.registry import (
    CheckpointDamagedError,
    GateNotPassedError,
    active_model,
    evaluate_gate,
    judge_comparison,
    let_answer,
    promote,
)
from service.registry.registering import register
from service.settings import Settings
from service.worker.cohorts import register_cohort
from service.worker.evaluation import run_evaluation
from service.worker.runtime import Runtime, open_runtime
from tests.service.conftest import BOTH_DATABASES
from tests.training.challenge.tiny_trainings import cohort, series_of, trained
from tests.training.cohort.store.made_up_store import write_store
from tests.training.validation.tiny_cohorts import SPEC, tiny_subjects
from training.challenge import challenge as challenging
from training.challenge.people import FEWEST_OF_A_CLASS
from training.runs import CHECKPOINT_FILE

ACTOR = Actor("user:1", "test")
WHY = "the tests are about something else"


@dataclass(frozen=True)
class Trained:
    """Folders that every test reads and none changes: the locked people, and a run of each kind."""

    locked: Path
    champion: challenging.Origin
    shuffled: challenging.Origin
    leaked: challenging.Origin


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    place, everybody = tmp_path_factory.mktemp("evaluated"), tiny_subjects(128)
    cohort(place, name="locked", subjects=everybody[80:])
    first = cohort(place, name="first", subjects=everybody[:80])
    wrong = cohort(place, name="shuffled", subjects=everybody[:80], shuffled=True)
    # Four of the locked people under other names.
    seen = [*everybody[:76], *everybody[80:84]]
    leaking = write_store(
        place / "leaking", subjects=seen, series={one.subject_id: [series_of(one)] for one in seen}, spec=SPEC
    )
    return Trained(
        locked=place / "locked",
        champion=trained(place, first, "champion"),
        shuffled=trained(place, wrong, "of-chance"),
        leaked=trained(place, leaking, "leaked"),
    )


class Place:
    """A database and a storage with a champion that answers, and a set in use."""

    def __init__(self, runtime: Runtime, made: Trained, folder: Path) -> None:
        self.runtime, self.made = runtime, made
        self.cohort = folder / "locked"
        shutil.copytree(made.locked, self.cohort)
        self.champion = self.add(made.champion)
        with runtime.sessions.begin() as session:
            version = session.get_one(ModelVersionRow, self.champion)
            let_answer(session, runtime.storage, version, actor=ACTOR, reason="the first one")
            register_cohort(session, self.cohort, actor=ACTOR)
        self.use("held out")

    def add(self, origin: challenging.Origin, path: Path | None = None) -> str:
        """Register a run's checkpoint with the run that made it, or another file, which none of here made."""
        with self.runtime.sessions.begin() as session:
            file = path or origin.run / CHECKPOINT_FILE
            version = register(session, self.runtime.storage, file, actor=ACTOR)
            if path is not None:
                return version.id
            run = TrainingRunRow(
                organisation_id=DEFAULT_ORGANISATION_ID,
                run_folder=str(origin.run),
                cohort_folder=str(origin.cohort),
                device="cpu",
                state=RunState.SUCCEEDED,
                model_version_id=version.id,
            )
            session.add(run)
            return version.id

    def use(self, name: str, where: tuple[str, ...] = ()) -> str:
        with self.runtime.sessions.begin() as session:
            added = evaluations.add_set(
                session,
                session.scalars(select(CohortRow)).one(),
                name=name,
                selection="all",
                where=where,
                actor=ACTOR,
            )
            return evaluations.use_set(session, added, actor=ACTOR).id

    def ask(self, challenger: str) -> str:
        with self.runtime.sessions.begin() as session:
            version = session.get_one(ModelVersionRow, challenger)
            return evaluations.request_evaluation(session, self.runtime.storage, version, actor=ACTOR).id

    def row(self, evaluation_id: str) -> EvaluationRow:
        with self.runtime.sessions() as session:
            return session.get_one(EvaluationRow, evaluation_id)

    def evaluated(self, challenger: str) -> EvaluationRow:
        evaluation_id = self.ask(challenger)
        run_evaluation(self.runtime, evaluation_id)
        return self.row(evaluation_id)

    def failed(self, challenger: str) -> dict[str, str]:
        """What the gate says against a model."""
        with self.runtime.sessions() as session:
            version, champion = session.get_one(ModelVersionRow, challenger), active_model(session)
            compared = judge_comparison(session, version, champion=champion)
            rules = evaluate_gate(self.runtime.storage, version, champion=champion, compared=compared)
        return {rule.name: rule.found for rule in rules if rule.passed is False}

    def promote(self, challenger: str, why: str | None = None) -> None:
        with self.runtime.sessions.begin() as session:
            version = session.get_one(ModelVersionRow, challenger)
            promote(session, self.runtime.storage, version, actor=ACTOR, reason="better", override_reason=why)


@pytest.fixture
def runtime(tmp_path: Path, database_url: str) -> Iterator[Runtime]:
    settings = Settings(
        data_dir=tmp_path / "data", database_url=database_url, device="cpu", heartbeat_s=0.1, lease_s=5
    )
    opened = open_runtime(settings)
    yield opened
    opened.sessions.kw["bind"].dispose()


@pytest.fixture
def place(runtime: Runtime, made: Trained, tmp_path: Path) -> Place:
    return Place(runtime, made, tmp_path)


@BOTH_DATABASES
def test_a_challenger_trained_on_shuffled_labels_is_stopped_as_chance_and_as_worse(place: Place) -> None:
    challenger = place.add(place.made.shuffled)
    assert place.failed(challenger) == {"compared_with_champion": "not compared: start the evaluation"}
    row = place.evaluated(challenger)
    assert (row.state, row.passed, row.progress, row.error_code) == ("succeeded", False, 1.0, None)
    assert row.outcome is not None
    assert row.outcome["together"]["champion"]["auc"]["value"] > 0.8
    failed = place.failed(challenger)
    assert {"better_than_chance", "auc_not_worse"} <= failed.keys()
    assert not {"compared_with_champion", "no_leak"} & failed.keys()
    with pytest.raises(GateNotPassedError, match="better_than_chance"):
        place.promote(challenger)
    # The set is locked by whoever looked first, with what a page shows of it.
    with place.runtime.sessions() as session:
        people = session.scalars(select(EvaluationSetRow)).one()
    assert people.fingerprint == row.outcome["evaluation_set"]["fingerprint"]
    assert (people.n_cases, people.n_controls, people.sites) == (24, 24, {"KKI": 24, "NYU": 24})
    # A person may overrule it, and then another model answers: what was compared counts no longer.
    place.promote(challenger, WHY)
    assert place.failed(challenger) == {}
    assert place.failed(place.champion)["compared_with_champion"].startswith("not compared")


def test_a_challenger_that_was_trained_on_people_of_the_set_is_stopped_and_so_is_one_of_no_record(
    place: Place, tmp_path: Path
) -> None:
    leaked = place.add(place.made.leaked)
    place.evaluated(leaked)
    assert place.failed(leaked)["no_leak"].startswith("4 of 48 (4 by their scans")
    with pytest.raises(GateNotPassedError, match="no_leak"):
        place.promote(leaked)
    checkpoint = load_checkpoint(place.made.champion.run / CHECKPOINT_FILE)
    card = checkpoint.card.model_copy(update={"version": "of-nobody-knows"})
    path = tmp_path / "other.safetensors"
    save_checkpoint(path, members=checkpoint.members, card=card)
    unknown = place.add(place.made.champion, path)
    place.evaluated(unknown)
    assert "no record of whom it was trained on" in place.failed(unknown)["no_leak"]


@pytest.mark.parametrize("away", ["run", "cohort"])
def test_whom_it_was_trained_on_is_waited_for_where_the_record_is_away(place: Place, away: str) -> None:
    challenger = place.add(place.made.shuffled)
    folder: Path = getattr(place.made.shuffled, away)
    elsewhere = folder.rename(folder.with_name("elsewhere"))
    try:
        row = place.evaluated(challenger)
        assert (row.state, row.error_code, row.attempts) == ("queued", "evaluation_origin_away", 0)
        assert row.outcome is None, "nothing was found"
    finally:
        elsewhere.rename(folder)
    with place.runtime.sessions.begin() as session:
        session.get_one(EvaluationRow, row.id).not_before = None
    again = place.evaluated(challenger)
    assert (again.id, again.state) == (row.id, "succeeded")
    assert "no_leak" not in place.failed(challenger)


def test_both_are_computed_as_scans_are_answered(place: Place) -> None:
    place.runtime.settings = place.runtime.settings.model_copy(update={"backend": "torch"})
    outcome = place.evaluated(place.add(place.made.shuffled)).outcome
    assert outcome is not None
    together = outcome["together"]
    assert (together["champion"]["backend"], together["challenger"]["backend"]) == ("torch", "torch")


def test_a_corrupted_checkpoint_is_stopped_and_compared_again_once_it_is_put_right(place: Place) -> None:
    challenger = place.add(place.made.shuffled)
    storage, content = place.runtime.storage, (place.made.shuffled.run / CHECKPOINT_FILE).read_bytes()
    with place.runtime.sessions() as session:
        key = session.get_one(ModelVersionRow, challenger).storage_key

    def store(stored: bytes) -> None:
        with storage.receive(max_bytes=len(stored)) as upload:
            upload.write(stored)
            storage.promote(upload, key)

    # Damaged while it waits: a file that is damaged by then is not compared at all.
    evaluation_id = place.ask(challenger)
    store(content[:-1000])
    run_evaluation(place.runtime, evaluation_id)
    row = place.row(evaluation_id)
    assert (row.state, row.passed) == ("succeeded", False)
    assert {"file_intact", "intact"} <= place.failed(challenger).keys()
    with pytest.raises(CheckpointDamagedError):
        place.promote(challenger, WHY)
    with pytest.raises(CheckpointDamagedError):
        place.ask(challenger)
    store(content)
    again = place.evaluated(challenger)
    assert again.id == row.id
    assert again.outcome is not None
    assert again.outcome["together"] is not None
    assert "intact" not in place.failed(challenger)
    assert place.ask(challenger) == row.id
    assert place.row(row.id).state == "succeeded", "it was measured: there is nothing to do again"


def test_another_preprocessing_is_stopped_by_name_and_nobody_overrules_it(
    place: Place, tmp_path: Path
) -> None:
    checkpoint = load_checkpoint(place.made.champion.run / CHECKPOINT_FILE)
    other = PreprocessingSpec(window_frames=4, n_windows=2, tr_s=None)
    card = checkpoint.card.model_copy(update={"preprocessing": other.to_json()})
    path = tmp_path / "other.safetensors"
    save_checkpoint(path, members=checkpoint.members, card=card)
    challenger = place.add(place.made.champion, path)
    place.evaluated(challenger)
    assert place.failed(challenger)["same_preprocessing"] == "tr_s None"
    with pytest.raises(GateNotPassedError, match=r"same_preprocessing: expected tr_s 2\.0"):
        place.promote(challenger, WHY)


def test_it_is_cancelled_within_seconds_and_may_be_asked_for_again(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    def answer_slowly(*_given: Any, progress: Callable[[float], None], **_more: Any) -> None:
        for person in range(1000):
            progress(person / 1000)
            time.sleep(0.02)

    challenger = place.add(place.made.shuffled)
    evaluation_id = place.ask(challenger)
    assert place.ask(challenger) == evaluation_id
    with monkeypatch.context() as patched:
        patched.setattr(challenging, "ask", answer_slowly)
        working = threading.Thread(target=run_evaluation, args=(place.runtime, evaluation_id))
        working.start()
        try:
            deadline = time.monotonic() + 10
            while place.row(evaluation_id).progress == 0:
                assert time.monotonic() < deadline
                time.sleep(0.05)
            assert place.failed(challenger)["compared_with_champion"].startswith("being compared")
        finally:
            with place.runtime.sessions.begin() as session:
                row = session.get_one(EvaluationRow, evaluation_id)
                evaluations.cancel_evaluation(session, row, actor=ACTOR)
            asked_at = time.monotonic()
            working.join(timeout=10)
    assert time.monotonic() - asked_at < 3
    assert place.row(evaluation_id).state == "cancelled"
    assert place.failed(challenger)["compared_with_champion"].startswith("the evaluation was cancelled")
    with place.runtime.sessions() as session:
        told = session.scalars(select(AuditEventRow.action)).all()
    assert (told.count("evaluation.request"), told.count("evaluation.cancel")) == (1, 1)
    again = place.evaluated(challenger)
    assert (again.id, again.state, again.cancel_requested) == (evaluation_id, "succeeded", False)
    with (
        place.runtime.sessions.begin() as session,
        pytest.raises(evaluations.EvaluationOverError, match="found one that has succeeded"),
    ):
        evaluations.cancel_evaluation(session, session.merge(again), actor=ACTOR)


def test_what_a_killed_worker_had_in_hand_is_done_again(place: Place) -> None:
    evaluation_id = place.ask(place.add(place.made.shuffled))
    with place.runtime.sessions.begin() as session:
        assert jobs.claim(session, EvaluationRow, evaluation_id, owner="killed#1", lease_s=60) is not None
        session.execute(update(EvaluationRow).values(lease_expires_at=utc_now(-1), progress=0.5))
    run_evaluation(place.runtime, evaluation_id)
    assert place.row(evaluation_id).state == "evaluating", "its lease is for the sweep to end"
    with place.runtime.sessions.begin() as session:
        assert jobs.sweep(session, EvaluationRow, republish_s=30).requeued == (evaluation_id,)
    run_evaluation(place.runtime, evaluation_id)
    row = place.row(evaluation_id)
    assert (row.state, row.attempts) == ("succeeded", 2)


def test_too_few_people_judge_nothing(place: Place) -> None:
    assert evaluations.FEWEST_OF_A_CLASS == FEWEST_OF_A_CLASS
    place.use("few", where=("age<=96",))
    challenger = place.add(place.made.shuffled)
    row = place.evaluated(challenger)
    assert (row.state, row.error_code) == ("failed", "evaluation_set_too_small")
    assert place.failed(challenger) == {
        "compared_with_champion": "the evaluation failed: evaluation_set_too_small"
    }
    place.use("none of them", where=("QC_Nowhere=1",))
    assert place.evaluated(challenger).error_code == "selection_filter_invalid"


@pytest.mark.parametrize("looked_before", [True, False])
def test_other_people_than_those_of_the_set_judge_nothing(place: Place, looked_before: bool) -> None:
    challenger = place.add(place.made.shuffled)
    if looked_before:
        assert place.evaluated(challenger).state == "succeeded"
        challenger = place.add(place.made.leaked)
    shutil.rmtree(place.cohort)
    cohort(place.cohort.parent, name="locked", subjects=tiny_subjects(128)[78:])
    row = place.evaluated(challenger)
    assert (row.state, row.error_code) == ("failed", "evaluation_set_changed")
    shutil.rmtree(place.cohort)
    assert place.evaluated(challenger).error_code == "cohort_not_found"


def test_a_champion_whose_file_is_gone_is_no_verdict_on_the_challenger(place: Place) -> None:
    challenger = place.add(place.made.shuffled)
    with place.runtime.sessions() as session:
        place.runtime.storage.delete(session.get_one(ModelVersionRow, place.champion).storage_key)
    row = place.evaluated(challenger)
    assert (row.state, row.passed, row.error_code) == ("failed", None, "checkpoint_missing")


def test_there_has_to_be_a_champion_and_a_set_and_a_challenger(place: Place) -> None:
    with place.runtime.sessions.begin() as session:
        session.execute(update(EvaluationSetRow).values(in_use=False))
    challenger = place.add(place.made.shuffled)
    with pytest.raises(evaluations.NoEvaluationSetError):
        place.ask(challenger)
    assert place.failed(challenger)["compared_with_champion"].startswith("no evaluation set is in use")
    with pytest.raises(evaluations.EvaluationSetNameTakenError):
        place.use("held out")
    again = place.use("held out, again")
    assert place.failed(place.champion) == {}, "there is nothing to compare it with"
    with place.runtime.sessions.begin() as session:
        assert evaluations.find_set(session, "held out, again").id == again
        with pytest.raises(evaluations.EvaluationSetNotFoundError):
            evaluations.find_set(session, "nothing")
