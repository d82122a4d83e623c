"""The two figures of a scan that was brought into template space: out of the enclosure, into storage.

They are drawn in the child that normalises. A figure that comes out is checked, not believed: it is bounded,
and begins as a PNG does. It lies beside the scan's file in template space. What is computed stands without
them: one that cannot be drawn is missing, and a warning says so.
"""

import hashlib
import struct
import traceback
from collections.abc import Callable, Collection, Mapping
from typing import Any

from imaging.findings import ScanWarning
from imaging.native.normalise import Normalised
from service.storage import (
    NORMALISED_FIGURES,
    StoredFileDamagedError,
    StoredFileMissingError,
    normalised_figure_key,
)
from service.worker.patience import entered
from service.worker.runtime import Runtime

# What is drawn takes about a tenth of it.
LARGEST_FIGURE_BYTES = 1 << 23
LARGEST_FIGURE_PIXELS = 4096

FIGURES_MISSING = ScanWarning(
    code="figures_missing",
    message="expected figures of how the scan came into template space, found that they could not all be "
    "drawn: the answer does not depend on them",
)

_TOLD_OF_A_FAULT = 8000
_SIZES = struct.Struct(f"<{len(NORMALISED_FIGURES)}I")
# The signature, and the first chunk with its length, name, width and height.
_PNG = struct.Struct(">8sI4sII")
_PNG_BEGINS = (b"\x89PNG\r\n\x1a\n", 13, b"IHDR")


def drawn(found: Normalised) -> tuple[memoryview, str | None]:
    """Draw the figures of a run; runs in the enclosed child.

    Returns
    -------
    memoryview, str or None
        The figures one behind the other after their sizes, of 0 where one is missing; and for the log, where
        drawing failed.
    """
    fault, figures = None, {}
    try:
        figures = load_drawing()(found)
    except Exception:  # noqa: BLE001  (whatever it is: the file in template space is there)
        fault = traceback.format_exc()[-_TOLD_OF_A_FAULT:]
    pngs = [figures.get(name, b"") for name in NORMALISED_FIGURES]
    return memoryview(_SIZES.pack(*map(len, pngs)) + b"".join(pngs)), fault


def load_drawing() -> Callable[[Normalised], dict[str, bytes]]:
    """Load what draws, which is much, for the process that the children are forked from."""
    from imaging.native.figures import draw_figures  # noqa: PLC0415  (no worker of its own draws)

    return draw_figures


def figures_in(packed: bytes) -> dict[str, bytes]:
    """Take the figures apart that a child handed out.

    Parameters
    ----------
    packed : bytes
        As :func:`drawn` gave it.

    Returns
    -------
    dict of str to bytes
        PNG, by the names in :data:`service.storage.NORMALISED_FIGURES`. One that is missing, or is none, is
        left out; where they cannot be told apart, all are.
    """
    if len(packed) < _SIZES.size:
        return {}
    sizes = _SIZES.unpack_from(packed)
    if len(packed) != _SIZES.size + sum(sizes):
        return {}
    figures, start = {}, _SIZES.size
    for name, size in zip(NORMALISED_FIGURES, sizes, strict=True):
        png = packed[start : start + size]
        start += size
        if size <= LARGEST_FIGURE_BYTES and _size_of(png) is not None:
            figures[name] = png
    return figures


def warned_of_missing(summary: Mapping[str, Any], figures: Collection[str]) -> dict[str, Any]:
    """Say in a summary that figures are missing, where one is."""
    if len(figures) == len(NORMALISED_FIGURES):
        return dict(summary)
    warning = {"code": FIGURES_MISSING.code, "message": FIGURES_MISSING.message}
    return {**summary, "warnings": [*summary["warnings"], warning]}


def described(figures: Mapping[str, bytes]) -> dict[str, dict[str, Any]]:
    """Say of each figure its ``width`` and ``height`` in pixels, its ``size_bytes`` and its ``sha256``."""
    return {name: _described(png) for name, png in figures.items()}


def store_figures(runtime: Runtime, scan_id: str, version: int, figures: Mapping[str, bytes]) -> None:
    """Store the figures beside the scan's file in template space."""
    for name, png in figures.items():
        with runtime.storage.receive(max_bytes=LARGEST_FIGURE_BYTES) as received:
            received.write(png)
            runtime.storage.promote(received, normalised_figure_key(scan_id, version, name))


def copy_figures(
    runtime: Runtime,
    source_id: str,
    target_id: str,
    version: int,
    known: Mapping[str, Mapping[str, Any]],
    *,
    check: Callable[[], None],
) -> dict[str, Mapping[str, Any]]:
    """Copy the figures of an equal scan; one that storage has lost, or that was changed, is left out.

    Parameters
    ----------
    runtime : Runtime
    source_id, target_id : str
        Scans.
    version : int
        Of the pipeline.
    known : mapping
        As :func:`described` gives it, of the source.
    check : callable
        Called now and then; it may raise.

    Returns
    -------
    dict
        What of ``known`` the target has.
    """
    copied = {}
    for name in [name for name in NORMALISED_FIGURES if name in known]:
        check()
        key = normalised_figure_key(source_id, version, name)
        try:
            with entered(runtime.storage.open_local(key, compare=False), check=check) as path:
                png = path.read_bytes()
        except (StoredFileMissingError, StoredFileDamagedError):
            continue
        if hashlib.sha256(png).hexdigest() == known[name]["sha256"]:
            store_figures(runtime, target_id, version, {name: png})
            copied[name] = known[name]
    return copied


def _described(png: bytes) -> dict[str, Any]:
    width, height = _size_of(png) or (0, 0)
    return {
        "width": width,
        "height": height,
        "size_bytes": len(png),
        "sha256": hashlib.sha256(png).hexdigest(),
    }


def _size_of(png: bytes) -> tuple[int, int] | None:
    """Return width and height in pixels; None of what is no PNG."""
    if len(png) >= _PNG.size:
        *begins, width, height = _PNG.unpack_from(png)
        if (
            tuple(begins) == _PNG_BEGINS
            and 0 < min(width, height) <= max(width, height) <= LARGEST_FIGURE_PIXELS
        ):
            return width, height
    return None
