import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit
from sklearn.calibration import calibration_curve
from sklearn.metrics import (
    accuracy_score,
    average_precision_score,
    balanced_accuracy_score,
    brier_score_loss,
    confusion_matrix,
    recall_score,
    roc_auc_score,
)

from training.evidence import bootstrap
from training.evidence.estimates import Estimate
from training.evidence.metrics import ClassMissingError, evaluate

FIGURES = ("auc", "average_precision", "accuracy", "balanced_accuracy", "sensitivity", "specificity", "brier")


def cohort(n, *, strength, seed):
    generator = np.random.default_rng(seed)
    labels = (np.arange(n) % 3 == 0).astype(np.int64)
    return labels, expit(generator.normal(strength * (labels - 0.5), 1.0))


def test_figures_are_scikit_learns_and_agree_with_their_confusion_table():
    labels, probabilities = cohort(90, strength=1.5, seed=0)
    probabilities = np.round(probabilities, 1)  # ties
    found = evaluate(labels, probabilities, threshold=0.5, seed=0)
    called = probabilities > 0.5
    assert found.auc.value == pytest.approx(roc_auc_score(labels, probabilities))
    assert found.average_precision.value == pytest.approx(average_precision_score(labels, probabilities))
    assert found.accuracy.value == pytest.approx(accuracy_score(labels, called))
    assert found.balanced_accuracy.value == pytest.approx(balanced_accuracy_score(labels, called))
    assert found.sensitivity.value == pytest.approx(recall_score(labels, called))
    assert found.specificity.value == pytest.approx(recall_score(labels, called, pos_label=0))
    assert found.brier.value == pytest.approx(brier_score_loss(labels, probabilities))
    assert found.sensitivity.value == pytest.approx(found.tp / (found.tp + found.fn))
    assert found.specificity.value == pytest.approx(found.tn / (found.tn + found.fp))
    for name in FIGURES:
        estimate = getattr(found, name)
        assert estimate.low <= estimate.value <= estimate.high
        assert estimate.low < estimate.high


def test_intervals_are_those_of_a_plain_bootstrap_within_classes():
    labels, probabilities = cohort(60, strength=1.0, seed=1)
    generator = np.random.default_rng(9)
    cases, others = np.flatnonzero(labels == 1), np.flatnonzero(labels == 0)
    plain = {"auc": [], "average_precision": [], "accuracy": []}
    for _ in range(300):
        drawn = np.r_[generator.choice(cases, len(cases)), generator.choice(others, len(others))]
        truth, said = labels[drawn], probabilities[drawn]
        plain["auc"].append(roc_auc_score(truth, said))
        plain["average_precision"].append(average_precision_score(truth, said))
        plain["accuracy"].append(((said > 0.5) == truth).mean())
    found = evaluate(labels, probabilities, threshold=0.5, seed=0, n_draws=4000)
    for name, drawn in plain.items():
        estimate = getattr(found, name)
        assert (estimate.low, estimate.high) == pytest.approx(np.quantile(drawn, [0.025, 0.975]), abs=0.04)


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 10_000), n_values=st.integers(1, 12))
def test_weighted_areas_are_scikit_learns_on_the_repeated_people(seed, n_values):
    generator = np.random.default_rng(seed)
    labels = np.r_[0, 1, generator.integers(2, size=20)]
    scores = generator.integers(n_values, size=22) / n_values
    counts = bootstrap.draw_counts(labels, n_draws=3, seed=seed)
    assert counts.sum(axis=1).tolist() == [22, 22, 22]
    for row, area, precision in zip(
        counts,
        bootstrap.area_under_roc(counts, labels, scores),
        bootstrap.average_precision(counts, labels, scores),
        strict=True,
    ):
        people = np.repeat(np.arange(22), row.astype(int))
        assert area == pytest.approx(roc_auc_score(labels[people], scores[people]))
        assert precision == pytest.approx(average_precision_score(labels[people], scores[people]))


def test_the_area_is_the_share_of_ordered_pairs():
    # Worked by hand: of six pairs four are right and one is tied.
    labels, probabilities = np.array([1, 0, 0, 1, 0]), np.array([0.9, 0.4, 0.3, 0.4, 0.5])
    found = evaluate(labels, probabilities, threshold=0.5, seed=0)
    assert found.auc.value == pytest.approx(4.5 / 6)


def test_every_subject_may_have_the_threshold_of_its_own_fold():
    labels = np.array([1, 0, 1, 0])
    probabilities = np.array([0.4, 0.2, 0.7, 0.6])
    found = evaluate(labels, probabilities, threshold=np.array([0.3, 0.3, 0.65, 0.65]), seed=0)
    assert (found.tp, found.fn, found.fp, found.tn) == (2, 0, 0, 2)
    assert evaluate(labels, probabilities, threshold=0.5, seed=0).accuracy.value == 0.5


def test_about_19_of_20_intervals_hold_the_truth_of_chance():
    held = 0
    for seed in range(40):
        labels, probabilities = cohort(60, strength=0.0, seed=seed)
        auc = evaluate(labels, probabilities, threshold=0.5, seed=seed).auc
        held += auc.low <= 0.5 <= auc.high
    assert held >= 34


def test_a_card_holds_the_named_figures_the_calibration_error_and_the_counts():
    labels, probabilities = cohort(30, strength=1.0, seed=4)
    found = evaluate(labels, probabilities, threshold=0.5, seed=0)
    whole = found.to_json()
    assert list(whole) == [*FIGURES, "ece", "confusion"]
    assert whole["brier"]["value"] == pytest.approx(brier_score_loss(labels, probabilities), abs=1e-4)
    assert whole["ece"] == pytest.approx(found.ece, abs=1e-4)
    counts = confusion_matrix(labels, probabilities > 0.5)
    assert whole["confusion"] == {
        "tp": counts[1, 1],
        "fn": counts[1, 0],
        "fp": counts[0, 1],
        "tn": counts[0, 0],
    }
    assert found.to_json(("auc",)) == {name: whole[name] for name in ("auc", "ece", "confusion")}


def test_a_missing_class_is_refused():
    with pytest.raises(ClassMissingError, match="both classes, found 0 cases and 4 controls") as caught:
        evaluate(np.zeros(4, dtype=np.int64), np.full(4, 0.2), threshold=0.5, seed=0)
    assert caught.value.details() == {"where": "evaluation", "n_cases": 0, "n_controls": 4}


def test_the_calibration_error_is_made_of_scikit_learns_reliability_curve():
    labels, probabilities = cohort(300, strength=1.0, seed=3)
    probabilities[:20] = np.repeat([0.0, 0.1, 0.5, 1.0], 5)  # on the edges of bins
    observed, stated = calibration_curve(labels, probabilities, n_bins=10)
    sizes = np.bincount(np.searchsorted(np.linspace(0, 1, 11)[1:-1], probabilities), minlength=10)
    expected = np.average(np.abs(observed - stated), weights=sizes[sizes > 0])
    found = evaluate(labels, probabilities, threshold=0.5, seed=0)
    assert found.ece == pytest.approx(expected)
    assert [one.observed.value for one in found.reliability] == pytest.approx(observed.tolist())
    assert [one.mean_probability for one in found.reliability] == pytest.approx(stated.tolist())
    assert [one.n for one in found.reliability] == sizes[sizes > 0].tolist()


def test_a_probability_that_means_what_it_says_has_no_calibration_error():
    labels = np.array([1, 0, 0, 0, 1, 1, 1, 0])
    probabilities = np.array([0.25] * 4 + [0.75] * 4)
    assert evaluate(labels, probabilities, threshold=0.5, seed=0).ece == 0
    assert evaluate(1 - labels, probabilities, threshold=0.5, seed=0).ece == pytest.approx(0.5)


def test_an_estimate_holds_the_central_95_percent_of_its_draws():
    found = Estimate.of(0.5, np.arange(1001) / 1000)
    assert (found.value, found.low, found.high) == pytest.approx((0.5, 0.025, 0.975))
    assert Estimate(0.123456, 0.1, 0.2).to_json() == {"value": 0.1235, "low": 0.1, "high": 0.2}
