"""All members' residual networks as one, for prediction: the same numbers in a fraction of the time.

Three rewritings, each exact up to rounding (tests/model/test_joint_encoder.py holds them to 1e-5):

- BatchNorm in evaluation mode is a scale and a shift a channel, so it is folded into the convolution before
  it.
- The members read the same frames, so their channels stand side by side in one convolution, block-diagonal
  by member. A processor's vector is 16 floats wide: a network of width 4 alone would leave most of it idle.
- The stem and its pool become one strided convolution. Each pooled voxel is the largest of eight neighbours,
  and all eight are linear in the same 4x4x4 patch: eight shifted copies of the kernel give them as eight
  groups of channels, and the pool is a maximum over whole contiguous planes.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from model.blocks import PreActivationBlock, ResidualBlock
from model.encoder import Average, Bottleneck, FrameEncoder, SpatialReadout
from model.shapes import Frames

VECTOR_FLOATS = 16
_POOL = 2
_SHIFTS = tuple(product(range(_POOL), repeat=3))


@dataclass(frozen=True)
class FoldedConvolution:
    """A convolution of all members with its BatchNorm folded in, channels ordered by member."""

    weight: Float[Tensor, "K I a b c"]
    bias: Float[Tensor, "K"]
    stride: int
    padding: int
    groups: int

    def __call__(self, x: Float[Tensor, "N C x x x"]) -> Float[Tensor, "N K y y y"]:
        """Apply it."""
        return functional.conv3d(x, self.weight, self.bias, self.stride, self.padding, groups=self.groups)


@dataclass(frozen=True)
class FoldedBlock:
    """A residual block of all members."""

    conv1: FoldedConvolution
    conv2: FoldedConvolution
    projection: FoldedConvolution | None

    def __call__(self, x: Float[Tensor, "N C x x x"]) -> Float[Tensor, "N K y y y"]:
        """Apply it; the intermediate values are reused in place."""
        shortcut = x if self.projection is None else self.projection(x)
        return self.conv2(self.conv1(x).relu_()).add_(shortcut).relu_()


@dataclass(frozen=True)
class FoldedNorm:
    """A BatchNorm of all members that no convolution comes right before."""

    scale: Float[Tensor, "K 1 1 1"]
    shift: Float[Tensor, "K 1 1 1"]

    def __call__(self, x: Float[Tensor, "N K x x x"]) -> Float[Tensor, "N K x x x"]:
        """Apply it, and the ReLU after it."""
        return torch.addcmul(self.shift, x, self.scale).relu_()


@dataclass(frozen=True)
class FoldedPreActivationBlock:
    """A block of all members that normalises before it convolves."""

    norm: FoldedNorm
    conv1: FoldedConvolution
    conv2: FoldedConvolution
    projection: FoldedConvolution | None

    def __call__(self, x: Float[Tensor, "N C x x x"]) -> Float[Tensor, "N K y y y"]:
        """Apply it."""
        activated = self.norm(x)
        shortcut = x if self.projection is None else self.projection(activated)
        return self.conv2(self.conv1(activated).relu_()).add_(shortcut)


class JointEncoder:
    """The frame encoders of an ensemble, in evaluation mode, as one network.

    Parameters
    ----------
    encoders : sequence of FrameEncoder
        Of one architecture and width, on one device.
    """

    def __init__(self, encoders: Sequence[FrameEncoder]) -> None:
        self.n_members = len(encoders)
        self._stem = _fold_stem(encoders)
        self._blocks = [
            _fold_block(stages) for stages in zip(*(encoder.stages for encoder in encoders), strict=True)
        ]
        self._finish = _fold_finish(encoders)

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
        for block in self._blocks:
            x = block(x)
        for step in self._finish:
            x = step(x)
        n_frames = frames.shape[0]
        return x.reshape(n_frames, self.n_members, -1).transpose(0, 1)


def _fold_stem(encoders: Sequence[FrameEncoder]) -> FoldedConvolution:
    folded = [_fold(encoder.stem, encoder.stem_norm) for encoder in encoders]
    kernels = torch.cat([weight for weight, _ in folded])
    # A copy a shift (d, h, w) of the pool's window, ordered by shift and then by member: (8 M w, 1, 4, 4, 4).
    shifted = [functional.pad(kernels, (w, 1 - w, h, 1 - h, d, 1 - d)) for d, h, w in _SHIFTS]
    bias = torch.cat([bias for _, bias in folded])
    return FoldedConvolution(torch.cat(shifted), bias.repeat(len(_SHIFTS)), stride=_POOL, padding=1, groups=1)


def _fold_block(blocks: Sequence[nn.Module]) -> FoldedBlock | FoldedPreActivationBlock:
    after = [block for block in blocks if isinstance(block, ResidualBlock)]
    before = [block for block in blocks if isinstance(block, PreActivationBlock)]
    if len(before) == len(blocks):
        plain = [(block.projection, None) for block in before if block.projection is not None]
        return FoldedPreActivationBlock(
            norm=_fold_norms([block.norm1 for block in before]),
            conv1=_join([(block.conv1, block.norm2) for block in before]),
            conv2=_join([(block.conv2, None) for block in before]),
            projection=_join(plain) if plain else None,
        )
    if len(after) != len(blocks):
        raise TypeError(
            f"expected blocks of one known kind, found {sorted({type(b).__name__ for b in blocks})}"
        )
    projections = [
        (block.projection, block.projection_norm) for block in after if block.projection is not None
    ]
    return FoldedBlock(
        conv1=_join([(block.conv1, block.norm1) for block in after]),
        conv2=_join([(block.conv2, block.norm2) for block in after]),
        projection=_join(projections) if projections else None,
    )


def _fold_finish(encoders: Sequence[FrameEncoder]) -> list[Callable[[Tensor], Tensor]]:
    """Give what comes after the last block: its normalisation, and the reading of space."""
    steps: list[Callable[[Tensor], Tensor]] = []
    norms = [encoder.last_norm for encoder in encoders if encoder.last_norm is not None]
    if norms:
        steps.append(_fold_norms(norms))
    readings = [encoder.reading for encoder in encoders]
    bottlenecks = [reading for reading in readings if isinstance(reading, Bottleneck)]
    maps = [reading.weight.detach() for reading in readings if isinstance(reading, SpatialReadout)]
    if bottlenecks:
        steps += [_join([(reading.mix, reading.norm) for reading in bottlenecks]), torch.relu_]
    elif maps:
        weights = torch.cat(maps)
        steps.append(lambda x: (x * weights).sum(dim=(2, 3, 4)))
    elif isinstance(readings[0], Average):
        steps.append(lambda x: x.mean(dim=(2, 3, 4)))
    return steps


def _fold_norms(norms: Sequence[nn.BatchNorm3d]) -> FoldedNorm:
    scales, shifts = zip(*(_scale_and_shift(norm) for norm in norms), strict=True)
    shape = (-1, 1, 1, 1)
    return FoldedNorm(torch.cat(scales).float().reshape(shape), torch.cat(shifts).float().reshape(shape))


def _join(layers: Sequence[tuple[nn.Conv3d, nn.BatchNorm3d | None]]) -> FoldedConvolution:
    """Put the members' convolutions side by side, in as few channels a group as fill a vector."""
    folded = [_fold(convolution, norm) for convolution, norm in layers]
    convolution, _ = layers[0]
    together = _members_a_group(len(layers), convolution.in_channels)
    weights = [
        _block_diagonal([weight for weight, _ in folded[first : first + together]])
        for first in range(0, len(layers), together)
    ]
    return FoldedConvolution(
        torch.cat(weights),
        torch.cat([bias for _, bias in folded]),
        stride=convolution.stride[0],
        padding=int(convolution.padding[0]),
        groups=len(layers) // together,
    )


def _members_a_group(n_members: int, channels: int) -> int:
    divisors = [d for d in range(1, n_members + 1) if n_members % d == 0]
    return next((d for d in divisors if d * channels >= VECTOR_FLOATS), n_members)


def _block_diagonal(weights: Sequence[Tensor]) -> Tensor:
    n, (n_out, n_in, *kernel) = len(weights), weights[0].shape
    joined = weights[0].new_zeros(n * n_out, n * n_in, *kernel)
    for i, weight in enumerate(weights):
        joined[i * n_out : (i + 1) * n_out, i * n_in : (i + 1) * n_in] = weight
    return joined


def _fold(convolution: nn.Conv3d, norm: nn.BatchNorm3d | None) -> tuple[Tensor, Tensor]:
    weight = convolution.weight.detach()
    if norm is None:
        return weight.float(), weight.new_zeros(len(weight)).float()
    scale, shift = _scale_and_shift(norm)
    return (weight.double() * scale[:, None, None, None, None]).float(), shift.float()


def _scale_and_shift(norm: nn.BatchNorm3d) -> tuple[Tensor, Tensor]:
    # In float64: the folding happens once, its rounding would stay.
    mean, variance = norm.running_mean, norm.running_var
    if mean is None or variance is None:
        raise ValueError("expected a BatchNorm with running statistics, found one without")
    scale = norm.weight.detach().double() / torch.sqrt(variance.double() + norm.eps)
    return scale, norm.bias.detach().double() - mean.double() * scale
