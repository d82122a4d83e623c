"""The index of a cohort's folder: what it says of the cohort, its subjects and its scans."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, TypeAdapter, ValidationError

from imaging import PreprocessingSpec, PreprocessingSpecError
from imaging.simulation_mark import SIMULATED_SCAN
from training.cohort.store.subject_table import parse_subjects
from training.cohort.subjects import Subject
from training.errors import CohortError

FORMAT_VERSION = 1
COHORT_FILE = "cohort.json"
COHORT_SUBJECTS_FILE = "subjects.tsv"
SCANS_FILE = "scans.jsonl"
SERIES_FOLDER = "series"
MAPS_FOLDER = "maps"
TISSUES_FOLDER = "tissues"

# The kind of a source whose people may have T1-weighted images.
RAW_BIDS = "raw-bids"

# What ingestion leaves beside the series until the cohort is whole.
JOURNAL_FILE = "ingest.jsonl"

WithoutTissues = Literal["no_t1w", "t1w_not_used"]
"""Why a scan has no tissue maps: no T1-weighted image came with it, or the image did not serve."""

Variant = Literal["filtered", "unfiltered", "bids", "parcels", "simulated", "uploaded"]


class CohortNotFoundError(CohortError):
    """A path that names no cohort."""

    code: ClassVar[str] = "cohort_not_found"

    def __init__(self, *, name: str, found: str) -> None:
        self.name = name
        self.found = found
        super().__init__(f"expected {name!r} to be a folder that `cohort ingest` wrote, found {found}")


class CohortUnfinishedError(CohortError):
    """A cohort whose ingestion was stopped."""

    code: ClassVar[str] = "cohort_unfinished"

    def __init__(self, *, name: str) -> None:
        self.name = name
        super().__init__(
            f"expected the cohort {name!r} to be whole, found one whose ingestion was stopped: "
            "run the same `restnet cohort ingest` again, it goes on where it stopped"
        )


class CohortDamagedError(CohortError):
    """An index that does not read, or whose parts do not belong together."""

    code: ClassVar[str] = "cohort_damaged"

    def __init__(self, *, name: str, expected: str, found: str) -> None:
        self.name = name
        self.expected = expected
        self.found = found
        super().__init__(f"cohort {name!r}: expected {expected}, found {found}")


class CohortFormatError(CohortError):
    """A cohort written by another version of RestNet."""

    code: ClassVar[str] = "cohort_format_unknown"

    def __init__(self, *, name: str, found: str) -> None:
        self.name = name
        self.expected = FORMAT_VERSION
        self.found = found
        super().__init__(f"cohort {name!r}: expected format version {FORMAT_VERSION}, found {found}")


def maps_name(series_file: str) -> str:
    """Name the maps of a series, inside the cohort's folder."""
    return f"{MAPS_FOLDER}/{series_file.removeprefix(f'{SERIES_FOLDER}/')}"


def tissues_name(series_file: str) -> str:
    """Name the tissue maps that go with a series, inside the cohort's folder."""
    return f"{TISSUES_FOLDER}/{series_file.removeprefix(f'{SERIES_FOLDER}/')}"


@dataclass(frozen=True, kw_only=True)
class StoredScan:
    """One scan of the store.

    Attributes
    ----------
    subject_id : str
        As in the table, never zero-padded.
    session, run : str
        As the source numbers them; "1" where it has only one.
    variant : str
        Which preparation of the run this is.
    tr_s, n_frames
        As acquired, before resampling.
    n_stored_frames : int
        Rows of the series.
    shape : (int, int, int) or None
        Voxels of the source's own grid; None where it has none, or an earlier version stored it.
    zooms_mm : (float, float, float) or None
        Their size.
    dvars_mean, spikes : float or None, int or None
        As in `imaging.quality`; None where they could not be measured.
    quality : dict
        The `QualityReport` as JSON, or what a source of another kind knows.
    warnings : tuple of str
        Codes.
    source_name : str
        Display name of the file that it came from; never a path.
    source_sha256 : str
        Of that file's bytes as they were.
    source_stamp : str
        What tells, without reading it, that the source is still the same.
    series_file : str
        Inside the cohort's folder.
    series_sha256 : str
        Of the ``.npy`` file.
    maps_sha256 : str or None
        Of the ``.npy`` file of its derived maps; None where there is none: parcels have no voxels, and
        earlier versions stored no maps.
    tissues_sha256 : str or None
        Of the ``.npy`` file of its tissue maps; None where there is none.
    without_tissues : "no_t1w", "t1w_not_used" or None
        Why there is none; None where nobody looked: a source of scans in template space, an earlier version.
    """

    subject_id: str
    session: str
    run: str
    variant: Variant
    tr_s: float
    n_frames: int
    n_stored_frames: int
    dvars_mean: float | None
    spikes: int | None
    quality: dict[str, Any]
    warnings: tuple[str, ...]
    source_name: str
    source_sha256: str
    source_stamp: str
    series_file: str
    series_sha256: str
    shape: tuple[int, int, int] | None = None
    zooms_mm: tuple[float, float, float] | None = None
    maps_sha256: str | None = None
    tissues_sha256: str | None = None
    without_tissues: WithoutTissues | None = None

    @property
    def maps_file(self) -> str:
        """Where its derived maps are, or would be, inside the cohort's folder: named as the series."""
        return maps_name(self.series_file)

    @property
    def tissues_file(self) -> str:
        """Where its tissue maps are, or would be, inside the cohort's folder: named as the series."""
        return tissues_name(self.series_file)

    @property
    def is_marked(self) -> bool:
        """Whether its file carried the simulator's mark."""
        return SIMULATED_SCAN.code in self.warnings


SCAN_JSON = TypeAdapter(StoredScan)


class CohortRecord(BaseModel):
    """What ``cohort.json`` says.

    Attributes
    ----------
    name, condition : str
        For people; the condition is what label 1 means.
    simulated : bool
        Whether any of these people do not exist.
    spec : dict
        The `PreprocessingSpec` as JSON.
    source : dict
        Kind and display name, and what was asked of it.
    label_rule : dict
        Which column's values make a case or a control.
    report : dict
        Everything that was left out or odd, and why.
    subjects_sha256, scans_sha256 : str
        Of the two tables.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format_version: Literal[1] = 1
    name: str
    condition: str
    simulated: bool
    spec: dict[str, JsonValue]
    source: dict[str, JsonValue] = Field(default_factory=dict)
    label_rule: dict[str, JsonValue] = Field(default_factory=dict)
    report: dict[str, JsonValue] = Field(default_factory=dict)
    code_version: str
    subjects_sha256: str
    scans_sha256: str


def read_index(
    folder: Path,
) -> tuple[CohortRecord, PreprocessingSpec, tuple[Subject, ...], tuple[StoredScan, ...]]:
    """Read the three files of the index.

    Raises
    ------
    CohortNotFoundError, CohortUnfinishedError, CohortFormatError, CohortDamagedError
    """
    record = _read_record(folder)
    subjects_text = _read_table(folder, COHORT_SUBJECTS_FILE, record.subjects_sha256)
    scans_text = _read_table(folder, SCANS_FILE, record.scans_sha256)
    try:
        spec = PreprocessingSpec.from_json(record.spec)
        subjects = tuple(parse_subjects(subjects_text))
        scans = tuple(SCAN_JSON.validate_json(line) for line in scans_text.removesuffix("\n").split("\n"))
    except (PreprocessingSpecError, ValidationError, KeyError, TypeError, ValueError) as error:
        raise CohortDamagedError(
            name=folder.name, expected="a valid index", found="others than its version's fields in it"
        ) from error
    known = {subject.subject_id for subject in subjects}
    strangers = [scan.series_file for scan in scans if scan.subject_id not in known]
    if strangers:
        raise CohortDamagedError(
            name=folder.name, expected="a subject for every scan", found=f"none for {strangers[0]}"
        )
    return record, spec, subjects, scans


def _read_record(folder: Path) -> CohortRecord:
    if not folder.is_dir():
        raise CohortNotFoundError(name=folder.name, found="a file" if folder.exists() else "nothing")
    try:
        fields = json.loads((folder / COHORT_FILE).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        if (folder / JOURNAL_FILE).is_file():
            raise CohortUnfinishedError(name=folder.name) from error
        raise CohortNotFoundError(name=folder.name, found=f"no {COHORT_FILE} in it") from error
    except (OSError, ValueError) as error:
        raise _unreadable(folder, COHORT_FILE) from error
    version = fields.get("format_version") if isinstance(fields, dict) else None
    if version is None:
        raise _unreadable(folder, COHORT_FILE)
    if version != FORMAT_VERSION:
        raise CohortFormatError(name=folder.name, found=str(version))
    try:
        return CohortRecord.model_validate(fields)
    except ValidationError as error:
        wrong = sorted({".".join(map(str, problem["loc"])) for problem in error.errors()})
        raise CohortDamagedError(
            name=folder.name,
            expected=f"a valid {COHORT_FILE}",
            found=f"missing or invalid: {', '.join(wrong)}",
        ) from error


def _read_table(folder: Path, name: str, sha256: str) -> str:
    try:
        content = (folder / name).read_bytes()
    except OSError as error:
        raise _unreadable(folder, name) from error
    if hashlib.sha256(content).hexdigest() != sha256:
        raise CohortDamagedError(
            name=folder.name, expected=f"the {name} that {COHORT_FILE} was written with", found="another"
        )
    return content.decode()


def _unreadable(folder: Path, name: str) -> CohortDamagedError:
    return CohortDamagedError(name=folder.name, expected=f"a readable {name}", found="none")
