"""A run in the scanner's space as it can be told before it is brought into template space."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from imaging.check import scan_identity
from imaging.digest import sha256_beside
from imaging.findings import ScanWarning
from imaging.native.normalise import read_run
from imaging.native.output import SLICE_TIMES_UNKNOWN
from imaging.native.sources import NOTHING_ASKED, STAGES, Asked, NativeRun, take_in
from imaging.native.sources.run import Progress
from imaging.native.steady import Start
from imaging.private_folder import private_folder
from imaging.scan import BoldScan, open_scan

_STAGES = (*STAGES, "reading")


@dataclass(frozen=True, kw_only=True)
class RunReport:
    """A run that nothing quick speaks against: whether the template can be laid over it is not known yet.

    Attributes
    ----------
    scan : dict
        As :func:`imaging.scan_identity` gives it.
    run : NativeRun
        Its path is gone.
    start : Start
    warnings : tuple of ScanWarning
    """

    scan: dict[str, Any]
    run: NativeRun
    start: Start
    warnings: tuple[ScanWarning, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the object that ``restnet check --json`` prints of such a run."""
        return {
            "scan": self.scan,
            "accepted": True,
            "space": "native",
            "input": self.run.to_json(),
            "slice_timing": self.run.facts.slice_times_s is not None,
            "dropped_frames": self.start.to_json(),
            "warnings": [{"code": warning.code, "message": warning.message} for warning in self.warnings],
        }


def look_at_run(path: Path, *, asked: Asked = NOTHING_ASKED, progress: Progress | None = None) -> RunReport:
    """Make one run of what was handed over and read it, as the first stages of normalising it do.

    Parameters
    ----------
    path : Path
        As :func:`imaging.native.sources.take_in` takes it.
    asked : Asked
    progress : callable, optional
        Called as ``progress(stage, fraction of the whole)``; what it raises stops the work.

    Raises
    ------
    ScanError
        If it is refused by what can be told without registration: no run or several, an unknown repetition
        time, times of slices that cannot be, a damaged file, a run that is no raw BOLD run.
    OSError
        If it cannot be read.
    """

    def report(stage: str, done: float) -> None:
        if progress is not None:
            progress(stage, (_STAGES.index(stage) + done) / len(_STAGES))

    with private_folder() as work:
        run = take_in(path, work, asked=asked, progress=report)
        scan = open_scan(run.path)
        # A folder has no digest of its own: that of what was made of it.
        with sha256_beside(run.path if path.is_dir() else path) as digest:
            _, start = read_run(scan, run.facts.discarded_volumes, report)
        identity = scan_identity(scan, name=path.name, sha256=digest.result())
    return RunReport(scan=identity, run=run, start=start, warnings=_warnings(scan, run))


def _warnings(scan: BoldScan, run: NativeRun) -> tuple[ScanWarning, ...]:
    unknown = () if run.facts.slice_times_s is not None else (SLICE_TIMES_UNKNOWN,)
    return (*run.warnings, *scan.warnings, *unknown)
