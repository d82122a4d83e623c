import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, brier_score_loss, recall_score, roc_auc_score

from training.calibration import fit_temperature
from training.metrics import evaluate


def cohort(n, *, strength, seed):
    generator = np.random.default_rng(seed)
    labels = (np.arange(n) % 3 == 0).astype(np.int64)
    return labels, expit(generator.normal(strength * (labels - 0.5), 1.0))


def test_figures_are_scikit_learns_and_agree_with_their_confusion_table():
    labels, probabilities = cohort(90, strength=1.5, seed=0)
    found = evaluate(labels, probabilities, threshold=0.5, seed=0)
    called = probabilities > 0.5
    assert found.auc.value == pytest.approx(roc_auc_score(labels, probabilities))
    assert found.accuracy.value == pytest.approx(accuracy_score(labels, called))
    assert found.sensitivity.value == pytest.approx(recall_score(labels, called))
    assert found.specificity.value == pytest.approx(recall_score(labels, called, pos_label=0))
    assert found.brier.value == pytest.approx(brier_score_loss(labels, probabilities))
    assert found.sensitivity.value == pytest.approx(found.tp / (found.tp + found.fn))
    assert found.specificity.value == pytest.approx(found.tn / (found.tn + found.fp))
    for estimate in (found.auc, found.accuracy, found.sensitivity, found.specificity, found.brier):
        assert estimate.low <= estimate.value <= estimate.high
        assert estimate.low < estimate.high


def test_about_19_of_20_intervals_hold_the_truth_of_chance():
    held = 0
    for seed in range(40):
        labels, probabilities = cohort(60, strength=0.0, seed=seed)
        auc = evaluate(labels, probabilities, threshold=0.5, seed=seed).auc
        held += auc.low <= 0.5 <= auc.high
    assert held >= 34


def test_a_missing_class_is_refused():
    with pytest.raises(ValueError, match="both classes, found 0 ADHD and 4 control"):
        evaluate(np.zeros(4, dtype=np.int64), np.full(4, 0.2), threshold=0.5, seed=0)


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


def test_logits_that_make_no_mistake_on_few_subjects_do_not_become_certain():
    logits = np.r_[np.full(20, 0.5), np.full(20, -0.5)]
    labels = np.repeat([1, 0], 20)
    # 21 of 22 is what Platt's targets leave of a clean sweep of 20.
    assert expit(0.5 / fit_temperature(logits, labels)) == pytest.approx(21 / 22, abs=1e-3)
