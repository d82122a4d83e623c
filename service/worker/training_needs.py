"""What a run will take of this machine's disk and memory, judged before any fold is trained.

Both are estimates from the network's size, and meant to stop a run that would fail after hours, not to fill a
machine to its last byte. W are the bytes of one network's weights in float32:

- **disk**: each fold keeps its weights (W) and, until it is done, what it goes on from (4 W: the weights, the
  best ones so far, Adam's two moments); one of these files is written anew beside the old one. The ensemble
  and its copy in the storage take no more, because by then nothing is left to go on from. Where the residual
  network is frozen, the features of every frame lie beside it.
- **memory while folds are trained**, of each that is trained here at the same time: the process itself, the
  weights with their gradients, moments and best (5 W), a state on its way to the disk (4 W), and, on a CPU,
  the maps that the gradient needs of every frame of a batch, `MAPS_KEPT` of each size. Scans are mapped and
  cost no more than the system can spare.
- **memory while they are put together**, when none is trained any more: the process, and every fold's weights
  as they are read, as bytes, and as the file that is made of them (3 W a fold).

`benchmarks/training_needs.py` compares them with what was taken: folds of seven networks 0.81 to 0.97 of the
memory that is estimated, four ensembles 0.75 to 0.97.
"""

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from service.errors import ServiceError
from service.presence import process_of
from service.worker.memory import available_memory_bytes, held_memory_bytes

if TYPE_CHECKING:
    from training.fitting.settings import TrainingSettings

PROCESS_BYTES = 500 << 20
TABLES_BYTES = 16 << 20
# Of each size of map in a residual network: how many the gradient needs, in float32.
MAPS_KEPT = 9
_FLOAT_BYTES = 4
_FEATURE_BYTES = 2
_STAGES = "ABCD"
_EDGES = (17, 9, 5, 3)


class DiskTooSmallError(ServiceError):
    """A disk without room for a run."""

    code: ClassVar[str] = "disk_too_small"

    def __init__(self, *, expected: int, found: int) -> None:
        self.expected = expected
        self.found = found
        super().__init__(
            f"expected {_in_mib(expected)} to be free for the run's folder, found {_in_mib(found)}"
        )


class MemoryTooSmallError(ServiceError):
    """A machine without the memory that the folds of a run take, or putting them together does."""

    code: ClassVar[str] = "memory_too_small"

    def __init__(self, *, expected: int, found: int, purpose: str, remedy: str) -> None:
        self.expected = expected
        self.found = found
        self.purpose = purpose
        super().__init__(
            f"expected {_in_mib(expected)} of memory to be free {purpose}, found {_in_mib(found)}; {remedy}"
        )


@dataclass(frozen=True, kw_only=True)
class Needs:
    """What a run takes, in bytes.

    Attributes
    ----------
    disk_bytes : int
        Its folder at its largest.
    memory_bytes : int
        One fold that is being trained.
    finishing_bytes : int
        Memory while its folds are put together.
    """

    disk_bytes: int
    memory_bytes: int
    finishing_bytes: int


def needs_of(
    settings: "TrainingSettings",
    *,
    n_parameters: int,
    n_folds: int,
    n_frames: int,
    window_frames: int,
    on_gpu: bool,
) -> Needs:
    """Estimate what a run takes; the module says how.

    Parameters
    ----------
    settings : TrainingSettings
    n_parameters : int
        Of one network.
    n_folds : int
    n_frames, window_frames : int
        Stored frames of all scans together, and frames of a window.
    on_gpu : bool
        Whether the maps lie in a GPU's memory.
    """
    weights = _FLOAT_BYTES * n_parameters
    frozen = settings.encoder == "frozen"
    features = _FEATURE_BYTES * n_frames * _n_features(settings) if frozen else 0
    at_once = min(settings.micro_batch or settings.batch_size, settings.batch_size)
    maps = 0 if on_gpu or frozen else at_once * window_frames * _map_bytes(settings)
    return Needs(
        disk_bytes=n_folds * (5 * weights + features) + 4 * weights + TABLES_BYTES,
        memory_bytes=PROCESS_BYTES + 9 * weights + maps,
        finishing_bytes=PROCESS_BYTES + 3 * n_folds * weights,
    )


@dataclass(frozen=True, kw_only=True)
class Hands:
    """Who of this machine trains a run's folds.

    Attributes
    ----------
    at_once : int
        How many of its folds are trained beside each other here.
    held_bytes : int
        What those who train them hold by now. It is counted in what a fold takes, whether they have trained
        before or still train a fold of another run, which they leave before they take one of this.
    """

    at_once: int
    held_bytes: int


def hands_of(workers: Sequence[str], *, n_folds: int) -> Hands:
    """Look at the training workers of this machine.

    Parameters
    ----------
    workers : sequence of str
        Their names. Where there is none, one that is elsewhere is thought of as having what is free here.
    n_folds : int
    """
    held = sorted(held_memory_bytes(process_of(worker)) for worker in workers)
    # Those that hold the most may be the ones that go on with other runs.
    return Hands(at_once=min(max(len(workers), 1), n_folds), held_bytes=sum(held[:n_folds]))


def require_room(needs: Needs, *, folder: Path, n_folds: int, hands: Hands) -> None:
    """Refuse a run that this machine has no room for.

    Parameters
    ----------
    needs : Needs
    folder : Path
        On the disk of the runs.
    n_folds : int
    hands : Hands

    Raises
    ------
    DiskTooSmallError, MemoryTooSmallError
    """
    free = shutil.disk_usage(folder).free
    if free < needs.disk_bytes:
        raise DiskTooSmallError(expected=needs.disk_bytes, found=free)
    available = available_memory_bytes()
    expected, found = hands.at_once * needs.memory_bytes, available + hands.held_bytes
    if found < expected:
        folds = "a fold" if hands.at_once == 1 else f"{hands.at_once} folds beside each other"
        raise MemoryTooSmallError(
            expected=expected,
            found=found,
            purpose=f"for {folds}",
            remedy="a smaller width, batch_size or micro_batch takes less"
            + ("" if hands.at_once == 1 else ", and so do fewer training workers"),
        )
    # By whoever plans it too, when no fold is trained any more.
    found = available + held_memory_bytes(os.getpid())
    if found < needs.finishing_bytes:
        raise MemoryTooSmallError(
            expected=needs.finishing_bytes,
            found=found,
            purpose=f"to put {n_folds} folds together",
            remedy="fewer folds or a smaller width take less",
        )


def threads_of_a_fold(asked: int) -> int:
    """Return how many threads a fold computes on: as the settings say, or half of the cores."""
    return asked or max(len(os.sched_getaffinity(0)) // 2, 1)


def _map_bytes(settings: "TrainingSettings") -> int:
    """Give the bytes of what the gradient needs of one frame."""
    n_stages = _STAGES.index(settings.network) + 1
    voxels = sum(settings.width * (1 << stage) * int(_EDGES[stage] ** 3) for stage in range(n_stages))
    return MAPS_KEPT * _FLOAT_BYTES * voxels


def _n_features(settings: "TrainingSettings") -> int:
    stage = _STAGES.index(settings.network)
    # Flattened: the other readings of space keep fewer.
    return settings.width * (1 << stage) * int(_EDGES[stage] ** 3)


def _in_mib(size: int) -> str:
    return f"{size / 2**20:,.0f} MiB"
