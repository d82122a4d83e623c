"""A challenger beside the model that answers, by a real worker that is killed on the way."""

from pathlib import Path

import numpy as np
import psutil
import pytest

from imaging import PreprocessingSpec
from model import demonstration_checkpoint
from model.card import read_card
from model.checkpoint import load_checkpoint, save_checkpoint
from service import evaluations
from service.db.rows import EvaluationRow, EvaluationState
from service.identity.actor import Actor
from service.queue import announce
from service.registry.registering import register
from service.worker.cohorts import register_cohort
from tests.integration.conftest import MakeWorkplace, Workplace
from tests.servers import wait_until
from tests.thorough import first
from tests.training.cohort.store.made_up_store import write_store
from tests.training.validation.tiny_cohorts import N_VOXELS, tiny_subjects

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.enable_socket]

ACTOR = Actor("command-line", "test")


def ask(place: Workplace, folder: Path) -> str:
    """Compare the demonstration with itself, under another version, on people of noise."""
    spec = PreprocessingSpec.from_json(read_card(demonstration_checkpoint()).preprocessing)
    subjects = tiny_subjects(24)
    generator = np.random.default_rng(0)
    series = {
        one.subject_id: [generator.standard_normal((2 * spec.window_frames, N_VOXELS), dtype=np.float32)]
        for one in subjects
    }
    write_store(folder / "held-out", subjects=subjects, series=series, spec=spec)
    checkpoint = load_checkpoint(demonstration_checkpoint())
    path = folder / "other.safetensors"
    card = checkpoint.card.model_copy(update={"version": "other"})
    save_checkpoint(path, members=checkpoint.members, card=card)
    with place.sessions.begin() as session:
        version = register(session, place.storage, path, actor=ACTOR)
        cohort = register_cohort(session, folder / "held-out", actor=ACTOR)
        people = evaluations.add_set(session, cohort, name="held out", selection="all", where=[], actor=ACTOR)
        evaluations.use_set(session, people, actor=ACTOR)
        evaluation_id = evaluations.request_evaluation(session, place.storage, version, actor=ACTOR).id
    announce(place.app, place.sessions, EvaluationRow, evaluation_id)
    return evaluation_id


@pytest.mark.parametrize(("broker", "database"), first(1, [("file", "sqlite"), ("redis", "postgresql")]))
def test_an_evaluation_survives_its_worker(
    make_workplace: MakeWorkplace, tmp_path: Path, broker: str, database: str
) -> None:
    place = make_workplace(broker=broker, database=database)
    evaluation_id = ask(place, tmp_path)

    def row() -> EvaluationRow:
        with place.sessions() as session:
            return session.get_one(EvaluationRow, evaluation_id)

    worker = place.worker("evaluation")
    wait_until(lambda: row().progress > 0, "an evaluation under way", within_s=120)
    assert row().state == EvaluationState.EVALUATING
    for process in [*psutil.Process(worker.pid).children(recursive=True), psutil.Process(worker.pid)]:
        process.kill()
    worker.wait()
    assert row().state == EvaluationState.EVALUATING

    place.worker("maintenance")
    place.worker("explanation", "evaluation", "planning")
    wait_until(lambda: row().state == EvaluationState.SUCCEEDED, "the evaluation", within_s=240)
    found = row()
    assert (found.attempts, found.lease_owner) == (2, None)
    assert found.outcome is not None
    assert found.outcome["together"]["differences"]["auc"]["value"] == 0
    assert found.outcome["together"]["called_otherwise"] == 0
    # Nobody knows whom it was trained on.
    assert "no_leak" in [rule["name"] for rule in found.outcome["rules"] if not rule["passed"]]
