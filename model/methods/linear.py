"""Methods that come to one weight a feature: everything fitted to people is folded into the weights."""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float64
from torch import Tensor

from imaging.derived.maps import DERIVED_MAPS, standardise_map
from imaging.derived.tissue_maps import TISSUE_MAPS, standardise_tissue
from model.methods.catalogue import Feature
from model.methods.features import fisher_z_correlations
from model.methods.scan_model import ScanModel, WindowLogits
from model.methods.scan_view import ScanView
from model.methods.tangent import TangentSpace, shrunk_covariance


class LinearModel(ScanModel):
    """A logit that is a weighted sum of a scan's features.

    Parameters
    ----------
    features : sequence of "connectivity", ...
        Whose columns stand behind each other.
    n_voxels, n_regions : int
        Of the brain mask, and of the regions; 0 where it reads none.
    n_fine_voxels : int
        Of the brain mask on the grid of tissue maps; 0 where it reads none.
    """

    def __init__(
        self, *, features: Sequence[Feature], n_voxels: int, n_regions: int, n_fine_voxels: int = 0
    ) -> None:
        super().__init__(n_voxels=n_voxels, with_regions=n_regions > 0)
        self.features = tuple(features)
        self.widths = tuple(
            count_features(one, n_regions=n_regions, n_voxels=n_voxels, n_fine_voxels=n_fine_voxels)
            for one in self.features
        )
        self.weight: Tensor
        self.intercept: Tensor
        self.register_buffer("weight", torch.zeros(sum(self.widths)))
        self.register_buffer("intercept", torch.zeros(1))
        # Where the people trained on have their midst, for the tangent space.
        self.whitening: Tensor | None
        self.register_buffer(
            "whitening", torch.zeros(n_regions, n_regions) if "tangent" in self.features else None
        )

    def window_logits(self, scan: ScanView) -> WindowLogits:
        """Give the one logit of the whole scan."""
        weight = self.weight.cpu().double().numpy()
        return np.array([float(self.features_of(scan) @ weight) + float(self.intercept)])

    def n_parameters(self) -> int:
        """Count what was fitted: a weight a feature, and the intercept."""
        return self.weight.numel() + self.intercept.numel()

    def features_of(self, scan: ScanView) -> Float64[np.ndarray, " F"]:
        """Give the numbers that are weighted."""
        return np.asarray(np.concatenate([self._feature(one, scan) for one in self.features]))

    def build_in(self, *, offset: float, temperature: float) -> None:
        """Let every logit from now on be (logit - ``offset``) / ``temperature``."""
        self.weight.div_(temperature)
        self.intercept.sub_(offset).div_(temperature)

    def _feature(self, name: Feature, scan: ScanView) -> Float64[np.ndarray, " F"]:
        if name == "connectivity":
            return fisher_z_correlations(scan.region_series(self.regions()))
        if name == "tangent":
            covariance = shrunk_covariance(scan.region_series(self.regions()))
            return np.asarray(self._tangent_space().project(covariance[None])[0])
        if name in TISSUE_MAPS:
            return standardise_tissue(np.asarray(scan.tissue_maps()[TISSUE_MAPS.index(name)])).astype(
                np.float64
            )
        values = np.asarray(scan.derived_maps()[DERIVED_MAPS.index(name)])
        return np.asarray(standardise_map(values), dtype=np.float64)

    def _tangent_space(self) -> TangentSpace:
        if self.whitening is None:
            raise TypeError("expected a method that reads the tangent space")
        return TangentSpace(self.whitening.cpu().double().numpy())


def count_features(name: Feature, *, n_regions: int, n_voxels: int, n_fine_voxels: int) -> int:
    """Count the columns of a feature."""
    if name == "connectivity":
        return n_regions * (n_regions - 1) // 2
    if name == "tangent":
        return n_regions * (n_regions + 1) // 2
    return n_fine_voxels if name in TISSUE_MAPS else n_voxels
