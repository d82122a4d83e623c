import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import binomtest, norm

from training.evidence.comparison import auc_estimate, paired_difference
from training.evidence.estimates import Estimate, difference_of_areas, precision_estimate
from training.evidence.metrics import evaluate
from training.evidence.sites import within_site_auc

LABELS = np.repeat([1, 0], [15, 25])
PERFECT = np.r_[np.linspace(0.9, 0.6, 15), np.linspace(0.4, 0.1, 25)]


def wilson(hits, n):
    interval = binomtest(hits, n).proportion_ci(confidence_level=0.95, method="wilson")
    return hits / n, interval.low, interval.high


def numbers(estimate):
    return estimate.value, estimate.low, estimate.high


@pytest.mark.parametrize(("scores", "hits"), [(PERFECT, 1), (1 - PERFECT, 0)])
def test_no_figure_of_a_classifier_without_a_mistake_or_without_a_hit_is_certain(scores, hits):
    found = evaluate(LABELS, scores, threshold=0.5, seed=0, n_draws=200)
    assert numbers(found.accuracy) == pytest.approx(wilson(40 * hits, 40))
    assert numbers(found.sensitivity) == pytest.approx(wilson(15 * hits, 15))
    assert numbers(found.specificity) == pytest.approx(wilson(25 * hits, 25))
    assert numbers(found.auc) == pytest.approx(wilson(15 * hits, 15))
    for figure in (found.accuracy, found.balanced_accuracy, found.auc):
        assert (figure.value, figure.high if hits else figure.low) == pytest.approx((hits, hits))
        assert figure.high - figure.low > 0.08
    if hits:
        assert found.average_precision.low < 0.9


def test_everybody_of_one_class_called_alike_leaves_room_for_that_class_only():
    scores = PERFECT.copy()
    scores[[20, 30, 35]] = 0.95  # three controls that are called cases
    found = evaluate(LABELS, scores, threshold=0.5, seed=0, n_draws=200)
    assert numbers(found.sensitivity) == pytest.approx(wilson(15, 15))
    assert numbers(found.accuracy) == pytest.approx(wilson(37, 40))
    low = 25 * found.specificity.low
    assert low == pytest.approx(round(low)), "drawn from 25 people, as it always is where draws differ"
    drawn_alone = (1 + found.specificity.low) / 2
    assert found.balanced_accuracy.low < drawn_alone, "it would know of no mistake among the cases"


def test_one_answer_for_everybody_comes_to_what_the_classes_sizes_say():
    found = evaluate(LABELS, np.zeros(40), threshold=0.5, seed=0, n_draws=200)
    assert numbers(found.accuracy) == pytest.approx((25 / 40,) * 3)
    assert numbers(found.sensitivity) == (0, 0, 0)
    assert numbers(found.auc) == (0.5, 0.5, 0.5)


@pytest.mark.parametrize("n", [5, 15])
def test_the_interval_of_a_perfect_auc_holds_every_area_that_makes_it_likely(n):
    """A classifier of a true area of its lower end is perfect on so few people in about one draw of forty."""
    labels = np.repeat([1, 0], n)
    low = auc_estimate(labels, labels.astype(float), seed=0, n_draws=10).low
    generator = np.random.default_rng(0)
    cases = generator.normal(np.sqrt(2) * norm.ppf(low), 1, (20_000, n))
    controls = generator.normal(0, 1, (20_000, n))
    assert (cases.min(axis=1) > controls.max(axis=1)).mean() < 0.025


def test_pairs_of_one_site_are_counted_without_anybody_in_two():
    labels, sites = np.array([1, 0, 0, 1, 1, 0, 0]), list("aaabbbc")
    found = within_site_auc(labels, labels.astype(float), sites, seed=0, n_draws=50)
    assert numbers(found) == pytest.approx(wilson(2, 2))


def test_a_perfect_average_precision_allows_for_controls_above_every_case():
    above = wilson(0, 25)[2] * 25 / 15
    found = precision_estimate(1.0, np.ones(10), n_cases=15, n_controls=25)
    assert (found.value, found.high) == (1, 1)
    assert found.low == pytest.approx(quad(lambda u: u / (u + above), 0, 1)[0])


def test_a_difference_of_areas_is_newcombes():
    """Newcombe 1998 (Statistics in Medicine 17, table II, method 10)."""
    shares = [Estimate(*wilson(56, 70)), Estimate(*wilson(48, 80))]
    found = difference_of_areas(*shares)
    assert numbers(found) == pytest.approx((0.2, 0.0524, 0.3339), abs=5e-5)


def test_a_perfect_classifier_is_not_certainly_ahead_of_another():
    chance = np.zeros(40)
    ahead = paired_difference(LABELS, PERFECT, chance, seed=0, n_draws=200)
    assert numbers(ahead) == pytest.approx((0.5, wilson(15, 15)[1] - 0.5, 0.5))
    as_good = paired_difference(LABELS, PERFECT, LABELS.astype(float), seed=0, n_draws=200)
    assert as_good.low < -0.1
    assert as_good.high > 0.1
    assert not ahead.is_drawn
    assert not as_good.is_drawn
    assert paired_difference(LABELS, np.arange(40) % 3, chance, seed=0, n_draws=200).is_drawn
    assert numbers(paired_difference(LABELS, PERFECT, PERFECT**2, seed=0, n_draws=200)) == (0, 0, 0)
