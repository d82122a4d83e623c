import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from training.evidence.sites import site_verdict, within_site_auc

SHARES = {"NYU": 0.8, "Peking": 0.5, "KKI": 0.1}


def cohort(seed, *, n=300, shares=SHARES):
    """Labels and sites of people whose sites have very different shares of cases."""
    generator = np.random.default_rng(seed)
    sites = [list(shares)[i % len(shares)] for i in range(n)]
    labels = np.array([int(generator.random() < shares[site]) for site in sites])
    return labels, sites, np.array([shares[site] for site in sites]), generator


def test_pairs_within_a_site_are_pooled_by_pairs():
    labels, sites, share, generator = cohort(0)
    scores = share + generator.normal(0.3 * labels, 0.3)
    right = pairs = 0
    for site in SHARES:
        here = np.array([one == site for one in sites])
        n_pairs = int(labels[here].sum() * (1 - labels[here]).sum())
        right += roc_auc_score(labels[here], scores[here]) * n_pairs
        pairs += n_pairs
    found = within_site_auc(labels, scores, sites, seed=0)
    assert found.value == pytest.approx(right / pairs)
    assert found.low < found.value < found.high


def test_knowing_the_site_alone_is_a_half_within_sites():
    labels, sites, share, _ = cohort(1)
    assert roc_auc_score(labels, share) > 0.75
    assert within_site_auc(labels, share, sites, seed=0).value == 0.5


def test_sites_of_one_class_have_no_pairs():
    labels = np.array([1, 1, 0, 0, 1, 0])
    sites = ["NYU", "NYU", "Pittsburgh", "Pittsburgh", "KKI", "KKI"]
    scores = np.array([0.1, 0.1, 0.9, 0.9, 0.8, 0.2])
    assert within_site_auc(labels, scores, sites, seed=0).value == 1.0, "the one pair of KKI"
    assert within_site_auc(labels[:4], scores[:4], sites[:4], seed=0) is None


def test_about_19_of_20_intervals_hold_a_half_when_only_the_site_is_known():
    held = 0
    for seed in range(40):
        labels, sites, share, generator = cohort(seed, n=120)
        found = within_site_auc(labels, share + generator.normal(0, 0.2, 120), sites, seed=0, n_draws=500)
        held += found.low <= 0.5 <= found.high
    assert held >= 34


def verdict(labels, scores, sites, alone):
    return site_verdict(labels, scores, sites, alone, seed=0)


def test_a_result_that_is_about_sites_is_said_to_be():
    labels, sites, share, generator = cohort(2)
    found = verdict(labels, share + generator.normal(0, 0.1, len(labels)), sites, share)
    assert found.finding == "site_explains"
    assert found.may_explain
    assert found.sentence.startswith("Site explains the result")
    assert "at chance" in found.sentence
    assert f"{found.within_site.value:.2f} [" in found.sentence
    assert found.auc.low > 0.5
    assert found.within_site.low <= 0.5 <= found.within_site.high


def test_a_result_about_people_is_said_to_go_beyond_site():
    labels, sites, share, generator = cohort(3)
    scores = labels + generator.normal(0, 1.0, len(labels))
    found = verdict(labels, scores, sites, np.full(len(labels), 0.5))
    assert (found.finding, found.may_explain) == ("beyond_site", False)
    assert "does not explain" in found.sentence
    assert "does as well" not in found.sentence
    weak = verdict(labels, 0.5 * labels + generator.normal(0, 1, len(labels)), sites, share)
    assert weak.finding == "beyond_site"
    assert "knowing the site alone does as well" in weak.sentence


def test_chance_one_site_and_sites_of_one_class_are_each_said_to_be_what_they_are():
    labels, sites, share, generator = cohort(4)
    noise = generator.normal(size=len(labels))
    assert verdict(labels, noise, sites, share).finding == "chance"
    assert verdict(labels, labels + noise, ["NYU"] * len(labels), share).finding == "one_site"
    apart = ["cases" if label else "controls" for label in labels]
    found = verdict(labels, labels + noise, apart, labels.astype(float))
    assert (found.finding, found.within_site, found.may_explain) == ("inseparable", None, True)
    assert "cannot tell" in found.sentence


def test_without_a_difference_between_sites_site_is_not_blamed():
    generator = np.random.default_rng(0)
    labels = np.arange(160) % 2
    # Forty people are at sites of both classes, where the scores tell nothing; all others at sites of one.
    sites = [f"site {i // 10}" if i < 40 else f"site {i % 2} {i // 10}" for i in range(160)]
    scores = labels + generator.normal(size=160)
    scores[:40] = generator.normal(size=40)
    found = verdict(labels, scores, sites, np.full(160, 0.5))
    assert found.finding == "not_shown_within_sites"
    assert not found.may_explain
    assert "predicts nothing either" in found.sentence


def test_a_handful_of_people_who_can_be_compared_settle_nothing():
    labels = np.arange(80) % 2
    # The scores are right without exception, but only 5 cases share a site with a control.
    sites = [f"site {i // 2}" if i < 10 else f"home {i % 2}" for i in range(80)]
    scores = labels + np.random.default_rng(0).normal(0, 0.1, size=80)
    found = verdict(labels, scores, sites, np.full(80, 0.5))
    assert found.within_site.value == 1.0
    assert found.finding == "inseparable"
    assert "hold 5 cases and 5 controls, too few" in found.sentence


@pytest.mark.parametrize(
    ("n_cases", "n_controls", "finding"),
    [(9, 9, "inseparable"), (10, 9, "inseparable"), (9, 10, "inseparable"), (10, 10, "beyond_site")],
)
def test_ten_of_each_class_who_can_be_compared_are_enough_and_nine_are_not(n_cases, n_controls, finding):
    labels = np.arange(80) % 2
    sites = [f"home {label}" for label in labels]
    for label, n in ((1, n_cases), (0, n_controls)):
        for i in np.flatnonzero(labels == label)[:n]:
            sites[i] = "shared"
    scores = labels + np.random.default_rng(0).normal(0, 0.1, size=80)
    assert verdict(labels, scores, sites, np.full(80, 0.5)).finding == finding
