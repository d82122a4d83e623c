"""All members' residual networks as one, carried out by torch: the same numbers in a fraction of the time.

Beside the rewritings of `model.folding`, the stem and its pool become one strided convolution. Each pooled
voxel is the largest of eight neighbours, and all eight are linear in the same 4x4x4 patch: eight shifted
copies of the kernel give them as eight groups of channels, and the pool is a maximum over whole contiguous
planes. Exact up to rounding (tests/model/test_joint_encoder.py holds it to 1e-5).
"""

from collections.abc import Sequence
from itertools import product

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from model.encoder import FrameEncoder
from model.folding import POOL, FoldedConvolution, FoldedEncoder, fold_encoders
from model.shapes import Frames

_SHIFTS = tuple(product(range(POOL), repeat=3))


class JointEncoder:
    """The frame encoders of an ensemble, in evaluation mode, as one network.

    Parameters
    ----------
    encoders : sequence of FrameEncoder
        Of one architecture and width, on one device.
    """

    def __init__(self, encoders: Sequence[FrameEncoder]) -> None:
        self._folded: FoldedEncoder = fold_encoders(encoders)
        self._stem = _with_pool(self._folded.stem)

    def __call__(self, frames: Frames) -> Float[Tensor, "M N D"]:
        """Describe frames by every member: the members' ``encode``, stacked.

        Parameters
        ----------
        frames : (N, 1, 34, 34, 34) float

        Returns
        -------
        (M, N, D) float
        """
        x = self._stem(frames)
        x = x.unflatten(1, (len(_SHIFTS), -1)).amax(dim=1).relu_()  # type: ignore[no-untyped-call]
        for step in (*self._folded.stages, *self._folded.reading):
            x = step(x)
        return x.reshape(frames.shape[0], self._folded.n_members, -1).transpose(0, 1)


def _with_pool(stem: FoldedConvolution) -> FoldedConvolution:
    # A copy a shift (d, h, w) of the pool's window, ordered by shift and then by member: (8 M w, 1, 4, 4, 4).
    shifted = [functional.pad(stem.weight, (w, 1 - w, h, 1 - h, d, 1 - d)) for d, h, w in _SHIFTS]
    return FoldedConvolution(
        torch.cat(shifted), stem.bias.repeat(len(_SHIFTS)), stride=POOL, padding=stem.padding, groups=1
    )
