"""Figures of a run: the pixels that a reader looks for are where they belong."""

from io import BytesIO

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import gaussian_filter

from imaging.native.figures import draw_carpets, draw_registration
from imaging.native.pictures import NativePictures, take_pictures
from imaging.native.quality import NativeQuality
from imaging.native.steady import Start
from imaging.native.tissues import NAMES, template_tissues
from imaging.template import template_brain
from tests.imaging.native.heads import GRID, OBLIQUE, head

N_FRAMES = 40
N_VOXELS = int(template_brain().mask.sum())


@pytest.fixture(scope="module")
def before() -> np.ndarray:
    series = np.random.default_rng(5).normal(900, 6, (N_VOXELS, N_FRAMES))
    series[:, 20] += 30
    return series.astype(np.float32)


@pytest.fixture(scope="module")
def pictures(before: np.ndarray) -> NativePictures:
    after = 0.2 * (before - before.mean(axis=1, keepdims=True))
    varies = np.ones(N_VOXELS, dtype=bool)
    varies[::3] = False
    return take_pictures(mean=head(), affine=GRID, pose=OBLIQUE, before=before, after=after, varies=varies)


def pixels(png: bytes) -> np.ndarray:
    return np.asarray(Image.open(BytesIO(png)).convert("RGB"), dtype=int)


def coloured(image: np.ndarray, *, red: bool) -> np.ndarray:
    strong, weak = (image[..., 0], image[..., 2]) if red else (image[..., 2], image[..., 0])
    return strong - weak > 80


def quality(displacement_mm: float = 0.1) -> NativeQuality:
    return NativeQuality(
        n_frames=N_FRAMES,
        tr_s=2.0,
        start=Start(dropped=4, by_rule=4, unsteady=0, discarded_before=0),
        displacement_mm=(displacement_mm,) * (N_FRAMES - 1),
        dvars_before=(1.0,) * (N_FRAMES - 1),
        dvars_after=(0.9,) * (N_FRAMES - 1),
        outlier_shares=(0.0,) * N_FRAMES,
        tsnr=60.0,
        coverage=0.95,
        overlap=0.94,
        similarity=0.9,
        outline_fit=0.97,
        degrees_of_freedom=16.0,
    )


def test_the_mean_frame_lies_where_the_tissues_are(pictures):
    shares = template_tissues().shares
    inside = shares.sum(axis=0) > 0.99
    expected = np.tensordot((0.85, 0.7, 1.1), shares, axes=1)
    # Without what varies slowly: the coil's brightness is most of it.
    fine = [image - gaussian_filter(image, 6) for image in (pictures.mean, expected)]
    assert np.corrcoef(fine[0][inside], fine[1][inside])[0, 1] > 0.7
    assert np.median(pictures.mean[inside]) > 400
    assert np.median(pictures.mean[shares.sum(axis=0) == 0]) < 20


def test_carpets_go_by_tissue_and_share_a_scale(pictures):
    assert sum(pictures.rows.values()) == len(pictures.before) == len(pictures.after)
    assert list(pictures.rows) == list(NAMES)
    assert pictures.rows["grey_matter"] > pictures.rows["fluid"] > 0
    np.testing.assert_allclose(pictures.after, 0.2 * pictures.before, atol=1e-3)
    assert pictures.before.mean(axis=0).argmax() == 20


def test_outlines_are_drawn_over_the_mean_frame(pictures):
    drawn = pixels(draw_registration(pictures))

    # Outlines in all three rows, and in the darkness around them nothing else.
    for third in np.array_split(drawn, 3):
        assert coloured(third, red=True).sum() > 300
        assert coloured(third, red=False).sum() > 300
    assert draw_registration(pictures) == draw_registration(pictures)


def test_the_right_of_the_brain_is_on_the_right():
    mean = np.zeros(template_tissues().shares.shape[1:], dtype=np.float32)
    # From the middle to the right; 1 elsewhere in the brain, so that it is not all black.
    mean[template_tissues().shares.sum(axis=0) > 0.5] = 1
    mean[56:72, 45:65, 35:65] = 100
    carpet = np.zeros((3, N_FRAMES), dtype=np.float32)
    rows = dict.fromkeys(NAMES, 1)
    drawn = pixels(
        draw_registration(
            NativePictures(mean=mean, before=carpet, after=carpet, rows=rows, frames_per_column=1)
        )
    )

    axial = drawn[2 * len(drawn) // 3 :]
    # Away from the titles, which are white too.
    bright = (axial.min(axis=2) > 200)[axial.shape[0] // 5 : -axial.shape[0] // 5]
    tile = bright.shape[1] / 8
    places = (np.nonzero(bright)[1] % tile) / tile
    assert len(places) > 20
    assert places.min() > 0.5


def test_a_carpet_shows_the_frame_in_which_all_changed(pictures):
    drawn = pixels(draw_carpets(pictures, quality()))

    carpet = drawn[int(0.32 * len(drawn)) : int(0.56 * len(drawn)), 100:-30].mean(axis=(0, 2))
    place = carpet.argmax() / len(carpet)
    assert abs(place - 20.5 / N_FRAMES) < 0.04


def test_a_large_displacement_is_drawn_in_full(pictures):
    small, large = (pixels(draw_carpets(pictures, quality(moved))) for moved in (0.1, 9.0))
    assert np.abs(small - large).sum() > 0
