"""Reviewed scans in a training: prepared, added to every fold's fitting, measured nowhere, and gone again."""

import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete, select, update

from service import jobs
from service.db.base import new_id
from service.db.organisations import DEFAULT_ORGANISATION_ID
from service.db.rows import (
    PredictionRow,
    PredictionState,
    ReviewRow,
    RunState,
    ScanRow,
    TrainingFoldRow,
    TrainingLogRow,
    TrainingRunRow,
)
from service.evaluations import add_set
from service.identity.actor import Actor
from service.settings import Settings
from service.training_request import TrainingRequest
from service.worker import reviewed_scans
from service.worker.cohorts import register_cohort
from service.worker.fold import run_fold
from service.worker.reviewed_copies import STAGING, remove_copies
from service.worker.runtime import Runtime, open_runtime
from service.worker.training_run import run_training
from tests.training.cohort.store.made_up_store import write_store
from tests.training.validation.tiny_cohorts import SPEC, series_of, tiny_store, tiny_subjects
from training.added_people import added_index
from training.cohort.store.cohort_store import CohortStore
from training.cohort.store.index import SERIES_FOLDER
from training.fitting import fit as fitting
from training.run_files import read_rows
from training.runs import ADDED_FOLDER, PREDICTIONS_FILE, SUBJECTS_FILE, Prediction, RunSubject, read_run
from training.simulation.scan_files import write_scan
from training.simulation.simulator import simulate_subject

QUICK: dict[str, Any] = {
    "cohort": "tiny",
    "width": 1,
    "folds": 2,
    "epochs": 1,
    "batch_size": 8,
    "inner_stopping": 0.25,
    "inner_calibration": 0.25,
    "device": "cpu",
    "reviewed_scans": True,
}
ACTOR = Actor("user:1", "test")
YES, NO = {"training_consent": True}, {"training_consent": False}

Hand = Callable[..., str]
Ask = Callable[..., str]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Three simulated people's scans, cut to what the preprocessing needs."""
    folder = tmp_path_factory.mktemp("scans")
    paths = []
    for index in range(3):
        scan = simulate_subject(index, seed=31)
        path = folder / f"{index}.nii.gz"
        bold = next(scan.blocks(frames_per_block=60))
        write_scan(path, bold, affine=scan.affine, tr_s=scan.tr_s)
        paths.append(path)
    return paths


@pytest.fixture
def runtime(tmp_path: Path, database_url: str) -> Iterator[Runtime]:
    opened = open_runtime(Settings(data_dir=tmp_path / "data", database_url=database_url, training_threads=1))
    yield opened
    opened.enclosure.close()


@pytest.fixture
def store(tmp_path: Path) -> CohortStore:
    return tiny_store(tmp_path / "cohort")


@pytest.fixture
def hand_in(runtime: Runtime) -> Hand:
    """Store a scan as an upload does, with a finished prediction and reviews; gives the scan's id."""

    def hand_in(path: Path, *reviews: dict[str, Any], **about: Any) -> str:
        key = f"scans/{new_id()}.nii.gz"
        with runtime.storage.receive(max_bytes=1 << 28) as upload:
            upload.write(path.read_bytes())
            sha256 = upload.sha256
            runtime.storage.promote(upload, key)
        with runtime.sessions.begin() as session:
            scan = ScanRow(
                organisation_id=DEFAULT_ORGANISATION_ID,
                sha256=sha256,
                size_bytes=path.stat().st_size,
                display_name="Jane Doe.nii.gz",
                storage_key=key,
                **{"subject_id": "HOSPITAL-7", "site": "St. Elsewhere"} | about,
            )
            session.add(scan)
            session.flush()
            prediction = jobs.enqueue(session, scan_id=scan.id)
            done = update(PredictionRow).where(PredictionRow.id == prediction.id)
            session.execute(done.values(state=PredictionState.SUCCEEDED))
            scan_id = scan.id
        for review in reviews:
            say(runtime, scan_id, **review)
        return scan_id

    return hand_in


def say(runtime: Runtime, scan_id: str, **review: Any) -> None:
    with runtime.sessions.begin() as session:
        prediction_id = session.scalars(
            select(PredictionRow.id).where(PredictionRow.scan_id == scan_id)
        ).one()
        session.add(
            ReviewRow(
                organisation_id=DEFAULT_ORGANISATION_ID,
                prediction_id=prediction_id,
                verdict="accepted",
                **review,
            )
        )


@pytest.fixture
def ask(runtime: Runtime, store: CohortStore) -> Ask:
    def ask(folder: Path | None = None, **changes: Any) -> str:
        with runtime.sessions.begin() as session:
            cohort = register_cohort(session, folder or store.folder, actor=ACTOR)
            [run] = jobs.request_runs(
                session,
                TrainingRequest.model_validate(QUICK | {"cohort": cohort.name} | changes),
                cohort,
                runs_dir=runtime.settings.runs_dir,
                actor=ACTOR,
                organisation_id=DEFAULT_ORGANISATION_ID,
            )
            return run.id

    return ask


def planned(runtime: Runtime, run_id: str) -> TrainingRunRow:
    run_training(runtime, run_id)
    with runtime.sessions() as session:
        row = session.get_one(TrainingRunRow, run_id)
    assert (row.state, row.error_code) == ("training", None), row.error_message
    return row


def reviewed_of(row: TrainingRunRow) -> tuple[int, int, dict[str, int]]:
    told = (row.plan or {})["reviewed"]
    return told["n_people"], told["n_scans"], told["left_out"]


def test_people_who_agreed_are_fitted_in_every_fold_and_measured_in_none(
    runtime: Runtime, hand_in: Hand, ask: Ask, files: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    hand_in(files[0], YES | {"diagnosis": "adhd"}, age_years=11.0, sex="female")
    hand_in(files[1], YES | {"diagnosis": "adhd"})
    hand_in(files[2], YES | {"diagnosis": "control"}, subject_id="HOSPITAL-8", sex="other")
    row = planned(runtime, run_id := ask())
    assert reviewed_of(row) == (2, 3, {})
    assert row.plan is not None
    assert (row.plan["n_subjects"], row.plan["reviewed"]["n_cases"]) == (16, 1)
    run = Path(row.run_folder)
    assert not (run / STAGING).exists()

    fitted: list[set[str]] = []
    packed = fitting.packed_batches

    def watch(people: Any, **options: Any) -> Any:
        fitted.append({one.subject_id for one in people})
        return packed(people, **options)

    monkeypatch.setattr(fitting, "packed_batches", watch)
    with runtime.sessions() as session:
        folds = [fold.id for fold in jobs.folds_of_run(session, run_id)]
    for fold_id in folds:
        run_fold(runtime, fold_id)
        with runtime.sessions.begin() as session:
            jobs.settle(session, run_id)
    assert len(fitted) == 2
    assert all({"added/reviewed-1", "added/reviewed-2"} < people for people in fitted)
    run_training(runtime, run_id)
    with runtime.sessions() as session:
        row = session.get_one(TrainingRunRow, run_id)
        lines = list(session.scalars(select(TrainingLogRow.event).order_by(TrainingLogRow.id)))
        outcomes = [fold.outcome or {} for fold in session.scalars(select(TrainingFoldRow))]
    assert row.state == "succeeded"
    assert lines.count("reviewed_added") == 1
    assert [outcome["n_added"] for outcome in outcomes] == [2, 2]
    cohorts = {str(100 + number) for number in range(16)}
    assert {one.subject_id for one in read_rows(run, SUBJECTS_FILE, RunSubject)} == cohorts
    assert {one.subject_id for one in read_rows(run, PREDICTIONS_FILE, Prediction)} == cohorts

    # Nothing of the folder says who they are.
    index = added_index(run, read_run(run))
    assert index is not None
    known = [(one.label, one.age_years, one.sex, one.site) for one in index.subjects]
    assert sorted(known, key=str) == [
        (0, None, None, "St. Elsewhere"),
        (1, 11.0, "female", "St. Elsewhere"),
    ]
    texts = "".join(
        path.read_text() for path in run.rglob("*") if path.suffix in {".json", ".jsonl", ".tsv", ".csv"}
    )
    assert not re.search("HOSPITAL|Jane", texts)

    # The copies go once the run is over; whom it was trained on can still be told.
    assert (run / ADDED_FOLDER / SERIES_FOLDER).is_dir()
    assert remove_copies(runtime.sessions, runtime.settings.runs_dir) == 1
    assert not (run / ADDED_FOLDER / SERIES_FOLDER).exists()
    assert added_index(run, read_run(run)) is not None
    assert remove_copies(runtime.sessions, runtime.settings.runs_dir) == 0


def test_a_scan_is_prepared_as_the_cohort_was(
    runtime: Runtime, hand_in: Hand, ask: Ask, files: list[Path], tmp_path: Path
) -> None:
    """And a later run leaves out what was withdrawn; the earlier one keeps what it was planned with."""
    scan_id = hand_in(files[0], YES | {"diagnosis": "adhd"})
    row = planned(runtime, ask())
    run = Path(row.run_folder)
    index = added_index(run, read_run(run))
    assert index is not None
    assert index.spec == SPEC
    assert [scan.shape for scan in index.scans] == [(49, 58, 47)]
    say(runtime, scan_id, **NO)
    later = planned(runtime, ask())
    assert reviewed_of(later) == (0, 0, {"withdrawn": 1})
    assert read_run(Path(later.run_folder)).added is None
    assert read_run(run).added is not None


def test_runs_of_one_request_prepare_each_scan_once(
    runtime: Runtime, hand_in: Hand, files: list[Path], store: CohortStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And what the first has, is what each would have made itself; consents are asked for every time."""
    scan_ids = [
        hand_in(path, YES | {"diagnosis": "adhd"}, subject_id=f"HOSPITAL-{number}")
        for number, path in enumerate(files)
    ]
    with runtime.sessions.begin() as session:
        cohort = register_cohort(session, store.folder, actor=ACTOR)
        runs = jobs.request_runs(
            session,
            TrainingRequest.model_validate(QUICK | {"cohort": cohort.name, "seeds": [1, 2, 3, 4]}),
            cohort,
            runs_dir=runtime.settings.runs_dir,
            actor=ACTOR,
            organisation_id=DEFAULT_ORGANISATION_ID,
        )
        first, second, third, fourth = (run.id for run in runs)
    prepared: list[str] = []
    prepare = reviewed_scans.prepare_enclosed

    def watch(*given: Any, **named: Any) -> Any:
        prepared.append(named["sha256"])
        return prepare(*given, **named)

    def made(row: TrainingRunRow) -> dict[str, str]:
        index = added_index(Path(row.run_folder), read_run(Path(row.run_folder)))
        assert index is not None
        for scan in index.scans:
            index.series(scan)
        return {scan.source_sha256: scan.series_sha256 for scan in index.scans}

    monkeypatch.setattr(reviewed_scans, "prepare_enclosed", watch)
    begun = planned(runtime, first)
    assert len(prepared) == 3
    assert made(planned(runtime, second)) == made(begun)
    assert len(prepared) == 3

    say(runtime, scan_ids[0], **NO)
    row = planned(runtime, third)
    assert reviewed_of(row) == (2, 2, {"withdrawn": 1})
    assert len(prepared) == 3

    # A copy that is damaged is no copy, and one whose run is over is gone.
    for path in runtime.settings.runs_dir.glob(f"*/{ADDED_FOLDER}/{SERIES_FOLDER}/*.npy"):
        path.write_bytes(path.read_bytes()[:-1] + b"x")
    planned(runtime, fourth)
    assert len(prepared) == 5


def test_whoever_is_in_the_cohort_is_not_added(
    runtime: Runtime, hand_in: Hand, ask: Ask, files: list[Path], tmp_path: Path
) -> None:
    """By the file, also where it is on a scan of theirs that nobody spoke of; and by the pseudonym."""
    subjects = tiny_subjects()
    folder = tmp_path / "known"
    write_store(
        folder,
        subjects=subjects,
        series={one.subject_id: [series_of(one)] for one in subjects},
        spec=SPEC,
        name="known",
    )
    hand_in(files[0], subject_id="P-1")
    hand_in(files[1], YES | {"diagnosis": "adhd"}, subject_id="P-1")
    hand_in(files[2], YES | {"diagnosis": "control"}, subject_id="sub-0105")
    with runtime.sessions() as session:
        [sha256] = session.scalars(select(ScanRow.sha256).where(~ScanRow.id.in_(_reviewed())))
    _rewrite_digest(folder, sha256)
    row = planned(runtime, ask(folder))
    assert reviewed_of(row) == (0, 0, {"same_scan": 1, "same_id": 1})


def test_whoever_models_are_compared_on_is_not_added(
    runtime: Runtime, hand_in: Hand, ask: Ask, files: list[Path], tmp_path: Path
) -> None:
    held_out = _held_out(tmp_path)
    hand_in(files[0], YES | {"diagnosis": "adhd"}, subject_id="P-1")
    hand_in(files[1], YES | {"diagnosis": "control"}, subject_id="P-2")
    hand_in(files[2], YES | {"diagnosis": "control"}, subject_id=HELD_OUT)
    with runtime.sessions() as session:
        sha256 = session.scalars(select(ScanRow.sha256).where(ScanRow.subject_id == "P-1")).one()
    _rewrite_digest(held_out, sha256)
    _compare_on(runtime, held_out)
    assert reviewed_of(planned(runtime, ask())) == (1, 1, {"compared_scan": 1, "compared_id": 1})


def test_where_it_cannot_be_told_whom_models_are_compared_on_nothing_is_planned(
    runtime: Runtime, hand_in: Hand, ask: Ask, files: list[Path], tmp_path: Path
) -> None:
    """Their index is needed, their series are not."""
    hand_in(files[0], YES | {"diagnosis": "adhd"}, subject_id=HELD_OUT)
    held_out = _held_out(tmp_path)
    _compare_on(runtime, held_out)
    away = held_out.rename(tmp_path / "away")
    run_training(runtime, run_id := ask())
    with runtime.sessions.begin() as session:
        run = session.get_one(TrainingRunRow, run_id)
        assert (run.state, run.error_code) == ("failed", "cohort_not_usable")
        assert run.error_details == {"name": "held-out", "found": "out of reach"}
        jobs.resume_run(session, run, actor=ACTOR)
    away.rename(held_out)
    shutil.rmtree(held_out / SERIES_FOLDER)
    assert reviewed_of(planned(runtime, run_id)) == (0, 0, {"compared_id": 1})


HELD_OUT = "9100"


def _held_out(tmp_path: Path) -> Path:
    """Write a cohort of other people; one has the id `HELD_OUT`."""
    subjects = [replace(one, subject_id=f"9{one.subject_id}") for one in tiny_subjects(20)]
    folder = tmp_path / "held-out"
    write_store(
        folder,
        subjects=subjects,
        series={one.subject_id: [series_of(one)] for one in subjects},
        spec=SPEC,
        name="held-out",
    )
    return folder


def _compare_on(runtime: Runtime, folder: Path) -> None:
    with runtime.sessions.begin() as session:
        cohort = register_cohort(session, folder, actor=ACTOR)
        add_set(session, cohort, name="held out", selection="all", where=[], actor=ACTOR)


def _reviewed() -> Any:
    return select(PredictionRow.scan_id).join(ReviewRow, ReviewRow.prediction_id == PredictionRow.id)


def _rewrite_digest(folder: Path, sha256: str) -> None:
    """Let the cohort's first scan come from a certain file."""
    from training.cohort.store.writing import write_index

    store = CohortStore.open(folder)
    scans = [replace(store.scans[0], source_sha256=sha256), *store.scans[1:]]
    write_index(
        folder,
        subjects=store.subjects,
        scans=scans,
        name=store.name,
        condition=store.condition,
        simulated=store.simulated,
        spec=store.spec,
        source={},
        label_rule={},
        report={},
    )


def test_simulated_scans_do_not_join_people_nor_a_damaged_file_anybody(
    runtime: Runtime, hand_in: Hand, ask: Ask, files: list[Path], tmp_path: Path
) -> None:
    people = tiny_store(tmp_path / "people", simulated=False)
    hand_in(files[0], YES | {"diagnosis": "adhd"})
    broken = tmp_path / "broken.nii.gz"
    broken.write_bytes(files[1].read_bytes()[:5000])
    hand_in(broken, YES | {"diagnosis": "adhd"}, subject_id="HOSPITAL-9")
    gone = hand_in(files[2], YES | {"diagnosis": "adhd"}, subject_id="HOSPITAL-10")
    with runtime.sessions() as session:
        runtime.storage.delete(session.get_one(ScanRow, gone).storage_key)
    row = planned(runtime, ask(people.folder))
    assert reviewed_of(row) == (0, 0, {"other_kind": 1, "refused": 2})
    assert not (Path(row.run_folder) / ADDED_FOLDER).exists()


def test_a_consent_that_is_withdrawn_while_scans_are_prepared_counts(
    runtime: Runtime, hand_in: Hand, ask: Ask, files: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    scan_id = hand_in(files[0], YES | {"diagnosis": "adhd"})
    hand_in(files[1], YES | {"diagnosis": "control"}, subject_id="HOSPITAL-8")
    prepare = reviewed_scans.prepare_enclosed

    def withdraw(*arguments: Any, **options: Any) -> Any:
        prepared = prepare(*arguments, **options)
        say(runtime, scan_id, **NO)
        return prepared

    monkeypatch.setattr(reviewed_scans, "prepare_enclosed", withdraw)
    row = planned(runtime, ask())
    assert reviewed_of(row) == (1, 1, {"withdrawn": 1})


def test_who_somebody_is_once_their_scans_are_prepared_counts(
    runtime: Runtime, hand_in: Hand, ask: Ask, files: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another diagnosis; another pseudonym, by an upload that nobody reviewed."""
    relabelled = hand_in(files[0], YES | {"diagnosis": "adhd"}, subject_id="P-1")
    hand_in(files[1], YES | {"diagnosis": "control"}, subject_id="P-2")
    hand_in(files[2], YES | {"diagnosis": "control"}, subject_id="P-3")
    _once_prepared(
        monkeypatch,
        lambda: say(runtime, relabelled, diagnosis="control"),
        lambda: hand_in(files[1], subject_id="P-2b"),
    )
    assert reviewed_of(planned(runtime, ask())) == (1, 1, {"changed": 2})


def test_somebody_who_is_compared_on_once_their_scan_is_prepared_is_left_out(
    runtime: Runtime,
    hand_in: Hand,
    ask: Ask,
    files: list[Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    hand_in(files[0], YES | {"diagnosis": "adhd"}, subject_id=HELD_OUT)
    hand_in(files[1], YES | {"diagnosis": "control"}, subject_id="P-2")
    held_out = _held_out(tmp_path)
    _once_prepared(monkeypatch, lambda: _compare_on(runtime, held_out))
    assert reviewed_of(planned(runtime, ask())) == (1, 1, {"compared_id": 1})


def _once_prepared(monkeypatch: pytest.MonkeyPatch, *happenings: Callable[[], object]) -> None:
    """Let things happen one after the other, each once one more scan is prepared."""
    prepare = reviewed_scans.prepare_enclosed
    left = iter(happenings)

    def happen(*arguments: Any, **options: Any) -> Any:
        prepared = prepare(*arguments, **options)
        next(left, lambda: None)()
        return prepared

    monkeypatch.setattr(reviewed_scans, "prepare_enclosed", happen)


def test_a_run_that_failed_while_it_was_planned_is_planned_again_with_the_consents_of_today(
    runtime: Runtime, hand_in: Hand, ask: Ask, files: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    scan_id = hand_in(files[0], YES | {"diagnosis": "adhd"})
    with monkeypatch.context() as patched:
        patched.setattr("service.worker.training_needs.available_memory_bytes", lambda: 1 << 20)
        run_training(runtime, run_id := ask())
    with runtime.sessions.begin() as session:
        run = session.get_one(TrainingRunRow, run_id)
        assert (run.state, run.error_code) == ("failed", "memory_too_small")
        jobs.resume_run(session, run, actor=ACTOR)
    say(runtime, scan_id, **NO)
    row = planned(runtime, run_id)
    assert reviewed_of(row) == (0, 0, {"withdrawn": 1})
    assert not (Path(row.run_folder) / ADDED_FOLDER).exists()


def test_a_cancelled_run_loses_its_copies_and_is_not_gone_on_with(
    runtime: Runtime, hand_in: Hand, ask: Ask, files: list[Path]
) -> None:
    hand_in(files[0], YES | {"diagnosis": "adhd"})
    run = Path(planned(runtime, run_id := ask()).run_folder)
    assert remove_copies(runtime.sessions, runtime.settings.runs_dir) == 0, "it is at work"
    with runtime.sessions.begin() as session:
        row = jobs.cancel_run(session, session.get_one(TrainingRunRow, run_id), actor=ACTOR)
        assert row.state == RunState.CANCELLED
    assert remove_copies(runtime.sessions, runtime.settings.runs_dir) == 1
    assert not (run / ADDED_FOLDER / SERIES_FOLDER).exists()
    with (
        runtime.sessions.begin() as session,
        pytest.raises(jobs.TrainingRunNotResumableError, match="copies"),
    ):
        jobs.resume_run(session, session.get_one(TrainingRunRow, run_id), actor=ACTOR)


def test_the_copies_of_a_run_that_the_database_does_not_know_are_left(
    runtime: Runtime, hand_in: Hand, ask: Ask, files: list[Path]
) -> None:
    hand_in(files[0], YES | {"diagnosis": "adhd"})
    run = Path(planned(runtime, ask()).run_folder)
    with runtime.sessions.begin() as session:
        for kind in (TrainingLogRow, TrainingFoldRow, TrainingRunRow):
            session.execute(delete(kind))
    assert remove_copies(runtime.sessions, runtime.settings.runs_dir) == 0
    assert (run / ADDED_FOLDER / SERIES_FOLDER).is_dir()


def test_a_run_that_did_not_ask_takes_nobody(
    runtime: Runtime, hand_in: Hand, ask: Ask, files: list[Path]
) -> None:
    hand_in(files[0], YES | {"diagnosis": "adhd"})
    row = planned(runtime, ask(reviewed_scans=False))
    assert row.plan is not None
    assert "reviewed" not in row.plan
    assert read_run(Path(row.run_folder)).added is None
