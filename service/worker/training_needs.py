"""What a run will take of this machine's disk and memory, judged before any fold is trained.

Both are estimates from the network's size, and meant to stop a run that would fail after hours, not to fill a
machine to its last byte. W are the bytes of one network's weights in float32:

- **disk**: each fold keeps its weights (W) and, until it is done, what it goes on from (4 W: the weights, the
  best ones so far, Adam's two moments); one of these files is written anew beside the old one. The ensemble
  and its copy in the storage take no more, because by then nothing is left to go on from. Where the residual
  network is frozen, the features of every frame lie beside it.
- **memory** of one fold: the process itself, the weights with their gradients, moments and best (5 W), a
  state on its way to the disk (4 W), and, on a CPU, the maps that the gradient needs of every frame of a
  batch, `MAPS_KEPT` of each size. Scans are mapped and cost no more than the system can spare.

`benchmarks/training_needs.py` compares them with what trainings took: for seven networks 0.81 to 0.97 of the
memory that is estimated.
"""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from service.errors import ServiceError

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
_CGROUP = Path("/sys/fs/cgroup")


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
    """A machine without the memory that a fold takes."""

    code: ClassVar[str] = "memory_too_small"

    def __init__(self, *, expected: int, found: int) -> None:
        self.expected = expected
        self.found = found
        super().__init__(
            f"expected {_in_mib(expected)} of memory to be free for a fold, found {_in_mib(found)}; a "
            "smaller width, batch_size or micro_batch takes less"
        )


@dataclass(frozen=True, kw_only=True)
class Needs:
    """What a run takes, in bytes: its folder at its largest, and one fold that is being trained."""

    disk_bytes: int
    memory_bytes: int


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
    )


def require_room(needs: Needs, *, folder: Path) -> None:
    """Refuse a run that this machine has no room for.

    Parameters
    ----------
    folder : Path
        On the disk of the runs.

    Raises
    ------
    DiskTooSmallError, MemoryTooSmallError
    """
    free = shutil.disk_usage(folder).free
    if free < needs.disk_bytes:
        raise DiskTooSmallError(expected=needs.disk_bytes, found=free)
    available = available_memory_bytes()
    if available < needs.memory_bytes:
        raise MemoryTooSmallError(expected=needs.memory_bytes, found=available)


def available_memory_bytes() -> int:
    """Return what a new process may take: of the machine, and of the container where there is one."""
    lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    fields = dict(line.split(":", 1) for line in lines)
    found = [1024 * int(fields["MemAvailable"].split()[0])]
    try:
        limit = (_CGROUP / "memory.max").read_text(encoding="ascii").strip()
        used = int((_CGROUP / "memory.current").read_text(encoding="ascii"))
        # Pages of files are given back when somebody needs them.
        counted = (_CGROUP / "memory.stat").read_text(encoding="ascii").splitlines()
        cached = int(dict(line.split() for line in counted).get("inactive_file", 0))
    except (OSError, ValueError):
        return found[0]
    if limit.isdecimal():
        found.append(max(int(limit) - used + cached, 0))
    return min(found)


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
