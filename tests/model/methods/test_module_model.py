"""What turns a scan into a module's input, and its logits into calibrated ones."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.stats import zscore
from torch import nn

from imaging import PreprocessingSpec, brain_cube, window_starts
from imaging.derived.maps import DERIVED_MAPS
from imaging.regions import Regions
from model.methods.module_model import ModuleModel, standardise_regions
from model.methods.scan_view import ScanView

SPEC = PreprocessingSpec(grid_size=12, window_frames=4, n_windows=3)
MASK = brain_cube(12).mask
N_VOXELS = int(MASK.sum())
OF_VOXEL = np.arange(N_VOXELS) % 3 + 1


class Seen(nn.Module):
    """Remembers what it is given, and answers by its sum."""

    def __init__(self):
        super().__init__()
        self.given = []

    def forward(self, inputs):
        self.given.append(inputs)
        return inputs.flatten(1).sum(dim=1) / 100


def model_of(reads, *, maps=()):
    model = ModuleModel(
        Seen(),
        reads=reads,
        maps=maps,
        n_voxels=N_VOXELS,
        n_regions=3 if reads == "regions" else 0,
        grid_size=12,
    )
    if reads == "regions":
        model.carry(Regions.from_labels(OF_VOXEL), n_voxels=N_VOXELS)
    return model.eval()


@pytest.fixture
def scan():
    generator = np.random.default_rng(8)
    series = generator.standard_normal((11, N_VOXELS)).astype(np.float16)
    maps = generator.uniform(0.1, 1, (len(DERIVED_MAPS), N_VOXELS)).astype(np.float32)
    return ScanView(series=series, spec=SPEC, kept_maps=lambda: maps)


def in_place(voxels):
    """Put voxels into the cube one by one, in C order."""
    cube = np.zeros(MASK.shape, dtype=np.float32)
    for value, place in zip(voxels, np.argwhere(MASK), strict=True):
        cube[tuple(place)] = value
    return cube


def test_windows_are_the_planned_ones_with_each_voxel_in_its_place(scan):
    model = model_of("frames")
    with torch.inference_mode():
        logits = model.window_logits(scan)
    given = torch.cat(model.module.given).numpy()
    starts = window_starts(11, spec=SPEC)
    assert (len(logits), given.shape) == (3, (3, 4, 12, 12, 12))
    assert (starts[0], starts[-1]) == (0, 7), "from the first frame to the last"
    for window, start in zip(given, starts, strict=True):
        for frame in range(4):
            np.testing.assert_array_equal(window[frame], in_place(scan.series[start + frame]))


def test_a_window_that_training_cuts_is_the_one_that_is_asked_at_that_frame(scan):
    """Training gives start and length, serving the start alone."""
    model = model_of("frames")
    np.testing.assert_array_equal(model.input_of(scan, start=5, length=4), model.input_of(scan, start=5))
    np.testing.assert_array_equal(model.input_of(scan, start=0, length=4), model.input_of(scan))
    assert model.input_of(scan, start=5, length=4).dtype == np.float32


@pytest.mark.parametrize("names", [("reho", "falff", "vmhc"), ("vmhc", "alff"), ("falff_sd",)])
def test_maps_come_in_the_order_of_their_names(names, scan):
    model = model_of("maps", maps=names)
    with torch.inference_mode():
        assert len(model.window_logits(scan)) == 1
    (given,) = model.module.given
    assert given.shape == (1, len(names), 12, 12, 12)
    for found, name in zip(given[0].numpy(), names, strict=True):
        expected = zscore(scan.derived_maps()[DERIVED_MAPS.index(name)].astype(np.float64))
        np.testing.assert_allclose(found[MASK], expected, atol=1e-5)
        assert (found[~MASK] == 0).all()


class Both(nn.Module):
    """Remembers what it is given of both kinds."""

    def forward(self, maps, tissues):
        self.given = maps, tissues
        return tissues.flatten(1).sum(dim=1)


def test_tissues_come_beside_the_maps_on_a_cube_twice_as_fine(scan):
    fine = brain_cube(24).mask
    tissues = np.random.default_rng(3).uniform(0, 1, (3, fine.sum())).astype(np.float32)
    scan = replace(scan, kept_tissues=lambda: tissues)
    model = ModuleModel(
        Both(),
        reads="maps",
        maps=("reho",),
        tissues=("fluid", "grey_matter"),
        n_voxels=N_VOXELS,
        n_regions=0,
        grid_size=12,
    ).eval()
    with torch.inference_mode():
        assert len(model.window_logits(scan)) == 1
    maps, given = model.module.given
    assert (maps.shape, given.shape) == ((1, 1, 12, 12, 12), (1, 2, 24, 24, 24))
    for found, row in zip(given[0].numpy(), (2, 0), strict=True):
        np.testing.assert_allclose(found[fine], zscore(tissues[row].astype(np.float64)), atol=1e-5)
        assert (found[~fine] == 0).all()
    for asked, cut in zip((maps, given), model.inputs_of(scan), strict=True):
        np.testing.assert_array_equal(asked[0].numpy(), cut)


def test_regions_are_standardised_over_the_whole_scan_before_a_piece_is_cut(scan):
    model = model_of("regions")
    series = np.asarray(scan.series, dtype=np.float64)
    expected = zscore(np.stack([series[:, one == OF_VOXEL].mean(axis=1) for one in (1, 2, 3)], axis=1))
    with torch.inference_mode():
        model.window_logits(scan)
    np.testing.assert_allclose(model.module.given[0][0].numpy(), expected, atol=1e-4)
    np.testing.assert_allclose(model.input_of(scan, start=2, length=5), expected[2:7], atol=1e-4)


def test_a_region_that_never_varies_stays_at_nought():
    series = np.random.default_rng(0).standard_normal((20, 4)).astype(np.float32) * [1, 0, 1e4, 1] + 7
    series[:, 3] = 1e6
    found = standardise_regions(series)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found[:, [0, 2]], zscore(series[:, [0, 2]]), atol=1e-4)
    assert (found[:, [1, 3]] == 0).all()
    assert (standardise_regions(np.full((5, 2), 3.0, dtype=np.float32)) == 0).all()
    assert (standardise_regions(np.zeros((5, 2), dtype=np.float32)) == 0).all()


@pytest.mark.parametrize("reads", ["frames", "regions"])
def test_calibration_shifts_and_scales_and_does_so_upon_itself(reads, scan):
    model = model_of(reads)
    with torch.inference_mode():
        raw = model.window_logits(scan)
        model.build_in(offset=0.5, temperature=2.0)
        once = model.window_logits(scan)
        model.build_in(offset=-1.5, temperature=0.25)
        twice = model.window_logits(scan)
    np.testing.assert_allclose(once, (raw - 0.5) / 2, atol=1e-5)
    np.testing.assert_allclose(twice, ((raw - 0.5) / 2 + 1.5) / 0.25, atol=1e-4)


def test_calibration_travels_with_the_weights_and_is_no_parameter(scan):
    model, other = model_of("regions"), model_of("regions")
    model.build_in(offset=0.5, temperature=2.0)
    assert model.n_parameters() == 0
    other.load_state_dict(model.state_dict())
    with torch.inference_mode():
        np.testing.assert_array_equal(model.window_logits(scan), other.window_logits(scan))
