"""One reference: a cohort as a model version sees it, from the series that the cohort's store holds."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from service.cohorts import CohortNotKnownError, CohortNotUsableError
from service.db.rows import CohortRow, DriftReferenceRow, ModelVersionRow
from service.drift.asking import finish_reference
from service.drift.errors import DriftReferenceTooSmallError
from service.drift.reference import FEWEST_PEOPLE, build_reference
from service.drift.scans import Scan
from service.drift.variables import measured_of, site_name
from service.storage import EncryptionKeyMissingError
from service.worker.heartbeat import Heartbeat
from service.worker.job import Work, Write, run_job
from service.worker.runtime import Runtime
from service.worker.threads import one_thread
from service.worker.trained_on import was_trained_on

if TYPE_CHECKING:
    from model.predictor import Predictor
    from training.cohort.store.cohort_store import CohortStore
    from training.cohort.store.index import StoredScan

# What of the work is done when every scan is measured.
_MEASURED = 0.95


def run_reference(runtime: Runtime, reference_id: str) -> None:
    """Claim a reference and bring it to an end, as :func:`service.worker.job.run_job` says."""
    run_job(REFERENCE, runtime, reference_id)


def _measure(runtime: Runtime, row: DriftReferenceRow, owner: str, heartbeat: Heartbeat) -> Write:
    from model.errors import PreprocessingMismatchError  # noqa: PLC0415  (torch)
    from training.cohort.selecting.selection import default_selection, select  # noqa: PLC0415
    from training.cohort.store.cohort_store import CohortStore  # noqa: PLC0415

    with runtime.sessions() as session:
        version = session.get_one(ModelVersionRow, row.model_version_id)
        cohort = session.get(CohortRow, row.cohort_id) if row.cohort_id else None
    if cohort is None:
        raise CohortNotKnownError(found=row.cohort_name)
    store = CohortStore.open(Path(cohort.folder))
    if store.fingerprint(store.subjects) != cohort.fingerprint:
        raise CohortNotUsableError(name=cohort.name, found="changed")
    with one_thread():
        predictor = runtime.model_to_score(version)
    if predictor.spec != store.spec:
        raise PreprocessingMismatchError(expected=predictor.spec.to_json(), found=store.spec.to_json())
    selection = row.selection or default_selection(
        store.subjects, cohort=store.name, release_unknown=store.release_unknown
    )
    people = select(store.subjects, selection)
    if len(people) < FEWEST_PEOPLE:
        raise DriftReferenceTooSmallError(expected=FEWEST_PEOPLE, found=len(people))
    # One scan a person: two of the same one are alike, and the tests take each for another.
    first = [store.scans_of(person.subject_id)[0] for person in people]
    # Without the run that made it, a model is known by its fingerprint alone.
    fitted = predictor.card.cohort_fingerprint in {
        store.fingerprint(people),
        store.fingerprint(store.subjects),
        *(store.fingerprint(select(store.subjects, name)) for name in ("all", "train") if _has(store, name)),
    } or was_trained_on(
        runtime, version.id, store=store, subject_ids=[person.subject_id for person in people]
    )
    with one_thread():
        scans = measure_stored(store, first, predictor, heartbeat=heartbeat)
    scans = [replace(scan, site=site_name(person.site)) for scan, person in zip(scans, people, strict=True)]
    sample = build_reference(scans, fitted=fitted).to_json()
    return lambda session: finish_reference(session, row.id, owner=owner, sample=sample)


def measure_stored(
    store: "CohortStore", stored: "Sequence[StoredScan]", predictor: "Predictor", *, heartbeat: Heartbeat
) -> list[Scan]:
    """Measure stored scans as a classification does; what the store does not hold is left out."""
    from model.methods.scan_view import ScanView  # noqa: PLC0415  (scipy)
    from model.prediction import bootstrap_seed  # noqa: PLC0415  (torch)

    scans = []
    for number, one in enumerate(stored, start=1):
        answer = predictor.classify_view(
            # Maps are looked for where the method reads them: a cohort may hold none.
            ScanView(series=store.series(one), spec=store.spec, kept_maps=partial(store.maps, one)),
            seed=bootstrap_seed(one.source_sha256),
            progress=lambda *_: heartbeat.check(),
        )
        known = {
            "n_frames": one.n_frames,
            "tr_s": one.tr_s,
            "duration_s": one.n_frames * one.tr_s,
            "dvars_mean": one.dvars_mean,
            "spikes": one.spikes,
        }
        measured = {
            "scan": {"shape": one.shape, "zooms_mm": one.zooms_mm},
            "quality": {**one.quality, **known},
        }
        scans.append(
            Scan(
                figures=measured_of(measured),
                embedding=answer.embedding,
                probability=answer.adhd_probability,
                decision=answer.decision,
            )
        )
        heartbeat.report(_MEASURED * number / len(stored))
    return scans


def _has(store: "CohortStore", selection: str) -> bool:
    return selection == "all" or any(subject.release for subject in store.subjects)


REFERENCE = Work(
    kind=DriftReferenceRow,
    name="drift_reference",
    do=_measure,
    # A file that is gone fails the reference, as it does a score: another one may then be asked for.
    awaited=(EncryptionKeyMissingError,),
    out_of_reach="expected the cohort's folder to be readable from this worker, found it out of reach",
    limited=False,
)
