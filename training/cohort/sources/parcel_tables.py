"""Parcel time series as a table a scan: AFNI's ``.1D`` as the Athena release has them, ``.csv`` or ``.tsv``.

The header names the parcels (``Mean_12``, ``#12`` or ``12``); other columns, for example AFNI's ``File`` and
``Sub-brick``, hold no series. The file's name says whose it is::

    sfnwmrda0010042_session_1_rest_1_cc200_TCs.1D      Athena
    sub-10042_ses-1_task-rest_run-1_timeseries.tsv     BIDS
    NYU_0050952_rois_ho.1D                             ABIDE Preprocessed
    10042.csv

Tables do not hold the repetition time: it stands in a ``.json`` of the same name (``RepetitionTime``, in
seconds), or is given for all.
"""

import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
from jaxtyping import Float32
from pydantic import JsonValue

from imaging import PreprocessingSpec, ScanError
from training.cohort.paths import real_path
from training.cohort.sources.athena import VariantChoice
from training.cohort.sources.painting import AtlasError, ParcelSeriesError, shared_painter
from training.cohort.sources.scan_files import find_files
from training.cohort.sources.source import (
    OptionWithoutEffectError,
    PreparedSeries,
    ScanEntry,
    SourceFinding,
    file_sha256,
    file_stamp,
    require_different,
)
from training.cohort.subjects import plain_id

SUFFIXES = (".1D", ".csv", ".tsv")

_NAMES = (
    re.compile(r"(?P<steps>sf?nwmrda)(?P<id>\d+)_session_(?P<session>\d+)_rest_(?P<run>\d+)(_.*)?"),
    re.compile(
        r"sub-(?P<id>[A-Za-z0-9]+)(_ses-(?P<session>[A-Za-z0-9]+))?(_task-[A-Za-z0-9]+)?"
        r"(_run-(?P<run>\d+))?(_.*)?"
    ),
    re.compile(r"[A-Za-z0-9]+(_[a-z0-9])?_(?P<id>\d{5,7})_rois_.*"),
    re.compile(r"(?P<id>\d+)"),
)
_LONGEST_TR_S = 10.0
_PARCEL = re.compile(r"(?:Mean_|#|ROI_?|parcel_?)?(?P<number>\d+)", re.IGNORECASE)


class SeriesUnreadableError(ScanError):
    """One scan's table that cannot be read; the others still can."""

    code: ClassVar[str] = "series_unreadable"

    def __init__(self, *, expected: str, found: str) -> None:
        super().__init__(f"expected {expected}, found {found}")
        self.expected = expected
        self.found = found


@dataclass(frozen=True, kw_only=True)
class TableEntry(ScanEntry):
    """One scan's table.

    Attributes
    ----------
    path, atlas : Path
    tr_s : float
    """

    path: Path
    atlas: Path
    tr_s: float

    def stamp(self) -> str:
        """Tell the table, its repetition time and the atlas from changed ones."""
        return f"{file_stamp(self.path)}, TR {self.tr_s:g} s, atlas {file_stamp(self.atlas)}"

    def prepare(self, spec: PreprocessingSpec, *, workspace: Path) -> PreparedSeries:  # noqa: ARG002
        """Paint the table's series."""
        content = self.path.read_bytes()
        try:
            parcel_ids, series = read_series(self.path.name, content)
            painter = shared_painter(self.atlas, parcel_ids, spec.grid_size)
        except (ParcelSeriesError, AtlasError) as error:
            raise SeriesUnreadableError(expected=error.expected, found=error.found) from error
        digest = hashlib.sha256(content).hexdigest()
        return painter.paint(series, tr_s=self.tr_s, spec=spec, source_sha256=digest)


class ParcelTables:
    """A source of parcel series: a folder with a table a scan, and the atlas that they were read with.

    Parameters
    ----------
    root : Path
    atlas : Path
        See `training.cohort.sources.painting`.
    tr_s : float, optional
        Of every scan whose table has no ``.json`` beside it.
    variant : "filtered" or "unfiltered", optional
        Which of Athena's two tables of a run is taken where there are both; the filtered one if not given.
    ignored : sequence of Path
        Files and folders that are known to be something else, for example the phenotype table.
    """

    kind = "parcels"
    simulated = False

    def __init__(
        self,
        root: Path,
        *,
        atlas: Path,
        tr_s: float | None = None,
        variant: VariantChoice | None = None,
        ignored: Sequence[Path] = (),
    ) -> None:
        self.root = root
        self.atlas = atlas
        self.tr_s = tr_s
        self.variant: VariantChoice = variant or "filtered"
        self._variant_given = variant is not None
        self.findings: Sequence[SourceFinding] = ()
        self._ignored = ignored

    @property
    def name(self) -> str:
        """The folder's name."""
        return real_path(self.root).name

    def entries(self) -> list[ScanEntry]:
        """List the tables by subject, session and run; the first readable one is held against the atlas.

        Raises
        ------
        ParcelSeriesError, AtlasError
            If the tables cannot be painted with this atlas.
        DuplicateScanError
            If two tables claim to be the same run.
        OptionWithoutEffectError
            If a variant is asked for, and no table's name says which it is.
        """
        findings: list[SourceFinding] = []
        tables = list(self._tables(findings))
        if self._variant_given and tables and not any(map(_says_variant, tables)):
            raise OptionWithoutEffectError(
                option="--variant",
                expected="tables named sfnwmrda* or snwmrda*",
                found=f"others, such as {tables[0].source_name!r}",
            )
        entries = _one_variant(tables, preferred=self.variant, findings=findings)
        require_different(entries)
        for entry in entries:
            try:
                parcel_ids, _ = read_series(entry.path.name, entry.path.read_bytes())
            except (ParcelSeriesError, OSError):
                continue  # its own refusal comes when it is prepared
            grid_size = PreprocessingSpec.grid_size  # any will do for what the atlas itself is like
            findings += shared_painter(self.atlas, parcel_ids, grid_size).findings
            break
        self.findings = findings
        return sorted(entries, key=lambda entry: (entry.subject_id, entry.session, entry.run))

    def provenance(self) -> dict[str, JsonValue]:
        """Say which atlas the series were painted with."""
        return {"atlas": self.atlas.name, "atlas_sha256": file_sha256(self.atlas), "variant": self.variant}

    def _tables(self, findings: list[SourceFinding]) -> Iterator[TableEntry]:
        for found in find_files(self.root, ignored=self._ignored):
            inside, path = str(found.path), found.file
            if path.suffix == ".json":
                continue
            match = _name_of(path)
            if match is None or found.offset is not None:
                message = "its name is not that of a table of series"
                findings.append(SourceFinding(code="file_not_understood", name=inside, message=message))
                continue
            known = match.groupdict()
            yield TableEntry(
                subject_id=plain_id(known["id"]),
                session=_plain(known.get("session")),
                run=_plain(known.get("run")),
                variant="parcels",
                source_name=path.name,
                place=inside,
                path=path,
                atlas=self.atlas,
                tr_s=self._tr_s(path),
            )

    def _tr_s(self, table: Path) -> float:
        sidecar = table.with_suffix(".json")
        found = self.tr_s
        if sidecar.is_file():
            try:
                found = float(json.loads(sidecar.read_bytes())["RepetitionTime"])
            except (OSError, ValueError, KeyError, TypeError) as error:
                expected = "a RepetitionTime in seconds"
                raise ParcelSeriesError(name=sidecar.name, expected=expected, found="none") from error
        if found is None or not 0 < found <= _LONGEST_TR_S:
            raise ParcelSeriesError(
                name=table.name,
                expected=f"a repetition time of at most {_LONGEST_TR_S:g} s, in {sidecar.name} or by --tr",
                found="none" if found is None else f"{found:g} s",
            )
        return found


def read_series(name: str, content: bytes) -> tuple[tuple[int, ...], Float32[np.ndarray, "T P"]]:
    """Read a table of parcel series.

    Parameters
    ----------
    name : str
        For messages.
    content : bytes
        Separated by commas, tabs or blanks; a header, then a row a frame.

    Returns
    -------
    parcel_ids : tuple of int
    series : (T, P) float32
        NaN where a cell says so or is empty.

    Raises
    ------
    ParcelSeriesError
        If it is no such table.
    """
    try:
        lines = [line for line in content.decode("utf-8-sig").splitlines() if line.strip()]
    except UnicodeDecodeError as error:
        raise ParcelSeriesError(
            name=name, expected="a table of text in UTF-8", found="another file"
        ) from error
    separator = next((mark for mark in "\t," if lines and mark in lines[0]), None)
    header = [cell.strip() for cell in lines[0].split(separator)] if lines else []
    columns = {
        at: int(match["number"]) for at, cell in enumerate(header) if (match := _PARCEL.fullmatch(cell))
    }
    parcel_ids = tuple(columns.values())
    if not parcel_ids or len(set(parcel_ids)) < len(parcel_ids) or len(lines) < 2:
        raise ParcelSeriesError(
            name=name,
            expected="a header with a number for each parcel, and a row a frame",
            found="the same parcel twice" if len(set(parcel_ids)) < len(parcel_ids) else "none",
        )
    series = np.empty((len(lines) - 1, len(columns)), dtype=np.float32)
    for number, line in enumerate(lines[1:]):
        cells = line.split(separator)
        try:
            series[number] = [float(cells[at].strip() or "nan") for at in columns]
        except (ValueError, IndexError) as error:
            found = f"others in row {number + 1}"
            raise ParcelSeriesError(name=name, expected="a number for each parcel", found=found) from error
    return parcel_ids, series


def is_table_name(path: Path) -> bool:
    """Say whether a file is named as a table of series is."""
    return _name_of(path) is not None


def _name_of(path: Path) -> re.Match[str] | None:
    if path.suffix not in SUFFIXES:
        return None
    return next((match for name in _NAMES if (match := name.fullmatch(path.stem))), None)


def _says_variant(entry: TableEntry) -> bool:
    return entry.source_name.startswith(("sfnwmrda", "snwmrda"))


def _one_variant(
    entries: list[TableEntry], *, preferred: VariantChoice, findings: list[SourceFinding]
) -> list[TableEntry]:
    """Of Athena's filtered and unfiltered table of a run keep one; both hold the same signal."""
    runs: dict[tuple[str, str, str], list[TableEntry]] = {}
    for entry in entries:
        runs.setdefault((entry.subject_id, entry.session, entry.run), []).append(entry)
    other = "filtered" if preferred == "unfiltered" else "unfiltered"
    wanted = "snwmrda" if preferred == "unfiltered" else "sfnwmrda"
    kept = []
    for same in runs.values():
        chosen = [entry for entry in same if entry.source_name.startswith(wanted)]
        if not all(map(_says_variant, same)):
            kept += same
            continue
        kept += chosen or same
        if not chosen:
            message = f"the run has no {preferred} table: the {other} one was taken"
            findings += [
                SourceFinding(
                    code=f"only_{other}",
                    name=entry.source_name,
                    message=message,
                    subject_id=entry.subject_id,
                )
                for entry in same
            ]
    return kept


def _plain(label: str | None) -> str:
    if label is None:
        return "1"
    return str(int(label)) if label.isdigit() else label
