import numpy as np
import pytest
from sklearn.metrics import recall_score, roc_auc_score

from tests.training.challenge.made_up_answers import CARD, answers, people
from training.challenge.side_by_side import calibration_limit, difference_of_shares, measure, set_side_by_side
from training.evidence.metrics import evaluate


def together(first, second, labels, sites):
    return set_side_by_side((first, CARD), (second, CARD), labels=labels, sites=sites)


def test_figures_are_those_of_scikit_learn_and_differences_are_challenger_minus_champion():
    labels, sites = people(200)
    old, new = answers(labels, strength=1.0, seed=1), answers(labels, strength=2.0, seed=2)
    found = together(old, new, labels, sites)
    aucs = [roc_auc_score(labels, one.probabilities) for one in (old, new)]
    recalls = [recall_score(labels, one.probabilities > 0.5) for one in (old, new)]
    assert found.champion.evaluation.auc.value == pytest.approx(aucs[0])
    assert found.challenger.evaluation.auc.value == pytest.approx(aucs[1])
    assert found.differences["auc"].value == pytest.approx(aucs[1] - aucs[0])
    assert found.differences["auc"].low > 0
    assert found.differences["sensitivity"].value == pytest.approx(recalls[1] - recalls[0])
    assert found.called_otherwise == ((old.probabilities > 0.5) != (new.probabilities > 0.5)).sum()


def test_the_same_answers_differ_by_nothing_but_leave_room_for_who_was_not_seen():
    labels, sites = people(60)
    same = answers(labels, strength=1.5, seed=3)
    found = together(same, same, labels, sites)
    assert found.differences["auc"].value == 0
    assert found.called_otherwise == 0
    sensitivity = found.differences["sensitivity"]
    assert sensitivity.low < 0 < sensitivity.high
    assert sensitivity.high < 0.2


def test_a_paired_interval_is_narrower_than_what_two_samples_would_leave():
    labels, sites = people(200)
    old = answers(labels, strength=1.0, seed=4)
    moved = answers(labels, strength=1.0, seed=4, shift=0.1)
    alone = together(old, old, labels, sites).champion.evaluation.sensitivity
    paired = together(old, moved, labels, sites).differences["sensitivity"]
    assert paired.high - paired.low < (alone.high - alone.low) / 2


def test_a_site_with_few_of_a_class_has_no_area_of_its_own():
    labels, sites = people(80)
    sites[:3] = ["Small"] * 3
    found = measure(answers(labels, strength=2.0, seed=5), CARD, labels=labels, sites=sites, seed=0)
    assert set(found.by_site) == {"NYU", "Peking"}
    here = np.array([site == "NYU" for site in sites])
    expected = roc_auc_score(labels[here], answers(labels, strength=2.0, seed=5).probabilities[here])
    assert found.by_site["NYU"].value == pytest.approx(expected)


def test_exact_probabilities_stay_below_the_limit_about_as_often_as_it_says():
    """Of 100 samples 95 are expected to; 9999 of 10000 times at least 86 do."""
    below = 0
    for seed in range(100):
        generator = np.random.default_rng(seed)
        probabilities = generator.beta(2, 2, size=60)
        labels = (generator.random(60) < probabilities).astype(np.int64)
        if labels.min() == labels.max():
            continue
        error = evaluate(labels, probabilities, threshold=0.5, seed=0, n_draws=2).ece
        below += error <= calibration_limit(probabilities, seed=1, n_draws=500)
    assert 86 <= below < 100


def test_the_limit_falls_with_the_number_of_people():
    generator = np.random.default_rng(0)
    few, many = (calibration_limit(generator.random(n), seed=0) for n in (40, 1000))
    assert many < few / 3


def test_a_difference_of_shares_counts_people_as_pairs():
    first, second = np.array([1.0, 1, 1, 0] * 20), np.array([1.0, 0, 1, 0] * 20)
    found = difference_of_shares(first, second, seed=0)
    assert found.value == pytest.approx(0.25)
    # A share of 20 in 80 by itself: the others are alike in both.
    assert found.low == pytest.approx(0.16, abs=0.02)
    assert found.high == pytest.approx(0.35, abs=0.02)
