"""A stored scan is read once more, in an enclosure: for its network input, and for what people look at."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32
from pydantic import Field, ValidationError

from imaging import BoldScan, NetworkInput, PreprocessingSpec, ScanPictures, brain_cube, picture_signal
from imaging.pictures import CARPET_COLUMNS, CARPET_ROWS
from imaging.reading import BrainSignal
from service.enclosure import Enclosure, Limits, ReaderDiedError
from service.worker import reading
from service.worker.reading import CHANGED, NO_ANSWER, StoredFileChangedError, Told

Series = Float32[np.ndarray, " K"]


def picture_enclosed(
    enclosure: Enclosure,
    path: Path,
    spec: PreprocessingSpec,
    *,
    sha256: str,
    stored_sha256: str,
    limits: Limits,
    progress: Callable[[float], None],
    check: Callable[[], None],
) -> tuple[NetworkInput, ScanPictures]:
    """Do what :func:`service.worker.reading.prepare_enclosed` does, and make the scan's pictures on the way.

    Parameters
    ----------
    enclosure : Enclosure
        With this module in it.
    path, spec, sha256, stored_sha256, limits, progress, check
        As there.

    Raises
    ------
    StoredFileChangedError, ScanError, ReaderDiedError, ReaderMemoryError, ReaderTimeLimitError, OSError
        As there.
    """
    with path.open("rb") as file:
        answer = enclosure.run(
            f"{__name__}:picture",
            file,
            arguments={"spec": spec.to_json(), "sha256": sha256, "stored_sha256": stored_sha256},
            limits=limits,
            progress=lambda _stage, fraction: progress(fraction),
            check=check,
        )
    if answer.values == CHANGED:
        raise StoredFileChangedError
    try:
        told = _ToldWithPictures.model_validate(answer.values)
        return _believed(told, np.frombuffer(answer.array or b"", dtype=np.float32), spec)
    except (ValidationError, ValueError) as error:
        raise ReaderDiedError(found=NO_ANSWER) from error


def picture(
    path: Path,
    *,
    spec: dict[str, Any],
    sha256: str,
    stored_sha256: str,
    progress: Callable[[str, float], None],
) -> tuple[dict[str, Any], memoryview | None]:
    """Prepare a scan and picture it; runs in the enclosed child."""
    seen: list[ScanPictures] = []

    def look(scan: BoldScan, signal: BrainSignal) -> None:
        grid_size = PreprocessingSpec.from_json(spec).grid_size
        seen.append(picture_signal(signal, affine=scan.affine, grid_size=grid_size))

    prepared = reading.prepare_unchanged(
        path, spec=spec, sha256=sha256, stored_sha256=stored_sha256, progress=progress, look=look
    )
    if prepared is None:
        return CHANGED, None
    (pictures,) = seen
    told = _ToldWithPictures(
        **reading.told_of(prepared).model_dump(),
        volume_shape=list(pictures.mean.shape),
        affine=pictures.affine.ravel().tolist(),
        carpet_rows=pictures.carpet.shape[0],
        carpet_columns=pictures.carpet.shape[1],
        frames_per_column=pictures.frames_per_column,
        signal_frames=len(pictures.global_signal),
    )
    parts = (
        prepared.network_input.series,
        pictures.mean,
        pictures.temporal_sd,
        pictures.carpet,
        pictures.global_signal,
    )
    return told.model_dump(), memoryview(np.concatenate([part.ravel() for part in parts]).data)


def prepare_to_fork() -> None:
    """Do nothing: what both need, :mod:`service.worker.reading` has made."""


class _ToldWithPictures(Told):
    """What the child says beside the arrays, which come one after the other."""

    volume_shape: list[int] = Field(min_length=3, max_length=3)
    affine: list[float] = Field(min_length=16, max_length=16)
    carpet_rows: int = Field(ge=0, le=CARPET_ROWS)
    carpet_columns: int = Field(ge=0, le=CARPET_COLUMNS)
    frames_per_column: int = Field(ge=1)
    signal_frames: int = Field(ge=1)


def _believed(
    told: _ToldWithPictures, array: Series, spec: PreprocessingSpec
) -> tuple[NetworkInput, ScanPictures]:
    n_voxels = int(np.prod(told.volume_shape))
    sizes = (
        int(brain_cube(spec.grid_size).mask.sum()) * told.frames,
        n_voxels,
        n_voxels,
        told.carpet_rows * told.carpet_columns,
        told.signal_frames,
    )
    if sum(sizes) != len(array):
        raise ValueError(NO_ANSWER)
    series, mean, temporal_sd, carpet, global_signal = np.split(array, np.cumsum(sizes)[:-1])
    affine = np.array(told.affine).reshape(4, 4)
    if not np.isfinite(affine).all() or np.linalg.det(affine) == 0:
        raise ValueError(NO_ANSWER)
    pictures = ScanPictures(
        mean=mean.reshape(told.volume_shape),
        temporal_sd=temporal_sd.reshape(told.volume_shape),
        affine=affine,
        carpet=carpet.reshape(told.carpet_rows, told.carpet_columns),
        frames_per_column=told.frames_per_column,
        global_signal=global_signal,
    )
    return reading.believed_input(told, series.data, spec), pictures
