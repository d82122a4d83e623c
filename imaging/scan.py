"""One resting-state scan: where its voxels lie, when its frames were taken, and its samples on demand."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from imaging.dimensions import four_dimensional, require_size
from imaging.findings import ScanWarning
from imaging.header import read_header
from imaging.orientation import require_affine
from imaging.sample_type import require_real
from imaging.samples import ArraySamples, FileSamples, Samples, frames_in_a_block
from imaging.shapes import Affine, Bold, RawBlock
from imaging.stream import DataIncompleteError, DataTooLongError, open_scan_bytes
from imaging.timing import repetition_time_s


@dataclass(frozen=True, eq=False, kw_only=True)
class BoldScan:
    """A 4-D scan whose header is sound; its samples are decoded, and checked, only as they are read.

    Make one with :func:`open_scan` or :meth:`from_array`.

    Attributes
    ----------
    shape : (X, Y, Z, T)
    affine : (4, 4) float64
        Voxel indices -> RAS+ mm.
    tr_s : float
        Time between frames.
    samples : Samples
        Where the samples come from.
    warnings : tuple of ScanWarning
        What the header gave rise to.
    """

    shape: tuple[int, int, int, int]
    affine: Affine
    tr_s: float
    samples: Samples
    warnings: tuple[ScanWarning, ...] = ()

    def __repr__(self) -> str:
        """Shape, voxel size, TR and type in a line; never where the file lies."""
        size = "x".join(map(str, self.shape))
        zooms = " x ".join(f"{zoom:.3g}" for zoom in self.zooms_mm)
        return f"BoldScan({size} {self.dtype}, {zooms} mm, TR {self.tr_s:g} s)"

    @property
    def n_frames(self) -> int:
        """Number of volumes."""
        return self.shape[3]

    @property
    def duration_s(self) -> float:
        """From the start of the first frame to the end of the last."""
        return self.n_frames * self.tr_s

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of a stored sample."""
        return self.samples.dtype

    @property
    def zooms_mm(self) -> tuple[float, float, float]:
        """Voxel size along the scan's own axes."""
        x, y, z = np.linalg.norm(self.affine[:3, :3], axis=0).tolist()
        return x, y, z

    def blocks(self, *, frames_per_block: int | None = None) -> Iterator[Bold]:
        """Decode the scan a few frames at a time.

        Parameters
        ----------
        frames_per_block : int, optional
            By default as many as fit about 8 MiB.

        Yields
        ------
        (X, Y, Z, n) float32
            Consecutive frames in scanner units; each block is the caller's to keep.

        Raises
        ------
        DataIncompleteError, DataTooLongError, GzipCorruptError
            Before the iteration ends, if the file does not hold exactly what its header promises.
        """
        count = frames_per_block or frames_in_a_block(self.shape, self.dtype.itemsize)
        for stored in self.samples.stored_blocks(count):
            exact = stored.astype(np.float64) if self.dtype.itemsize > 2 else stored.astype(np.float32)
            scaled = (exact * self.samples.slope + self.samples.intercept).astype(np.float32)
            yield scaled.reshape(-1, *self.shape[2::-1]).T

    @classmethod
    def from_array(cls, bold: RawBlock, *, affine: Affine, tr_s: float) -> "BoldScan":
        """Make a scan of samples that are already in memory; they are not copied.

        Parameters
        ----------
        bold : (X, Y, Z, T) real
            Scanner units.
        affine : (4, 4) float64
            Voxel indices -> RAS+ mm.
        tr_s : float

        Raises
        ------
        ScanError
            As for a file with the same defect; the number of frames is left to preprocessing.
        """
        require_real(bold.dtype)
        shape = four_dimensional([bold.ndim, *bold.shape])
        seconds, _ = repetition_time_s(tr_s, xyzt_units=8)
        affine = np.array(affine, dtype=np.float64)
        require_affine(affine)
        affine.setflags(write=False)
        require_size(shape, sample_bytes=bold.dtype.itemsize, tr_s=seconds)
        return cls(shape=shape, affine=affine, tr_s=seconds, samples=ArraySamples(bold))


def open_scan(path: Path, *, otherwise_tr_s: float | None = None) -> BoldScan:
    """Read and check a scan's header.

    Parameters
    ----------
    path : Path
        A single-file NIfTI-1 or -2, compressed or not whatever its name says, either byte order.
    otherwise_tr_s : float, optional
        The repetition time, where the header states none that can be.

    Returns
    -------
    BoldScan
        No sample has been read yet: damage further on is found when :meth:`BoldScan.blocks` gets there.

    Raises
    ------
    ScanError
        If it is not a finite-looking, real-valued 4-D image with enough frames, a repetition time and an
        orientation.
    OSError
        If the file cannot be read.
    """
    with open_scan_bytes(path) as source:
        header = read_header(source, otherwise_tr_s=otherwise_tr_s)
        if not source.compressed:
            found = path.stat().st_size - header.data_offset
            if found < header.data_bytes:
                raise DataIncompleteError(part="samples", expected_bytes=header.data_bytes, found_bytes=found)
            if found > header.data_bytes:
                raise DataTooLongError(expected_bytes=header.data_bytes)
    return BoldScan(
        shape=header.shape,
        affine=header.affine,
        tr_s=header.tr_s,
        samples=FileSamples(path=path, header=header),
        warnings=header.warnings,
    )
