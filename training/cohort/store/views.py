"""A stored scan as methods read it, with what is computed of it once and kept beside its series.

::

    COHORT/
      regions/<digest of the regions>/<series>.<digest of the series>.npy   (T, R) float32

What is kept follows from its two digests, so a changed series or other regions are other files. A file ends
with a seal over its own place and content: what is damaged, or was put in another's place, is computed again.
Where the store cannot be written, it is computed each time.
"""

import hashlib
import io
from contextlib import suppress
from functools import partial
from pathlib import Path

import numpy as np
from jaxtyping import Float32

from imaging.regions import Regions
from model.files import replace_file
from model.methods.building import count_voxels
from model.methods.scan_model import regions_sha256
from model.methods.scan_view import ScanView
from training.cohort.store.cohort_store import CohortStore
from training.cohort.store.index import StoredScan

REGIONS_FOLDER = "regions"
_DIGEST = 16  # characters
_SEAL = hashlib.sha256().digest_size


def view_scan(store: CohortStore, scan: StoredScan) -> ScanView:
    """Give a scan of a store with what is kept of it.

    Raises
    ------
    SeriesDamagedError
        If its series is gone or not of the promised size.
    """
    return ScanView(
        series=store.series(scan),
        spec=store.spec,
        kept_regions=partial(region_series, store, scan),
        kept_maps=partial(store.maps, scan),
        kept_tissues=partial(store.tissues, scan),
    )


def region_series(store: CohortStore, scan: StoredScan, regions: Regions) -> Float32[np.ndarray, "T R"]:
    """Give the mean series of regions, computed once.

    Parameters
    ----------
    store : CohortStore
    scan : StoredScan
        Of this store.
    regions : Regions
        Of its cube.

    Raises
    ------
    SeriesDamagedError
    """
    path = _path(store, scan, regions)
    kept = _read(path, shape=(scan.n_stored_frames, len(regions)))
    if kept is not None:
        return kept
    means = regions.means(store.series(scan))
    content = io.BytesIO()
    np.save(content, means)
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_file(path, content.getvalue() + _seal(path, content.getvalue()))
    return means


def _path(store: CohortStore, scan: StoredScan, regions: Regions) -> Path:
    labels = regions.labels(count_voxels(store.spec.grid_size))
    digest = regions_sha256(labels)[:_DIGEST]
    name = f"{Path(scan.series_file).stem}.{scan.series_sha256[:_DIGEST]}.npy"
    return store.folder / REGIONS_FOLDER / digest / name


def _read(path: Path, *, shape: tuple[int, int]) -> Float32[np.ndarray, "T R"] | None:
    """Read what is kept; None where there is nothing, or nothing whole."""
    try:
        stored = path.read_bytes()
    except OSError:
        return None
    content, seal = stored[:-_SEAL], stored[-_SEAL:]
    if seal != _seal(path, content):
        return None
    found = np.load(io.BytesIO(content))
    return found if found.shape == shape and found.dtype == np.float32 else None


def _seal(path: Path, content: bytes) -> bytes:
    """Bind a file's content to its place, behind which `numpy.load` does not read."""
    place = f"{path.parent.name}/{path.name}".encode()
    return hashlib.sha256(place + content).digest()
