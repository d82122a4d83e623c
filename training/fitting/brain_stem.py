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

from typing import Any

import torch
from jaxtyping import Float, Float16
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from model.encoder import FrameEncoder
from training.fitting.brain_patches import (
    N_SHIFTS,
    PATCH_VOXELS,
    BrainPatches,
    narrow,
    narrow_statistics,
    update_running,
    widen,
)

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
        self._patches = _PatchBlocks(grid_size)

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
        update_running(norm, mean, variance, n_values=len(frames) * self._patches.n_voxels)
        edge = self._patches.n_cells_along
        maps: Tensor = pooled.reshape(len(frames), edge, edge, edge, -1)
        return maps.permute(0, 4, 1, 2, 3)


class _PatchBlocks:
    """The patches, a block of cells in a block of frames at a time: as much as a processor's cache holds."""

    def __init__(self, grid_size: int) -> None:
        patches = BrainPatches(grid_size)
        self.n_voxels, self.n_cells = patches.n_voxels, patches.n_cells
        self.n_cells_along = patches.n_cells_along
        blocks = range(0, len(patches.cells), _CELLS_PER_BLOCK)
        self.cells = [torch.from_numpy(patches.cells[first : first + _CELLS_PER_BLOCK]) for first in blocks]
        self._voxels = [
            torch.from_numpy(patches.voxels[:, first : first + _CELLS_PER_BLOCK].ravel()) for first in blocks
        ]

    def columns(self, frames: Float16[Tensor, "f N"]) -> Float[Tensor, "M f"]:
        """Lay a block of frames out by voxel, with a row of zeros at the end."""
        n_frames, n_inside = frames.shape
        columns = torch.zeros(n_inside + 1, n_frames)
        columns[:n_inside] = frames.T
        return columns

    def gather(self, columns: Float[Tensor, "M f"], block: int) -> Float[Tensor, "64 m"]:
        """Give the patches of a block of cells in a block of frames, (64, cells * frames)."""
        return columns.index_select(0, self._voxels[block]).reshape(PATCH_VOXELS, -1)


class _Stem(Function):
    """Convolve, normalise, rectify and pool; the channels come last."""

    @staticmethod
    def forward(  # noqa: PLR0917 - torch passes them by position
        ctx: Any,
        weight: Tensor,
        scale: Tensor,
        shift: Tensor,
        frames: Tensor,
        patches: _PatchBlocks,
        eps: float,
    ) -> tuple[Tensor, Tensor, Tensor]:
        sign = torch.where(scale < 0, -1.0, 1.0)
        kernels = widen(weight * sign.reshape(-1, 1, 1, 1, 1))
        n_channels = len(weight)
        pooled = torch.zeros(len(frames), patches.n_cells, n_channels)
        total = torch.zeros(PATCH_VOXELS, dtype=torch.float64)
        gram = torch.zeros(PATCH_VOXELS, PATCH_VOXELS, dtype=torch.float64)
        largest = []
        for first in range(0, len(frames), _FRAMES_PER_BLOCK):
            columns = patches.columns(frames[first : first + _FRAMES_PER_BLOCK])
            n_frames = columns.shape[1]
            for block, cells in enumerate(patches.cells):
                patch = patches.gather(columns, block)
                total += patch.sum(dim=1)
                gram += patch @ patch.T
                values = (kernels @ patch).reshape(N_SHIFTS, n_channels, -1)
                best = values.amax(dim=0)
                largest.append(values == best)
                by_cell = best.reshape(n_channels, -1, n_frames).permute(2, 1, 0)
                pooled[first : first + n_frames, cells] = by_cell
        n_values = len(frames) * patches.n_voxels
        sum_27, gram_27 = narrow_statistics(total, gram)
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
        through = torch.zeros(N_SHIFTS * n_channels, PATCH_VOXELS, dtype=torch.float64)
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
        through_27 = narrow(through, n_channels)
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
