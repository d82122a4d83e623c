"""A data set in the Brain Imaging Data Structure (BIDS) as the scanner wrote it: runs are normalised here.

::

    <root>/sub-<label>/[ses-<label>/]func/sub-<label>[_ses-<label>]_task-rest..._bold.nii.gz
    <root>/.../[...]bold.json     repetition time and slice times, inherited from the root to the run
    <root>/sub-<label>/[ses-<label>/]anat/sub-<label>..._T1w.nii.gz     shows the run the way, and its tissues
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import BinaryIO

from pydantic import JsonValue

from imaging import open_scan
from imaging.native.normalise import BAND_HZ, normalise
from imaging.native.placing import SMOOTHING_FWHM_MM
from imaging.native.sidecar import NO_SIDECAR, Sidecar, read_sidecar
from imaging.native.sources.bids import BidsFile, bids_file, sidecars_of, t1w_of
from imaging.native.sources.taking import take_nifti
from imaging.native.sources.tree import Entry
from imaging.native.steady import DROPPED_FRAMES
from training.cohort.paths import real_path
from training.cohort.sources.bids import run_of, session_of
from training.cohort.sources.scan_files import FoundFile, find_files
from training.cohort.sources.source import (
    BoldEntry,
    OpenedScan,
    ScanEntry,
    SourceFinding,
    file_sha256,
    file_stamp,
    require_different,
)
from training.cohort.store.index import RAW_BIDS
from training.cohort.subjects import plain_id


@dataclass(frozen=True, kw_only=True)
class RawEntry(BoldEntry):
    """A run in the scanner's space, the sidecars that speak of it, and an image of the same head.

    Attributes
    ----------
    path : Path
    sidecars : tuple of Path
        The most general first.
    t1w : Path or None
        Of the run's session, else of another.
    """

    path: Path
    sidecars: tuple[Path, ...]
    t1w: Path | None

    @property
    def has_t1w(self) -> bool:
        """Whether there is an image of the same head."""
        return self.t1w is not None

    def stamp(self) -> str:
        """Tell the run from a changed one; a corrected sidecar or another image changes it too."""
        with_t1w = () if self.t1w is None else (self.t1w,)
        return "; ".join(map(file_stamp, (self.path, *self.sidecars, *with_t1w)))

    @contextmanager
    def open_source(self, workspace: Path) -> Iterator[OpenedScan]:
        """Bring the run into template space, in memory."""
        with TemporaryDirectory(dir=workspace) as work:
            run = take_nifti(self.path, Path(work), facts=self._facts())
            scan = open_scan(run.path)
            found = normalise(
                scan,
                slice_times_s=run.facts.slice_times_s,
                discarded_before=run.facts.discarded_volumes,
                t1w=self.t1w,
            )
        yield OpenedScan(found.scan, file_sha256(self.path), found.tissues)

    def _facts(self) -> Sidecar:
        facts = NO_SIDECAR
        for sidecar in self.sidecars:
            facts = read_sidecar(sidecar).over(facts)
        return facts


class RawBidsSource:
    """A folder of subjects.

    Parameters
    ----------
    root : Path
        Holds folders ``sub-*``.
    ignored : sequence of Path
        Files and folders that are known to be something else, for example participants.tsv.
    """

    kind = RAW_BIDS
    simulated = False

    def __init__(self, root: Path, *, ignored: Sequence[Path] = ()) -> None:
        self.root = root
        self.findings: Sequence[SourceFinding] = ()
        self._ignored = ignored

    @property
    def name(self) -> str:
        """The folder's name."""
        return real_path(self.root).name

    def entries(self) -> list[ScanEntry]:
        """List the resting runs by subject, session and run.

        Raises
        ------
        DuplicateScanError
            If two files claim to be the same.
        """
        findings: list[SourceFinding] = []
        files = dict(_files(self.root, self._ignored))
        sidecars = [file for file in files if file.is_sidecar]
        images = [file for file in files if file.suffix == "T1w"]
        entries: list[ScanEntry] = []
        for run, found in files.items():
            if run.is_run and _is_usable(run, found, findings):
                about = tuple(files[file].file for file in sidecars_of(sidecars, run))
                image = t1w_of(images, run)
                t1w = None if image is None else files[image].file
                entries.append(_entry(found, run, sidecars=about, t1w=t1w))
        require_different(entries)
        self.findings = findings
        return sorted(entries, key=lambda entry: (entry.subject_id, entry.session, entry.run))

    def provenance(self) -> dict[str, JsonValue]:
        """Say how the runs were brought into template space."""
        return {
            "normalised": {
                "dropped_frames": DROPPED_FRAMES,
                "band_hz": list(BAND_HZ),
                "smoothing_fwhm_mm": SMOOTHING_FWHM_MM,
            }
        }


def is_raw_run(path: Path) -> bool:
    """Tell a run in the scanner's space by its name."""
    file = bids_file(Entry(parts=path.parts, size=0, open=_never))
    return file is not None and file.is_run


def _files(root: Path, ignored: Sequence[Path]) -> Iterator[tuple[BidsFile, FoundFile]]:
    for found in find_files(root, ignored=ignored):
        if found.offset is None:
            # Only its name is asked here, and whether it was fetched.
            entry = Entry(parts=found.path.parts, size=_size_of(found.file), open=_never)
            file = bids_file(entry)
            if file is not None:
                yield file, found


def _size_of(file: Path) -> int:
    try:
        return file.stat().st_size
    except OSError:
        return 0


def _is_usable(run: BidsFile, found: FoundFile, findings: list[SourceFinding]) -> bool:
    """Whether it is a resting run of the subject in whose folder it lies; else say why not."""
    subject = plain_id(run.entities["sub"])
    if any(folder.startswith("sub-") and plain_id(folder) != subject for folder in run.folder):
        message = "it lies in the folder of another subject: nobody can say whose it is"
        findings.append(_finding("file_in_wrong_folder", found, message))
        return False
    if not run.is_resting:
        findings.append(_finding("task_not_rest", found, f"task {run.entities['task']}"))
        return False
    return True


def _entry(found: FoundFile, run: BidsFile, *, sidecars: tuple[Path, ...], t1w: Path | None) -> ScanEntry:
    return RawEntry(
        subject_id=plain_id(run.entities["sub"]),
        session=session_of(run.entities),
        run=run_of(run.entities),
        variant="bids",
        source_name=found.path.name,
        place=str(found.path),
        path=found.file,
        sidecars=sidecars,
        t1w=t1w,
    )


def _never() -> BinaryIO:
    raise AssertionError("only its name was asked for")


def _finding(code: str, found: FoundFile, message: str) -> SourceFinding:
    return SourceFinding(code=code, name=str(found.path), message=message)
