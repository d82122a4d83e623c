import numpy as np
import pytest

from imaging import BoldScan, PreprocessingSpec, ScanPictures, brain_cube, picture_signal, preprocess
from imaging.pictures import CARPET_COLUMNS, CARPET_ROWS
from imaging.reading import BrainSignal
from imaging.template import template_brain

GRID = PreprocessingSpec().grid_size


def pictures_of(bold: np.ndarray, affine: np.ndarray) -> ScanPictures:
    seen: list[BrainSignal] = []
    preprocess(BoldScan.from_array(bold, affine=affine, tr_s=2.0), look=seen.append)
    (signal,) = seen
    return picture_signal(signal, affine=affine, grid_size=GRID)


@pytest.fixture(scope="module")
def scan(simulate, grids) -> tuple[np.ndarray, np.ndarray]:
    shape, affine = grids["athena"]
    return simulate(shape, affine, mean=100.0), affine


def test_mean_and_variation_are_turned_to_ras_where_they_were(scan):
    bold, affine = scan
    pictures = pictures_of(bold, affine)
    # Athena's grid runs from right to left.
    np.testing.assert_allclose(pictures.mean, bold.mean(axis=3)[::-1], rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(pictures.temporal_sd, bold.std(axis=3)[::-1], rtol=1e-2, atol=1e-2)
    last = np.array([bold.shape[0] - 1, 0, 0, 1.0])
    np.testing.assert_allclose(pictures.affine @ [0, 0, 0, 1], affine @ last)
    assert (np.diag(pictures.affine)[:3] > 0).all()


def test_a_carpet_shows_a_frame_that_stands_out_in_every_row(scan):
    bold, affine = scan
    quiet = pictures_of(bold, affine).carpet
    assert quiet.shape == (len(quiet), bold.shape[3])
    assert 200 <= len(quiet) <= CARPET_ROWS
    assert abs(quiet.mean(axis=1)).max() < 1e-4
    loud = bold.copy()
    loud[bold.any(axis=3), 20] += 8 * bold.std()
    assert np.median(pictures_of(loud, affine).carpet[:, 20]) > np.median(quiet[:, 20]) + 2


def test_a_straight_line_of_a_voxel_is_no_part_of_its_row(scan):
    bold, affine = scan
    line = np.linspace(0, 50, bold.shape[3], dtype=np.float32)
    drifting = bold + bold.any(axis=3)[..., None] * line
    np.testing.assert_allclose(
        pictures_of(drifting, affine).carpet, pictures_of(bold, affine).carpet, atol=0.02
    )


def test_rows_go_from_fluid_to_white_matter():
    """Each voxel swings once, at a frame that its place in the template's T1 says."""
    cube, template = brain_cube(GRID), template_brain()
    to_template = np.linalg.inv(template.affine) @ cube.affine
    at = np.rint(cube.brain_voxels @ to_template[:3, :3].T + to_template[:3, 3]).astype(int)
    t1 = template.t1[tuple(np.clip(at, 0, np.subtract(template.t1.shape, 1)).T)]
    n_frames = 100
    swing = np.clip((t1 * (n_frames - 1)).astype(int), 0, n_frames - 1)
    series = np.zeros((len(t1), n_frames), dtype=np.float32)
    series[np.arange(len(t1)), swing] = 100
    carpet = picture_signal(signal_of(series), affine=template.affine, grid_size=GRID).carpet
    assert (np.diff(carpet.argmax(axis=1)) >= 0).all()


def test_the_global_signal_is_in_deviations_of_a_voxel():
    rng = np.random.default_rng(0)
    n_voxels, n_frames = int(brain_cube(GRID).mask.sum()), 200
    together = np.sin(np.arange(n_frames) / 5)
    for share in (0.0, 1.0):
        own = rng.normal(size=(n_voxels, n_frames)) * np.sqrt(1 - share)
        series = (7 + own + share * together * np.sqrt(2)).astype(np.float32)
        found = picture_signal(signal_of(series), affine=np.eye(4), grid_size=GRID).global_signal
        assert found.std() == pytest.approx(share, abs=0.02)


def test_a_long_run_fits_a_screen():
    n_voxels, n_frames = int(brain_cube(GRID).mask.sum()), 2 * CARPET_COLUMNS + 1
    series = np.random.default_rng(0).normal(size=(n_voxels, n_frames)).astype(np.float32)
    pictures = picture_signal(signal_of(series), affine=np.eye(4), grid_size=GRID)
    assert pictures.frames_per_column == 3
    assert pictures.carpet.shape[1] == -(-n_frames // 3)
    assert len(pictures.global_signal) == n_frames


def test_a_scan_that_covers_nothing_gives_an_empty_carpet_and_no_nan():
    n_voxels = int(brain_cube(GRID).mask.sum())
    signal = signal_of(np.zeros((n_voxels, 30), dtype=np.float32), share=0.0)
    pictures = picture_signal(signal, affine=np.eye(4), grid_size=GRID)
    assert pictures.carpet.shape == (0, 30)
    assert not pictures.global_signal.any()


def signal_of(series: np.ndarray, *, share: float = 1.0) -> BrainSignal:
    small = np.zeros((2, 2, 2), dtype=np.float32)
    return BrainSignal(
        mean=small,
        temporal_sd=small,
        in_brain=small > 0,
        series=series,
        signal_share=np.full(len(series), share, dtype=np.float32),
        nonfinite=small > 0,
        warnings=(),
    )
