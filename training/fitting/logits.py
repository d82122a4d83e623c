"""What a network says of whole subjects: the mean over the planned windows of all their scans."""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float64
from torch import Tensor

from imaging import window_starts
from model.full_float32 import full_float32
from model.joint_encoder import JointEncoder
from model.network_members import FRAMES_PER_CHUNK
from model.networks import RestNetwork
from training.fitting.batches import FrameBuffer
from training.fitting.prepared import Series, TrainingSubject


@torch.inference_mode()
@full_float32()
def subject_logits(
    network: RestNetwork, subjects: Sequence[TrainingSubject], *, device: torch.device
) -> Float64[np.ndarray, " S"]:
    """Give each subject's logit, as prediction would: in evaluation mode and float32.

    Frames that windows share are encoded once, by the same folded convolutions that serve.

    Parameters
    ----------
    network : RestNetwork
        On the device; left in evaluation mode.
    subjects : sequence of TrainingSubject
    device : torch.device

    Returns
    -------
    (S,) float64
    """
    network.eval()
    reader = _Reader(network, subjects[0], device=device) if subjects else None
    logits = [
        torch.cat([reader.window_logits(series) for series in subject.series]).mean()
        for subject in subjects
        if reader is not None
    ]
    return np.array([float(logit) for logit in logits], dtype=np.float64)


@torch.inference_mode()
@full_float32()
def encoded_logits(
    network: RestNetwork, subjects: Sequence[TrainingSubject], *, device: torch.device
) -> Float64[np.ndarray, " S"]:
    """Give what :func:`subject_logits` gives, of subjects whose series are features already.

    Parameters
    ----------
    network : RestNetwork
        On the device; left in evaluation mode.
    subjects : sequence of TrainingSubject
        With series of (T, D) float16, from `training.fitting.frozen`.
    device : torch.device

    Returns
    -------
    (S,) float64
    """
    network.eval()
    logits = []
    for subject in subjects:
        frames = np.arange(subject.spec.window_frames)
        windows = [
            torch.from_numpy(series[window_starts(len(series), spec=subject.spec)[:, None] + frames])
            for series in subject.series
        ]
        read = [network.read(of_scan.to(device).float()).double() for of_scan in windows]
        logits.append(float(torch.cat(read).mean()))
    return np.array(logits, dtype=np.float64)


class _Reader:
    """A network ready to read series, with its buffer."""

    def __init__(self, network: RestNetwork, subject: TrainingSubject, *, device: torch.device) -> None:
        self._network, self._device = network, device
        self._encode = JointEncoder([network.encoder])
        self._spec = subject.spec
        self._chunk = FRAMES_PER_CHUNK[device.type]
        self._buffer = FrameBuffer(self._chunk, spec=self._spec, device=device)

    def window_logits(self, series: Series) -> Tensor:
        starts = window_starts(len(series), spec=self._spec)
        windows = starts[:, None] + np.arange(self._spec.window_frames)
        distinct, position = np.unique(windows, return_inverse=True)
        chunks = [distinct[first : first + self._chunk] for first in range(0, len(distinct), self._chunk)]
        features = torch.cat([self._features(series[chunk]) for chunk in chunks])
        order = torch.from_numpy(position.reshape(windows.shape)).to(self._device)
        return self._network.read(features[order]).double()

    def _features(self, frames: Series) -> Tensor:
        dense = self._buffer.unpack(torch.from_numpy(np.ascontiguousarray(frames)))
        return self._encode(dense.unsqueeze(1))[0]
