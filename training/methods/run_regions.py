"""The regions that a run's method reads: chosen once, kept in the run's folder, the same in every fold."""

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from imaging.regions import Regions, power_264, read_atlas, tile_brain
from model.card import RegionsRecord
from model.files import replace_file
from model.methods.building import count_voxels
from model.methods.scan_model import regions_sha256
from training.run_files import RunFolderError
from training.runs import REGIONS_FILE, RunRecord

CUBES, POWER = "cubes", "power264"


@dataclass(frozen=True, eq=False)
class ChosenRegions:
    """Regions with what a run says of them."""

    regions: Regions
    record: RegionsRecord

    @classmethod
    def of(cls, regions: Regions, *, name: str, grid_size: int) -> "ChosenRegions":
        """Describe regions of a cube."""
        labels = regions.labels(count_voxels(grid_size))
        record = RegionsRecord(name=name, n_regions=len(regions), sha256=regions_sha256(labels))
        return cls(regions, record)


def choose_regions(name: str, *, grid_size: int) -> ChosenRegions:
    """Find regions by their name, or read them from an atlas.

    Parameters
    ----------
    name : str
        "cubes", "power264", or the path of a file of labels in template space.
    grid_size : int
        Edge of the cube.

    Raises
    ------
    AtlasError
        If the file is no atlas.
    """
    if name == CUBES:
        return ChosenRegions.of(tile_brain(grid_size), name=CUBES, grid_size=grid_size)
    if name == POWER:
        return ChosenRegions.of(power_264(grid_size), name=POWER, grid_size=grid_size)
    path = Path(name)
    stem = path.name.split(".", maxsplit=1)[0]
    return ChosenRegions.of(read_atlas(path, grid_size=grid_size), name=stem, grid_size=grid_size)


def keep_regions(run: Path, chosen: ChosenRegions, *, grid_size: int) -> None:
    """Write the region of each voxel into a run's folder.

    Raises
    ------
    OSError
        If it cannot be written.
    """
    content = io.BytesIO()
    np.save(content, chosen.regions.labels(count_voxels(grid_size)).astype("<i2"))
    replace_file(run / REGIONS_FILE, content.getvalue())


def read_regions(run: Path, record: RunRecord) -> Regions | None:
    """Give the regions of a run; None where its method reads none.

    Raises
    ------
    RunFolderError
        If they are not there, or not the ones that the run was begun with.
    """
    if record.regions is None:
        return None
    try:
        # `numpy.load` would take other kinds of file too, each with errors of its own.
        labels = np.lib.format.read_array(io.BytesIO((run / REGIONS_FILE).read_bytes()))
    except (OSError, ValueError) as error:
        raise _damaged(run, "none that can be read") from error
    if regions_sha256(labels) != record.regions.sha256:
        raise _damaged(run, "others")
    return Regions.from_labels(labels)


def _damaged(run: Path, found: str) -> RunFolderError:
    return RunFolderError(
        name=run.name, expected=f"the regions that it was begun with in {REGIONS_FILE}", found=found
    )
