import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit
from sklearn.linear_model import LogisticRegression

from training.evidence.calibration import fit_scaling, fit_temperature, reliability_bins


@given(seed=st.integers(0, 50), true=st.floats(0.3, 4.0))
def test_the_temperature_is_the_inverse_slope_of_logistic_regression(seed, true):
    generator = np.random.default_rng(seed)
    logits = generator.normal(0, 3, size=400)
    labels = (generator.random(400) < expit(logits / true)).astype(np.int64)
    # Platt's smoothed targets: each subject counts for both classes, by as much as its target says.
    n_adhd, n_control = labels.sum(), 400 - labels.sum()
    target = np.where(labels == 1, (n_adhd + 1) / (n_adhd + 2), 1 / (n_control + 2))
    regression = LogisticRegression(C=np.inf, fit_intercept=False).fit(
        np.tile(logits, 2)[:, None], np.repeat([1, 0], 400), sample_weight=np.r_[target, 1 - target]
    )
    assert fit_temperature(logits, labels) == pytest.approx(1 / regression.coef_[0, 0], rel=0.02)


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 50), true=st.floats(0.3, 4.0), lean=st.floats(-3, 3))
def test_the_scaling_is_logistic_regression_on_the_logits(seed, true, lean):
    generator = np.random.default_rng(seed)
    logits = generator.normal(lean, 3, size=400)
    labels = (generator.random(400) < expit((logits - lean) / true)).astype(np.int64)
    n_adhd, n_control = labels.sum(), 400 - labels.sum()
    target = np.where(labels == 1, (n_adhd + 1) / (n_adhd + 2), 1 / (n_control + 2))
    regression = LogisticRegression(C=np.inf, tol=1e-8, max_iter=1000).fit(
        np.tile(logits, 2)[:, None], np.repeat([1, 0], 400), sample_weight=np.r_[target, 1 - target]
    )
    found = fit_scaling(logits, labels)
    slope, intercept = regression.coef_[0, 0], regression.intercept_[0]
    assert found.temperature == pytest.approx(1 / slope, rel=1e-3)
    assert found.offset == pytest.approx(-intercept / slope, abs=5e-3)
    assert found(logits) == pytest.approx(regression.decision_function(logits[:, None]), abs=5e-3)


def test_logits_that_make_no_mistake_on_few_subjects_do_not_become_certain():
    logits = np.r_[np.full(20, 0.5), np.full(20, -0.5)]
    labels = np.repeat([1, 0], 20)
    # 21 of 22 is what Platt's targets leave of a clean sweep of 20.
    assert expit(0.5 / fit_temperature(logits, labels)) == pytest.approx(21 / 22, abs=1e-3)


def test_bins_say_what_became_of_their_subjects_and_empty_ones_are_left_out():
    labels = np.array([0, 1, 1, 1, 0])
    bins = reliability_bins(labels, np.array([0.0, 0.2, 0.9, 0.95, 1.0]), n_bins=5)
    assert [(one.low, one.high, one.n) for one in bins] == [(0.0, 0.2, 2), (0.8, 1.0, 3)]
    assert [one.mean_probability for one in bins] == pytest.approx([0.1, 0.95])
    assert [(one.observed.hits, one.observed.n) for one in bins] == [(1, 2), (2, 3)]
    # Newcombe 1998, Statistics in Medicine 17:857, table I, method 3.
    few = reliability_bins(np.r_[np.ones(81, int), np.zeros(182, int)], np.full(263, 0.3))[0].observed
    assert (few.low, few.high) == pytest.approx((0.2553, 0.3662), abs=5e-5)
