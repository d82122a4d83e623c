"""A prepared scan as methods read it: its voxels, and what is derived from the whole of it."""

from collections.abc import Callable
from dataclasses import dataclass

from jaxtyping import Float, Float32
from numpy import ndarray

from imaging.network_input import NetworkInput
from imaging.regions import Regions
from imaging.spec import PreprocessingSpec
from model.errors import ModelError

RegionSeries = Float32[ndarray, "T R"]
"""The mean over each region's voxels, frame by frame."""

Maps = Float32[ndarray, "M N"]
"""Maps derived from a scan, as `imaging.derived` orders them, over the brain's voxels."""


TissueMaps = Float32[ndarray, "3 K"]
"""Maps of tissues, as `imaging.derived.tissue_maps` orders them, over the brain's voxels on a finer grid."""


class MapsMissingError(ModelError):
    """A method that reads derived maps, and a scan that was prepared without."""

    code = "maps_missing"

    def __init__(self) -> None:
        super().__init__("expected a scan that was prepared with its derived maps, found one without")


class TissuesMissingError(ModelError):
    """A method that reads tissue maps, and a scan that comes without."""

    code = "tissues_missing"

    def __init__(self) -> None:
        super().__init__(
            "expected a scan with tissue maps of a T1-weighted image of the same head, found one without"
        )


@dataclass(frozen=True, eq=False, kw_only=True)
class ScanView:
    """One scan, prepared with a spec.

    Attributes
    ----------
    series : (T, N) float
        The cube's brain voxels over time; a memory map stays on disk until it is read.
    spec : PreprocessingSpec
    kept_regions : callable, optional
        Gives the mean series of regions where they are kept already.
    kept_maps : callable, optional
        Gives the derived maps; none where the scan was prepared without.
    kept_tissues : callable, optional
        Gives the tissue maps; only scans of a cohort's store have any.
    """

    series: Float[ndarray, "T N"]
    spec: PreprocessingSpec
    kept_regions: Callable[[Regions], RegionSeries] | None = None
    kept_maps: Callable[[], Maps] | None = None
    kept_tissues: Callable[[], TissueMaps] | None = None

    @classmethod
    def of(cls, network_input: NetworkInput) -> "ScanView":
        """Look at a scan that was prepared just now."""
        maps = network_input.maps
        return cls(
            series=network_input.series.T,
            spec=network_input.spec,
            kept_maps=None if maps is None else lambda: maps,
        )

    def region_series(self, regions: Regions) -> RegionSeries:
        """Give the mean series of regions, kept where that is possible."""
        if self.kept_regions is None:
            return regions.means(self.series)
        return self.kept_regions(regions)

    def derived_maps(self) -> Maps:
        """Give the derived maps.

        Raises
        ------
        MapsMissingError
            If the scan was prepared without them.
        """
        if self.kept_maps is None:
            raise MapsMissingError
        return self.kept_maps()

    def tissue_maps(self) -> TissueMaps:
        """Give the tissue maps.

        Raises
        ------
        TissuesMissingError
            If it comes without them.
        """
        if self.kept_tissues is None:
            raise TissuesMissingError
        return self.kept_tissues()
