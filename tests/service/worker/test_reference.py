"""A reference in this process: a tiny cohort measured by a tiny model, and each way to refuse it."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from sqlalchemy import select
from sqlalchemy.orm import Session, sessionmaker

from service.db.organisations import DEFAULT_ORGANISATION_ID
from service.db.rows import (
    AuditEventRow,
    CohortRow,
    DriftEvaluationRow,
    DriftReferenceRow,
    ModelVersionRow,
    RunState,
    TrainingRunRow,
)
from service.drift.asking import reference_in_use, request_reference
from service.drift.due import versions_due
from service.drift.errors import DriftReferenceWaitingError
from service.drift.reference import Reference
from service.identity.actor import Actor
from service.registry.registering import register
from service.settings import Settings
from service.storage import EncryptionKeyMissingError
from service.worker.cohorts import register_cohort
from service.worker.reference import run_reference
from service.worker.runtime import Runtime, open_runtime
from tests.service.answering import let_answer
from tests.service.computing import threads_of
from tests.service.worker.tiny_model import save_tiny_model
from tests.training.methods.tiny_ridge import train_tiny_ridge
from tests.training.validation.tiny_cohorts import QUICK, SPEC, tiny_store
from training.cohort.store.cohort_store import CohortStore
from training.validation.cross_validation import plan_run

ACTOR = Actor("user:1", "test")


@pytest.fixture
def runtime(tmp_path: Path, database_url: str) -> Runtime:
    return open_runtime(Settings(data_dir=tmp_path / "data", database_url=database_url, backend="torch"))


@pytest.fixture
def store(tmp_path: Path) -> CohortStore:
    return tiny_store(tmp_path / "cohort", n_subjects=22)


@pytest.fixture
def add_model(runtime: Runtime, tmp_path: Path) -> Callable[..., str]:
    def add(**changes: object) -> str:
        path = save_tiny_model(tmp_path / "tiny.safetensors", **changes)
        with runtime.sessions.begin() as session:
            version = register(session, runtime.storage, path, actor=ACTOR)
            let_answer(session, version)
            return version.id

    return add


def ask(sessions: sessionmaker[Session], store: CohortStore, version_id: str, **more: str) -> str:
    with sessions.begin() as session:
        cohort = register_cohort(session, store.folder, actor=ACTOR)
        version = session.get_one(ModelVersionRow, version_id)
        row = request_reference(
            session, version, cohort, selection=more.get("selection"), actor=ACTOR, max_attempts=2
        )
        return row.id


def row_of(sessions: sessionmaker[Session], reference_id: str) -> DriftReferenceRow:
    with sessions() as session:
        return session.get_one(DriftReferenceRow, reference_id)


def test_a_model_that_is_no_network_measures_a_cohort_too(runtime: Runtime, tmp_path: Path) -> None:
    tiny = train_tiny_ridge(tmp_path)
    with runtime.sessions.begin() as session:
        version = let_answer(session, register(session, runtime.storage, tiny.checkpoint, actor=ACTOR))
    reference_id = ask(runtime.sessions, tiny.store, version.id)
    run_reference(runtime, reference_id)
    row = row_of(runtime.sessions, reference_id)
    assert (row.state, row.error_code) == ("succeeded", None)
    reference = Reference.from_json(row.sample or {})
    assert (reference.people, reference.fitted) == (24, True)
    assert np.std(reference.numbers["adhd_probability"]) > 0
    assert np.std(reference.numbers["embedding_distance"]) > 0


def test_a_cohort_becomes_a_reference_in_the_place_of_the_one_before(
    runtime: Runtime, store: CohortStore, add_model: Callable[..., str]
) -> None:
    version_id = add_model()
    first = ask(runtime.sessions, store, version_id)
    with pytest.raises(DriftReferenceWaitingError):
        ask(runtime.sessions, store, version_id)
    run_reference(runtime, first)
    row = row_of(runtime.sessions, first)
    assert (row.state, row.error_code, row.in_use, row.progress) == ("succeeded", None, True, 1.0)
    assert row.sample is not None
    reference = Reference.from_json(row.sample)
    # One scan a person, though the first of them has two.
    assert (reference.people, reference.fitted) == (22, False)
    assert len(reference.numbers["adhd_probability"]) == len(reference.numbers["embedding_distance"]) == 22
    assert sum(reference.kinds["decision"].values()) == sum(reference.kinds["tr_s"].values()) == 22
    # Of a site with fewer than 20 people nothing is kept apart.
    of_sites = Counter(subject.site.casefold() for subject in store.subjects)
    assert {site: sample.people for site, sample in reference.sites.items()} == {
        site: n for site, n in of_sites.items() if n >= 20
    }
    # What the store does not hold is no variable.
    assert "grid" not in reference.kinds
    assert reference.cloud is not None
    assert np.linalg.eigvalsh(reference.cloud.covariance).min() > 0
    assert not {"subject_id", *(subject.subject_id for subject in store.subjects)} & set(
        str(row.sample).split("'")
    )

    second = ask(runtime.sessions, store, version_id, selection="all")
    run_reference(runtime, second)
    assert not row_of(runtime.sessions, first).in_use
    again = row_of(runtime.sessions, second)
    # The same people by the same model: the same numbers.
    assert again.sample == row.sample
    with runtime.sessions() as session:
        in_use = reference_in_use(session, version_id)
        assert in_use is not None
        assert in_use.id == second
        # Nobody has asked and no scan was answered: the reference alone lets the housekeeping look.
        assert session.scalars(select(DriftEvaluationRow.evaluated_at)).all() == [None]
        assert versions_due(session, every_s=3600) == [version_id]


def test_a_model_that_was_fitted_on_these_people_is_known(
    runtime: Runtime, store: CohortStore, add_model: Callable[..., str]
) -> None:
    reference_id = ask(
        runtime.sessions, store, add_model(cohort_fingerprint=store.fingerprint(store.subjects))
    )
    run_reference(runtime, reference_id)
    sample = row_of(runtime.sessions, reference_id).sample
    assert sample is not None
    assert sample["fitted"] is True


@pytest.mark.parametrize("overlap", [True, False])
def test_a_model_that_was_fitted_on_one_of_these_people_is_known_by_its_run(
    runtime: Runtime, store: CohortStore, tmp_path: Path, add_model: Callable[..., str], *, overlap: bool
) -> None:
    # The same cohort, larger: its first 22 people are those of the reference.
    whole = tiny_store(tmp_path / "whole", n_subjects=40)
    trained = whole.subjects[18:34] if overlap else whole.subjects[22:38]
    plan_run(whole, trained, settings=QUICK, out=tmp_path / "run")
    version_id = add_model()
    with runtime.sessions.begin() as session:
        session.add(
            TrainingRunRow(
                organisation_id=DEFAULT_ORGANISATION_ID,
                run_folder=str(tmp_path / "run"),
                cohort_folder=str(whole.folder),
                device="cpu",
                state=RunState.SUCCEEDED,
                model_version_id=version_id,
            )
        )
    reference_id = ask(runtime.sessions, store, version_id)
    run_reference(runtime, reference_id)
    sample = row_of(runtime.sessions, reference_id).sample
    assert sample is not None
    assert sample["fitted"] is overlap


def test_scans_prepared_in_another_way_are_refused(
    runtime: Runtime, store: CohortStore, add_model: Callable[..., str]
) -> None:
    other = SPEC.to_json() | {"window_frames": 5}
    reference_id = ask(runtime.sessions, store, add_model(preprocessing=other))
    run_reference(runtime, reference_id)
    row = row_of(runtime.sessions, reference_id)
    assert (row.state, row.error_code, row.in_use) == ("failed", "preprocessing_mismatch", False)


def test_too_few_people_are_refused(runtime: Runtime, tmp_path: Path, add_model: Callable[..., str]) -> None:
    reference_id = ask(runtime.sessions, tiny_store(tmp_path / "few"), add_model())
    run_reference(runtime, reference_id)
    row = row_of(runtime.sessions, reference_id)
    assert (row.state, row.error_code) == ("failed", "drift_reference_too_small")
    assert row.error_details == {"expected": 20, "found": 16}


def test_a_cohort_that_has_changed_is_refused(
    runtime: Runtime, store: CohortStore, add_model: Callable[..., str]
) -> None:
    reference_id = ask(runtime.sessions, store, add_model())
    with runtime.sessions.begin() as session:
        session.scalars(select(CohortRow)).one().fingerprint = "e" * 64
    run_reference(runtime, reference_id)
    row = row_of(runtime.sessions, reference_id)
    assert (row.state, row.error_code) == ("failed", "cohort_not_usable")


def test_a_model_whose_file_is_gone_is_refused_and_another_reference_may_be_asked_for(
    runtime: Runtime, store: CohortStore, add_model: Callable[..., str]
) -> None:
    version_id = add_model()
    with runtime.sessions() as session:
        runtime.storage.delete(session.get_one(ModelVersionRow, version_id).storage_key)
    reference_id = ask(runtime.sessions, store, version_id)
    run_reference(runtime, reference_id)
    row = row_of(runtime.sessions, reference_id)
    assert (row.state, row.error_code) == ("failed", "checkpoint_missing")
    assert ask(runtime.sessions, store, version_id) != reference_id


def test_one_that_waits_in_vain_makes_way_for_another(
    runtime: Runtime, store: CohortStore, add_model: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_key(*_given: object) -> None:
        raise EncryptionKeyMissingError(n_keys=1)

    version_id = add_model()
    first = ask(runtime.sessions, store, version_id)
    with monkeypatch.context() as patched:
        patched.setattr(Runtime, "model_to_score", no_key)
        run_reference(runtime, first)
    assert row_of(runtime.sessions, first).state == "queued"
    second = ask(runtime.sessions, store, version_id)
    assert row_of(runtime.sessions, first).state == "cancelled"
    with runtime.sessions() as session:
        told = session.scalars(select(AuditEventRow).where(AuditEventRow.action == "drift.reference")).all()
    assert [event.details and event.details.get("cancelled") for event in told] == [None, [first]]
    run_reference(runtime, second)
    assert row_of(runtime.sessions, second).in_use


def test_it_is_measured_on_one_thread_and_leaves_the_others_as_they_were(
    runtime: Runtime, store: CohortStore, add_model: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    threads = threads_of(monkeypatch)
    runtime.settings = runtime.settings.model_copy(update={"inference_threads": 2})
    before = torch.get_num_threads()
    reference_id = ask(runtime.sessions, store, add_model())
    run_reference(runtime, reference_id)
    assert row_of(runtime.sessions, reference_id).state == "succeeded"
    assert (set(threads), torch.get_num_threads()) == ({1}, before)
