"""Methods that are a torch module over windows of frames, derived maps or series of regions."""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from imaging import brain_cube, window_starts
from imaging.derived.maps import DERIVED_MAPS, standardise_map
from imaging.derived.tissue_maps import FINER, TISSUE_MAPS, standardise_tissue
from model.methods.catalogue import Feature, Reads, Tissue
from model.methods.scan_model import ScanModel, WindowLogits
from model.methods.scan_view import ScanView

TEMPERATURE = "temperature"
"""How a checkpoint calls the tensor that the logits are divided by."""

_WINDOWS_AT_ONCE = 2
_CONSTANT = 1e-6  # beside the liveliest region's deviation


class ModuleModel(ScanModel):
    """A module with what turns a scan into its input, and its logits into calibrated ones.

    Parameters
    ----------
    module : Module
        From (W, F, G, G, G) windows, (W, M, G, G, G) maps or (W, T, R) series to (W,) logits; with tissues,
        from maps and (W, S, 2 G, 2 G, 2 G) beside them.
    reads : "frames", "maps" or "regions"
    maps : sequence of str
        Names of the derived maps that it reads, in their order.
    tissues : sequence of str
        Names of the tissue maps that it reads beside them, in their order.
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
        tissues: Sequence[Tissue] = (),
        n_voxels: int,
        n_regions: int,
        grid_size: int,
    ) -> None:
        super().__init__(n_voxels=n_voxels, with_regions=n_regions > 0)
        self.module = module
        self.reads = reads
        self._maps = tuple(DERIVED_MAPS.index(name) for name in maps)
        self._tissues = tuple(TISSUE_MAPS.index(name) for name in tissues)
        self._grid_size = grid_size
        self.offset: Tensor
        self.temperature: Tensor
        self.register_buffer("offset", torch.zeros(1))
        self.register_buffer(TEMPERATURE, torch.ones(1))

    def window_logits(self, scan: ScanView) -> WindowLogits:
        """Give a logit for each planned window of frames, or the one of the whole scan."""
        logits = [self.module(*map(self.offset.new_tensor, given)) for given in self._inputs(scan)]
        scaled = (torch.cat(logits) - self.offset) / self.temperature
        return scaled.detach().cpu().double().numpy()

    def build_in(self, *, offset: float, temperature: float) -> None:
        """Let every logit from now on be (logit - ``offset``) / ``temperature``."""
        self.offset.add_(offset * self.temperature)
        self.temperature.mul_(temperature)

    def inputs_of(
        self, scan: ScanView, *, start: int | None = None, length: int | None = None
    ) -> tuple[np.ndarray, ...]:
        """Give all that the module is called with for one window or scan, one after the other.

        Parameters
        ----------
        scan, start, length
            As for :meth:`input_of`.

        Returns
        -------
        tuple of arrays
            What :meth:`input_of` gives, and (S, 2 G, 2 G, 2 G) float32 where it reads tissues.
        """
        main = self.input_of(scan, start=start, length=length)
        return (main, self._tissues_of(scan)) if self._tissues else (main,)

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
            return _in_place(
                scan.series[begun : begun + (length or scan.spec.window_frames)], self._grid_size
            )
        if self.reads == "maps":
            maps = scan.derived_maps()
            standardised = np.stack([standardise_map(np.asarray(maps[row])) for row in self._maps])
            return _in_place(standardised, self._grid_size)
        series = standardise_regions(scan.region_series(self.regions()))
        return series if start is None else series[start : start + (length or len(series))]

    def _inputs(self, scan: ScanView) -> list[tuple[np.ndarray, ...]]:
        """Give what the module is called with for a scan, a few windows at once."""
        if self.reads != "frames":
            return [tuple(one[None] for one in self.inputs_of(scan))]
        starts = window_starts(len(scan.series), spec=scan.spec)
        pieces = [starts[i : i + _WINDOWS_AT_ONCE] for i in range(0, len(starts), _WINDOWS_AT_ONCE)]
        return [(np.stack([self.input_of(scan, start=int(start)) for start in piece]),) for piece in pieces]

    def _tissues_of(self, scan: ScanView) -> np.ndarray:
        tissues = scan.tissue_maps()
        standardised = np.stack([standardise_tissue(np.asarray(tissues[row])) for row in self._tissues])
        return _in_place(standardised, FINER * self._grid_size)


def _in_place(voxels: Float[np.ndarray, "K N"], grid_size: int) -> Float[np.ndarray, "K G G G"]:
    """Put in-brain voxels where they belong on a cube; 0 outside."""
    placed = np.zeros((len(voxels), *(grid_size,) * 3), dtype=np.float32)
    placed[:, brain_cube(grid_size).mask] = voxels
    return placed


def standardise_regions(series: Float[np.ndarray, "T R"]) -> Float[np.ndarray, "T R"]:
    """Bring each region's series to mean 0 and deviation 1; one without signal to 0."""
    centred = series - series.mean(axis=0, dtype=np.float64)
    deviation = centred.std(axis=0)
    lively = deviation > _CONSTANT * max(float(deviation.max()), np.finfo(np.float64).tiny)
    standardised = np.divide(centred, deviation, out=np.zeros_like(centred), where=lively)
    return np.asarray(standardised, dtype=np.float32)
