"""From a method's name to its module, with fresh weights."""

from functools import lru_cache

from torch import nn

from imaging import brain_cube
from imaging.derived.tissue_maps import FINER
from model.methods.catalogue import METHODS, Method, MethodName
from model.methods.frame_perceptron import FramePerceptron
from model.methods.linear import LinearModel
from model.methods.module_model import ModuleModel
from model.methods.scan_model import ScanModel
from model.published.building import build_published


def build_method(name: MethodName, *, grid_size: int, n_regions: int) -> ScanModel:
    """Build a model of a method that is not a network of the eight.

    Parameters
    ----------
    name : str
    grid_size : int
        Edge of the cube that scans are prepared on.
    n_regions : int
        0 where the method reads none.
    """
    method, n_voxels = METHODS[name], count_voxels(grid_size)
    n_regions = n_regions or method.n_learned_regions
    if method.is_linear:
        return build_linear(method, grid_size=grid_size, n_regions=n_regions)
    module: nn.Module
    if method.n_learned_regions:
        module = FramePerceptron(n_regions=n_regions)
    else:
        module = build_published(
            name, n_maps=len(method.maps), n_structural=len(method.tissues), n_regions=n_regions
        )
    return ModuleModel(
        module,
        reads="regions" if n_regions else method.reads[0],
        maps=method.maps,
        tissues=method.tissues,
        n_voxels=n_voxels,
        n_regions=n_regions,
        grid_size=grid_size,
    )


def build_linear(method: Method, *, grid_size: int, n_regions: int) -> LinearModel:
    """Build a model of a method that comes to one weight a feature; parameters as of :func:`build_method`."""
    return LinearModel(
        features=method.features,
        n_voxels=count_voxels(grid_size),
        n_regions=n_regions,
        n_fine_voxels=count_voxels(FINER * grid_size) if "tissues" in method.reads else 0,
    )


@lru_cache(maxsize=8)
def count_voxels(grid_size: int) -> int:
    """Count the brain's voxels on the cube."""
    return int(brain_cube(grid_size).mask.sum())
