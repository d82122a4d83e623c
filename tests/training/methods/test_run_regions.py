"""The regions of a run: chosen once, kept with it, and known again."""

import hashlib

import numpy as np
import pytest

from imaging.regions import power_264, tile_brain
from tests.training.methods.tiny_methods import N_VOXELS, octants, settings_of
from training.methods.run_regions import choose_regions, keep_regions, read_regions
from training.run_files import RunFolderError
from training.runs import REGIONS_FILE, read_run
from training.validation.cross_validation import plan_run


@pytest.fixture
def run(people, atlas, tmp_path):
    plan_run(
        people,
        people.subjects,
        settings=settings_of("ridge-connectivity"),
        out=tmp_path / "run",
        device="cpu",
        regions=str(atlas),
    )
    return tmp_path / "run"


def test_an_atlas_is_read_and_its_regions_are_those_of_the_run(run):
    record = read_run(run).regions
    assert (record.name, record.n_regions) == ("eighths", 8)
    assert record.sha256 == hashlib.sha256(octants().astype("<i2").tobytes()).hexdigest()
    np.testing.assert_array_equal(read_regions(run, read_run(run)).labels(N_VOXELS), octants())


@pytest.mark.parametrize(("name", "regions"), [("cubes", tile_brain), ("power264", power_264)])
def test_regions_are_found_by_their_names(name, regions):
    chosen = choose_regions(name, grid_size=34)
    assert chosen.record.name == name
    assert chosen.record.n_regions == len(regions(34))
    np.testing.assert_array_equal(chosen.regions.labels(N_VOXELS), regions(34).labels(N_VOXELS))


def test_a_method_that_reads_none_has_none(people, atlas, tmp_path):
    run = tmp_path / "run"
    settings = settings_of("svm-reho")
    plan_run(people, people.subjects, settings=settings, out=run, device="cpu", regions=str(atlas))
    assert read_run(run).regions is None
    assert not (run / REGIONS_FILE).exists()
    assert read_regions(run, read_run(run)) is None


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (None, "none that can be read"),
        (b"", "none that can be read"),
        (b"text", "none that can be read"),
        (b"PK\x03\x04 no archive", "none that can be read"),
    ],
    ids=["gone", "empty", "text", "a zip's beginning"],
)
def test_regions_that_cannot_be_read_are_refused_by_name(content, found, run):
    (run / REGIONS_FILE).unlink() if content is None else (run / REGIONS_FILE).write_bytes(content)
    with pytest.raises(RunFolderError, match=f"regions.npy, found {found}"):
        read_regions(run, read_run(run))


def test_other_regions_than_a_run_was_begun_with_are_refused(run):
    keep_regions(run, choose_regions("cubes", grid_size=34), grid_size=34)
    with pytest.raises(RunFolderError, match="found others"):
        read_regions(run, read_run(run))
