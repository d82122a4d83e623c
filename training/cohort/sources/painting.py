"""Painting parcel time series back into space: each parcel's voxels all follow its one time course.

Painting a volume and mapping it onto the cube are both linear, so the way from parcels to the cube's voxels
is one matrix, made once an atlas; a painted volume is never made. What follows is what `imaging.preprocess`
does with the painted volume, by the same functions.

A parcel without signal in a scan (constant, or not finite throughout) stays at zero, as a region outside the
field of view would. A parcel of fewer than ``MINIMUM_VOXELS`` voxels of the atlas is left out in every scan:
nothing anatomical is so small, it is what is left where two masks overlap (ABIDE's 3455).
"""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar

import nibabel as nib
import numpy as np
from jaxtyping import Bool, Float32
from nibabel.filebasedimages import ImageFileError
from scipy.sparse import csr_array

from imaging import NotInTemplateSpaceError, PreprocessingSpec
from imaging.cube_map import cube_map
from imaging.pipeline import scale_series
from imaging.quality import count_spikes, standardised_dvars
from imaging.reading import NonfiniteValuesError
from imaging.template_space import decide_template_space
from imaging.temporal import filter_in_time
from imaging.words import counted
from training.cohort.sources.source import PreparedSeries, SourceFinding, file_sha256, file_stamp
from training.errors import CohortError

MINIMUM_VOXELS = 5

# Beside the largest of the series; below it is rounding (ABIDE's "no data" series have 1e-6 and less).
_CONSTANT_SD = 1e-6
_ATLAS = "a 3-D image of whole numbers, one a parcel, 0 outside"

_COVERED = 0.5  # as in imaging.quality


class AtlasError(CohortError):
    """An atlas that series cannot be painted with."""

    code: ClassVar[str] = "atlas_invalid"

    def __init__(self, *, name: str, expected: str, found: str) -> None:
        self.name = name
        self.expected = expected
        self.found = found
        super().__init__(f"atlas {name!r}: expected {expected}, found {found}")


class ParcelSeriesError(CohortError):
    """Parcel time series that cannot be read as such."""

    code: ClassVar[str] = "parcel_series_invalid"

    def __init__(self, *, name: str, expected: str, found: str) -> None:
        self.name = name
        self.expected = expected
        self.found = found
        super().__init__(f"{name!r}: expected {expected}, found {found}")


@dataclass(frozen=True, eq=False)
class Painter:
    """The way from the parcels of one atlas, in one order, to the voxels of the cube.

    Attributes
    ----------
    weights : (N, P) sparse float32
        Share of each cube voxel's covered part that lies in each parcel; empty columns for parcels that are
        left out.
    coverage : (N,) float32
        Share of each cube voxel that the atlas's grid covers.
    left_out : (P,) bool
        Parcels that are too small, or not in the atlas.
    findings : tuple of SourceFinding
        Which parcels those are, and which of the atlas have no series.
    sha256 : str
        Of the atlas's file.
    """

    weights: csr_array
    coverage: Float32[np.ndarray, " N"]
    left_out: Bool[np.ndarray, " P"]
    findings: tuple[SourceFinding, ...]
    sha256: str

    def paint(
        self, series: Float32[np.ndarray, "T P"], *, tr_s: float, spec: PreprocessingSpec, source_sha256: str
    ) -> PreparedSeries:
        """Prepare one scan's parcel series as if its painted volume had been a scan.

        Parameters
        ----------
        series : (T, P) float
            One column a parcel, in any unit; frames ``tr_s`` apart.
        tr_s : float
        spec : PreprocessingSpec
        source_sha256 : str
            Of the bytes that the series was read from.

        Raises
        ------
        NonfiniteValuesError
            If a parcel is finite in some frames only.
        ConstantInTimeError, ScanTooShortError
            As for a scan.
        """
        centred, silent = _centred(series)
        silent |= self.left_out
        centred[:, silent] = 0
        painted = np.ascontiguousarray(self.weights @ centred.T)
        signal_share = np.asarray(self.weights @ (~silent).astype(np.float32)) * self.coverage
        filtered = filter_in_time(
            painted,
            tr_s=tr_s,
            band_hz=spec.band_hz,
            new_tr_s=spec.tr_s,
            minimum_frames=spec.window_frames,
        )
        covered = signal_share >= _COVERED
        dvars = standardised_dvars(painted, voxels=covered)
        quality: dict[str, Any] = {
            "n_frames": len(series),
            "tr_s": tr_s,
            "duration_s": len(series) * tr_s,
            "dvars_mean": float(dvars.mean()),
            "dvars_max": float(dvars.max()),
            "spikes": count_spikes(dvars),
            "template_coverage": float(covered.mean()),
            "in_band_power": filtered.in_band_power,
            "n_parcels": int((~self.left_out).sum()),
            "n_parcels_without_signal": int((silent & ~self.left_out).sum()),
        }
        scale_series(filtered.series)
        return PreparedSeries(
            series=filtered.series.T,
            tr_s=tr_s,
            n_frames=len(series),
            dvars_mean=quality["dvars_mean"],
            spikes=quality["spikes"],
            quality=quality,
            warnings=(),
            source_sha256=source_sha256,
        )


def make_painter(atlas: Path, *, parcel_ids: tuple[int, ...], grid_size: int) -> Painter:
    """Read an atlas and make the map.

    Parameters
    ----------
    atlas : Path
        A 3-D image whose voxels hold the parcels' numbers, 0 outside, in template space on any grid.
    parcel_ids : tuple of int
        The series' columns.
    grid_size : int
        Of the cube.

    Raises
    ------
    AtlasError
        If it is no such image, does not lie in template space, or holds less than half of the parcels.
    """
    if min(parcel_ids) < 1:
        # Columns counted from 0 would land in the parcel before, without a word.
        expected = "parcels by their numbers in the atlas, from 1"
        raise ParcelSeriesError(
            name=atlas.name, expected=expected, found=f"series of parcel {min(parcel_ids)}"
        )
    try:
        labels, affine = _read_atlas(atlas, file_stamp(atlas))
    except OSError as error:
        raise AtlasError(name=atlas.name, expected=_ATLAS, found="no readable image") from error
    to_cube = cube_map(shape=labels.shape, affine=affine, grid_size=grid_size)
    ids, sizes = np.unique(labels[labels > 0], return_counts=True)
    size_of = dict(zip(ids.tolist(), sizes.tolist(), strict=True))
    known = [parcel for parcel in parcel_ids if parcel in size_of]
    if len(known) < len(parcel_ids) / 2:
        raise AtlasError(
            name=atlas.name,
            expected=f"the {counted(len(parcel_ids), 'parcel')} of the series",
            found=f"{len(known)} of them",
        )
    left_out = np.array([size_of.get(parcel, 0) < MINIMUM_VOXELS for parcel in parcel_ids])
    column_of = np.full(int(ids.max()) + 1, -1)
    for column, parcel in enumerate(parcel_ids):
        if not left_out[column]:
            column_of[parcel] = column
    columns = column_of[labels.ravel(order="F")[to_cube.used]]
    inside = np.flatnonzero(columns >= 0)
    members = csr_array(
        (np.ones(len(inside), dtype=np.float32), (inside, columns[inside])),
        shape=(len(to_cube.used), len(parcel_ids)),
    )
    weights = csr_array(to_cube.weights @ members)
    scale = np.divide(1, to_cube.coverage, out=np.zeros_like(to_cube.coverage), where=to_cube.coverage > 0)
    weights.data *= np.repeat(scale, np.diff(weights.indptr))
    return Painter(
        weights=weights,
        coverage=to_cube.coverage,
        left_out=left_out,
        findings=_findings(atlas.name, parcel_ids, size_of),
        sha256=file_sha256(atlas),
    )


def shared_painter(atlas: Path, parcel_ids: tuple[int, ...], grid_size: int) -> Painter:
    """Make a painter once a process; as :func:`make_painter`."""
    try:
        stamp = file_stamp(atlas)
    except OSError as error:
        raise AtlasError(name=atlas.name, expected=_ATLAS, found="no readable image") from error
    return _painter(atlas, stamp, parcel_ids, grid_size)


@lru_cache(maxsize=8)
def _painter(atlas: Path, stamp: str, parcel_ids: tuple[int, ...], grid_size: int) -> Painter:  # noqa: ARG001
    return make_painter(atlas, parcel_ids=parcel_ids, grid_size=grid_size)


@lru_cache(maxsize=1)
def _read_atlas(atlas: Path, stamp: str) -> tuple[np.ndarray, np.ndarray]:  # noqa: ARG001
    """Read an atlas once a process, whatever parcels the series of a scan have."""
    try:
        image: Any = nib.load(atlas)
        values = np.asanyarray(image.dataobj)
        affine = np.asarray(image.affine, dtype=np.float64)
    except (OSError, ImageFileError, EOFError, ValueError, AttributeError) as error:
        raise AtlasError(name=atlas.name, expected=_ATLAS, found="no readable image") from error
    if values.ndim == 4 and values.shape[3] == 1:
        values = values[..., 0]
    if values.ndim != 3:
        raise AtlasError(name=atlas.name, expected=_ATLAS, found=f"{values.ndim} axes")
    whole = np.rint(values)
    if not np.isfinite(values).all() or (whole != values).any() or whole.min() < 0 or whole.max() > 2**31:
        raise AtlasError(name=atlas.name, expected=_ATLAS, found="other values")
    if not whole.any():
        raise AtlasError(name=atlas.name, expected=_ATLAS, found="zeros alone")
    _require_template_space(atlas, whole, affine)
    return whole.astype(np.int64), affine


def _require_template_space(atlas: Path, labels: np.ndarray, affine: np.ndarray) -> None:
    """Hold the atlas to the same standard as a scan."""
    inside = (labels > 0).astype(np.float32)
    try:
        decide_template_space(mean=np.zeros_like(inside), temporal_sd=inside, affine=affine)
    except NotInTemplateSpaceError as error:
        raise AtlasError(name=atlas.name, expected="an atlas in MNI152 space", found=str(error)) from error


def _findings(name: str, parcel_ids: tuple[int, ...], size_of: dict[int, int]) -> tuple[SourceFinding, ...]:
    found = []
    for parcel in parcel_ids:
        if parcel not in size_of:
            message = f"the series have a parcel {parcel}, the atlas has none"
            found.append(SourceFinding(code="parcel_not_in_atlas", name=name, message=message))
        elif size_of[parcel] < MINIMUM_VOXELS:
            message = (
                f"parcel {parcel} has fewer than {MINIMUM_VOXELS} voxels ({size_of[parcel]}): it was left out"
            )
            found.append(SourceFinding(code="parcel_too_small", name=name, message=message))
    for parcel in sorted(size_of.keys() - set(parcel_ids)):
        message = f"the atlas has a parcel {parcel}, the series have none: it stays empty"
        found.append(SourceFinding(code="parcel_without_series", name=name, message=message))
    return tuple(found)


def _centred(
    series: Float32[np.ndarray, "T P"],
) -> tuple[Float32[np.ndarray, "T P"], Bool[np.ndarray, " P"]]:
    """Take each column's mean out in double precision, and say which columns hold no signal."""
    values = np.asarray(series, dtype=np.float64)
    finite = np.isfinite(values)
    partly = finite.any(axis=0) & ~finite.all(axis=0)
    if partly.any():
        raise NonfiniteValuesError(n_voxels=int(partly.sum()))
    absent = ~finite.all(axis=0)
    values = np.where(absent, 0.0, values)
    values = values - values.mean(axis=0)
    deviation = values.std(axis=0)
    return values.astype(np.float32), absent | (deviation <= _CONSTANT_SD * max(deviation.max(), 1e-30))
