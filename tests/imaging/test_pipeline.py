"""From a scan to the network's input: the same for every way of writing the same brain down."""

import itertools
from dataclasses import dataclass

import nibabel as nib
import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from imaging import (
    STAGES,
    BoldScan,
    NetworkInput,
    NotInTemplateSpaceError,
    PreprocessingSpec,
    ScanError,
    brain_cube,
    open_scan,
    preprocess,
)
from imaging.pipeline import scale_series
from imaging.reading import NonfiniteValuesError
from imaging.temporal import ScanTooShortError
from imaging.variation import ConstantInTimeError


def compare(one: NetworkInput, other: NetworkInput) -> tuple[float, float]:
    """Correlation, and root mean square difference relative to the first."""
    mask = brain_cube(34).mask
    a, b = one.frames[:, mask].ravel().astype(float), other.frames[:, mask].ravel().astype(float)
    return float(np.corrcoef(a, b)[0, 1]), float(np.sqrt(((a - b) ** 2).mean() / (a**2).mean()))


@pytest.fixture(scope="module")
def athena(grids, athena_bold) -> NetworkInput:
    return preprocess(BoldScan.from_array(athena_bold, affine=grids["athena"][1], tr_s=2.0))


def test_the_input_is_what_the_network_expects(athena):
    mask = brain_cube(34).mask
    assert athena.frames.shape == (40, 34, 34, 34)
    assert athena.frames.dtype == np.float32
    assert (athena.tr_s, athena.space) == (2.0, "template")
    assert not athena.frames[:, ~mask].any()
    np.testing.assert_allclose(athena.frames.mean(axis=0), 0, atol=1e-5)
    assert athena.frames[:, mask].std() == pytest.approx(1, abs=1e-3)
    assert athena.quality.template_coverage > 0.99


def test_a_voxel_lies_where_the_cube_says(grids, athena_bold, athena):
    """Against nilearn, an independent resampler: a place in the head has the same time course in both."""
    from nilearn.image import resample_img

    affine = grids["athena"][1]
    cube = brain_cube(34)
    image = nib.Nifti1Image(athena_bold, affine)
    fine = resample_img(
        image, cube.affine, (34, 34, 34), interpolation="linear", force_resample=True, copy_header=True
    ).get_fdata()
    expected = fine[cube.mask] - fine[cube.mask].mean(axis=1, keepdims=True)
    found = athena.frames[:, cube.mask].T
    strong = found.std(axis=1) > 0.3
    correlation = [np.corrcoef(a, b)[0, 1] for a, b in zip(found[strong], expected[strong], strict=True)]
    assert np.median(correlation) > 0.98


ORIENTATIONS = [
    (axes, flips)
    for axes in itertools.permutations(range(3))
    for flips in itertools.product((1, -1), repeat=3)
]


def reoriented(bold: np.ndarray, affine: np.ndarray, axes, flips) -> tuple[np.ndarray, np.ndarray]:
    """Store the same brain along other axes, as nibabel's orientation tools would."""
    target = np.column_stack([np.argsort(axes), np.array(flips)[np.argsort(axes)]]).astype(float)
    moved = nib.orientations.apply_orientation(bold, target)
    return moved, affine @ nib.orientations.inv_ornt_aff(target, bold.shape[:3])


@pytest.mark.parametrize(("axes", "flips"), ORIENTATIONS)
def test_every_orientation_gives_the_same_input(axes, flips, grids, athena_bold, athena):
    moved, affine = reoriented(athena_bold, grids["athena"][1], axes, flips)
    found = preprocess(BoldScan.from_array(moved, affine=affine, tr_s=2.0))
    np.testing.assert_allclose(found.frames, athena.frames, atol=1e-3)


# Measured: 3 mm correlates by .9993 with a relative error of .038, 2 mm by .9991 with .043. What differs is
# how much each grid's own interpolation smooths.
@pytest.mark.slow
@pytest.mark.parametrize("grid", ["3mm", "2mm"])
def test_every_resolution_gives_the_same_input_up_to_interpolation(grid, grids, simulate, athena):
    shape, affine = grids[grid]
    found = preprocess(BoldScan.from_array(simulate(shape, affine), affine=affine, tr_s=2.0))
    correlation, error = compare(athena, found)
    assert correlation > 0.998
    assert error < 0.06


def test_an_oblique_grid_gives_the_same_input_up_to_interpolation(grids, simulate, athena):
    turn = nib.eulerangles.euler2mat(0.2, -0.15, 0.1)
    affine = np.eye(4)
    affine[:3, :3] = turn @ np.diag([-3.5, 3.5, 3.5])
    affine[:3, 3] = [0, -18, 8] - affine[:3, :3] @ [30, 34, 30]
    found = preprocess(BoldScan.from_array(simulate((61, 69, 61), affine), affine=affine, tr_s=2.0))
    correlation, error = compare(athena, found)
    assert correlation > 0.998
    assert error < 0.06


@pytest.mark.parametrize(
    "how",
    [
        {"name": "scan.nii.gz"},
        {"byte_order": ">"},
        {"nifti2": True},
        {"nifti2": True, "byte_order": ">", "name": "scan.nii.gz"},
    ],
    ids=str,
)
def test_every_file_format_gives_the_same_input(how, grids, athena_bold, athena, write_nifti):
    found = preprocess(open_scan(write_nifti(athena_bold, affine=grids["athena"][1], **how)))
    np.testing.assert_array_equal(found.frames, athena.frames)


@dataclass(frozen=True)
class Stored:
    dtype: str
    scale: float = 2000
    offset: float = 0
    slope: float = 1


@pytest.mark.parametrize(
    "stored",
    [
        Stored("i2", slope=0),
        Stored("i2", slope=-0.01),
        Stored("u2", offset=30_000),
        Stored("i4", scale=1e6, offset=1e9),
        Stored("f8", scale=1, offset=1e8),
    ],
    ids=str,
)
def test_every_data_type_gives_the_same_input(stored, grids, athena_bold, athena, write_nifti):
    exact = athena_bold.astype(np.float64) * stored.scale * (-1 if stored.slope < 0 else 1)
    exact += stored.offset * (np.ptp(exact, axis=3, keepdims=True) > 0)
    samples = (exact if stored.dtype == "f8" else np.rint(exact)).astype(stored.dtype)
    path = write_nifti(samples, affine=grids["athena"][1], scl_slope=stored.slope)
    correlation, error = compare(athena, preprocess(open_scan(path)))
    assert correlation > 0.9999
    assert error < 5e-3


def test_sites_with_other_repetition_times_come_to_one(grids, simulate):
    shape, affine = grids["athena"]
    one = preprocess(
        BoldScan.from_array(simulate(shape, affine, n_frames=80, tr_s=1.5), affine=affine, tr_s=1.5)
    )
    other = preprocess(
        BoldScan.from_array(simulate(shape, affine, n_frames=48, tr_s=2.5), affine=affine, tr_s=2.5)
    )
    assert one.frames.shape == other.frames.shape == (60, 34, 34, 34)
    inner = slice(5, -5)
    a, b = one.frames[inner], other.frames[inner]
    assert np.corrcoef(a.ravel(), b.ravel())[0, 1] > 0.97


def test_the_spec_is_obeyed(grids, athena_bold):
    scan = BoldScan.from_array(athena_bold, affine=grids["athena"][1], tr_s=2.0)
    spec = PreprocessingSpec(grid_size=20, band_hz=None, tr_s=None, window_plan="single")
    found = preprocess(scan, spec)
    assert found.frames.shape == (40, 20, 20, 20)
    assert found.quality.in_band_power is None
    assert found.spec is spec
    starts, windows = found.windows()
    assert starts.tolist() == [10]
    np.testing.assert_array_equal(windows[0], found.frames[10:30])


def test_progress_names_the_stages_in_order(grids, athena_bold):
    seen: list[tuple[str, float]] = []
    scan = BoldScan.from_array(athena_bold, affine=grids["athena"][1], tr_s=2.0)
    preprocess(scan, progress=lambda stage, done: seen.append((stage, done)))
    assert tuple(dict.fromkeys(stage for stage, _ in seen)) == STAGES
    for stage in STAGES:
        fractions = [done for name, done in seen if name == stage]
        assert fractions == sorted(fractions)
        assert (fractions[0], fractions[-1]) == (0.0, 1.0)


def test_progress_may_stop_the_work(grids, athena_bold):
    class CancelledError(Exception):
        pass

    def stop(stage: str, done: float) -> None:
        if stage == "filtering":
            raise CancelledError

    with pytest.raises(CancelledError):
        preprocess(BoldScan.from_array(athena_bold, affine=grids["athena"][1], tr_s=2.0), progress=stop)


def test_linear_algebra_keeps_to_one_thread_meanwhile(grids, athena_bold):
    def threads() -> set[int]:
        return {library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"}

    seen = []
    scan = BoldScan.from_array(athena_bold, affine=grids["athena"][1], tr_s=2.0)
    with threadpool_limits(limits=2, user_api="blas"):
        preprocess(scan, progress=lambda _stage, _done: seen.append(threads()))
        assert threads() == {2}
    assert seen == [{1}] * len(seen)


def code_of(bold: np.ndarray, affine: np.ndarray, tr_s: float = 2.0) -> str:
    with pytest.raises(ScanError) as caught:
        preprocess(BoldScan.from_array(bold, affine=affine, tr_s=tr_s))
    return caught.value.code


def test_defects_of_the_samples_come_before_coverage(grids, athena_bold):
    elsewhere = grids["athena"][1].copy()
    elsewhere[:3, 3] += 60
    assert code_of(athena_bold, elsewhere) == "not_in_template_space"
    broken = athena_bold.copy()
    # Inside this brain, wherever the template lies.
    broken[20:23, 28:31, 24] = np.nan
    assert code_of(broken, elsewhere) == "nonfinite_values"
    assert code_of(np.zeros_like(athena_bold), elsewhere) == "all_zero"
    assert code_of(np.repeat(athena_bold[..., :1], 40, axis=3), elsewhere) == "constant_in_time"


def test_broken_voxels_inside_the_brain_are_refused(grids, athena_bold):
    affine = grids["athena"][1]
    for frames, value in ((slice(None), np.nan), (slice(17, 18), np.inf), (slice(39, 40), -np.inf)):
        broken = athena_bold.copy()
        broken[24, 29, 20, frames] = value
        with pytest.raises(NonfiniteValuesError) as caught:
            preprocess(BoldScan.from_array(broken, affine=affine, tr_s=2.0))
        assert caught.value.n_voxels == 1


def test_a_background_of_nan_does_not_hide_a_wrong_position(grids, athena_bold):
    elsewhere = grids["athena"][1].copy()
    elsewhere[:3, 3] += 60
    masked = np.where(np.ptp(athena_bold, axis=3, keepdims=True) > 0, athena_bold, np.nan).astype(np.float32)
    assert code_of(masked, elsewhere) == "not_in_template_space"


def test_too_short_after_resampling(grids, athena_bold):
    scan = BoldScan.from_array(athena_bold[..., :30], affine=grids["athena"][1], tr_s=1.2)
    with pytest.raises(ScanTooShortError, match="40 s of scan, found 36 s"):
        preprocess(scan)


def test_warnings_of_every_stage_arrive(grids, athena_bold, write_nifti):
    bold = athena_bold.copy()
    bold[0, 0, 0] = np.nan
    found = preprocess(open_scan(write_nifti(bold, affine=grids["athena"][1], xyzt_units=2)))
    assert {"time_unit_missing", "nonfinite_background"} <= {warning.code for warning in found.warnings}
    assert np.isfinite(found.frames).all()


def test_one_number_scales_all_voxels():
    series = np.array([[1, -1, 1, -1], [3, -3, 3, -3], [5, 5, 5, 5]], dtype=np.float32)
    # The third never varies and does not count: the root of (1 + 9) / 2.
    never = series[2:].copy()
    scale_series(series)
    np.testing.assert_allclose(series[:, 0], np.array([1, 3, 0]) / np.sqrt(5), rtol=1e-6)
    with pytest.raises(ConstantInTimeError):
        scale_series(never)


def test_an_intercept_that_drowns_the_anatomy_leaves_no_brain_to_find(write_nifti, grids, athena_bold):
    """Found by fuzzing: means of 1e9 and a few units more are one number, or two, in float32."""
    _, affine = grids["athena"]
    stored = (100 + 20 * athena_bold).clip(0, 255).astype(np.uint8)
    path = write_nifti(stored, affine=affine, scl_slope=1.0, scl_inter=1e9)
    with pytest.raises(NotInTemplateSpaceError):
        preprocess(open_scan(path))
