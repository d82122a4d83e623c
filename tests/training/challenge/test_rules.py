import pytest

from tests.training.challenge.made_up_answers import CARD, answers, people
from training.challenge.leaks import Overlap
from training.challenge.rules import Margins, evidence_finished, failed, judge
from training.challenge.side_by_side import set_side_by_side

NOBODY = Overlap(by_scan=0, by_name=0, people=0, of=300)
LABELS, SITES = people(300)


def judged(challenger, *, champion=None, card=CARD, overlap=NOBODY, margins=None):
    champion = champion or answers(LABELS, strength=2.0, seed=1)
    together = set_side_by_side((champion, CARD), (challenger, card), labels=LABELS, sites=SITES)
    return {rule.name: rule for rule in judge(together, card, overlap=overlap, margins=margins)}


def names(rules):
    return [rule.name for rule in failed(list(rules.values()))]


def claiming(**auc):
    return CARD.model_copy(update={"metrics": {**CARD.metrics, "auc": auc}})


def test_a_challenger_like_the_champion_passes_every_rule():
    rules = judged(answers(LABELS, strength=2.0, seed=1, shift=0.05))
    assert names(rules) == []
    assert next(iter(rules)) == "no_leak"


def test_one_without_signal_is_stopped_as_chance_and_as_worse():
    rules = judged(answers(LABELS, strength=0.0, seed=2))
    assert {"better_than_chance", "auc_not_worse", "claims_hold"} <= set(names(rules))
    assert "above .5" in rules["better_than_chance"].expected


def test_one_that_leaked_inside_its_own_folds_claims_more_than_these_people_bear_out():
    rules = judged(answers(LABELS, strength=2.0, seed=1), card=claiming(value=1.0, low=0.995, high=1.0))
    assert names(rules) == ["claims_hold"]
    assert "1.000 claimed (from 0.995)" in rules["claims_hold"].found


@pytest.mark.parametrize(
    ("overlap", "said"),
    [
        (Overlap(by_scan=2, by_name=3, people=4, of=300), "4 of 300 (2 by their scans, 3 by name)"),
        (None, "no record of whom it was trained on, or that of another model"),
    ],
)
def test_people_of_the_set_in_the_training_stop_it_and_so_does_not_knowing(overlap, said):
    rules = judged(answers(LABELS, strength=2.0, seed=1), overlap=overlap)
    assert names(rules) == ["no_leak"]
    assert rules["no_leak"].found == said


def test_probabilities_that_are_too_sure_are_stopped_though_their_order_is_the_same():
    rules = judged(answers(LABELS, strength=2.0, seed=1, sharpness=4.0))
    assert "calibrated" in names(rules)
    assert "auc_not_worse" not in names(rules)


def test_missing_more_cases_is_worse_though_the_order_is_the_same():
    rules = judged(answers(LABELS, strength=2.0, seed=1, shift=-1.5))
    assert "sensitivity_not_worse" in names(rules)
    assert rules["auc_not_worse"].passed


def test_sets_that_miss_their_promise_are_stopped():
    narrow = CARD.model_copy(update={"conformal_quantiles": {"level": 0.9, "control": 0.2, "adhd": 0.2}})
    rules = judged(answers(LABELS, strength=2.0, seed=1), card=narrow)
    assert names(rules) == ["coverage_kept"]


def test_a_model_that_promises_no_coverage_is_not_asked_about_it():
    without = CARD.model_copy(update={"conformal_quantiles": None, "decision_rule": "interval"})
    rules = judged(answers(LABELS, strength=2.0, seed=1), card=without)
    assert "coverage_kept" not in rules


def test_one_that_says_uncertain_of_everybody_decides_too_little_though_its_sets_keep_their_promise():
    rules = judged(answers(LABELS, strength=2.0, seed=1, undecided=300))
    assert names(rules) == ["decides_enough"]
    assert rules["coverage_kept"].passed
    assert rules["decides_enough"].found.startswith("+1.000")
    assert rules["decides_enough"].overridable


@pytest.mark.parametrize(("more", "passed"), [(10, True), (29, False), (60, False)])
def test_the_whole_interval_of_more_uncertain_answers_lies_below_the_margin(more, passed):
    champion = answers(LABELS, strength=2.0, seed=1, undecided=90)
    rules = judged(answers(LABELS, strength=2.0, seed=1, undecided=90 + more), champion=champion)
    assert rules["decides_enough"].passed is passed
    fewer = judged(champion, champion=answers(LABELS, strength=2.0, seed=1, undecided=90 + more))
    assert fewer["decides_enough"].passed
    assert judged(
        answers(LABELS, strength=2.0, seed=1, undecided=90 + more),
        champion=champion,
        margins=Margins(uncertain=0.5),
    )["decides_enough"].passed


def test_a_backend_that_computes_other_logits_can_be_overridden_by_nobody():
    rules = judged(answers(LABELS, strength=2.0, seed=1, backend_difference=0.01))
    assert names(rules) == ["backends_agree"]
    assert not rules["backends_agree"].overridable


def test_margins_are_the_askers():
    slow = answers(LABELS, strength=2.0, seed=1, seconds=0.3)
    assert names(judged(slow)) == ["fast_enough"]
    assert names(judged(slow, margins=Margins(seconds_ratio=4.0))) == []
    # No interval lies above 0 of two that are the same.
    assert names(judged(slow, margins=Margins(auc=0.0, seconds_ratio=4.0))) == ["auc_not_worse"]


@pytest.mark.parametrize(
    ("metrics", "said"),
    [
        ({}, "none for auc"),
        ({**CARD.metrics, "protocol": "paper"}, "'paper'"),
        ({name: found for name, found in CARD.metrics.items() if name != "protocol"}, "nobody named"),
        ({**CARD.metrics, "sensitivity": 0.9}, "none for sensitivity"),
    ],
)
def test_evidence_is_finished_when_each_figure_has_its_interval(metrics, said):
    assert evidence_finished(CARD).passed
    rule = evidence_finished(CARD.model_copy(update={"metrics": metrics}))
    assert not rule.passed
    assert said in rule.found
