"""Each stage beside an implementation by others: nilearn, scipy, and signals whose answer is known."""

import nibabel as nib
import numpy as np
import pytest
from nilearn.image import resample_img, smooth_img
from nilearn.signal import butterworth, clean
from scipy.fft import dct, idct
from scipy.ndimage import affine_transform, binary_erosion, gaussian_filter
from scipy.signal import detrend
from scipy.spatial.transform import Rotation
from sklearn.linear_model import LinearRegression

from imaging import BoldScan
from imaging.native.motion import Motion
from imaging.native.normalise import BAND_HZ, _pure_tissues, normalise
from imaging.native.nuisance import nuisance_columns, regress_nuisance
from imaging.native.placing import SMOOTHING_FWHM_MM, place
from imaging.native.resampling import resample
from imaging.native.slice_timing import align_slices
from imaging.template import template_brain
from imaging.temporal import filter_in_time
from tests.imaging.native.heads import GRID, GRID_SHAPE, RUN_TR_S, head, short_run

N_FRAMES, TR_S = 150, 2.0


@pytest.fixture
def motion() -> Motion:
    generator = np.random.default_rng(1)
    return Motion(
        rotations=np.cumsum(generator.normal(0, 0.001, (N_FRAMES, 3)), axis=0),
        translations_mm=np.cumsum(generator.normal(0, 0.05, (N_FRAMES, 3)), axis=0),
        centre_mm=np.zeros(3),
    )


@pytest.fixture
def series() -> np.ndarray:
    generator = np.random.default_rng(2)
    return (generator.normal(0, 5, (200, N_FRAMES)) + 800).astype(np.float32)


def test_regression_leaves_what_nilearn_leaves(series, motion):
    white, fluid = np.arange(200) < 60, np.arange(200) >= 160

    left = regress_nuisance(series, motion=motion, white_matter=white, fluid=fluid, tr_s=TR_S)

    columns = nuisance_columns(series, motion=motion, white_matter=white, fluid=fluid, tr_s=TR_S)
    # The first column is the constant, which theirs takes out by itself.
    expected = clean(
        series.T.astype(float),
        confounds=columns[:, 1:],
        detrend=False,
        standardize=None,
        standardize_confounds=True,
    ).T
    np.testing.assert_allclose(left, expected - expected.mean(axis=1, keepdims=True), atol=2e-3)


def test_regression_leaves_nothing_of_what_moved_with_the_head(series, motion):
    moved = series + (10 * motion.translations_mm[:, 0] - 400 * motion.rotations[:, 2]).astype(np.float32)
    nowhere = np.zeros(200, dtype=bool)

    left = regress_nuisance(moved, motion=motion, white_matter=nowhere, fluid=nowhere, tr_s=TR_S)

    solution, *_ = np.linalg.lstsq(
        np.column_stack([motion.translations_mm, motion.rotations]), left.T.astype(float), rcond=None
    )
    np.testing.assert_allclose(solution, 0, atol=1e-2)
    unmoved = regress_nuisance(series, motion=motion, white_matter=nowhere, fluid=nowhere, tr_s=TR_S)
    np.testing.assert_allclose(left, unmoved, atol=2e-3)


def test_the_band_that_passes_is_nilearns_away_from_its_soft_edges():
    times_s = np.arange(N_FRAMES) * TR_S
    inside = [np.sin(2 * np.pi * hz * times_s + hz * 90) for hz in (0.02, 0.035, 0.05)]
    outside = [3 * np.sin(2 * np.pi * hz * times_s) for hz in (0.003, 0.12, 0.2)]
    mixed = (np.sum(inside + outside, axis=0) + 500).astype(np.float32)[None]

    found = filter_in_time(mixed, tr_s=TR_S, band_hz=BAND_HZ, new_tr_s=None, minimum_frames=20)

    low_hz, high_hz = BAND_HZ
    theirs = butterworth(
        mixed[0].astype(float), sampling_rate=1 / TR_S, low_pass=high_hz, high_pass=low_hz, order=5
    )
    assert found.band_passed
    # Both ends are guessed by either.
    middle = slice(20, -20)
    ours = found.series[0]
    assert np.corrcoef(ours[middle], theirs[middle])[0, 1] > 0.97
    assert np.corrcoef(ours[middle], np.sum(inside, axis=0)[middle])[0, 1] > 0.985


def test_smoothing_is_nilearns():
    template = template_brain()
    series = np.random.default_rng(3).normal(size=(int(template.mask.sum()), 3)).astype(np.float32)

    placed = place(series, mask=template.mask, progress=lambda _: None)

    sharp = np.zeros((*template.mask.shape, 3), dtype=np.float32)
    sharp[template.mask] = series
    expected = smooth_img(nib.Nifti1Image(sharp, template.affine), fwhm=SMOOTHING_FWHM_MM).get_fdata()
    # The brain touches the lowest slice, beyond which theirs sees its mirror image.
    np.testing.assert_allclose(placed[:, :, 4:], expected[:, :, 4:], atol=1e-5)


def test_slices_taken_in_turns_come_back_to_one_time():
    generator = np.random.default_rng(4)
    n_slices = 36
    taken_s = np.argsort(np.argsort([*range(0, n_slices, 2), *range(1, n_slices, 2)])) * TR_S / n_slices
    frequencies_hz = generator.uniform(0.005, 0.15, 12)
    phases, sizes = generator.uniform(0, 2 * np.pi, 12), generator.normal(0, 3, 12)

    def signal(times_s: np.ndarray) -> np.ndarray:
        return 700 + np.sin(2 * np.pi * np.multiply.outer(times_s, frequencies_hz) + phases) @ sizes

    starts = np.arange(N_FRAMES) * TR_S
    bold = np.stack([signal(starts + taken) for taken in taken_s])[None, None].astype(np.float32)
    wanted = signal(starts + taken_s.mean())
    before = np.abs(bold - wanted)[..., 10:-10].max()

    align_slices(bold, slice_times_s=taken_s.tolist(), tr_s=TR_S)

    # Nothing is known beyond both ends; inside, what is left is a per cent.
    assert np.abs(bold - wanted)[..., 10:-10].max() < 0.02 * before


def test_resampling_reads_what_nilearn_reads():
    template = template_brain()
    to_scan = np.eye(4)
    to_scan[:3, :3] = Rotation.from_euler("xyz", [9, -5, 4], degrees=True).as_matrix() @ np.diag(
        [0.95, 1.04, 1]
    )
    to_scan[:3, 3] = [2, 18, -9]
    pose = np.eye(4)
    pose[:3, :3] = Rotation.from_rotvec([0.03, -0.01, 0.02]).as_matrix()
    pose[:3, 3] = [1.0, -0.6, 0.8]
    motion = Motion(
        rotations=np.array([[0.03, -0.01, 0.02]]), translations_mm=pose[None, :3, 3], centre_mm=np.zeros(3)
    )
    volume = head()
    voxels = np.argwhere(template.mask)

    series, seen = resample(
        volume[..., None],
        affine=GRID,
        motion=motion,
        to_scan=to_scan,
        points_mm=voxels @ template.affine[:3, :3].T + template.affine[:3, 3],
        progress=lambda _: None,
    )

    # The scan, said to lie where the template is.
    placed = nib.Nifti1Image(volume, np.linalg.inv(pose @ to_scan) @ GRID)
    theirs = resample_img(
        placed,
        target_affine=template.affine,
        target_shape=template.mask.shape,
        interpolation="continuous",
        copy_header=True,
        force_resample=True,
    ).get_fdata()[template.mask]
    # At the very edge, what lies beyond is guessed by either.
    to_voxels = np.linalg.inv(GRID) @ pose @ to_scan @ template.affine
    at = voxels @ to_voxels[:3, :3].T + to_voxels[:3, 3]
    inside = ((at > 7) & (at < np.array(GRID_SHAPE) - 8)).all(axis=1)
    assert seen[inside].all()
    assert inside.mean() > 0.5
    # Theirs cuts what overshoots the darkest.
    ours = np.maximum(series[inside, 0], volume.min())
    np.testing.assert_allclose(ours, theirs[inside], atol=0.1)


def test_all_stages_in_their_order_give_what_scipy_and_scikit_learn_give():
    """Athena's: four frames dropped, slices, space, nuisance, band, and the blur last."""
    bold, taken_s = short_run(), np.tile([0.0, 1.25], GRID_SHAPE[2] // 2)
    found = normalise(
        BoldScan.from_array(bold.copy(order="F"), affine=GRID, tr_s=RUN_TR_S), slice_times_s=taken_s.tolist()
    )

    frames = np.moveaxis(bold[..., 4:], 3, 0).astype(float)
    # Every second slice half a frame later: each is seen a quarter of a frame towards the middle.
    frames = in_time(frames, later=((0.625 - taken_s) / RUN_TR_S)[None, None, None, :])
    template = template_brain()
    series = np.empty((int(template.mask.sum()), len(frames)))
    for number, (frame, pose) in enumerate(zip(frames, found.motion.transforms(), strict=True)):
        to_voxels = np.linalg.inv(GRID) @ pose @ found.registration.affine @ template.affine
        placed = affine_transform(
            frame,
            to_voxels[:3, :3],
            to_voxels[:3, 3],
            output_shape=template.mask.shape,
            order=3,
            mode="nearest",
        )
        series[:, number] = placed[template.mask]
    seen = np.concatenate(list(found.scan.blocks()), axis=3)[template.mask]
    white, fluid = _pure_tissues()
    columns = np.column_stack(
        [
            found.motion.translations_mm,
            found.motion.rotations,
            series[white].mean(axis=0),
            series[fluid].mean(axis=0),
            np.arange(len(frames)),
        ]
    )
    left = series - LinearRegression().fit(columns, series.T).predict(columns).T
    cosines = dct(detrend(left, axis=1), norm="ortho", axis=1)
    frequencies_hz = np.arange(len(frames)) / (2 * len(frames) * RUN_TR_S)
    cosines[:, (frequencies_hz < 0.009) | (frequencies_hz > 0.08)] = 0
    passed = np.zeros((*template.mask.shape, len(frames)))
    passed[template.mask] = idct(cosines, norm="ortho", axis=1)
    # A full width of 6 mm at half the height, on 4 mm.
    sigma = 6 / (2 * np.sqrt(2 * np.log(2))) / 4
    smooth = np.stack(
        [gaussian_filter(frame, sigma, mode="constant") for frame in np.moveaxis(passed, 3, 0)], axis=-1
    )

    # Where the whole kernel sees the scan; beyond its edge ours is zero.
    voxels = np.argwhere(template.mask) @ to_voxels[:3, :3].T + to_voxels[:3, 3]
    in_view = template.mask.copy()
    in_view[template.mask] = ((voxels > 1) & (voxels < np.array(GRID_SHAPE) - 2)).all(axis=1)
    inside = binary_erosion(in_view, iterations=4)[template.mask]
    assert inside.sum() > 10_000
    ours, theirs = seen[inside], smooth[template.mask][inside]
    assert np.abs(ours - theirs).max() < 0.05 * theirs.std()
    assert ours.std() == pytest.approx(theirs.std(), rel=0.01)


def in_time(frames: np.ndarray, *, later: np.ndarray) -> np.ndarray:
    """See each voxel's cosines (a line aside) some frames later, (T, X, Y, Z)."""
    n_frames = len(frames)
    rest = detrend(frames, axis=0)
    line = frames - rest
    slope = (line[-1] - line[0]) / (n_frames - 1)
    cosines = dct(rest, norm="ortho", axis=0)
    times = np.arange(n_frames).reshape(-1, 1, 1, 1) + later
    seen = line + slope * later
    for number in range(n_frames):
        size = np.sqrt((2 if number else 1) / n_frames)
        seen = seen + size * cosines[number] * np.cos(np.pi * number * (times + 0.5) / n_frames)
    return seen
