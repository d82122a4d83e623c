"""A stored scan is read and preprocessed in an enclosure; what comes back is checked, not believed."""

from collections.abc import Callable
from contextlib import suppress
from mmap import mmap
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from imaging import (
    BoldScan,
    NetworkInput,
    PreparedScan,
    PreprocessingSpec,
    QualityReport,
    ScanError,
    ScanWarning,
    brain_cube,
    prepare_scan,
    preprocess,
)
from imaging.derived.maps import DERIVED_MAPS
from imaging.digest import sha256_beside
from imaging.reading import BrainSignal
from imaging.template import template_brain
from service.enclosure import Answer, Enclosure, Limits, ReaderDiedError
from service.errors import ServiceError

STAGE = "preprocessing"
CHANGED = {"changed": True}
NO_ANSWER = "an answer that no reader gives"


class StoredFileChangedError(ServiceError):
    """Storage holds other bytes than were put there."""

    code: ClassVar[str] = "stored_file_changed"

    def __init__(self) -> None:
        super().__init__(
            "expected the stored scan as it was put there, found other bytes: restore or upload it"
        )


def prepare_enclosed(
    enclosure: Enclosure,
    path: Path,
    spec: PreprocessingSpec,
    *,
    display_name: str,
    sha256: str,
    stored_sha256: str,
    maps: bool = False,
    limits: Limits,
    progress: Callable[[float], None],
    check: Callable[[], None],
) -> PreparedScan:
    """Do what :func:`imaging.prepare_scan` does, in a limited child.

    Parameters
    ----------
    enclosure : Enclosure
        With this module in it.
    path : Path
        The stored file.
    spec : PreprocessingSpec
    display_name, sha256 : str
        Of the scan as it was uploaded.
    stored_sha256 : str
        Of the file.
    maps : bool
        Whether the derived maps are wanted too.
    limits : Limits
    progress, check : callable
        Called with 0 to 1, and ten times a second; what they raise ends the child.

    Raises
    ------
    StoredFileChangedError
        If the file is not the one that was stored.
    ScanError, ReaderDiedError, ReaderMemoryError, ReaderTimeLimitError, OSError
        As :meth:`service.enclosure.Enclosure.run`.
    """
    with path.open("rb") as file:
        answer = enclosure.run(
            f"{__name__}:prepare",
            file,
            arguments={
                "spec": spec.to_json(),
                "sha256": sha256,
                "stored_sha256": stored_sha256,
                "maps": maps,
            },
            limits=limits,
            progress=lambda _stage, fraction: progress(fraction),
            check=check,
        )
    if answer.values == CHANGED:
        raise StoredFileChangedError
    return _prepared(answer, spec, {"name": display_name, "sha256": sha256}, maps=maps)


def prepare(
    path: Path,
    *,
    spec: dict[str, Any],
    sha256: str,
    stored_sha256: str,
    maps: bool,
    progress: Callable[[str, float], None],
) -> tuple[dict[str, Any], memoryview | None]:
    """Prepare a scan; runs in the enclosed child. Nothing is told of a file before its digest is known."""
    prepared = prepare_unchanged(
        path, spec=spec, sha256=sha256, stored_sha256=stored_sha256, maps=maps, progress=progress
    )
    if prepared is None:
        return CHANGED, None
    found = prepared.network_input
    parts = found.series if found.maps is None else np.hstack([found.series, found.maps.T])
    return told_of(prepared).model_dump(), memoryview(np.ascontiguousarray(parts).data)


def prepare_unchanged(
    path: Path,
    *,
    spec: dict[str, Any],
    sha256: str,
    stored_sha256: str,
    maps: bool = False,
    progress: Callable[[str, float], None],
    look: Callable[[BoldScan, BrainSignal], None] | None = None,
) -> PreparedScan | None:
    """Prepare a scan, in the enclosed child; None where the file is not the one that was stored."""
    with sha256_beside(path) as digest:
        try:
            prepared = prepare_scan(
                path,
                PreprocessingSpec.from_json(spec),
                sha256=sha256,
                maps=maps,
                progress=lambda fraction: progress(STAGE, fraction),
                look=look,
            )
        except Exception:
            if digest.result() != stored_sha256:
                return None
            raise
    return prepared if digest.result() == stored_sha256 else None


def prepare_to_fork() -> None:
    """Make what every child would make again, by preparing noise in the shape of a brain.

    It lies on Athena's grid, as ADHD-200's preprocessed release does throughout: scans on other grids pay a
    tenth of a second each.
    """
    template = template_brain()
    noise = np.random.default_rng(0).normal(size=(*template.mask.shape, 30)).astype(np.float32)
    noise *= (template.t1 * template.mask)[..., None]
    # The template lies on this grid the other way round.
    left_first = template.affine @ np.diag([-1.0, 1, 1, 1])
    left_first[:3, 3] = template.affine[:3] @ [template.mask.shape[0] - 1, 0, 0, 1]
    with suppress(ScanError):
        preprocess(BoldScan.from_array(noise[::-1], affine=left_first, tr_s=2.5))


class Told(BaseModel):
    """What the child says of a scan beside its frames."""

    model_config = ConfigDict(extra="forbid", strict=True)

    shape: list[int]
    zooms_mm: list[float]
    scan_tr_s: float
    n_frames: int
    frames: int
    tr_s: float
    quality: dict[str, Any]
    warnings: list[dict[str, str]]
    timing_ms: dict[str, float]


def told_of(prepared: PreparedScan) -> Told:
    """Return what the child says of a prepared scan."""
    result = prepared.network_input
    return Told(
        shape=prepared.scan["shape"],
        zooms_mm=prepared.scan["zooms_mm"],
        scan_tr_s=prepared.scan["tr_s"],
        n_frames=prepared.scan["n_frames"],
        frames=result.n_frames,
        tr_s=result.tr_s,
        quality=result.quality.to_json(),
        warnings=[{"code": warning.code, "message": warning.message} for warning in result.warnings],
        timing_ms=prepared.timing_ms,
    )


def _prepared(answer: Answer, spec: PreprocessingSpec, known: dict[str, str], *, maps: bool) -> PreparedScan:
    """Believe nothing of an answer that does not fit together."""
    try:
        told = Told.model_validate(answer.values)
        network_input = believed_input(told, answer.array or b"", spec, maps=maps)
    except (ValidationError, ValueError) as error:
        raise ReaderDiedError(found=NO_ANSWER) from error
    identity = {
        "name": Path(known["name"]).name,
        "sha256": known["sha256"],
        "shape": told.shape,
        "zooms_mm": told.zooms_mm,
        "tr_s": told.scan_tr_s,
        "n_frames": told.n_frames,
    }
    return PreparedScan(scan=identity, network_input=network_input, timing_ms=told.timing_ms)


def believed_input(
    told: Told, array: bytes | memoryview | mmap, spec: PreprocessingSpec, *, maps: bool = False
) -> NetworkInput:
    """Put together what the child said of a scan, its time courses and, where they are wanted, its maps.

    Raises
    ------
    ValueError
        If they do not fit together; pydantic's errors are some.
    """
    columns = told.frames + (len(DERIVED_MAPS) if maps else 0)
    shape = (int(brain_cube(spec.grid_size).mask.sum()), columns)
    found = np.frombuffer(array, dtype=np.float32).reshape(shape)
    return NetworkInput(
        series=found[:, : told.frames] if maps else found,
        maps=np.ascontiguousarray(found[:, told.frames :].T) if maps else None,
        tr_s=told.tr_s,
        spec=spec,
        quality=TypeAdapter(QualityReport).validate_python(told.quality),
        warnings=TypeAdapter(tuple[ScanWarning, ...]).validate_python(told.warnings),
    )
