"""The members' residual networks as one OpenVINO graph: the same float32 numbers, sooner on a processor.

OpenVINO fuses each convolution with what comes after it and keeps its maps in the order that the processor's
vectors want, which torch does only where it compiles. It computes in float32 here: bfloat16 was measured to
be slower on these small maps (benchmarks/cpu_backends.py), and would cost three digits.

The graph is built node by node. OpenVINO's own converters are not used, nor is what they report home.
"""

from collections.abc import Sequence

import numpy as np
import openvino as ov
import torch
from jaxtyping import Float
from openvino import opset13 as op
from torch import Tensor

from model.encoder import FrameEncoder
from model.folding import (
    POOL,
    FoldedAverage,
    FoldedBlock,
    FoldedBottleneck,
    FoldedConvolution,
    FoldedEncoder,
    FoldedNorm,
    FoldedPreActivationBlock,
    FoldedReading,
    FoldedReadout,
    FoldedStage,
    fold_encoders,
)
from model.networks import GRID_SIZE
from model.shapes import Frames

_SPACE = np.array([2, 3, 4])


class OpenVinoEncoder:
    """The frame encoders of an ensemble, in evaluation mode, compiled for this processor.

    Parameters
    ----------
    encoders : sequence of FrameEncoder
        Of one architecture and width, on the CPU. It computes with as many threads as torch does now.
    """

    def __init__(self, encoders: Sequence[FrameEncoder]) -> None:
        folded = fold_encoders(encoders)
        self._n_members = folded.n_members
        compiled = ov.Core().compile_model(
            _graph(folded),
            "CPU",
            {
                "INFERENCE_PRECISION_HINT": "f32",
                "PERFORMANCE_HINT": "LATENCY",
                "INFERENCE_NUM_THREADS": torch.get_num_threads(),
            },
        )
        self._request = compiled.create_infer_request()

    def __call__(self, frames: Frames) -> Float[Tensor, "M N D"]:
        """Describe frames by every member: the members' ``encode``, stacked.

        Parameters
        ----------
        frames : (N, 1, 34, 34, 34) float32

        Returns
        -------
        (M, N, D) float32
        """
        # The answer lies in memory that the next call writes to: copied before it leaves.
        answer = self._request.infer({0: frames.numpy()}, share_inputs=True)[0].copy()
        features = torch.from_numpy(answer).reshape(len(frames), self._n_members, -1)
        return features.transpose(0, 1)


def _graph(encoder: FoldedEncoder) -> ov.Model:
    frames = op.parameter([-1, 1, GRID_SIZE, GRID_SIZE, GRID_SIZE], np.float32)
    # The larger of two values stays the larger after a ReLU.
    x = op.relu(_pooled(_convolve(frames, encoder.stem)))
    for stage in encoder.stages:
        x = _stage(x, stage)
    for step in encoder.reading:
        x = _reading(x, step)
    return ov.Model([x], [frames])


def _stage(x: ov.Node, stage: FoldedStage) -> ov.Node:
    match stage:
        case FoldedBlock():
            shortcut = x if stage.projection is None else _convolve(x, stage.projection)
            inside = op.relu(_convolve(x, stage.conv1))
            return op.relu(op.add(_convolve(inside, stage.conv2), shortcut))
        case FoldedPreActivationBlock():
            activated = _normalise(x, stage.norm)
            shortcut = x if stage.projection is None else _convolve(activated, stage.projection)
            inside = op.relu(_convolve(activated, stage.conv1))
            return op.add(_convolve(inside, stage.conv2), shortcut)


def _reading(x: ov.Node, step: FoldedReading) -> ov.Node:
    match step:
        case FoldedNorm():
            return _normalise(x, step)
        case FoldedBottleneck():
            return op.relu(_convolve(x, step.mix))
        case FoldedReadout():
            return op.reduce_sum(op.multiply(x, op.constant(step.weight.numpy())), op.constant(_SPACE))
        case FoldedAverage():
            return op.reduce_mean(x, op.constant(_SPACE))


def _convolve(x: ov.Node, convolution: FoldedConvolution) -> ov.Node:
    weight, groups = convolution.weight.numpy(), convolution.groups
    strides, padding, dilations = [convolution.stride] * 3, [convolution.padding] * 3, [1] * 3
    if groups == 1:
        y = op.convolution(x, op.constant(weight), strides, padding, padding, dilations)
    else:
        grouped = weight.reshape(groups, -1, *weight.shape[1:])
        y = op.group_convolution(x, op.constant(grouped), strides, padding, padding, dilations)
    return op.add(y, op.constant(convolution.bias.numpy().reshape(1, -1, 1, 1, 1)))


def _normalise(x: ov.Node, norm: FoldedNorm) -> ov.Node:
    scaled = op.multiply(x, op.constant(norm.scale.numpy()))
    return op.relu(op.add(scaled, op.constant(norm.shift.numpy())))


def _pooled(x: ov.Node) -> ov.Output:
    return op.max_pool(x, [POOL] * 3, [1] * 3, [0] * 3, [0] * 3, [POOL] * 3).output(0)
