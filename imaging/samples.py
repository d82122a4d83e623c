"""A scan's samples, a few frames at a time: from a file that is decoded as it is read, or from an array."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Shaped

from imaging.header import ScanHeader
from imaging.shapes import RawBlock
from imaging.stream import open_scan_bytes

# A block stays near the size of a shared cache; more frames a block gain nothing (measured).
_BLOCK_BYTES = 8 * 2**20
MAXIMUM_FRAMES_PER_BLOCK = 32

# The reader of a block may work on it while the next one is ready and the one after it is decoded.
_BUFFERS = 3

StoredFrames = Shaped[np.ndarray, "n V"]
"""Consecutive frames as stored, any real dtype, voxels in the file's order (x fastest)."""


@runtime_checkable
class Samples(Protocol):
    """Where a scan's samples come from."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of a stored sample."""

    @property
    def slope(self) -> float:
        """Scanner units a stored unit."""

    @property
    def intercept(self) -> float:
        """Scanner units at stored zero."""

    def stored_blocks(self, frames_per_block: int) -> Iterator[StoredFrames]:
        """Yield consecutive frames; a block is valid until the third one after it is asked for."""


def frames_in_a_block(shape: tuple[int, int, int, int], itemsize: int) -> int:
    """Return how many frames to decode at a time so that a block fits a cache and memory stays bounded."""
    x, y, z, _ = shape
    return max(1, min(MAXIMUM_FRAMES_PER_BLOCK, _BLOCK_BYTES // (x * y * z * itemsize)))


@dataclass(frozen=True)
class FileSamples:
    """Samples that stay in their file until they are asked for."""

    path: Path
    header: ScanHeader

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of a stored sample, with the file's byte order."""
        return self.header.dtype

    @property
    def slope(self) -> float:
        """Scanner units a stored unit."""
        return self.header.slope

    @property
    def intercept(self) -> float:
        """Scanner units at stored zero."""
        return self.header.intercept

    def stored_blocks(self, frames_per_block: int) -> Iterator[StoredFrames]:
        """Decode exactly what the header promises, then verify that the file ends there.

        Raises
        ------
        DataIncompleteError, DataTooLongError, GzipCorruptError
            If the file holds fewer bytes, more, or not what was written.
        """
        x, y, z, n_frames = self.header.shape
        frame_bytes = x * y * z * self.dtype.itemsize
        total = self.header.data_bytes
        buffers = np.empty((_BUFFERS, min(frames_per_block, n_frames) * frame_bytes), dtype=np.uint8)
        with open_scan_bytes(self.path) as source:
            source.require(memoryview(bytearray(self.header.data_offset)), part="header")
            for number, start in enumerate(range(0, n_frames, frames_per_block)):
                count = min(frames_per_block, n_frames - start)
                view = buffers[number % _BUFFERS, : count * frame_bytes].data
                source.require(view, part="samples", already=start * frame_bytes, total=total)
                yield np.frombuffer(view, dtype=self.dtype).reshape(count, x * y * z)
            source.require_end(expected_bytes=total)


@dataclass(frozen=True)
class ArraySamples:
    """Samples that are already in memory, in scanner units."""

    bold: RawBlock
    slope: float = 1.0
    intercept: float = 0.0

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of a sample."""
        dtype: np.dtype[Any] = self.bold.dtype
        return dtype

    def stored_blocks(self, frames_per_block: int) -> Iterator[StoredFrames]:
        """Yield the array's frames."""
        n_frames = self.bold.shape[3]
        for start in range(0, n_frames, frames_per_block):
            frames = self.bold[..., start : start + frames_per_block]
            yield np.ascontiguousarray(frames.T).reshape(frames.shape[3], -1)
