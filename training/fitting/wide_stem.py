"""The stem over the brain's voxels alone, for training on a GPU: products of matrices, no convolution.

The facts are those of `training.fitting.brain_stem`; what differs is the machine. A GPU has room for the
patches of a whole batch, and its matrix units multiply them by all eight shifted kernels at once; a
convolution of one input channel leaves them idle. What is kept for the gradient is which of the eight was the
largest. The maps come channels last, in which layout the convolutions after them are fast.
"""

from typing import Any

import torch
from jaxtyping import Float, Float16, UInt8
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from model.encoder import FrameEncoder
from training.fitting.brain_patches import (
    N_SHIFTS,
    PATCH_VOXELS,
    BrainPatches,
    narrow_statistics,
    update_running,
    widen,
)

_ROWS_PER_PART = 1 << 18


class WideStem:
    """A frame encoder's stem, norm, ReLU and pool in training mode, from packed frames, on a GPU.

    Parameters
    ----------
    grid_size : int
        Edge of the cube, even.
    device : torch.device
    dtype : torch.float32 or torch.bfloat16
        Of the products and of the maps; sums are in float32.
    """

    def __init__(self, grid_size: int, *, device: torch.device, dtype: torch.dtype) -> None:
        self._dtype = dtype
        patches = BrainPatches(grid_size)
        self._n_voxels, self._n_cells = patches.n_voxels, patches.n_cells
        self._edge = patches.n_cells_along
        self._cells = torch.from_numpy(patches.cells).to(device)
        # Cell by cell, a patch's 64 voxels side by side: the rows of a matrix.
        self._voxels = torch.from_numpy(patches.voxels.T.ravel().copy()).to(device)

    def __call__(self, encoder: FrameEncoder, frames: Float16[Tensor, "n N"]) -> Float[Tensor, "n w p p p"]:
        """Give the pooled maps, channels last in memory, and update the running statistics.

        Parameters
        ----------
        encoder : FrameEncoder
            On the device; its ``after_stem`` goes on from here.
        frames : (n, N) float16
            In-brain voxels in the order of the cohort's series, on the device.
        """
        weight, norm = encoder.stem.weight, encoder.stem_norm
        n_frames, n_channels, dtype = len(frames), len(weight), self._dtype
        # Every voxel outside the brain is the last column, which is zero.
        columns = torch.nn.functional.pad(frames.to(dtype), (0, 1))
        patches = columns.index_select(1, self._voxels).reshape(-1, PATCH_VOXELS)
        n_values = n_frames * self._n_voxels
        total, gram = _sums(patches)
        sum_27, gram_27 = narrow_statistics(total, gram)
        flat = weight.reshape(n_channels, -1).double()
        mean = flat @ sum_27 / n_values
        variance = ((flat @ gram_27) * flat).sum(dim=1) / n_values - mean**2
        gain = norm.weight.double() / torch.sqrt(variance.clamp_min(0) + norm.eps)
        sign = torch.where(norm.weight.detach() < 0, -1.0, 1.0)
        kernels = widen(weight * sign.reshape(-1, 1, 1, 1, 1))
        largest = _Largest.apply(kernels.to(dtype), patches)  # type: ignore[no-untyped-call]
        scale, shift = (gain * sign).float(), (norm.bias.double() - gain * mean).float()
        inside = torch.addcmul(shift, largest, scale).relu().to(dtype)
        outside = shift.relu().to(dtype).expand(n_frames, self._n_cells, n_channels)
        pooled = outside.index_copy(1, self._cells, inside.reshape(n_frames, -1, n_channels))
        update_running(norm, mean.detach().float(), variance.detach().float(), n_values=n_values)
        maps: Tensor = pooled.reshape(n_frames, self._edge, self._edge, self._edge, n_channels)
        return maps.permute(0, 4, 1, 2, 3)


class _Largest(Function):
    """Of a cell's eight convolved values, the largest a channel; equal ones: the first."""

    @staticmethod
    def forward(ctx: Any, kernels: Float[Tensor, "W 64"], patches: Float[Tensor, "m 64"]) -> Tensor:
        values = (patches @ kernels.T).reshape(len(patches), N_SHIFTS, -1)
        largest, which = values.max(dim=1)
        ctx.save_for_backward(patches, which.to(torch.uint8))
        return largest

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        patches, which = ctx.saved_tensors
        return _through_largest(gradients[0], which, patches), None


def _through_largest(
    gradient: Float[Tensor, "m w"], which: UInt8[Tensor, "m w"], patches: Float[Tensor, "m 64"]
) -> Float[Tensor, "W 64"]:
    values = gradient.new_zeros(len(gradient), N_SHIFTS, gradient.shape[1])
    values.scatter_(1, which.long().unsqueeze(1), gradient.unsqueeze(1))
    return values.flatten(1).T @ patches


def _sums(patches: Float[Tensor, "m 64"]) -> tuple[Float[Tensor, "64"], Float[Tensor, "64 64"]]:
    """Add the patches up, and their products; in float32 a part, in float64 the parts."""
    total = torch.zeros(PATCH_VOXELS, dtype=torch.float64, device=patches.device)
    gram = torch.zeros(PATCH_VOXELS, PATCH_VOXELS, dtype=torch.float64, device=patches.device)
    for part in torch.split(patches, _ROWS_PER_PART):
        single = part.float()
        total += single.sum(dim=0)
        gram += single.T @ single
    return total, gram
