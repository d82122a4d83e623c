"""Methods that are a torch module over windows of frames, derived maps or series of regions."""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from imaging import brain_cube, window_starts
from imaging.derived.maps import DERIVED_MAPS, standardise_map
from model.methods.catalogue import Feature, Reads
from model.methods.scan_model import ScanModel, WindowLogits
from model.methods.scan_view import ScanView

_WINDOWS_AT_ONCE = 2
_CONSTANT = 1e-6  # beside the liveliest region's deviation


class ModuleModel(ScanModel):
    """A module with what turns a scan into its input, and its logits into calibrated ones.

    Parameters
    ----------
    module : Module
        From (W, F, G, G, G) windows, (W, M, G, G, G) maps or (W, T, R) series to (W,) logits.
    reads : "frames", "maps" or "regions"
    maps : sequence of str
        Names of the derived maps that it reads, in their order.
    n_voxels, n_regions : int
        Of the brain mask, and of the regions; 0 where it reads none.
    grid_size : int
        Edge ``G`` of the cube.
    """

    def __init__(
        self,
        module: nn.Module,
        *,
        reads: Reads,
        maps: Sequence[Feature],
        n_voxels: int,
        n_regions: int,
        grid_size: int,
    ) -> None:
        super().__init__(n_voxels=n_voxels, with_regions=n_regions > 0)
        self.module = module
        self.reads = reads
        self._maps = tuple(DERIVED_MAPS.index(name) for name in maps)
        self._grid_size = grid_size
        self.offset: Tensor
        self.temperature: Tensor
        self.register_buffer("offset", torch.zeros(1))
        self.register_buffer("temperature", torch.ones(1))

    def window_logits(self, scan: ScanView) -> WindowLogits:
        """Give a logit for each planned window of frames, or the one of the whole scan."""
        logits = [self.module(self.offset.new_tensor(one)) for one in self._inputs(scan)]
        scaled = (torch.cat(logits) - self.offset) / self.temperature
        return scaled.detach().cpu().double().numpy()

    def build_in(self, *, offset: float, temperature: float) -> None:
        """Let every logit from now on be (logit - ``offset``) / ``temperature``."""
        self.offset.add_(offset * self.temperature)
        self.temperature.mul_(temperature)

    def input_of(self, scan: ScanView, *, start: int | None = None, length: int | None = None) -> np.ndarray:
        """Cut one input out of a scan.

        Parameters
        ----------
        scan : ScanView
        start, length : int, optional
            First frame and frames of a window, or of a piece of the regions' series; the whole of it if not
            given. Maps have none.

        Returns
        -------
        (F, G, G, G), (M, G, G, G) or (T, R) float32
        """
        if self.reads == "frames":
            begun = start or 0
            return self._in_place(scan.series[begun : begun + (length or scan.spec.window_frames)])
        if self.reads == "maps":
            maps = scan.derived_maps()
            return self._in_place(np.stack([standardise_map(np.asarray(maps[row])) for row in self._maps]))
        series = standardise_regions(scan.region_series(self.regions()))
        return series if start is None else series[start : start + (length or len(series))]

    def _inputs(self, scan: ScanView) -> list[np.ndarray]:
        """Give the inputs of a scan, a few windows at once."""
        if self.reads != "frames":
            return [self.input_of(scan)[None]]
        starts = window_starts(len(scan.series), spec=scan.spec)
        pieces = [starts[i : i + _WINDOWS_AT_ONCE] for i in range(0, len(starts), _WINDOWS_AT_ONCE)]
        return [np.stack([self.input_of(scan, start=int(start)) for start in piece]) for piece in pieces]

    def _in_place(self, voxels: Float[np.ndarray, "K N"]) -> Float[np.ndarray, "K G G G"]:
        """Put in-brain voxels where they belong; 0 outside."""
        placed = np.zeros((len(voxels), *(self._grid_size,) * 3), dtype=np.float32)
        placed[:, brain_cube(self._grid_size).mask] = voxels
        return placed


def standardise_regions(series: Float[np.ndarray, "T R"]) -> Float[np.ndarray, "T R"]:
    """Bring each region's series to mean 0 and deviation 1; one without signal to 0."""
    centred = series - series.mean(axis=0, dtype=np.float64)
    deviation = centred.std(axis=0)
    lively = deviation > _CONSTANT * max(float(deviation.max()), np.finfo(np.float64).tiny)
    standardised = np.divide(centred, deviation, out=np.zeros_like(centred), where=lively)
    return np.asarray(standardised, dtype=np.float32)
