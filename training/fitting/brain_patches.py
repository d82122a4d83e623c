"""The patches of voxels that the stem's pooled cells see, and what follows from them without a convolution.

A pooled cell sees 4x4x4 voxels: the eight places of its 2x2x2 window, each with a 3x3x3 kernel around it.
Half of a cube's cells see none of the brain. All that training needs of the stem is linear in these patches,
or follows from their sum and their 64x64 Gram matrix; `training.fitting.brain_stem` (a CPU) and
`training.fitting.wide_stem` (a GPU) compute it from them, each in its machine's way.
"""

from itertools import product

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional

from imaging import brain_cube

_POOL = 2
_KERNEL = 3
_PATCH = _KERNEL + _POOL - 1
_SHIFTS = tuple(product(range(_POOL), repeat=3))
# Of each shift, where its kernel lies in the patch.
_WINDOWS = tuple(tuple(slice(start, start + _KERNEL) for start in shift) for shift in _SHIFTS)

N_SHIFTS = len(_SHIFTS)
PATCH_VOXELS = _PATCH**3
KERNEL_VOXELS = _KERNEL**3


class BrainPatches:
    """Where the patches of the pooled cells lie in packed frames.

    Parameters
    ----------
    grid_size : int
        Edge of the cube, even.

    Attributes
    ----------
    n_voxels, n_cells : int
        Of the whole cube, before and after the pool.
    n_cells_along : int
        Along an edge, after the pool.
    cells : (C,) int
        Those that see any of the brain.
    voxels : (64, C) int
        Which in-brain voxel stands at each place of their patches; one past the last is outside the brain.
    """

    def __init__(self, grid_size: int) -> None:
        mask = brain_cube(grid_size).mask
        self.n_voxels = mask.size
        self.n_cells_along = grid_size // _POOL
        self.n_cells = self.n_cells_along**3
        n_inside = int(mask.sum())
        index = np.full(np.array(mask.shape) + _KERNEL - 1, n_inside)
        index[1:-1, 1:-1, 1:-1][mask] = np.arange(n_inside)
        voxels = np.stack(
            [
                index[a : a + grid_size : _POOL, b : b + grid_size : _POOL, c : c + grid_size : _POOL].ravel()
                for a, b, c in product(range(_PATCH), repeat=3)
            ]
        )
        self.cells: Int[np.ndarray, " C"] = np.flatnonzero((voxels < n_inside).any(axis=0))
        self.voxels: Int[np.ndarray, "64 C"] = voxels[:, self.cells]


def widen(weight: Float[Tensor, "w 1 3 3 3"]) -> Float[Tensor, "W 64"]:
    """Write the kernels for each shift of a cell's patch, ordered by shift and then by channel."""
    shifted = [functional.pad(weight, (c, 1 - c, b, 1 - b, a, 1 - a)) for a, b, c in _SHIFTS]
    return torch.cat(shifted).flatten(1)


def narrow(wide: Float[Tensor, "W 64"], n_channels: int) -> Float[Tensor, "w 27"]:
    """Add up what belongs to the same weight of the kernel: the transpose of :func:`widen`."""
    parts = wide.reshape(N_SHIFTS, n_channels, _PATCH, _PATCH, _PATCH)
    of_shifts = [part[:, *window] for part, window in zip(parts, _WINDOWS, strict=True)]
    return torch.stack(of_shifts).sum(dim=0).flatten(1)


def narrow_statistics(
    total: Float[Tensor, "64"], gram: Float[Tensor, "64 64"]
) -> tuple[Float[Tensor, "27"], Float[Tensor, "27 27"]]:
    """Give the sum and the Gram matrix of the 3x3x3 patches of every value."""
    sums = total.reshape(_PATCH, _PATCH, _PATCH)
    products = gram.reshape(*[_PATCH] * 6)
    sum_27 = torch.stack([sums[window] for window in _WINDOWS]).sum(dim=0).flatten()
    gram_27 = torch.stack([products[window + window] for window in _WINDOWS]).sum(dim=0)
    return sum_27, gram_27.reshape(KERNEL_VOXELS, KERNEL_VOXELS)


@torch.no_grad()
def update_running(norm: nn.BatchNorm3d, mean: Tensor, variance: Tensor, *, n_values: int) -> None:
    """Move a BatchNorm's running statistics as its own forward pass does.

    Parameters
    ----------
    norm : BatchNorm3d
        With running statistics.
    mean, variance : (w,) float32
        Of the values before the pool, over every voxel of the cube.
    n_values : int
        How many those are.
    """
    if norm.running_mean is None or norm.running_var is None or norm.num_batches_tracked is None:
        raise ValueError("expected a BatchNorm with running statistics, found one without")
    momentum = norm.momentum if norm.momentum is not None else 1 / (int(norm.num_batches_tracked) + 1)
    norm.num_batches_tracked += 1
    norm.running_mean.lerp_(mean, momentum)
    norm.running_var.lerp_(variance * (n_values / (n_values - 1)), momentum)
