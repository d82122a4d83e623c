"""Making a cohort: every scan of a source through the one preprocessing path, in parallel.

A scan's series, maps and tissues are written by the process that made them, each whole or not at all, and
then noted in a journal; the index comes last, with everything that was left out. So a run that is stopped at
any moment leaves whole files, and the next one takes over what the journal notes, as long as source and
settings are the same. The result does not depend on how often it was stopped, nor on the number of processes:
each has one thread.
"""

from collections import Counter
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import ClassVar

from imaging import PreprocessingSpec
from training.cohort.ingest_folder import IngestFolder
from training.cohort.paths import real_path
from training.cohort.phenotypes.labels import ADHD_RULE, LabelRule
from training.cohort.phenotypes.table import PhenotypeTable
from training.cohort.scan_work import DISK_FULL, Done, Job, Refused, run_jobs
from training.cohort.sources.source import ScanEntry, ScanSource, SourceFinding, require_different
from training.cohort.store.cohort_store import CohortStore
from training.cohort.store.index import StoredScan
from training.cohort.store.writing import write_index
from training.cohort.subjects import Subject
from training.errors import CohortError

Progress = Callable[[str, float], None]
INGESTING = "ingesting"


class NoUsableScanError(CohortError):
    """A source and a table that make no cohort."""

    code: ClassVar[str] = "no_usable_scan"

    def __init__(self, *, name: str, reasons: dict[str, int]) -> None:
        self.name = name
        self.reasons = reasons
        why = (
            ", ".join(f"{code} {count}" for code, count in reasons.items())
            or "nothing that looks like a scan"
        )
        super().__init__(f"{name!r}: expected at least one scan that can be used, found {why}")


class SourceNotReadableError(CohortError):
    """A folder or an archive that cannot be listed."""

    code: ClassVar[str] = "source_not_readable"

    def __init__(self, *, name: str, found: str) -> None:
        self.name = name
        self.found = found
        super().__init__(f"{name!r}: expected a source that can be read, found: {found}")


class DiskFullError(CohortError):
    """No room for the cohort; what is there is whole."""

    code: ClassVar[str] = "disk_full"

    def __init__(self, *, name: str, stored: int, expected: int) -> None:
        self.name = name
        self.stored = stored
        self.expected = expected
        super().__init__(
            f"cohort {name!r}: expected room for {expected} scans, found the disk full after {stored}: "
            "make room and run the same command again, it goes on where it stopped"
        )


class OutputNotWritableError(CohortError):
    """A folder that cannot be written, for another reason than its size."""

    code: ClassVar[str] = "output_not_writable"

    def __init__(self, *, name: str, found: str) -> None:
        self.name = name
        self.found = found
        super().__init__(f"expected a folder that can be written at {name!r}, found: {found}")


@dataclass(frozen=True)
class IngestReport:
    """What came of it.

    Attributes
    ----------
    store : CohortStore
    n_new, n_kept : int
        Scans preprocessed now, and taken over from before.
    findings : tuple of SourceFinding
        Everything that was left out or is odd; the same list stands in the cohort's ``cohort.json``.
    """

    store: CohortStore
    n_new: int
    n_kept: int
    findings: tuple[SourceFinding, ...]

    @property
    def counts(self) -> dict[str, int]:
        """How many findings there are of each code."""
        return count_codes(self.findings)


def ingest(
    source: ScanSource,
    table: PhenotypeTable,
    out: Path,
    *,
    spec: PreprocessingSpec | None = None,
    label_rule: LabelRule = ADHD_RULE,
    processes: int = 1,
    progress: Progress | None = None,
) -> IngestReport:
    """Write a cohort, or complete one whose ingestion was stopped.

    Parameters
    ----------
    source : ScanSource
    table : PhenotypeTable
        Who the scans are of.
    out : Path
        A new or empty folder, or one that an earlier call with the same settings has written.
    spec : PreprocessingSpec, optional
        Version 1's defaults if not given.
    label_rule : LabelRule, optional
        What the table's labels were read by.
    processes : int
        That share the work, each with its own memory of a few hundred megabytes; 0 works in this one, for
        callers that may have no children.
    progress : callable, optional
        Called as ``progress("ingesting", fraction)`` after every scan. It may raise to stop the work.

    Returns
    -------
    IngestReport

    Raises
    ------
    CohortError
        If the source, the table or the folder cannot be used, or the disk is full; a scan that is refused
        becomes a finding instead, and the rest goes on.
    """
    spec = spec or PreprocessingSpec()
    out = real_path(out)  # "." has no name
    try:
        entries = list(source.entries())
    except OSError as error:
        found = (error.strerror or "no reason").lower()
        raise SourceNotReadableError(name=source.name, found=found) from error
    require_different(entries)
    subjects = {subject.subject_id: subject for subject in table.subjects}
    findings = [*source.findings, *_of_table(table), *_without_partner(entries, table.subjects)]
    known = [entry for entry in entries if entry.subject_id in subjects]
    if not known:
        raise NoUsableScanError(name=source.name, reasons=count_codes(findings))

    kept: list[StoredScan] = []
    new: list[StoredScan] = []
    try:
        with closing(IngestFolder.claim(out, kind=source.kind, spec=spec)) as folder:
            jobs = []
            for entry in known:
                before = folder.stored_before(entry)
                if before is None:
                    jobs.append(Job(entry=entry, spec=spec, folder=out))
                else:
                    kept.append(before)
            findings += folder.no_longer_in(known)
            simulated = source.simulated or (folder.told_simulated and bool(kept))
            folder.reopen(kept, simulated=simulated)
            for result in _reported(run_jobs(jobs, processes=processes), len(kept), len(known), progress):
                if isinstance(result, Refused):
                    findings.append(result.finding)
                else:
                    folder.note(result.scan)
                    new.append(result.scan)
            if not kept and not new:
                raise NoUsableScanError(name=source.name, reasons=count_codes(findings))
            scans = [*kept, *new]
            findings += [*_simulated_among(scans), *_images_not_used(scans)]
            nobody_real = source.simulated or all(scan.is_marked for scan in scans)
            if table.release_unknown and not nobody_real:
                findings.append(_release_unknown(table))
            findings.sort(key=lambda finding: (finding.code, finding.name, finding.message))
            simulated = simulated or any(scan.is_marked for scan in scans)
            _write_index(
                folder, source, table, label_rule, scans=scans, simulated=simulated, findings=findings
            )
    except OSError as error:
        if error.errno in DISK_FULL:
            raise DiskFullError(name=out.name, stored=len(kept) + len(new), expected=len(known)) from error
        raise OutputNotWritableError(name=out.name, found=(error.strerror or "no reason").lower()) from error
    return IngestReport(CohortStore.open(out), len(new), len(kept), tuple(findings))


def count_codes(findings: Sequence[SourceFinding]) -> dict[str, int]:
    """Count findings by code, most first."""
    return dict(Counter(finding.code for finding in findings).most_common())


def _of_table(table: PhenotypeTable) -> Iterator[SourceFinding]:
    for finding in table.findings:
        yield SourceFinding(
            code=finding.code, name=table.name, message=finding.message, subject_id=finding.subject_id
        )


def _without_partner(entries: Sequence[ScanEntry], subjects: Sequence[Subject]) -> Iterator[SourceFinding]:
    rows = {subject.subject_id for subject in subjects}
    for entry in entries:
        if entry.subject_id not in rows:
            yield SourceFinding(
                code="scan_without_row",
                name=entry.source_name,
                message=f"the table has no row for subject {entry.subject_id}",
                subject_id=entry.subject_id,
            )
    scanned = {entry.subject_id for entry in entries}
    for subject in subjects:
        if subject.subject_id not in scanned:
            yield SourceFinding(
                code="row_without_scan",
                name=subject.site,
                message=f"the source has no scan of subject {subject.subject_id}",
                subject_id=subject.subject_id,
            )


def _release_unknown(table: PhenotypeTable) -> SourceFinding:
    return SourceFinding(
        code="release_unknown",
        name=table.name,
        message="who is of the official test release is not known; --test-ids names the list of it",
    )


def _simulated_among(scans: Sequence[StoredScan]) -> Iterator[SourceFinding]:
    """Name the simulated scans among others, which make the whole cohort a simulated one."""
    marked = [scan for scan in scans if scan.is_marked]
    if len(marked) == len(scans):
        return
    for scan in marked:
        yield SourceFinding(
            code="simulated_scan",
            name=scan.source_name,
            message=f"it carries the simulator's mark ({len(marked)} of {len(scans)} scans do): "
            "the whole cohort counts as simulated",
            subject_id=scan.subject_id,
        )


def _images_not_used(scans: Sequence[StoredScan]) -> Iterator[SourceFinding]:
    """Name the scans whose T1-weighted image shows neither the way nor tissues."""
    for scan in scans:
        if scan.without_tissues == "t1w_not_used":
            yield SourceFinding(
                code="t1w_not_used",
                name=scan.source_name,
                message="the T1-weighted image that comes with it does not serve (unreadable, of no head, "
                "or of another): the run was laid over the template without it, and has no tissue maps",
                subject_id=scan.subject_id,
            )


def _reported(
    results: Generator[Done | Refused], done: int, total: int, progress: Progress | None
) -> Generator[Done | Refused]:
    """Pass results on and tell how far the work is; what is left of it is stopped with this generator."""
    with closing(results):
        if progress is not None:
            progress(INGESTING, done / total)
        for result in results:
            yield result
            done += 1
            if progress is not None:
                progress(INGESTING, done / total)


def _write_index(
    folder: IngestFolder,
    source: ScanSource,
    table: PhenotypeTable,
    label_rule: LabelRule,
    *,
    scans: Sequence[StoredScan],
    simulated: bool,
    findings: Sequence[SourceFinding],
) -> None:
    with_scan = {scan.subject_id for scan in scans}
    folder.tidy(scans)
    write_index(
        folder.path,
        subjects=[subject for subject in table.subjects if subject.subject_id in with_scan],
        scans=scans,
        name=folder.path.name,
        condition=label_rule.condition,
        simulated=simulated,
        spec=folder.spec,
        source={"kind": source.kind, "name": source.name, "table": table.name, **source.provenance()},
        label_rule={
            "column": label_rule.column,
            "cases": list(label_rule.cases),
            "controls": list(label_rule.controls),
        },
        report={
            "counts": dict(count_codes(findings)),
            "findings": [asdict(finding) for finding in findings],
        },
    )
