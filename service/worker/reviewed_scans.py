"""Scans whose people agreed to it, made into a small cohort that a run is also trained on.

A training run takes them as :mod:`service.reviews.consenting` finds them at the moment of its planning. They
go through the one preprocessing path with the cohort's own specification, and whoever might be one of the
people that are reported stays out (:mod:`service.worker.reported_people`). Pseudonyms end here. What another
run of the same request has prepared is not prepared again (:mod:`service.worker.reviewed_siblings`).
The copies lie in the run's folder, from where :mod:`service.worker.reviewed_copies` removes them in the end.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from imaging import PreparedScan, ScanError
from imaging.simulation_mark import SIMULATED_SCAN
from service.db.rows import NormalisedScanRow, ScanRow, TrainingRunRow
from service.enclosure import ReaderDiedError, ReaderMemoryError, ReaderTimeLimitError
from service.jobs import ScanGivenUpError
from service.logs import get_logger
from service.reviews import Consented, ConsentedPerson, consented_people
from service.storage import StoredFileDamagedError, StoredFileMissingError
from service.worker.heartbeat import Heartbeat
from service.worker.kept_scans import fetched_to_read, stored_sha256
from service.worker.made_again import read_kept
from service.worker.reading import StoredFileChangedError, prepare_enclosed
from service.worker.reported_people import without_reported
from service.worker.reviewed_copies import STAGING
from service.worker.reviewed_siblings import Prepared, prepared_by_siblings
from service.worker.runtime import Runtime
from training.cohort.store.cohort_store import CohortStore
from training.cohort.store.index import StoredScan
from training.cohort.store.writing import series_name, write_index, write_series
from training.cohort.subjects import Sex, Subject

NAME = "reviewed scans"
_SEXES: Mapping[str | None, Sex] = {"female": "female", "male": "male"}
_REFUSALS = (
    ScanError,
    ScanGivenUpError,
    ReaderDiedError,
    ReaderMemoryError,
    ReaderTimeLimitError,
    StoredFileChangedError,
    StoredFileDamagedError,
    StoredFileMissingError,
)

log = get_logger(__name__)


@dataclass(frozen=True)
class Reviewed:
    """What became of the scans with a consent.

    Attributes
    ----------
    store : CohortStore or None
        Those that are prepared; None where there are none.
    left_out : mapping of str to int
        Scans by why: those of `service.reviews.consenting.Consented`, ``same_scan`` or ``same_id`` as
        somebody of the cohort, ``compared_scan`` or ``compared_id`` as somebody of one that models are
        compared on, ``other_kind`` (one of the two is simulated), ``refused`` by preprocessing, ``changed``
        (somebody with another diagnosis or pseudonym once their scans were prepared).
    """

    store: CohortStore | None
    left_out: Mapping[str, int]


def gather_reviewed(
    runtime: Runtime,
    row: TrainingRunRow,
    cohort: CohortStore,
    heartbeat: Heartbeat,
    *,
    progress: tuple[float, float],
) -> Reviewed:
    """Prepare the scans that a run may take, beside its folder's own files.

    Parameters
    ----------
    runtime, row, heartbeat
        The run that is being planned.
    cohort : CohortStore
    progress : (float, float)
        What is reported at the start and at the end.

    Raises
    ------
    StorageUnavailableError, EncryptionKeyMissingError, EnclosureUnavailableError
        If scans cannot be read now.
    CohortNotUsableError
        If it cannot be read now whom models are compared on.
    """
    folder = Path(row.run_folder) / STAGING
    consented = _consented(runtime, row)
    left_out = Counter(consented.left_out)
    people = without_reported(runtime, row, consented.people, cohort, left_out)
    n_scans, n_done = sum(len(person.scans) for person in people), 0
    begun, ended = progress
    elsewhere = prepared_by_siblings(runtime, row, cohort)
    prepared: dict[str, StoredScan] = {}
    for person in people:
        for scan in person.scans:
            heartbeat.report(begun + (ended - begun) * n_done / n_scans)
            stored = _copy(elsewhere.get(scan.sha256), folder, number=n_done)
            if stored is None:
                stored = _store(runtime, scan, cohort, folder, heartbeat, number=n_done, left_out=left_out)
            if stored is not None:
                prepared[scan.id] = stored
            n_done += 1
    kept = _still_agreed(runtime, row, people, prepared, cohort, left_out=left_out)
    store = _write(folder, kept, prepared, cohort) if kept else None
    return Reviewed(store, dict(+left_out))


def _consented(runtime: Runtime, row: TrainingRunRow) -> Consented:
    with runtime.sessions() as session:
        return consented_people(session, organisation_id=row.organisation_id)


def _still_agreed(
    runtime: Runtime,
    row: TrainingRunRow,
    people: Sequence[ConsentedPerson],
    prepared: Mapping[str, StoredScan],
    cohort: CohortStore,
    *,
    left_out: Counter[str],
) -> list[ConsentedPerson]:
    """Read the consents again, since preparing may have taken hours: whoever is another now is left out."""
    before = {scan.id: (person.pseudonyms, person.label) for person in people for scan in person.scans}
    again, n_again = [], 0
    for person in _consented(runtime, row).people:
        scans = tuple(scan for scan in person.scans if scan.id in prepared)
        n_again += len(scans)
        if any(before[scan.id] != (person.pseudonyms, person.label) for scan in scans):
            left_out["changed"] += len(scans)
        elif scans:
            again.append(replace(person, scans=scans))
    left_out["withdrawn"] += len(prepared) - n_again
    return without_reported(runtime, row, again, cohort, left_out)


def _copy(known: Prepared | None, folder: Path, *, number: int) -> StoredScan | None:
    name = _series_name(number)
    if known is None or not known.copy_to(folder / name):
        return None
    return replace(known.scan, subject_id="", run=str(number), series_file=name)


def _series_name(number: int) -> str:
    return series_name(subject_id="scan", session="1", run=str(number), variant="uploaded")


def _store(
    runtime: Runtime,
    scan: ScanRow,
    cohort: CohortStore,
    folder: Path,
    heartbeat: Heartbeat,
    *,
    number: int,
    left_out: Counter[str],
) -> StoredScan | None:
    try:
        prepared = _prepare(runtime, scan, cohort, heartbeat)
    except _REFUSALS as refusal:
        log.warning("reviewed_scan_refused", scan_id=scan.id, code=refusal.code)
        left_out["refused"] += 1
        return None
    result = prepared.network_input
    warnings = tuple(warning.code for warning in result.warnings)
    if (SIMULATED_SCAN.code in warnings) != cohort.simulated:
        left_out["other_kind"] += 1
        return None
    name = _series_name(number)
    digest = write_series(folder, name, result.series.T)
    quality = result.quality
    return StoredScan(
        subject_id="",
        session="1",
        run=str(number),
        variant="uploaded",
        tr_s=quality.tr_s,
        n_frames=quality.n_frames,
        n_stored_frames=result.n_frames,
        dvars_mean=quality.dvars_mean,
        spikes=quality.spikes,
        quality=quality.to_json(),
        warnings=warnings,
        source_name=NAME,
        source_sha256=scan.sha256,
        source_stamp="",
        series_file=name,
        series_sha256=digest,
        shape=tuple(prepared.scan["shape"][:3]),
        zooms_mm=tuple(prepared.scan["zooms_mm"]),
    )


def _prepare(runtime: Runtime, scan: ScanRow, cohort: CohortStore, heartbeat: Heartbeat) -> PreparedScan:
    def read(kept: NormalisedScanRow | None) -> PreparedScan:
        with fetched_to_read(runtime.storage, scan, kept, check=heartbeat.check) as path:
            runtime.storage_answered()
            return prepare_enclosed(
                runtime.enclosure,
                path,
                cohort.spec,
                display_name=scan.display_name,
                sha256=scan.sha256,
                stored_sha256=stored_sha256(scan, kept),
                limits=runtime.reader_limits(),
                progress=lambda _share: None,
                check=heartbeat.check,
            )

    return read_kept(runtime, scan, read, heartbeat=heartbeat)


def _write(
    folder: Path,
    people: Sequence[ConsentedPerson],
    prepared: Mapping[str, StoredScan],
    cohort: CohortStore,
) -> CohortStore:
    """Write the index: people are numbered in the order of what their scans became."""
    in_order = sorted(people, key=lambda one: min(prepared[scan.id].series_sha256 for scan in one.scans))
    subjects, scans = [], []
    for number, person in enumerate(in_order, start=1):
        subject = _subject(f"reviewed-{number}", person)
        subjects.append(subject)
        scans += [replace(prepared[scan.id], subject_id=subject.subject_id) for scan in person.scans]
    write_index(
        folder,
        subjects=subjects,
        scans=scans,
        name=NAME,
        condition=cohort.condition,
        simulated=cohort.simulated,
        spec=cohort.spec,
        source={"kind": "reviews"},
        label_rule={"cases": "adhd", "controls": "control"},
        report={},
    )
    return CohortStore.open(folder)


def _subject(subject_id: str, person: ConsentedPerson) -> Subject:
    """Describe a person by what was said with the newest scan; a site only where all say the same."""
    sites = {(scan.site or "").strip() for scan in person.scans}
    ages = [scan.age_years for scan in person.scans if scan.age_years is not None]
    sexes = [_SEXES[scan.sex] for scan in person.scans if scan.sex in _SEXES]
    return Subject(
        subject_id=subject_id,
        site=sites.pop() if len(sites) == 1 else "",
        label=person.label,
        diagnosis=("control", "adhd")[person.label],
        age_years=ages[-1] if ages else None,
        sex=sexes[-1] if sexes else None,
    )
