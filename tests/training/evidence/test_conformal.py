import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from model.decision import conformal_decision
from training.evidence.conformal import conformal_sets, coverage, fit_quantiles


def exchangeable(generator, n, *, strength=1.0, distortion=3.0):
    """People whose probabilities are overconfident: coverage may not depend on their being right."""
    labels = generator.integers(2, size=n)
    logits = distortion * (strength * (2 * labels - 1) + generator.normal(size=n))
    return labels, 1 / (1 + np.exp(-logits))


@pytest.mark.parametrize("level", [0.8, 0.9])
@pytest.mark.parametrize("n", [30, 80])
def test_on_average_a_class_is_covered_as_often_as_promised_and_not_much_more(level, n):
    generator = np.random.default_rng(n)
    held = {0: [], 1: []}
    for _ in range(400):
        labels, probabilities = exchangeable(generator, n)
        quantiles = fit_quantiles(probabilities, labels, level=level)
        asked, said = exchangeable(generator, 100)
        sets = conformal_sets(said, quantiles)
        for label, shares in held.items():
            shares.append(sets[asked == label, label].mean())
    for label, shares in held.items():
        error = np.std(shares) / np.sqrt(len(shares))
        assert np.mean(shares) >= level - 3 * error, label
        # The k-th of m is covered at most 1 / (m + 1) more than promised; m is about n / 2.
        assert np.mean(shares) <= level + 1 / (n / 2 - 8) + 3 * error, label


def test_the_quantile_is_the_one_worked_by_hand():
    # Nine of a class: at level 0.9 the 9th smallest; at 0.7 the 7th, though 10 x 0.7 > 7 in floating point.
    probabilities = np.r_[np.arange(1, 10) / 10, 0.3]
    labels = np.r_[np.zeros(9, int), 1]
    assert fit_quantiles(probabilities, labels, level=0.9) == {"level": 0.9, "control": 0.9, "adhd": 1.0}
    assert fit_quantiles(probabilities, labels, level=0.7)["control"] == pytest.approx(0.7)
    mirrored = fit_quantiles(1 - probabilities, 1 - labels, level=0.7)
    assert mirrored["adhd"] == pytest.approx(0.7)
    assert mirrored["control"] == 1.0


def test_a_class_with_too_few_calibration_subjects_is_always_in_the_set():
    eight = fit_quantiles(np.full(8, 0.1), np.zeros(8, int), level=0.9)
    assert eight == {"level": 0.9, "control": 1.0, "adhd": 1.0}
    assert conformal_sets(np.array([0.0, 0.5, 1.0]), eight).all()


@pytest.mark.parametrize("level", [0.0, 1.0, 90.0, float("nan")])
def test_an_impossible_level_is_refused(level):
    with pytest.raises(ValueError, match="level between 0 and 1"):
        fit_quantiles(np.array([0.5]), np.array([1]), level=level)


@settings(deadline=None)
@given(
    probabilities=arrays(np.float64, st.integers(20, 60), elements=st.floats(0, 1)),
    levels=st.tuples(st.floats(0.05, 0.95), st.floats(0.05, 0.95)).map(sorted),
    seed=st.integers(0, 99),
)
def test_a_higher_level_never_drops_a_class(probabilities, levels, seed):
    labels = np.random.default_rng(seed).integers(2, size=len(probabilities))
    low, high = (conformal_sets(probabilities, fit_quantiles(probabilities, labels, level=x)) for x in levels)
    assert (high >= low).all()


def test_sets_are_what_serving_decides_by():
    quantiles = {"level": 0.9, "control": 0.6, "adhd": 0.7}
    probabilities = np.array([0.1, 0.3, 0.5, 0.6, 0.61, 0.95])
    sets = conformal_sets(probabilities, quantiles)
    assert sets.tolist() == [[1, 0], [1, 1], [1, 1], [1, 1], [0, 1], [0, 1]]
    names = {(True, False): "control", (False, True): "adhd"}
    for row, probability in zip(sets.tolist(), probabilities, strict=True):
        assert conformal_decision(float(probability), quantiles) == names.get(tuple(row), "uncertain")
    assert conformal_sets(np.array([]), quantiles).shape == (0, 2)


def test_coverage_is_counted_by_class_and_site():
    labels = np.array([0, 0, 1, 1, 1])
    sets = np.array([[1, 0], [0, 1], [1, 1], [0, 0], [0, 1]], dtype=bool)
    found = coverage(labels, sets, sites=["NYU", "KKI", "NYU", "KKI", "NYU"])
    assert (found.overall.hits, found.overall.n) == (3, 5)
    assert {name: (one.hits, one.n) for name, one in found.by_class.items()} == {
        "control": (1, 2),
        "adhd": (2, 3),
    }
    assert {name: (one.hits, one.n) for name, one in found.by_site.items()} == {"KKI": (0, 2), "NYU": (3, 3)}
    assert (found.n_empty, found.n_single, found.n_both) == (1, 3, 1)
    assert (found.single_right.hits, found.single_right.n) == (2, 3)
    # Wilson's interval for 3 of 5, worked from its formula.
    assert (found.overall.low, found.overall.high) == pytest.approx((0.2307, 0.8824), abs=1e-4)
    held = found.to_json(level=0.9)
    assert list(held) == ["level", "overall", "control", "adhd"]
    assert (held["level"], held["overall"]["n"], held["adhd"]["value"]) == (0.9, 5, 0.6667)
    assert coverage(labels[:2], np.ones((2, 2), dtype=bool)).single_right is None
    assert list(coverage(labels[:2], sets[:2]).by_class) == ["control"]
