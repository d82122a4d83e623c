import numpy as np
import pytest
from scipy.stats import binomtest
from sklearn.metrics import confusion_matrix, roc_auc_score

from training.evidence.estimates import Estimate, mean_of_shares
from training.evidence.groups import FEW, age_band, evaluate_groups
from training.evidence.proportions import Proportion


def test_every_group_is_evaluated_on_its_own_people():
    generator = np.random.default_rng(0)
    labels = generator.integers(2, size=120)
    probabilities = generator.random(120)
    sites = ["Peking" if i % 3 else "NYU" for i in range(120)]
    thresholds = np.where(np.arange(120) % 2, 0.4, 0.6)
    found = evaluate_groups(labels, probabilities, sites, threshold=thresholds, seed=0, n_draws=50)
    assert [group.name for group in found] == ["NYU", "Peking"]
    for group in found:
        here = np.array([site == group.name for site in sites])
        table = confusion_matrix(labels[here], (probabilities > thresholds)[here])
        assert table.tolist() == [[group.tn, group.fp], [group.fn, group.tp]]
        assert (group.n_cases, group.n_controls) == (labels[here].sum(), (1 - labels[here]).sum())
        assert group.auc.value == pytest.approx(roc_auc_score(labels[here], probabilities[here]))
        assert group.auc.low < group.auc.value < group.auc.high
        assert group.accuracy.value == pytest.approx((group.tp + group.tn) / group.n)
        assert group.balanced_accuracy.value == pytest.approx(
            (group.sensitivity.value + group.specificity.value) / 2
        )
        assert not group.few


def test_a_group_without_a_mistake_keeps_an_interval_as_wide_as_its_size_leaves_it():
    labels = np.array([1] * 4 + [0] * 6)
    (group,) = evaluate_groups(labels, labels * 0.8 + 0.1, ["KKI"] * 10, threshold=0.5, seed=0, n_draws=50)
    for figure, n in ((group.accuracy, 10), (group.sensitivity, 4), (group.specificity, 6)):
        wilson = binomtest(n, n).proportion_ci(confidence_level=0.95, method="wilson")
        assert (figure.value, figure.low, figure.high) == pytest.approx((1.0, wilson.low, wilson.high))
        assert figure.low < 0.75
    assert group.balanced_accuracy.value == 1
    assert group.balanced_accuracy.low < 0.75
    of_four_pairs = binomtest(4, 4).proportion_ci(confidence_level=0.95, method="wilson")
    assert group.auc.low == pytest.approx(of_four_pairs.low)
    assert group.few


@pytest.mark.parametrize(
    ("first", "second", "low", "high"),
    [
        ((56, 70), (48, 80), 0.0524, 0.3339),
        ((10, 10), (0, 20), 0.6791, 1.0),
        ((9, 10), (3, 10), 0.1705, 0.809),
    ],
)
def test_the_interval_of_a_mean_is_newcombes(first, second, low, high):
    """Newcombe 1998 (Statistics in Medicine 17, table II, method 10) has it of a difference of shares."""
    hits, n = second
    one, other = Proportion.of(*first), Proportion.of(n - hits, n)
    mean = mean_of_shares(
        Estimate(one.value, one.low, one.high), Estimate(other.value, other.low, other.high)
    )
    assert (2 * mean.low - 1, 2 * mean.high - 1) == pytest.approx((low, high), abs=5e-5)


def test_a_group_of_one_class_has_the_figures_that_need_no_other():
    labels = np.array([0, 0, 0, 1, 0])
    sites = ["Pittsburgh"] * 3 + ["NYU"] * 2
    nyu, pittsburgh = evaluate_groups(
        labels, np.array([0.2, 0.7, 0.1, 0.9, 0.1]), sites, threshold=0.5, seed=0, n_draws=50
    )
    assert nyu.auc is not None
    assert nyu.few
    assert (pittsburgh.auc, pittsburgh.sensitivity, pittsburgh.balanced_accuracy) == (None, None, None)
    assert pittsburgh.specificity == pittsburgh.accuracy
    assert pittsburgh.specificity.value == pytest.approx(2 / 3)
    assert (pittsburgh.tn, pittsburgh.fp, pittsburgh.tp, pittsburgh.fn) == (2, 1, 0, 0)
    assert not pittsburgh.few, "there is no AUC to be careful with"


@pytest.mark.parametrize(("n_cases", "few"), [(FEW - 1, True), (FEW, False)])
def test_an_auc_is_marked_below_five_people_of_a_class(n_cases, few):
    labels = np.array([1] * n_cases + [0] * 20)
    probabilities = np.random.default_rng(0).random(len(labels))
    (group,) = evaluate_groups(labels, probabilities, ["x"] * len(labels), threshold=0.5, seed=0, n_draws=50)
    assert group.few is few


def test_ages_fall_into_bands_and_bands_come_in_their_order():
    ages = [21.8, 7.1, 10.0, 9.99, 13.99, 14.0, 18.0, None]
    bands = [age_band(age) for age in ages]
    assert bands == [
        "18 years and over",
        "under 10 years",
        "10 to 13 years",
        "under 10 years",
        "10 to 13 years",
        "14 to 17 years",
        "18 years and over",
        "unknown",
    ]
    found = evaluate_groups(np.zeros(8, int), np.zeros(8), bands, threshold=0.5, seed=0)
    names = ["under 10 years", "10 to 13 years", "14 to 17 years", "18 years and over", "unknown"]
    assert [group.name for group in found] == names
