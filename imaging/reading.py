"""The one pass over a scan's samples: statistics on its own grid, and its signal on the network's cube."""

from collections import deque
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import Bool, Float32

from imaging.cube_map import CubeMap
from imaging.errors import ScanError
from imaging.findings import ScanWarning
from imaging.sample_type import BadScalingError
from imaging.samples import MAXIMUM_FRAMES_PER_BLOCK, StoredFrames, frames_in_a_block
from imaging.scan import BoldScan
from imaging.shapes import BrainMask, Volume, VoxelSeries
from imaging.variation import (
    AllZeroError,
    ConstantInTimeError,
    require_frames_differ,
    require_plausible_scale,
)

# Voxels of a block worked on at a time: their deviations then stay in a core's own cache.
_VOXELS_AT_ONCE = 8192

# Gathered before they are mapped: the sparse product walks its weights once for many frames, but a fine grid
# has millions of voxels to each. A block of frames (8 MiB as stored) is at most half as much.
_GATHERED_BYTES = 64 * 2**20


class NonfiniteValuesError(ScanError):
    """NaN, infinity or absurdly large values inside the brain."""

    code: ClassVar[str] = "nonfinite_values"

    def __init__(self, *, n_voxels: int) -> None:
        super().__init__(
            "expected finite values throughout the brain, found NaN, infinity or values beyond 1e18 in "
            f"{n_voxels:,} of its voxels"
        )
        self.n_voxels = n_voxels


@dataclass(frozen=True)
class BrainSignal:
    """What one pass over the samples gives.

    Attributes
    ----------
    mean, temporal_sd : (X, Y, Z) float32
        Over all frames, scanner units; 0 in voxels that are not finite.
    in_brain : (X, Y, Z) bool
        Voxels of the scan's own grid inside the template brain.
    series : (N, T) float32
        Scanner units on the brain voxels of the cube, up to a constant a voxel: the differences from one
        frame of the scan, so that a large mean costs no precision.
    signal_share : (N,) float32
        Share of each cube voxel that is covered by voxels which vary in time.
    nonfinite : (X, Y, Z) bool
        Voxels left out because they hold NaN or infinity.
    warnings : tuple of ScanWarning
    """

    mean: Volume
    temporal_sd: Volume
    in_brain: BrainMask
    series: VoxelSeries
    signal_share: Float32[np.ndarray, " N"]
    nonfinite: BrainMask
    warnings: tuple[ScanWarning, ...]


def read_signal(scan: BoldScan, to_cube: CubeMap, *, progress: Callable[[float], None]) -> BrainSignal:
    """Decode a scan once, keeping a few frames at a time.

    Voxels that are not finite weigh nothing in the map, and a warning says so: statistics packages write NaN
    into the background. Whether they are background is for the caller to say, who knows where the brain is.
    Where one turns up only after the first block, the scan is read again without it.

    Parameters
    ----------
    scan : BoldScan
    to_cube : CubeMap
        Made for the scan's grid.
    progress : callable
        Called with 0 to 1 after each block; may raise to stop the work.

    Returns
    -------
    BrainSignal

    Raises
    ------
    AllZeroError, ConstantInTimeError, NonfiniteValuesError
        If no voxel varies, in this order of what else is known of them.
    BadScalingError, FramesRepeatedError
        If the values are absurdly small or large, or too many frames are empty or copies.
    DataIncompleteError, DataTooLongError, GzipCorruptError
        As the samples are decoded.
    """
    reading = _Pass(scan, to_cube)
    reading.run(progress)
    broken = reading.broken
    if (broken > reading.excluded).any():
        # Broken only in later frames, after it had been mixed in: read again without these voxels. The first
        # pass goes before the second comes: on a fine grid each holds hundreds of megabytes.
        del reading
        reading = _Pass(scan, to_cube, excluded=broken)
        reading.run(progress)
    return reading.result()


class _Pass:
    """Running sums of one pass, in stored units relative to one reference frame.

    Buffers live as long as the pass: fresh memory a block would cost more page faults than the arithmetic.
    """

    def __init__(
        self, scan: BoldScan, to_cube: CubeMap, *, excluded: Bool[np.ndarray, " V"] | None = None
    ) -> None:
        n_voxels = len(to_cube.in_brain)
        self.scan = scan
        self.to_cube = to_cube
        self.frames_per_block = frames_in_a_block(scan.shape, scan.dtype.itemsize)
        self.excluded = np.zeros(n_voxels, dtype=bool)
        if excluded is not None:
            self._exclude(excluded)
        # Wide integers and doubles have more digits than float32: subtract first, then round.
        wide = scan.dtype.itemsize > (4 if scan.dtype.kind == "f" else 2)
        self.exact = np.dtype(np.float64 if wide else np.float32)
        self.reference = np.zeros(n_voxels, dtype=self.exact)
        self.total = np.zeros(n_voxels)
        self.squares = np.zeros(n_voxels)
        self.series = np.zeros((len(to_cube.coverage), scan.n_frames), dtype=np.float32)
        self.deviation = np.empty((self.frames_per_block, _VOXELS_AT_ONCE), dtype=np.float32)
        self._make_room()

    def _make_room(self) -> None:
        used = max(len(self.to_cube.used), 1)
        at_once = max(1, min(MAXIMUM_FRAMES_PER_BLOCK, _GATHERED_BYTES // (4 * used)))
        self.gathered = np.empty((len(self.to_cube.used), max(at_once, self.frames_per_block)), np.float32)
        self.n_gathered = 0
        self.to_units = (self.to_cube.to_mean * np.float32(self.scan.samples.slope))[:, None]

    def _exclude(self, voxels: Bool[np.ndarray, " V"]) -> None:
        self.excluded = voxels
        self.to_cube = self.to_cube.without(voxels)

    def run(self, progress: Callable[[float], None]) -> None:
        done = 0
        blocks = self.scan.samples.stored_blocks(self.frames_per_block)
        # What overflows or is no number is found in the sums, not by a warning.
        with np.errstate(all="ignore"), closing(_ahead(blocks)) as decoded:
            for stored in decoded:
                if done == 0:
                    self._begin(stored)
                self._accumulate(stored)
                done += len(stored)
                # While the last block is decoded there is time for all before it.
                if (
                    done + self.frames_per_block >= self.scan.n_frames
                    or self.n_gathered + self.frames_per_block > self.gathered.shape[1]
                ):
                    self._map_gathered(done)
                progress(done / self.scan.n_frames)

    def _begin(self, stored: StoredFrames) -> None:
        # Not the first frame, which may be brighter than the rest before the magnetisation settles.
        self.reference[:] = stored[len(stored) // 2]
        if stored.dtype.kind == "f" and not self.excluded.any():
            broken = ~np.isfinite(stored).all(axis=0)
            if broken.any():
                self._exclude(broken)
                self._make_room()

    def _accumulate(self, stored: StoredFrames) -> None:
        used = self.to_cube.used
        bounds = range(0, stored.shape[1], _VOXELS_AT_ONCE)
        cuts = np.searchsorted(used, [*bounds, stored.shape[1]])
        columns = slice(self.n_gathered, self.n_gathered + len(stored))
        for start, first, last in zip(bounds, cuts[:-1], cuts[1:], strict=True):
            here = slice(start, min(start + _VOXELS_AT_ONCE, stored.shape[1]))
            piece = self.deviation[: len(stored), : here.stop - start]
            np.subtract(stored[:, here], self.reference[here], out=piece, dtype=self.exact, casting="unsafe")
            self.total[here] += piece.sum(axis=0)
            self.squares[here] += np.einsum("tv,tv->v", piece, piece)
            self.gathered[first:last, columns] = np.take(piece, used[first:last] - start, axis=1).T
        self.n_gathered += len(stored)

    def _map_gathered(self, done: int) -> None:
        mapped = self.to_cube.weights @ self.gathered[:, : self.n_gathered]
        np.multiply(mapped, self.to_units, out=self.series[:, done - self.n_gathered : done])
        self.n_gathered = 0

    @property
    def broken(self) -> Bool[np.ndarray, " V"]:
        """Voxels with a value that is not finite, or whose square is not."""
        return ~np.isfinite(self.squares)

    def result(self) -> BrainSignal:
        shape = self.scan.shape[:3]
        with np.errstate(all="ignore"):
            mean, temporal_sd = self._moments()
        broken = self.broken
        if not temporal_sd.any():
            if broken.any():
                raise NonfiniteValuesError(n_voxels=int(broken.sum()))
            if self._changes():
                raise BadScalingError(
                    expected="values whose changes in time can be told from zero",
                    found="changes whose squares vanish",
                )
            raise ConstantInTimeError(where="anywhere") if mean.any() else AllZeroError
        require_plausible_scale(temporal_sd, in_brain=self.to_cube.in_brain)
        require_frames_differ(self.series, empty=self._mapped_zero())
        varying = temporal_sd[self.to_cube.used] > 0
        signal_share = self.to_cube.weights @ varying.astype(np.float32)
        return BrainSignal(
            mean=mean.reshape(shape, order="F"),
            temporal_sd=temporal_sd.reshape(shape, order="F"),
            in_brain=self.to_cube.in_brain.reshape(shape, order="F"),
            series=self.series,
            signal_share=signal_share,
            nonfinite=broken.reshape(shape, order="F"),
            warnings=_warnings(int(broken.sum())),
        )

    def _changes(self) -> bool:
        """Look again at a scan that shows no variance: its changes may be too small to be squared."""
        return any(
            (stored != self.reference).any()
            for stored in self.scan.samples.stored_blocks(self.frames_per_block)
        )

    def _mapped_zero(self) -> Float32[np.ndarray, " N"]:
        """Return what a frame of zeros looks like in the series."""
        zero = (-self.reference[self.to_cube.used]).astype(np.float32)
        mapped: Float32[np.ndarray, " N"] = (self.to_cube.weights @ zero) * self.to_units[:, 0]
        return mapped

    def _moments(self) -> tuple[Float32[np.ndarray, " V"], Float32[np.ndarray, " V"]]:
        """Return mean and standard deviation in scanner units, made in pieces: no whole array of doubles."""
        samples, n_frames = self.scan.samples, self.scan.n_frames
        mean = np.zeros(len(self.total), dtype=np.float32)
        temporal_sd = np.zeros_like(mean)
        for start in range(0, len(mean), _VOXELS_AT_ONCE):
            here = slice(start, start + _VOXELS_AT_ONCE)
            good = np.isfinite(self.squares[here])
            total = np.where(good, self.total[here], 0) / n_frames
            variance = np.maximum(np.where(good, self.squares[here], 0) / n_frames - total**2, 0)
            level = (self.reference[here] + total) * samples.slope + samples.intercept
            mean[here] = np.where(good, level, 0)
            temporal_sd[here] = np.sqrt(variance) * abs(samples.slope)
        return mean, temporal_sd


def _warnings(n_broken: int) -> tuple[ScanWarning, ...]:
    if not n_broken:
        return ()
    return (
        ScanWarning(
            code="nonfinite_background",
            message=f"expected finite values, found NaN or infinity in {n_broken:,} voxels outside the "
            "brain: they were treated as background",
        ),
    )


def _ahead(blocks: Iterator[StoredFrames]) -> Generator[StoredFrames]:
    """Decode the next blocks in a thread while the caller works on this one; both release the GIL.

    Two of them, so that the decoder always has one to go on with, and never waits to be told.
    """
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="decode") as pool:
        upcoming = deque(pool.submit(next, blocks, None) for _ in range(2))
        while (block := upcoming.popleft().result()) is not None:
            upcoming.append(pool.submit(next, blocks, None))
            yield block
