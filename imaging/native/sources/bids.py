"""The resting run of a subject in the Brain Imaging Data Structure (BIDS), with what its sidecars say.

::

    [<data set>/][sub-<label>/][ses-<label>/]func/sub-<label>[_ses-<label>]_task-rest[_run-<n>]_bold.nii.gz
    .../[sub-<label>_]...[task-rest_]bold.json       at any level above; the nearest counts
    .../anat/sub-<label>..._T1w.nii.gz
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

from imaging.errors import ScanError
from imaging.findings import ScanWarning
from imaging.native.sidecar import MOST_BYTES, NO_SIDECAR, Sidecar, parse_sidecar
from imaging.native.sources.clean_copy import copy_clean
from imaging.native.sources.nifti import settle_nifti
from imaging.native.sources.run import Asked, NativeRun, Progress, RunNotFoundError
from imaging.native.sources.tree import Check, Entry, require_room

_NAME = re.compile(r"((?:[a-z]+-[A-Za-z0-9+]+_)*)([A-Za-z0-9]+)(\.nii|\.nii\.gz|\.json)")
_IMAGES = (".nii", ".nii.gz")
# What names a derivative.
_MADE_OF_IT = frozenset({"space", "desc", "res"})
# Not of the subject: what others made of it, and what it was made from.
_ASIDE = frozenset({"derivatives", "sourcedata", "code", "stimuli", "__MACOSX"})


class SeveralRunsError(ScanError):
    """More than one run that could be meant."""

    code: ClassVar[str] = "several_runs"

    def __init__(self, *, n_runs: int, differ_in: list[str]) -> None:
        self.n_runs = n_runs
        self.differ_in = differ_in
        # No label is told: the name of a session may be a date.
        example = "_".join(f"{entity}-..." for entity in differ_in) or "task-..."
        differ = " and ".join(differ_in) or "nothing but their folder"
        super().__init__(
            f"expected one resting-state run, found {n_runs}, which differ in {differ}. Name one "
            f"({example}): --run of a command, the field run of an upload"
        )


class SeveralSubjectsError(ScanError):
    """More than one person."""

    code: ClassVar[str] = "several_subjects"

    def __init__(self, *, n_subjects: int) -> None:
        self.n_subjects = n_subjects
        super().__init__(f"expected the BIDS folder of one subject, found {n_subjects} subjects")


@dataclass(frozen=True, eq=False)
class BidsFile:
    """A file whose name follows the standard.

    Attributes
    ----------
    entry : Entry
    entities : dict of str to str
        Of its name: ``{"sub": "01", "task": "rest"}``.
    suffix, extension : str
        ``bold`` and ``.nii.gz``, for example.
    """

    entry: Entry
    entities: dict[str, str]
    suffix: str
    extension: str

    @property
    def folder(self) -> tuple[str, ...]:
        """Where it lies."""
        return self.entry.parts[:-1]

    @property
    def is_run(self) -> bool:
        """Whether it is a functional run as the scanner wrote it."""
        return (
            self.suffix == "bold"
            and self.extension in _IMAGES
            and self.folder[-1:] == ("func",)
            and {"sub", "task"} <= self.entities.keys()
            and not _MADE_OF_IT & self.entities.keys()
        )

    @property
    def is_sidecar(self) -> bool:
        """Whether it speaks of functional runs."""
        return self.suffix == "bold" and self.extension == ".json"

    @property
    def is_resting(self) -> bool:
        """Whether it is called a resting run."""
        return self.entities["task"].lower().startswith("rest")

    def says_of(self, run: "BidsFile") -> bool:
        """Whether this sidecar is about a run: it lies at or above it, and names nothing that it is not."""
        return run.folder[: len(self.folder)] == self.folder and self.entities.items() <= run.entities.items()


def take_bids(
    entries: Sequence[Entry],
    work: Path,
    *,
    asked: Asked,
    check: Check,
    progress: Progress,
    inherited: Sequence[Entry] = (),
) -> NativeRun | None:
    """Choose the resting run of a subject, and unpack it.

    Parameters
    ----------
    entries : sequence of Entry
    work : Path
        An empty folder.
    asked : Asked
    check : callable
        What it raises ends the work.
    progress : callable
    inherited : sequence of Entry
        Sidecars of the whole data set, which lie above what was handed over.

    Returns
    -------
    NativeRun or None
        None if there is no functional run among them.

    Raises
    ------
    ScanError
    """
    files = [file for file in map(bids_file, entries) if file is not None]
    runs = [file for file in files if file.is_run]
    if not runs:
        return None
    subjects = {run.entities["sub"] for run in runs}
    if len(subjects) > 1:
        raise SeveralSubjectsError(n_subjects=len(subjects))
    run = _chosen(runs, asked.run)
    progress("looking", 1.0)
    t1w = t1w_of(files, run)
    require_room(work, run.entry.size + (0 if t1w is None else t1w.entry.size))
    raw = work / f"unpacked{run.extension}"
    run.entry.copy(raw, check=check)
    progress("unpacking", 1.0)
    above = [file for file in map(bids_file, inherited) if file is not None]
    facts = _facts(files, run, general=_facts(above, run))
    if asked.sidecar is not None:
        facts = asked.sidecar.over(facts)
    found = settle_nifti(raw, work, facts=facts, asked=asked, check=check, always_copy=True)
    raw.unlink()
    return replace(
        found,
        origin="bids",
        t1w=None if t1w is None else _unpacked_t1w(t1w, work, check),
        warnings=(*_not_resting(run), *found.warnings),
    )


def bids_file(entry: Entry) -> BidsFile | None:
    """Understand a file by its name; None where it has none of the standard's, or is not of the subject."""
    name = entry.parts[-1]
    match = _NAME.fullmatch(name)
    if match is None or _ASIDE & set(entry.parts[:-1]):
        return None
    entities = dict(part.split("-", 1) for part in match[1].split("_")[:-1])
    return BidsFile(entry=entry, entities=entities, suffix=match[2], extension=match[3])


def _chosen(runs: Sequence[BidsFile], asked: str | None) -> BidsFile:
    wanted = set() if asked is None else set(asked.removesuffix("_bold").split("_"))
    found = [run for run in runs if wanted <= {f"{key}-{value}" for key, value in run.entities.items()}]
    if not found:
        raise RunNotFoundError(found=len(runs))
    left = [run for run in found if run.is_resting] or found
    if len(left) == 1:
        return left[0]
    keys = sorted({key for run in left for key in run.entities})
    differ_in = [key for key in keys if len({run.entities.get(key) for run in left}) > 1]
    raise SeveralRunsError(n_runs=len(left), differ_in=differ_in)


def _not_resting(run: BidsFile) -> tuple[ScanWarning, ...]:
    if run.is_resting:
        return ()
    message = "expected a resting-state run (task-rest), found one of another task: it is used all the same"
    return (ScanWarning(code="task_not_rest", message=message),)


def sidecars_of(files: Sequence[BidsFile], run: BidsFile) -> list[BidsFile]:
    """Return the sidecars about a run, the most general first: what a nearer one says counts."""
    about = [file for file in files if file.is_sidecar and file.says_of(run)]
    return sorted(about, key=lambda file: (len(file.folder), len(file.entities)))


def _facts(files: Sequence[BidsFile], run: BidsFile, *, general: Sidecar = NO_SIDECAR) -> Sidecar:
    for file in sidecars_of(files, run):
        general = parse_sidecar(file.entry.read(MOST_BYTES + 1)).over(general)
    return general


def t1w_of(files: Sequence[BidsFile], run: BidsFile) -> BidsFile | None:
    """Return the person's T1-weighted image, of the same session where there is one."""
    found = [
        file
        for file in files
        if file.suffix == "T1w"
        and file.extension in _IMAGES
        and not _MADE_OF_IT & file.entities.keys()
        and file.entities.get("sub") == run.entities["sub"]
        # One that was not fetched is no obstacle.
        and file.entry.size
    ]
    same = [file for file in found if file.entities.get("ses") == run.entities.get("ses")]
    return next(iter(sorted(same or found, key=lambda file: file.entry.parts)), None)


def _unpacked_t1w(t1w: BidsFile, work: Path, check: Check) -> Path:
    raw, clean = work / f"unpacked_t1w{t1w.extension}", work / "t1w.nii"
    t1w.entry.copy(raw, check=check)
    try:
        copy_clean(raw, clean, check=check)
    except ScanError:
        # It is only a help: who reads it says what is wrong with it, and goes on without.
        clean.unlink(missing_ok=True)
        return raw
    raw.unlink()
    return clean
