import numpy as np
import pytest
from sklearn.metrics import confusion_matrix, roc_auc_score

from training.evidence.groups import age_band, evaluate_groups


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
        assert (group.n_adhd, group.n_control) == (labels[here].sum(), (1 - labels[here]).sum())
        assert group.evaluation.auc.value == pytest.approx(roc_auc_score(labels[here], probabilities[here]))
        assert group.evaluation.tp == group.tp
        assert group.reason is None


def test_a_group_of_one_class_is_counted_and_says_why_it_has_no_figures():
    labels = np.array([0, 0, 0, 1, 0])
    sites = ["Pittsburgh"] * 3 + ["NYU"] * 2
    nyu, pittsburgh = evaluate_groups(
        labels, np.array([0.2, 0.7, 0.1, 0.9, 0.1]), sites, threshold=0.5, seed=0, n_draws=50
    )
    assert nyu.evaluation is not None
    assert pittsburgh.evaluation is None
    assert pittsburgh.reason == "all 3 subjects are controls: an AUC and its like need both classes"
    assert (pittsburgh.tn, pittsburgh.fp, pittsburgh.tp, pittsburgh.fn) == (2, 1, 0, 0)


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
