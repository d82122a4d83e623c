"""Preprocessed scans held small: only the brain's voxels, in half precision, and windows cut from them."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float16
from torch import Tensor

from imaging import NetworkInput, PreprocessingSpec, brain_cube, window_starts

_SERIES_FILE = "series.npy"
_INDEX_FILE = "index.json"


@dataclass(frozen=True, eq=False)
class PreparedScan:
    """One subject's scan, ready to train on.

    Attributes
    ----------
    subject_id : str
    label : int
        0 control, 1 ADHD.
    series : (T, N) float16
        Voxels of the cube's brain mask; half precision keeps 3 digits of a signal of unit variance.
    spec : PreprocessingSpec
    """

    subject_id: str
    label: int
    series: Float16[np.ndarray, "T N"]
    spec: PreprocessingSpec

    @classmethod
    def from_input(cls, network_input: NetworkInput, *, subject_id: str, label: int) -> "PreparedScan":
        """Keep what the network reads of a preprocessed scan."""
        mask = brain_cube(network_input.spec.grid_size).mask
        series = network_input.frames[:, mask].astype(np.float16)
        return cls(subject_id=subject_id, label=label, series=series, spec=network_input.spec)

    @property
    def n_starts(self) -> int:
        """How many different windows the scan has."""
        return len(self.series) - self.spec.window_frames + 1

    def planned_starts(self) -> np.ndarray:
        """Say where prediction's windows start."""
        return window_starts(len(self.series), spec=self.spec)


def save_prepared(folder: Path, scans: Sequence[PreparedScan]) -> None:
    """Write scans where several processes can read them without a copy each.

    Parameters
    ----------
    folder : Path
        Exists.
    scans : sequence of PreparedScan
        Prepared with one spec.
    """
    np.save(folder / _SERIES_FILE, np.concatenate([scan.series for scan in scans]))
    index = {
        "spec": scans[0].spec.to_json(),
        "scans": [[scan.subject_id, scan.label, len(scan.series)] for scan in scans],
    }
    (folder / _INDEX_FILE).write_text(json.dumps(index))


def load_prepared(folder: Path) -> list[PreparedScan]:
    """Map what :func:`save_prepared` wrote; the series stay on disk until they are read."""
    index = json.loads((folder / _INDEX_FILE).read_text())
    spec = PreprocessingSpec.from_json(index["spec"])
    series = np.load(folder / _SERIES_FILE, mmap_mode="r")
    ends = np.cumsum([length for _, _, length in index["scans"]])
    return [
        PreparedScan(subject_id, label, series[end - length : end], spec)
        for (subject_id, label, length), end in zip(index["scans"], ends, strict=True)
    ]


def cut_windows(scans: Sequence[PreparedScan], starts: Sequence[int]) -> Tensor:
    """Cut one window of each scan.

    Parameters
    ----------
    scans : sequence of PreparedScan
        Prepared with one spec.
    starts : sequence of int
        First frame of each scan's window.

    Returns
    -------
    (W, F, G, G, G) float32 tensor
        As the network reads them; zero outside the brain.
    """
    spec = scans[0].spec
    edge, n_frames = spec.grid_size, spec.window_frames
    windows = np.zeros((len(scans), n_frames, edge**3), dtype=np.float32)
    inside = _inside(edge)
    for window, scan, start in zip(windows, scans, starts, strict=True):
        window[:, inside] = scan.series[start : start + n_frames]
    return torch.from_numpy(windows.reshape(len(scans), n_frames, edge, edge, edge))


@lru_cache(maxsize=4)
def _inside(edge: int) -> np.ndarray:
    return np.flatnonzero(brain_cube(edge).mask)
