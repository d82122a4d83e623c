"""Parcel time series of many people in one ``.npz``, with who they are: the form that ABIDE's were packed in.

Its arrays: ``ts_q`` (sum of lengths, parcels), the z-scores of every series times ``scale``, one subject
after the other; ``roi_mean`` and ``roi_sd`` (subjects, parcels), which undo the z-scores; ``length``,
``sub_id``, ``tr_nominal`` (subjects,); ``roi_id`` (parcels,). With ``site``, ``label`` (1 case, 0 control),
``age`` and ``sex`` (1 male, 2 female) it is its own phenotype table.
"""

import hashlib
import re
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from jaxtyping import Float32
from pydantic import JsonValue

from imaging import PreprocessingSpec
from training.cohort.phenotypes.table import PhenotypeTable
from training.cohort.sources.painting import Painter, ParcelSeriesError, shared_painter
from training.cohort.sources.source import PreparedSeries, ScanEntry, SourceFinding, file_stamp
from training.cohort.subjects import Sex, Subject, plain_id

_REQUIRED = ("ts_q", "scale", "roi_mean", "roi_sd", "length", "sub_id", "tr_nominal", "roi_id")
_PHENOTYPES = ("site", "label", "age", "sex")
ARCHIVE_CODES: Mapping[str, Any] = MappingProxyType({"column": "label", "cases": ("1",), "controls": ("0",)})
"""What the labels in an archive mean, as arguments of a `LabelRule`."""

_SUBJECT_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]*")
_SEX: Mapping[int, Sex] = {1: "male", 2: "female"}
_MALFORMED = (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile, zlib.error)


@dataclass(frozen=True, kw_only=True)
class ArchiveEntry(ScanEntry):
    """One person's series in an archive.

    Attributes
    ----------
    archive, atlas : Path
    number : int
        Which one in the archive, from 0.
    """

    archive: Path
    atlas: Path
    number: int

    def stamp(self) -> str:
        """Tell the archive and the atlas from changed ones."""
        return f"{file_stamp(self.archive)}, number {self.number}, atlas {file_stamp(self.atlas)}"

    def prepare(self, spec: PreprocessingSpec, *, workspace: Path) -> PreparedSeries:  # noqa: ARG002
        """Paint the series; the digest is of this person's part of the archive."""
        arrays = _read_archive(self.archive, file_stamp(self.archive))
        series, digest = arrays.series(self.number)
        painter = shared_painter(self.atlas, arrays.parcel_ids, spec.grid_size)
        tr_s = float(arrays.fields["tr_nominal"][self.number])
        return painter.paint(series, tr_s=tr_s, spec=spec, source_sha256=digest)


class ParcelArchive:
    """A source of parcel series: one ``.npz`` and the atlas that they were read with.

    Parameters
    ----------
    path : Path
    atlas : Path
        See `training.cohort.sources.painting`.
    """

    kind = "parcels"
    simulated = False

    def __init__(self, path: Path, *, atlas: Path) -> None:
        self.path = path
        self.atlas = atlas
        self.findings: Sequence[SourceFinding] = ()

    @property
    def name(self) -> str:
        """The archive's file name."""
        return self.path.name

    def entries(self) -> list[ScanEntry]:
        """List one scan a person.

        Raises
        ------
        ParcelSeriesError, AtlasError
        """
        arrays = _read_archive(self.path, file_stamp(self.path))
        odd = [name for name in map(str, arrays.fields["sub_id"]) if not _SUBJECT_ID.fullmatch(name)]
        if odd:
            # They become names of files.
            expected = "ids of letters, digits, points and hyphens"
            raise ParcelSeriesError(name=self.name, expected=expected, found=repr(odd[0]))
        self.findings = self._painter(arrays.parcel_ids).findings
        return [
            ArchiveEntry(
                subject_id=plain_id(str(subject_id)),
                session="1",
                run="1",
                variant="parcels",
                source_name=f"{self.name}, {subject_id}",
                archive=self.path,
                atlas=self.atlas,
                number=number,
            )
            for number, subject_id in enumerate(arrays.fields["sub_id"].tolist())
        ]

    def provenance(self) -> dict[str, JsonValue]:
        """Say which atlas it was painted with."""
        arrays = _read_archive(self.path, file_stamp(self.path))
        return {"atlas": self.atlas.name, "atlas_sha256": self._painter(arrays.parcel_ids).sha256}

    def phenotypes(self) -> PhenotypeTable:
        """Read who the people are from the archive itself.

        Raises
        ------
        ParcelSeriesError
            If it does not say.
        """
        arrays = _read_archive(self.path, file_stamp(self.path)).fields
        missing = [key for key in _PHENOTYPES if key not in arrays]
        if missing:
            raise ParcelSeriesError(
                name=self.name,
                expected="a phenotype table, or arrays of their own for it",
                found=f"no {', '.join(missing)}",
            )
        subjects = tuple(
            Subject(
                subject_id=plain_id(str(arrays["sub_id"][number])),
                site=str(arrays["site"][number]),
                label=label if (label := int(arrays["label"][number])) in {0, 1} else None,
                diagnosis=str(label),
                # Through text: 11.37 as a float32 is 11.369999885559082.
                age_years=float(str(age)) if np.isfinite(age := arrays["age"][number]) else None,
                sex=_SEX.get(int(arrays["sex"][number])),
            )
            for number in range(len(arrays["sub_id"]))
        )
        return PhenotypeTable(name=self.name, subjects=subjects, findings=())

    def _painter(self, parcel_ids: tuple[int, ...]) -> Painter:
        # Any cube will do for what the atlas itself is like.
        return shared_painter(self.atlas, parcel_ids, PreprocessingSpec.grid_size)


@dataclass(frozen=True, eq=False)
class _Arrays:
    fields: Mapping[str, np.ndarray[Any, Any]]

    @property
    def parcel_ids(self) -> tuple[int, ...]:
        return tuple(self.fields["roi_id"].tolist())

    def series(self, number: int) -> tuple[Float32[np.ndarray, "T P"], str]:
        fields = self.fields
        start = int(fields["length"][:number].sum())
        scores = fields["ts_q"][start : start + int(fields["length"][number])]
        mean, sd = fields["roi_mean"][number], fields["roi_sd"][number]
        digest = hashlib.sha256()
        for part in (scores, mean, sd, fields["tr_nominal"][number]):
            digest.update(np.ascontiguousarray(part).tobytes())
        return scores.astype(np.float32) / fields["scale"] * sd + mean, digest.hexdigest()


@lru_cache(maxsize=1)
def _read_archive(path: Path, stamp: str) -> _Arrays:  # noqa: ARG001  (it tells a changed file)
    expected = "an archive of parcel series (arrays " + ", ".join(_REQUIRED) + ")"
    try:
        # Opened here: numpy leaves a file of its own open where it finds a damaged archive.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            fields = {key: archive[key] for key in (*_REQUIRED, *_PHENOTYPES) if key in archive.files}
    except (*_MALFORMED, AttributeError, TypeError) as error:
        raise ParcelSeriesError(name=path.name, expected=expected, found="no readable one") from error
    missing = [key for key in _REQUIRED if key not in fields]
    if missing:
        raise ParcelSeriesError(name=path.name, expected=expected, found=f"no {', '.join(missing)}")
    n_subjects, n_parcels = fields["sub_id"].size, fields["roi_id"].size
    shapes = {
        "ts_q": (int(fields["length"].sum()), n_parcels),
        "roi_mean": (n_subjects, n_parcels),
        "roi_sd": (n_subjects, n_parcels),
        "roi_id": (n_parcels,),
        **{key: (n_subjects,) for key in ("length", "tr_nominal", *_PHENOTYPES) if key in fields},
    }
    for key, shape in shapes.items():
        if fields[key].shape != shape:
            raise ParcelSeriesError(
                name=path.name, expected=f"{key} of shape {shape}", found=f"{fields[key].shape}"
            )
    return _Arrays(fields)
