"""From stored series to a batch on the device, one batch ahead of the network and no further.

An epoch is drawn first, as a list of small plans: everything random in it follows from the seed and the
epoch's number alone, so a resumed training needs no generator's state. A thread then packs the next batch,
in-brain voxels in half precision, while the network works on this one. Where dense frames are needed, the
device unpacks them into one buffer that every batch reuses. Memory is bounded by the batch, not the cohort.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Float16
from numpy.random import Generator
from torch import Tensor

from imaging import PreprocessingSpec
from training.fitting.prepared import TrainingSubject, inside_brain
from training.fitting.settings import TrainingSettings

# Streams of one epoch's seed, so that drawing more of one thing never changes another. To numpy a seed ends
# before its last zeros: the order's stream is that of [seed, epoch], and would be that of [seed, 0], which
# `training.fitting.frozen` draws from, if epochs counted from 0. Other numbers would be other weights.
_ORDER, _AUGMENTATION, _TORCH = range(3)


@dataclass(frozen=True)
class PlannedWindow:
    """Where a window is cut: whose, from which of their scans, from which frame on."""

    subject: int
    scan: int
    start: int


@dataclass(frozen=True)
class PackedBatch:
    """A batch's windows: in-brain voxels only, or features.

    Attributes
    ----------
    frames : (W, F, N) float16
    labels : (W,) float32
    """

    frames: Float16[Tensor, "W F N"]
    labels: Float[Tensor, " W"]


def plan_epoch(
    subjects: Sequence[TrainingSubject], *, settings: TrainingSettings, seed: int, epoch: int
) -> list[list[PlannedWindow]]:
    """Draw an epoch: every subject comes up ``windows_per_subject`` times, each pass in an order of its own.

    Parameters
    ----------
    subjects : sequence of TrainingSubject
    settings : TrainingSettings
    seed : int
    epoch : int
        From 1.

    Returns
    -------
    list of batches of windows
        The last batch may be smaller.

    Raises
    ------
    ValueError
        If the epoch is before the first.
    """
    if epoch < 1:
        raise ValueError(f"expected epochs to count from 1, found {epoch}")
    generator = np.random.default_rng([seed, epoch, _ORDER])
    order = np.concatenate(
        [generator.permutation(len(subjects)) for _ in range(settings.windows_per_subject)]
    )
    windows = [_draw_window(int(i), subjects[i], generator) for i in order]
    size = settings.batch_size
    return [windows[first : first + size] for first in range(0, len(windows), size)]


def packed_batches(
    subjects: Sequence[TrainingSubject], *, settings: TrainingSettings, seed: int, epoch: int, pin: bool
) -> Iterator[PackedBatch]:
    """Give an epoch's batches in order, the next one being packed while this one is used.

    Parameters
    ----------
    subjects : sequence of TrainingSubject
    settings : TrainingSettings
    seed : int
    epoch : int
        From 1.
    pin : bool
        Pack into page-locked memory, from which a GPU copies while it computes.
    """
    plan = plan_epoch(subjects, settings=settings, seed=seed, epoch=epoch)
    with ThreadPoolExecutor(1, thread_name_prefix="pack") as packer:

        def submit(number: int) -> Future[PackedBatch]:
            generator = np.random.default_rng([seed, epoch, _AUGMENTATION, number])
            return packer.submit(
                pack, subjects, plan[number], settings=settings, generator=generator, pin=pin
            )

        coming = submit(0)
        for number in range(len(plan)):
            packed = coming.result()
            if number + 1 < len(plan):
                coming = submit(number + 1)
            yield packed


def pack(
    subjects: Sequence[TrainingSubject],
    windows: Sequence[PlannedWindow],
    *,
    settings: TrainingSettings,
    generator: Generator,
    pin: bool = False,
) -> PackedBatch:
    """Cut planned windows, and augment them where the settings say so."""
    spec = subjects[0].spec
    # In-brain voxels, or the features of a frozen residual network.
    n_values = subjects[0].series[0].shape[1]
    frames = torch.empty((len(windows), spec.window_frames, n_values), dtype=torch.float16, pin_memory=pin)
    # A view: what is written there lies in the tensor.
    packed = frames.numpy()
    for window, planned in zip(packed, windows, strict=True):
        series = subjects[planned.subject].series[planned.scan]
        window[:] = series[planned.start : planned.start + spec.window_frames]
        _augment(window, settings, generator)
    labels = torch.tensor([float(subjects[planned.subject].label) for planned in windows])
    return PackedBatch(frames, labels)


class FrameBuffer:
    """One dense buffer on the device that packed frames are unpacked into, again and again.

    Parameters
    ----------
    n_frames : int
        The most that come at once.
    spec : PreprocessingSpec
    device : torch.device
    """

    def __init__(self, n_frames: int, *, spec: PreprocessingSpec, device: torch.device) -> None:
        self._edge = spec.grid_size
        self._inside = torch.from_numpy(inside_brain(spec.grid_size)).to(device)
        # Outside the brain nothing is ever written: it stays zero.
        self._dense = torch.zeros(n_frames, self._edge**3, device=device)

    def unpack(self, frames: Float16[Tensor, "n N"]) -> Float[Tensor, "n G G G"]:
        """Give the frames as the network reads them, in float32, valid until the next call."""
        dense = self._dense[: len(frames)]
        dense.index_copy_(1, self._inside, frames.to(dense.device, non_blocking=True).float())
        return dense.reshape(-1, self._edge, self._edge, self._edge)


def torch_seed(*, seed: int, epoch: int) -> int:
    """Give the seed of what torch draws in an epoch: the dropout."""
    return int(np.random.SeedSequence([seed, epoch, _TORCH]).generate_state(1)[0])


def _draw_window(number: int, subject: TrainingSubject, generator: Generator) -> PlannedWindow:
    scan = int(generator.integers(len(subject.series)))
    n_starts = len(subject.series[scan]) - subject.spec.window_frames + 1
    return PlannedWindow(number, scan, int(generator.integers(n_starts)))


def _augment(window: Float16[np.ndarray, "F N"], settings: TrainingSettings, generator: Generator) -> None:
    if settings.amplitude_jitter:
        window *= np.float16(1 + generator.uniform(-settings.amplitude_jitter, settings.amplitude_jitter))
    if settings.noise_sd:
        window += settings.noise_sd * generator.standard_normal(window.shape, dtype=np.float32)
    if settings.frame_dropout:
        window[generator.random(len(window)) < settings.frame_dropout] = 0
