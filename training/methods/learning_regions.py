"""Regions of the brain that training scans show by themselves: voxels that go with the same parts of it.

No label has a say. Each voxel is described by its correlations with the 20 mm tiles of the brain, averaged
over the training scans, and neighbours are joined by Ward's criterion until so many regions are left. Thirion
et al. 2014 (doi:10.3389/fnins.2014.00167) found Ward's clusters to reproduce and to fit best among such
parcellations.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Float, Float32
from sklearn.cluster import AgglomerativeClustering
from sklearn.feature_extraction.image import grid_to_graph

from imaging import brain_cube
from imaging.regions import Regions, tile_brain
from model.methods.scan_model import regions_sha256
from model.methods.scan_view import ScanView
from training.fitting.prepared import TrainingSubject

_CONSTANT = 1e-6  # beside the liveliest voxel's; what does not vary goes with nothing


def learn_regions(
    subjects: Sequence[TrainingSubject],
    *,
    n_regions: int,
    progress: Callable[[int], None] | None = None,
) -> Regions:
    """Join the brain's voxels to regions.

    Parameters
    ----------
    subjects : sequence of TrainingSubject
        Those trained on, and nobody else; each counts the same, whatever the number of scans.
    n_regions : int
    progress : callable, optional
        Called with the number of subjects read so far, after each.

    Returns
    -------
    Regions
        Of every voxel of the brain mask.
    """
    grid_size = subjects[0].spec.grid_size
    tiles = tile_brain(grid_size)
    described = np.zeros((int(brain_cube(grid_size).mask.sum()), len(tiles)), dtype=np.float32)
    for done, subject in enumerate(subjects, start=1):
        for scan in subject.scans:
            series = np.asarray(scan.series, dtype=np.float32)
            described += _correlations(series, tiles.means(series)) / len(subject.scans)
        if progress is not None:
            progress(done)
    mask = brain_cube(grid_size).mask
    neighbours = grid_to_graph(*mask.shape, mask=mask)
    ward = AgglomerativeClustering(n_clusters=n_regions, connectivity=neighbours, linkage="ward")
    found = ward.fit_predict(described / len(subjects))
    return Regions.from_labels((found + 1).astype(np.int16))


def hold_region_series(subjects: Sequence[TrainingSubject]) -> list[TrainingSubject]:
    """Give the subjects with their regions' series held in memory from when they are first asked for.

    Nobody else will ask about a fold's own regions, so nothing of them is worth a place in the cohort.
    """
    return [replace(subject, views=tuple(_holding(scan) for scan in subject.scans)) for subject in subjects]


def _holding(scan: ScanView) -> ScanView:
    held: dict[str, Float32[np.ndarray, "T R"]] = {}

    def means(regions: Regions) -> Float32[np.ndarray, "T R"]:
        key = regions_sha256(regions.labels(scan.series.shape[1]))
        if key not in held:
            held[key] = regions.means(scan.series)
        return held[key]

    return replace(scan, kept_regions=means)


def _correlations(
    series: Float[np.ndarray, "T N"], means: Float[np.ndarray, "T R"]
) -> Float32[np.ndarray, "N R"]:
    """Give the Pearson correlation of each voxel with each tile."""
    return np.asarray(_unit(series).T @ _unit(means), dtype=np.float32)


def _unit(series: Float[np.ndarray, "T K"]) -> Float32[np.ndarray, "T K"]:
    centred = series - series.mean(axis=0)
    norm = np.linalg.norm(centred, axis=0)
    lively = norm > _CONSTANT * max(float(norm.max()), float(np.finfo(np.float32).tiny))
    return np.asarray(np.divide(centred, norm, out=np.zeros_like(centred), where=lively), dtype=np.float32)
