"""Whatever was handed over, told by its content, made into one run."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

from imaging.errors import ScanError
from imaging.findings import ScanWarning
from imaging.native.sidecar import NO_SIDECAR, Sidecar
from imaging.native.slice_timing import require_slice_times
from imaging.native.sources.bids import take_bids
from imaging.native.sources.dicom import take_dicom
from imaging.native.sources.dicom_tags import PREAMBLE_BYTES, SIGNATURE, is_dicom
from imaging.native.sources.nifti import settle_nifti
from imaging.native.sources.run import Asked, NativeRun, Progress, RunNotFoundError
from imaging.native.sources.slice_order import slice_times_s
from imaging.native.sources.tree import Check, Entry, files_below, single_file
from imaging.native.sources.zips import SIGNATURES, open_zip
from imaging.scan import BoldScan, open_scan
from imaging.words import counted

NOTHING_ASKED = Asked()

# From here on correlations of a resting run change little (Van Dijk et al. 2010, J Neurophysiol 103:297).
_LONG_ENOUGH_S = 300.0


class NoRunFoundError(ScanError):
    """A folder or a zip without anything that is read here."""

    code: ClassVar[str] = "no_run_found"

    def __init__(self, *, found: str) -> None:
        self.found = found
        super().__init__(f"expected DICOM images or a BIDS subject with a functional run, found {found}")


def take_in(
    path: Path,
    work: Path,
    *,
    asked: Asked = NOTHING_ASKED,
    check: Check | None = None,
    progress: Progress | None = None,
) -> NativeRun:
    """Make one run of a NIfTI file, or of a folder or zip with DICOM images or a BIDS subject.

    Parameters
    ----------
    path : Path
        What was handed over; its name means nothing.
    work : Path
        An empty folder, private to the caller; nothing is written elsewhere.
    asked : Asked
        What is known beside it.
    check : callable, optional
        Called several times a second; may raise to stop the work, a conversion included.
    progress : callable, optional
        Called as ``progress(stage, fraction)`` with a name from
        :data:`imaging.native.sources.run.STAGES`; may raise to stop the work.

    Returns
    -------
    NativeRun

    Raises
    ------
    ScanError
        If it holds no run, several, a damaged one, or one of which nobody knows the repetition time.
    OSError
        If it cannot be read, or the folder cannot hold it.
    """
    check, progress = check or _nobody, progress or _nobody_watches
    with _entries(path) as entries:
        if entries is None:
            if asked.run is not None:
                # Its one run has neither a name nor a number.
                raise RunNotFoundError(found=1)
            return take_nifti(path, work, facts=asked.sidecar or NO_SIDECAR, asked=asked, check=check)
        found = take_bids(
            entries, work, asked=asked, check=check, progress=progress, inherited=_above(path)
        ) or take_dicom(entries, work, asked=asked, check=check, progress=progress)
        if found is None:
            raise NoRunFoundError(found=_what_is_there(entries))
    return _with_what_was_said(found, asked)


def take_nifti(
    path: Path, work: Path, *, facts: Sidecar, asked: Asked = NOTHING_ASKED, check: Check | None = None
) -> NativeRun:
    """Make one run of a NIfTI file and what its sidecars say; otherwise as :func:`take_in`."""
    run = settle_nifti(path, work, facts=facts, asked=asked, check=check or _nobody)
    return _with_what_was_said(run, asked)


def is_one_file(path: Path) -> bool:
    """Tell by its content whether something is read as a NIfTI file: no folder, no zip, no DICOM.

    Raises
    ------
    OSError
        If it cannot be read.
    """
    if path.is_dir():
        return False
    head = _head(path)
    return not (head.startswith(SIGNATURES) or is_dicom(head))


@contextmanager
def _entries(path: Path) -> Iterator[tuple[Entry, ...] | None]:
    """Yield the files of a folder, a zip, or a DICOM file alone; None for a file that is read as NIfTI."""
    if path.is_dir():
        yield files_below(path)
        return
    head = _head(path)
    if head.startswith(SIGNATURES):
        with open_zip(path) as entries:
            yield entries
    else:
        yield single_file(path) if is_dicom(head) else None


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(PREAMBLE_BYTES + len(SIGNATURE))


def _above(path: Path) -> tuple[Entry, ...]:
    """Return the sidecars beside a subject's folder, which are about all of the data set."""
    if not (path.is_dir() and path.name.startswith("sub-")):
        return ()
    beside = sorted(path.absolute().parent.glob("*bold.json"))
    return tuple(entry for found in beside if found.is_file() for entry in single_file(found))


def _what_is_there(entries: Sequence[Entry]) -> str:
    if not entries:
        return "no file"
    if any(entry.read(4) in SIGNATURES for entry in entries):
        return "a zip archive inside; unpack it first"
    found = f"neither among {counted(len(entries), 'file')}"
    if any(entry.parts[-1].endswith((".nii", ".nii.gz")) for entry in entries):
        found += ", but a NIfTI file without a BIDS name; hand that over by itself"
    return found


def _with_what_was_said(run: NativeRun, asked: Asked) -> NativeRun:
    """Add the image, times or order that were given, and refuse times that cannot be those of this run."""
    run = replace(run, t1w=asked.t1w or run.t1w)
    scan = open_scan(run.path)
    facts, warnings = replace(run.facts, tr_s=scan.tr_s), (*run.warnings, *_short(scan))
    said = asked.slice_times_s
    if asked.slice_order is not None:
        said = slice_times_s(asked.slice_order, n_slices=scan.shape[2], tr_s=scan.tr_s)
    if said is not None:
        run = replace(run, slice_times_from="asked")
        warnings += _order_overridden(facts)
        facts = replace(facts, slice_times_s=said)
    if facts.slice_times_s is not None:
        require_slice_times(facts.slice_times_s, n_slices=scan.shape[2], tr_s=scan.tr_s)
    return replace(run, facts=facts, warnings=warnings)


def _short(scan: BoldScan) -> tuple[ScanWarning, ...]:
    if scan.duration_s >= _LONG_ENOUGH_S:
        return ()
    message = (
        f"expected a run of at least {_LONG_ENOUGH_S / 60:g} minutes, found {scan.n_frames} frames in "
        f"{scan.duration_s / 60:.1f} minutes: what is computed from it is less certain"
    )
    return (ScanWarning(code="run_short", message=message),)


def _order_overridden(facts: Sidecar) -> tuple[ScanWarning, ...]:
    if facts.slice_times_s is None:
        return ()
    message = (
        "expected the order or the times of the slices that were given alone, found times of the slices too "
        "in what was handed over: those that were given are used"
    )
    return (ScanWarning(code="slice_order_overridden", message=message),)


def _nobody() -> None:
    """Nobody wants to stop it."""


def _nobody_watches(stage: str, fraction: float) -> None:
    """Nobody is watching."""
