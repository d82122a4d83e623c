"""What is taken out of time courses, against an ordinary least-squares fit by scikit-learn."""

import numpy as np
import pytest
from scipy.fft import dct
from sklearn.linear_model import LinearRegression

from imaging.native.motion import Motion
from imaging.native.nuisance import degrees_of_freedom, nuisance_columns, regress_nuisance

N_FRAMES, TR_S = 120, 2.0


def drawn() -> tuple[np.ndarray, Motion, np.ndarray, np.ndarray]:
    generator = np.random.default_rng(3)
    motion = Motion(
        rotations=generator.normal(0, 0.01, (N_FRAMES, 3)),
        translations_mm=generator.normal(0, 0.3, (N_FRAMES, 3)),
        centre_mm=np.zeros(3),
    )
    series = generator.normal(0, 1, (50, N_FRAMES)) + 500
    series += generator.normal(size=(50, 3)) @ motion.translations_mm.T * 4
    series += np.linspace(0, 6, N_FRAMES) ** 2
    white, fluid = np.arange(50) < 10, (np.arange(50) >= 10) & (np.arange(50) < 15)
    return series.astype(np.float32), motion, white, fluid


def test_leaves_what_a_least_squares_fit_leaves():
    series, motion, white, fluid = drawn()

    left = regress_nuisance(series, motion=motion, white_matter=white, fluid=fluid, tr_s=TR_S)

    columns = np.column_stack(
        [
            motion.translations_mm,
            motion.rotations,
            series[white].mean(axis=0),
            series[fluid].mean(axis=0),
            np.arange(N_FRAMES),
            np.arange(N_FRAMES) ** 2,
        ]
    )
    fitted = LinearRegression().fit(columns, series.T).predict(columns).T
    np.testing.assert_allclose(left, series - fitted, atol=2e-3)


def test_no_tissue_takes_out_nothing_and_the_whole_brain_is_not_among_the_columns():
    series, motion, _, _ = drawn()
    nowhere = np.zeros(50, dtype=bool)

    columns = nuisance_columns(series, motion=motion, white_matter=nowhere, fluid=nowhere, tr_s=TR_S)

    # A constant, a line and a parabola (240 s), six movements.
    assert columns.shape == (N_FRAMES, 3 + 6)


def test_degrees_of_freedom_are_the_power_that_is_left_of_white_noise():
    series, motion, white, fluid = drawn()
    columns = nuisance_columns(series, motion=motion, white_matter=white, fluid=fluid, tr_s=TR_S)

    found = degrees_of_freedom(columns, tr_s=TR_S, band_hz=(0.009, 0.08))

    noise = np.random.default_rng(5).normal(size=(4000, N_FRAMES))
    noise -= noise @ np.linalg.pinv(columns).T @ columns.T
    coefficients = dct(noise, norm="ortho", axis=1)
    # Number k oscillates at k / (2 * 240 s): from 5 to 38.
    left = np.square(coefficients[:, 5:39]).sum(axis=1).mean()
    assert found == pytest.approx(left, rel=0.02)
    assert 34 - columns.shape[1] <= found < 34


def test_what_lies_in_the_band_as_a_whole_takes_one_degree_and_what_lies_beside_it_none():
    times = (np.arange(N_FRAMES) + 0.5) / N_FRAMES
    within, beside = (np.cos(np.pi * number * times)[:, None] for number in (10, 50))

    whole = degrees_of_freedom(np.zeros((N_FRAMES, 0)), tr_s=TR_S, band_hz=(0.009, 0.08))

    assert whole == 34
    assert degrees_of_freedom(within, tr_s=TR_S, band_hz=(0.009, 0.08)) == pytest.approx(33)
    assert degrees_of_freedom(beside, tr_s=TR_S, band_hz=(0.009, 0.08)) == pytest.approx(34)
