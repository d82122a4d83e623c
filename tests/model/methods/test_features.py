"""What linear methods put a weight on, beside the same worked out by numpy, scipy and scikit-learn."""

import numpy as np
import pytest
import torch
from scipy.linalg import fractional_matrix_power, logm
from scipy.stats import zscore
from sklearn.covariance import LedoitWolf

from imaging import PreprocessingSpec, brain_cube
from imaging.derived.maps import DERIVED_MAPS
from imaging.derived.tissue_maps import TISSUE_MAPS
from imaging.regions import Regions
from model.methods.building import build_method, count_voxels
from model.methods.catalogue import METHODS
from model.methods.features import fisher_z_correlations
from model.methods.linear import LinearModel, count_features
from model.methods.scan_view import MapsMissingError, ScanView, TissuesMissingError

SPEC = PreprocessingSpec(grid_size=12, window_frames=3, n_windows=2)
N_VOXELS = int(brain_cube(12).mask.sum())
N_FINE_VOXELS = int(brain_cube(24).mask.sum())
N_REGIONS = 6
OF_VOXEL = np.arange(N_VOXELS) % (N_REGIONS + 1)  # 0 is no region
REGIONS = Regions.from_labels(OF_VOXEL)


@pytest.fixture
def scan():
    generator = np.random.default_rng(4)
    signals = generator.standard_normal((40, N_REGIONS + 1))
    series = (signals[:, OF_VOXEL] + generator.standard_normal((40, N_VOXELS))).astype(np.float16)
    maps = generator.uniform(0.1, 1, (len(DERIVED_MAPS), N_VOXELS)).astype(np.float32)
    maps[:, ::7] = 0
    tissues = generator.uniform(0, 1, (len(TISSUE_MAPS), N_FINE_VOXELS)).astype(np.float32)
    tissues[:, ::5] = 0
    return ScanView(series=series, spec=SPEC, kept_maps=lambda: maps, kept_tissues=lambda: tissues)


def means(scan):
    series = np.asarray(scan.series, dtype=np.float64)
    return np.stack(
        [series[:, region == OF_VOXEL].mean(axis=1) for region in range(1, N_REGIONS + 1)], axis=1
    )


def linear(*features):
    model = LinearModel(
        features=features, n_voxels=N_VOXELS, n_regions=N_REGIONS, n_fine_voxels=N_FINE_VOXELS
    )
    model.carry(REGIONS, n_voxels=N_VOXELS)
    return model


def test_connectivity_is_numpys_correlation_of_each_pair_in_fishers_z(scan):
    correlation = np.corrcoef(means(scan).T)
    expected = [np.arctanh(correlation[i, j]) for i in range(N_REGIONS) for j in range(i + 1, N_REGIONS)]
    np.testing.assert_allclose(linear("connectivity").features_of(scan), expected, atol=1e-4)


def test_a_region_without_signal_correlates_with_nothing_and_equal_ones_within_bounds():
    series = np.random.default_rng(0).standard_normal((30, 4)).astype(np.float32)
    series[:, 1] = 5.0
    series[:, 3] = -2 * series[:, 0]
    found = fisher_z_correlations(series)
    assert np.isfinite(found).all()
    # Pairs in order: 01 02 03 12 13 23.
    assert found[[0, 3, 4]].tolist() == [0, 0, 0]
    assert found[2] == pytest.approx(np.arctanh(-0.999))
    assert found[1] == pytest.approx(np.arctanh(np.corrcoef(series[:, 0], series[:, 2])[0, 1]), abs=1e-5)


def test_the_tangent_feature_is_the_logarithm_of_the_whitened_covariance(scan):
    generator = np.random.default_rng(1)
    root = generator.standard_normal((N_REGIONS, 30))
    reference = root @ root.T / 30
    whitening = fractional_matrix_power(reference, -0.5).real
    model = linear("tangent")
    model.whitening = torch.from_numpy(whitening.astype(np.float32))
    covariance = LedoitWolf(assume_centered=True).fit(zscore(means(scan))).covariance_
    whitened = logm(whitening @ covariance @ whitening)
    rows, columns = np.tril_indices(N_REGIONS)
    expected = whitened[rows, columns] * np.where(rows == columns, np.sqrt(0.5), 1)
    np.testing.assert_allclose(model.features_of(scan), expected, atol=1e-4)
    np.testing.assert_allclose(2 * (expected @ expected), (whitened**2).sum(), rtol=1e-8)


@pytest.mark.parametrize("name", DERIVED_MAPS)
def test_a_maps_feature_is_its_row_by_name_standardised_where_it_was_measured(name, scan):
    row = scan.derived_maps()[DERIVED_MAPS.index(name)].astype(np.float64)
    expected = np.zeros(N_VOXELS)
    expected[row != 0] = zscore(row[row != 0])
    np.testing.assert_allclose(linear(name).features_of(scan), expected, atol=1e-5)


def test_the_grey_matter_feature_is_its_row_standardised_over_the_whole_brain(scan):
    expected = zscore(scan.tissue_maps()[TISSUE_MAPS.index("grey_matter")].astype(np.float64))
    np.testing.assert_allclose(linear("grey_matter").features_of(scan), expected, atol=1e-5)


def test_features_stand_behind_each_other_in_their_order(scan):
    both = linear("reho", "connectivity")
    assert both.widths == (N_VOXELS, 15)
    np.testing.assert_array_equal(
        both.features_of(scan),
        np.concatenate([linear("reho").features_of(scan), linear("connectivity").features_of(scan)]),
    )


def test_the_logit_is_the_weighted_sum_and_calibration_shifts_and_scales_it(scan):
    model = linear("connectivity")
    weight = np.linspace(-1, 1, 15).astype(np.float32)
    model.weight, model.intercept = torch.from_numpy(weight.copy()), torch.tensor([0.3])
    raw = float(weight @ np.arctanh(np.corrcoef(means(scan).T)[np.triu_indices(N_REGIONS, k=1)])) + 0.3
    assert model.window_logits(scan) == pytest.approx([raw], abs=1e-3)
    model.build_in(offset=0.5, temperature=2.0)
    once = (raw - 0.5) / 2
    assert model.window_logits(scan) == pytest.approx([once], abs=1e-3)
    model.build_in(offset=-1.0, temperature=4.0)
    assert model.window_logits(scan) == pytest.approx([(once + 1) / 4], abs=1e-3)


def test_a_scan_without_maps_is_refused_to_who_reads_them(scan):
    bare = ScanView(series=scan.series, spec=SPEC)
    assert len(linear("connectivity").features_of(bare)) == 15
    with pytest.raises(MapsMissingError) as caught:
        linear("reho").features_of(bare)
    assert caught.value.code == "maps_missing"
    with pytest.raises(TissuesMissingError) as without:
        linear("grey_matter").features_of(bare)
    assert without.value.code == "tissues_missing"


@pytest.mark.parametrize(
    ("name", "count"),
    [("connectivity", 15), ("tangent", 21), ("reho", 99), ("falff", 99), ("grey_matter", 700)],
)
def test_features_are_counted(name, count):
    assert count_features(name, n_regions=6, n_voxels=99, n_fine_voxels=700) == count


@pytest.mark.parametrize("method", [name for name, one in METHODS.items() if one.is_linear])
def test_a_linear_method_has_a_weight_for_each_feature_that_it_names(method, scan):
    n_learned = METHODS[method].n_learned_regions
    reads_regions = "regions" in METHODS[method].reads
    model = build_method(method, grid_size=12, n_regions=N_REGIONS if reads_regions else 0)
    if reads_regions:
        model.carry(REGIONS, n_voxels=count_voxels(12))
    if n_learned:
        model.carry(Regions.from_labels(np.arange(N_VOXELS) % n_learned + 1), n_voxels=N_VOXELS)
    if model.whitening is not None:
        model.whitening = torch.eye(N_REGIONS)
    assert model.features == METHODS[method].features
    assert model.n_parameters() == len(model.features_of(scan)) + 1
    assert model.window_logits(scan).tolist() == [0.0], "nothing is fitted yet"


def test_regions_come_back_from_the_weights_as_they_were(scan):
    model, other = (
        linear("connectivity"),
        LinearModel(features=("connectivity",), n_voxels=N_VOXELS, n_regions=N_REGIONS),
    )
    other.load_state_dict(model.state_dict())
    np.testing.assert_array_equal(other.regions().labels(N_VOXELS), OF_VOXEL)
    np.testing.assert_array_equal(other.features_of(scan), model.features_of(scan))
    with pytest.raises(TypeError, match="a method that reads regions"):
        LinearModel(features=("reho",), n_voxels=N_VOXELS, n_regions=0).regions()
