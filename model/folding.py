"""All members' residual networks as one, in evaluation mode: what a backend carries out.

Two rewritings, each exact up to rounding:

- BatchNorm in evaluation mode is a scale and a shift a channel, so it is folded into the convolution before
  it.
- The members read the same frames, so their channels stand side by side in one convolution, block-diagonal
  by member. A processor's vector is 16 floats wide: a network of width 4 alone would leave most of it idle.

The steps are data, and torch carries each out when it is called; `model.openvino_encoder` makes a graph of
the same data.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from model.blocks import PreActivationBlock, ResidualBlock
from model.encoder import Average, Bottleneck, FrameEncoder, SpatialReadout

VECTOR_FLOATS = 16
POOL = 2


@dataclass(frozen=True)
class FoldedConvolution:
    """A convolution of all members with its BatchNorm folded in, channels ordered by member."""

    weight: Float[Tensor, "K I a b c"]
    bias: Float[Tensor, " K"]
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


@dataclass(frozen=True)
class FoldedBottleneck:
    """The members' mixing of channels, with the ReLU after it."""

    mix: FoldedConvolution

    def __call__(self, x: Float[Tensor, "N C x x x"]) -> Float[Tensor, "N K x x x"]:
        """Apply it."""
        return self.mix(x).relu_()


@dataclass(frozen=True)
class FoldedReadout:
    """The members' weighted sums over space."""

    weight: Float[Tensor, "C x x x"]

    def __call__(self, x: Float[Tensor, "N C x x x"]) -> Float[Tensor, "N C"]:
        """Weigh the positions and add them up."""
        return (x * self.weight).sum(dim=(2, 3, 4))


@dataclass(frozen=True)
class FoldedAverage:
    """Each channel's mean over space."""

    def __call__(self, x: Float[Tensor, "N C x x x"]) -> Float[Tensor, "N C"]:
        """Average over positions."""
        return x.mean(dim=(2, 3, 4))


FoldedStage = FoldedBlock | FoldedPreActivationBlock
FoldedReading = FoldedNorm | FoldedBottleneck | FoldedReadout | FoldedAverage


@dataclass(frozen=True)
class FoldedEncoder:
    """Every member's residual network as one chain of steps; what leaves it is laid out by member.

    Attributes
    ----------
    n_members : int
    stem : FoldedConvolution
        A maximum over 2x2x2 voxels and a ReLU come after it.
    stages : tuple
    reading : tuple
        What comes after the last stage; its answer is flattened.
    """

    n_members: int
    stem: FoldedConvolution
    stages: tuple[FoldedStage, ...]
    reading: tuple[FoldedReading, ...]


def fold_encoders(encoders: Sequence[FrameEncoder]) -> FoldedEncoder:
    """Fold the frame encoders of an ensemble into one.

    Parameters
    ----------
    encoders : sequence of FrameEncoder
        In evaluation mode, of one architecture and width, on one device.

    Raises
    ------
    TypeError
        If their blocks are of a kind that is not known here.
    """
    stems = [_fold(encoder.stem, encoder.stem_norm) for encoder in encoders]
    return FoldedEncoder(
        n_members=len(encoders),
        stem=FoldedConvolution(
            torch.cat([weight for weight, _ in stems]),
            torch.cat([bias for _, bias in stems]),
            stride=1,
            padding=1,
            groups=1,
        ),
        stages=tuple(
            _fold_block(blocks) for blocks in zip(*(encoder.stages for encoder in encoders), strict=True)
        ),
        reading=_fold_reading(encoders),
    )


def _fold_block(blocks: Sequence[nn.Module]) -> FoldedStage:
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


def _fold_reading(encoders: Sequence[FrameEncoder]) -> tuple[FoldedReading, ...]:
    steps: list[FoldedReading] = []
    norms = [encoder.last_norm for encoder in encoders if encoder.last_norm is not None]
    if norms:
        steps.append(_fold_norms(norms))
    readings = [encoder.reading for encoder in encoders]
    bottlenecks = [reading for reading in readings if isinstance(reading, Bottleneck)]
    maps = [reading.weight.detach() for reading in readings if isinstance(reading, SpatialReadout)]
    if bottlenecks:
        steps.append(FoldedBottleneck(_join([(reading.mix, reading.norm) for reading in bottlenecks])))
    elif maps:
        steps.append(FoldedReadout(torch.cat(maps)))
    elif isinstance(readings[0], Average):
        steps.append(FoldedAverage())
    return tuple(steps)


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
