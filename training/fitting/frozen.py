"""Training on a residual network that keeps its random first weights: every frame is encoded only once.

Random convolutions that keep every position already tell how strongly each place of the brain fluctuates.
Only their normalisation has to fit the cohort, and it is set from the training subjects alone. The features
of every scan then lie in one file in the training's folder, mapped into memory: an epoch reads windows of
features, in a fraction of the time. The file follows from the seed and the subjects, so after a kill it is
taken as it is, where it is whole, or made again bit by bit the same; it is gone when the training ends. On
another kind of device, or with another torch, it is made again: their last digits differ.
"""

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Float16
from torch import Tensor, nn

from model.full_float32 import full_float32
from model.joint_encoder import JointEncoder
from model.network_members import FRAMES_PER_CHUNK
from model.networks import RestNetwork
from training.errors import CohortError
from training.fitting.batches import FrameBuffer
from training.fitting.prepared import Series, TrainingSubject

_FRAMES_PER_STATISTIC = 48
_STEP = 5
_PATTERN = "features-*"

ReportEncoded = Callable[[int, int], None]


class FeaturesNotStoredError(CohortError):
    """The features of a frozen residual network could not be written, for example on a full disk."""

    code: ClassVar[str] = "features_not_stored"

    def __init__(self, *, name: str, expected_bytes: int, found: str) -> None:
        self.name = name
        self.expected_bytes = expected_bytes
        self.found = found
        super().__init__(
            f"{name!r}: expected room for {expected_bytes / 1e6:.0f} MB of features while it is trained, "
            f"found: {found}; the same command goes on once there is room"
        )


def settle_normalisation(
    network: RestNetwork, subjects: Sequence[TrainingSubject], *, seed: int, device: torch.device
) -> None:
    """Set an untrained residual network's BatchNorm statistics from one window a subject, one frame in five.

    Parameters
    ----------
    network : RestNetwork
        On the device; changed in place, left in evaluation mode.
    subjects : sequence of TrainingSubject
        Those that are trained on, and nobody else.
    seed : int
        Of the scans and windows.
    device : torch.device
    """
    norms = [module for module in network.encoder.modules() if isinstance(module, nn.BatchNorm3d)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # a plain mean over the chunks
    buffer = FrameBuffer(_FRAMES_PER_STATISTIC, spec=subjects[0].spec, device=device)
    network.train()
    with torch.no_grad(), full_float32():
        for frames in _chunks_of_windows(subjects, seed=seed):
            network.encode(buffer.unpack(frames).unsqueeze(1))
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    network.eval()


def encode_subjects(
    network: RestNetwork,
    subjects: Sequence[TrainingSubject],
    *,
    folder: Path,
    identity: str,
    device: torch.device,
    encoded: ReportEncoded | None = None,
) -> list[TrainingSubject]:
    """Give the same subjects with features, (T, D) float16 on disk, in the place of voxels.

    Parameters
    ----------
    network : RestNetwork
        On the device, its normalisation settled; left in evaluation mode.
    subjects : sequence of TrainingSubject
        Everybody that the training reads.
    folder : Path
        Exists; holds the features until :func:`remove_features`.
    identity : str
        Of the training: a whole file of the same one, from the same kind of device and the same torch, is
        taken as it is.
    device : torch.device
    encoded : callable, optional
        Called as ``encoded(scan, n_scans)`` after every scan, from 1; what it raises stops the work.

    Raises
    ------
    FeaturesNotStoredError
        If they cannot be written; nothing is left behind then.
    """
    lengths = [len(series) for subject in subjects for series in subject.series]
    shape = (sum(lengths), network.n_features)
    n_bytes = 2 * shape[0] * shape[1]
    path = folder / _file_name(identity, device=device)
    if not (path.is_file() and path.stat().st_size == n_bytes):
        remove_features(folder)
        unfinished = path.with_name(f"{path.name}.partial")
        # Written, not mapped: on a full disk a mapped page would end the process without a word.
        with _storing(folder, n_bytes=n_bytes):
            file = unfinished.open("wb", buffering=0)
        with file:
            for scan, features in enumerate(_encoded(network, subjects, device=device), start=1):
                with _storing(folder, n_bytes=n_bytes):
                    left = memoryview(features.tobytes())
                    while left:
                        left = left[file.write(left) :]
                if encoded is not None:
                    encoded(scan, len(lengths))
            # Before its name says that it is whole, or a machine that stops might leave zeros under it.
            with _storing(folder, n_bytes=n_bytes):
                os.fsync(file.fileno())
        with _storing(folder, n_bytes=n_bytes):
            unfinished.replace(path)
    stored = np.memmap(path, dtype=np.float16, mode="r", shape=shape)
    scans = iter(np.split(stored, np.cumsum(lengths)[:-1]))
    return [replace(subject, series=tuple(next(scans) for _ in subject.series)) for subject in subjects]


def remove_features(folder: Path) -> None:
    """Take the features away, whole or not."""
    for path in folder.glob(_PATTERN):
        path.unlink(missing_ok=True)


def _file_name(identity: str, *, device: torch.device) -> str:
    origin = f"{identity} {device.type} {torch.__version__}"
    return _PATTERN.replace("*", hashlib.sha256(origin.encode()).hexdigest()[:16])


@contextmanager
def _storing(folder: Path, *, n_bytes: int) -> Iterator[None]:
    """Name what the file system refuses, and leave nothing half-written."""
    try:
        yield
    except OSError as error:
        remove_features(folder)
        found = error.strerror or type(error).__name__
        place = "/".join(folder.absolute().parts[-3:])  # RUN/folds/0
        raise FeaturesNotStoredError(name=place, expected_bytes=n_bytes, found=found) from error


@torch.inference_mode()
def _encoded(
    network: RestNetwork, subjects: Sequence[TrainingSubject], *, device: torch.device
) -> Iterator[Series]:
    """Encode every scan, a chunk of frames at a time, by the folded convolutions that serve."""
    encode = JointEncoder([network.eval().encoder])
    size = FRAMES_PER_CHUNK[device.type]
    buffer = FrameBuffer(size, spec=subjects[0].spec, device=device)
    for subject in subjects:
        for series in subject.series:
            chunks = []
            for first in range(0, len(series), size):
                frames = torch.from_numpy(np.array(series[first : first + size]))
                with full_float32():
                    features = encode(buffer.unpack(frames).unsqueeze(1))[0]
                chunks.append(features.half().cpu().numpy())
            yield np.concatenate(chunks)


def _chunks_of_windows(subjects: Sequence[TrainingSubject], *, seed: int) -> Iterator[Float16[Tensor, "n N"]]:
    # Epochs count from 1, so nothing of theirs is drawn from this.
    generator = np.random.default_rng([seed, 0])
    waiting: list[Series] = []
    for number, subject in enumerate(subjects, start=1):
        series = subject.series[int(generator.integers(len(subject.series)))]
        n_frames = subject.spec.window_frames
        start = int(generator.integers(len(series) - n_frames + 1))
        waiting += list(series[start : start + n_frames : _STEP])
        while len(waiting) >= _FRAMES_PER_STATISTIC or (waiting and number == len(subjects)):
            yield torch.from_numpy(np.stack(waiting[:_FRAMES_PER_STATISTIC]))
            waiting = waiting[_FRAMES_PER_STATISTIC:]
