"""What every method comes to: a module that gives logits for one scan, and can be calibrated."""

import hashlib
from abc import abstractmethod

import numpy as np
import torch
from jaxtyping import Float64, Int16
from torch import nn

from imaging.regions import Regions
from model.methods.scan_view import ScanView

REGION_OF_VOXEL = "region_of_voxel"
"""How a checkpoint calls the tensor of each voxel's region."""

WindowLogits = Float64[np.ndarray, " W"]
"""One logit a window; a method that reads the whole scan at once has one window."""


class ScanModel(nn.Module):
    """A fitted method.

    Parameters
    ----------
    n_voxels : int
        In the brain mask of the cube that scans are prepared on.
    with_regions : bool
        Whether it reads the mean series of regions, which it then carries: serving needs no atlas.
    """

    def __init__(self, *, n_voxels: int, with_regions: bool) -> None:
        super().__init__()
        # As floats, like all that a checkpoint holds: the largest region number is far below 2^24.
        self.region_of_voxel: torch.Tensor | None
        self.register_buffer(REGION_OF_VOXEL, torch.zeros(n_voxels) if with_regions else None)

    @abstractmethod
    def window_logits(self, scan: ScanView) -> WindowLogits:
        """Give one logit a window of the scan."""

    def features_of(self, scan: ScanView) -> Float64[np.ndarray, " F"]:
        """Describe the scan in as many numbers as every other one: populations of scans are compared by them.

        Where a method has none of its own, how much each voxel varies: its mean over time is 0.
        """
        return np.asarray(np.std(scan.series, axis=0, dtype=np.float64))

    def n_parameters(self) -> int:
        """Count what was fitted."""
        return sum(parameter.numel() for parameter in self.parameters())

    @abstractmethod
    def build_in(self, *, offset: float, temperature: float) -> None:
        """Let every logit from now on be (logit - ``offset``) / ``temperature``."""

    def regions(self) -> Regions:
        """Give the regions that it was fitted on."""
        if self.region_of_voxel is None:
            raise TypeError("expected a method that reads regions")
        return Regions.from_labels(self.region_of_voxel.cpu().numpy().astype(np.int16))

    def carry(self, regions: Regions, *, n_voxels: int) -> None:
        """Remember regions, as a number for each voxel."""
        self.region_of_voxel = torch.from_numpy(regions.labels(n_voxels).astype(np.float32))


def regions_sha256(labels: Int16[np.ndarray, " N"]) -> str:
    """Give the digest by which regions are known.

    Parameters
    ----------
    labels : (N,) int16
        Each voxel's region, as `imaging.regions.Regions.labels` gives them.
    """
    return hashlib.sha256(labels.astype("<i2").tobytes()).hexdigest()
