"""What every method comes to: a module that gives logits for one scan, and can be calibrated."""

from abc import abstractmethod

import numpy as np
import torch
from jaxtyping import Float64
from torch import nn

from imaging.regions import Regions
from model.methods.scan_view import ScanView

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
        self.register_buffer("region_of_voxel", torch.zeros(n_voxels) if with_regions else None)

    @abstractmethod
    def window_logits(self, scan: ScanView) -> WindowLogits:
        """Give one logit a window of the scan."""

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
