"""The stem over the brain's voxels alone, for training on a CPU: the same numbers, in less time and memory.

Convolution, BatchNorm, ReLU and pool over 34^3 dense voxels cost nearly half of a training step, and
gigabytes: a map of every channel at full resolution is written, read and kept several times. Four facts
avoid it, each exact up to rounding:

- A pooled cell sees a patch of 4x4x4 voxels. Half of the cells see none of the brain: zero in, zero out.
- All eight convolved values of a cell are linear in its patch, so the convolution is one product of a matrix
  (8 w, 64) with the patches, and the pool the largest of eight rows (as in `model.joint_encoder`).
- BatchNorm is a scale and a shift a channel, so it can follow the pool, if the pool takes the smallest where
  the scale is negative. Its statistics, over *all* values before the pool, follow from the patches' sum and
  their 64x64 Gram matrix, because the values are linear in them.
- The gradient flows through one value of eight, and what BatchNorm adds to it again follows from the sum and
  the Gram matrix.

Patches are gathered a block at a time, small enough for a processor's cache, and gathered again for the
gradient. What is kept is which of the eight was the largest.
"""

from functools import lru_cache
from itertools import product
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Float16
from torch import Tensor, nn
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from imaging import brain_cube
from model.encoder import FrameEncoder

_POOL = 2
_KERNEL = 3
_PATCH = _KERNEL + _POOL - 1
_SHIFTS = tuple(product(range(_POOL), repeat=3))
_FRAMES_PER_BLOCK = 16
_CELLS_PER_BLOCK = 256


class BrainStem:
    """A frame encoder's stem, norm, ReLU and pool in training mode, from packed frames.

    Parameters
    ----------
    grid_size : int
        Edge of the cube, even.
    """

    def __init__(self, grid_size: int) -> None:
        self._patches = _Patches(grid_size)

    def __call__(self, encoder: FrameEncoder, frames: Float16[Tensor, "n N"]) -> Float[Tensor, "n w p p p"]:
        """Give the pooled maps, channels last in memory, and update the running statistics.

        Parameters
        ----------
        encoder : FrameEncoder
            On the CPU; its ``after_stem`` goes on from here.
        frames : (n, N) float16
            In-brain voxels in the order of the cohort's series.
        """
        norm = encoder.stem_norm
        pooled, mean, variance = _Stem.apply(  # type: ignore[no-untyped-call]
            encoder.stem.weight, norm.weight, norm.bias, frames, self._patches, norm.eps
        )
        _update(norm, mean, variance, n_values=len(frames) * self._patches.n_voxels)
        edge = self._patches.n_cells_along
        maps: Tensor = pooled.reshape(len(frames), edge, edge, edge, -1)
        return maps.permute(0, 4, 1, 2, 3)


class _Patches:
    """Where the patches of the pooled cells lie in packed frames."""

    def __init__(self, grid_size: int) -> None:
        mask = brain_cube(grid_size).mask
        self.n_voxels = mask.size
        self.n_cells_along = grid_size // _POOL
        n_inside = int(mask.sum())
        # Every voxel outside the brain is the last row of a block's frames, which is zero.
        row = np.full(np.array(mask.shape) + _KERNEL - 1, n_inside)
        row[1:-1, 1:-1, 1:-1][mask] = np.arange(n_inside)
        rows = np.stack(
            [
                row[a : a + grid_size : _POOL, b : b + grid_size : _POOL, c : c + grid_size : _POOL].ravel()
                for a, b, c in product(range(_PATCH), repeat=3)
            ]
        )
        active = np.flatnonzero((rows < n_inside).any(axis=0))
        self.n_cells = rows.shape[1]
        blocks = np.split(active, range(_CELLS_PER_BLOCK, len(active), _CELLS_PER_BLOCK))
        self.cells = [torch.from_numpy(cells) for cells in blocks]
        self._rows = [torch.from_numpy(rows[:, cells].ravel()) for cells in blocks]

    def columns(self, frames: Float16[Tensor, "f N"]) -> Float[Tensor, "M f"]:
        """Lay a block of frames out by voxel, with a row of zeros at the end."""
        n_frames, n_inside = frames.shape
        columns = torch.zeros(n_inside + 1, n_frames)
        columns[:n_inside] = frames.T
        return columns

    def gather(self, columns: Float[Tensor, "M f"], block: int) -> Float[Tensor, "64 m"]:
        """Give the patches of a block of cells in a block of frames, (64, cells * frames)."""
        return columns.index_select(0, self._rows[block]).reshape(_PATCH**3, -1)


class _Stem(Function):
    """Convolve, normalise, rectify and pool; the channels come last."""

    @staticmethod
    def forward(  # noqa: PLR0917 - torch passes them by position
        ctx: Any,
        weight: Tensor,
        scale: Tensor,
        shift: Tensor,
        frames: Tensor,
        patches: _Patches,
        eps: float,
    ) -> tuple[Tensor, Tensor, Tensor]:
        sign = torch.where(scale < 0, -1.0, 1.0)
        kernels = _widen(weight * sign.reshape(-1, 1, 1, 1, 1))
        n_channels = len(weight)
        pooled = torch.zeros(len(frames), patches.n_cells, n_channels)
        total = torch.zeros(_PATCH**3, dtype=torch.float64)
        gram = torch.zeros(_PATCH**3, _PATCH**3, dtype=torch.float64)
        largest = []
        for first in range(0, len(frames), _FRAMES_PER_BLOCK):
            columns = patches.columns(frames[first : first + _FRAMES_PER_BLOCK])
            n_frames = columns.shape[1]
            for block, cells in enumerate(patches.cells):
                patch = patches.gather(columns, block)
                total += patch.sum(dim=1)
                gram += patch @ patch.T
                values = (kernels @ patch).reshape(len(_SHIFTS), n_channels, -1)
                best = values.amax(dim=0)
                largest.append(values == best)
                by_cell = best.reshape(n_channels, -1, n_frames).permute(2, 1, 0)
                pooled[first : first + n_frames, cells] = by_cell
        n_values = len(frames) * patches.n_voxels
        sum_27, gram_27 = _narrow_statistics(total, gram)
        flat = weight.reshape(n_channels, -1).double()
        mean = flat @ sum_27 / n_values
        variance = ((flat @ gram_27) * flat).sum(dim=1) / n_values - mean**2
        deviation = torch.sqrt(variance.clamp_min(0) + eps)
        gain = scale.double() / deviation
        pooled.mul_((gain * sign).float()).add_((shift.double() - gain * mean).float()).relu_()
        ctx.save_for_backward(weight, scale, frames, pooled)
        ctx.patches, ctx.largest = patches, largest
        ctx.statistics = (mean, deviation, sum_27, gram_27)
        mean, variance = mean.float(), variance.float()
        ctx.mark_non_differentiable(mean, variance)
        return pooled, mean, variance

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        weight, scale, frames, pooled = ctx.saved_tensors
        patches, n_channels = ctx.patches, len(weight)
        gradient = gradients[0] * (pooled > 0)
        through = torch.zeros(len(_SHIFTS) * n_channels, _PATCH**3, dtype=torch.float64)
        largest = iter(ctx.largest)
        for first in range(0, len(frames), _FRAMES_PER_BLOCK):
            columns = patches.columns(frames[first : first + _FRAMES_PER_BLOCK])
            n_frames = columns.shape[1]
            for block, cells in enumerate(patches.cells):
                by_cell = gradient[first : first + n_frames, cells].permute(2, 1, 0)
                chosen = next(largest)
                # Equal values share the gradient, as they do in torch's own maximum.
                shared = by_cell.reshape(n_channels, -1) / chosen.view(torch.uint8).sum(0, dtype=torch.uint8)
                values = chosen * shared
                through += values.flatten(0, 1) @ patches.gather(columns, block).T
        mean, deviation, sum_27, gram_27 = ctx.statistics
        n_values = len(frames) * patches.n_voxels
        flat = weight.reshape(n_channels, -1).double()
        # Through the chosen values themselves ...
        through_27 = _narrow(through, n_channels)
        shift_gradient = gradient.sum(dim=(0, 1), dtype=torch.float64)
        scale_gradient = ((through_27 * flat).sum(dim=1) - mean * shift_gradient) / deviation
        # ... and through the mean and the variance that every value of the channel has a part in.
        standardised = (flat @ gram_27 - mean[:, None] * sum_27) / deviation[:, None]
        of_all = (shift_gradient[:, None] * sum_27 + scale_gradient[:, None] * standardised) / n_values
        weight_gradient = (scale.double() / deviation)[:, None] * (through_27 - of_all)
        return (
            weight_gradient.float().reshape(weight.shape),
            scale_gradient.float(),
            shift_gradient.float(),
            None,
            None,
            None,
        )


@lru_cache(maxsize=1)
def _positions() -> tuple[Tensor, ...]:
    """Give, for each of the eight shifts, where the kernel's 27 weights lie in the patch's 64."""
    number = np.arange(_PATCH**3).reshape(_PATCH, _PATCH, _PATCH)
    return tuple(
        torch.from_numpy(number[a : a + _KERNEL, b : b + _KERNEL, c : c + _KERNEL].ravel().copy())
        for a, b, c in _SHIFTS
    )


def _widen(weight: Float[Tensor, "w 1 3 3 3"]) -> Float[Tensor, "W 64"]:
    """Write the kernels for each shift of a cell's patch, ordered by shift and then by channel."""
    flat = weight.reshape(len(weight), -1)
    wide = flat.new_zeros(len(_SHIFTS), len(weight), _PATCH**3)
    for shift, positions in enumerate(_positions()):
        wide[shift, :, positions] = flat
    return wide.flatten(0, 1)


def _narrow(wide: Float[Tensor, "W 64"], n_channels: int) -> Float[Tensor, "w 27"]:
    """Add up what belongs to the same weight of the kernel: the transpose of :func:`_widen`."""
    parts = wide.reshape(len(_SHIFTS), n_channels, -1)
    return sum(
        (parts[shift][:, positions] for shift, positions in enumerate(_positions())),
        start=wide.new_zeros(n_channels, _KERNEL**3),
    )


def _narrow_statistics(
    total: Float[Tensor, "64"], gram: Float[Tensor, "64 64"]
) -> tuple[Float[Tensor, "27"], Float[Tensor, "27 27"]]:
    """Give the sum and the Gram matrix of the 3x3x3 patches of every value."""
    sum_27 = sum((total[at] for at in _positions()), start=total.new_zeros(_KERNEL**3))
    gram_27 = sum((gram[at][:, at] for at in _positions()), start=gram.new_zeros(_KERNEL**3, _KERNEL**3))
    return sum_27, gram_27


@torch.no_grad()
def _update(norm: nn.BatchNorm3d, mean: Tensor, variance: Tensor, *, n_values: int) -> None:
    """Move a BatchNorm's running statistics as its own forward pass does."""
    if norm.running_mean is None or norm.running_var is None or norm.num_batches_tracked is None:
        raise ValueError("expected a BatchNorm with running statistics, found one without")
    momentum = norm.momentum if norm.momentum is not None else 1 / (int(norm.num_batches_tracked) + 1)
    norm.num_batches_tracked += 1
    norm.running_mean.lerp_(mean, momentum)
    norm.running_var.lerp_(variance * (n_values / (n_values - 1)), momentum)
