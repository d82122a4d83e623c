"""A checkpoint of a method that reads tissue maps, with nothing fitted."""

from pathlib import Path

from imaging.regions import tile_brain
from model import demonstration_checkpoint
from model.card import RegionsRecord, read_card
from model.checkpoint import save_checkpoint
from model.methods.building import build_method, count_voxels
from model.methods.scan_model import regions_sha256
from model.networks import GRID_SIZE


def write_tissue_model(path: Path) -> Path:
    """Write it: Dai's kernels on the tiles of the brain, one member, every weight 0."""
    regions = tile_brain(GRID_SIZE)
    labels = regions.labels(count_voxels(GRID_SIZE))
    record = RegionsRecord(name="cubes", n_regions=len(regions), sha256=regions_sha256(labels))
    model = build_method("mkl-t1w", grid_size=GRID_SIZE, n_regions=len(regions))
    model.carry(regions, n_voxels=len(labels))
    changes = {"method": "mkl-t1w", "regions": record, "members": 1, "name": "reads tissues"}
    card = read_card(demonstration_checkpoint()).model_copy(update=changes)
    save_checkpoint(path, members=[model.state_dict()], card=card)
    return path
