"""The numbers that rules hold to, taken from the sentences that a comparison really writes."""

from dataclasses import asdict

import pytest

from service.api.model_payloads import RuleResponse
from service.web.language import Language, spoken
from service.web.models.limits import limit_of
from tests.training.challenge.made_up_answers import CARD, answers, people
from training.challenge.leaks import Overlap
from training.challenge.rules import judge
from training.challenge.side_by_side import set_side_by_side

WITHOUT = {"no_leak", "evidence_finished", "claims_hold", "better_than_chance"}


@pytest.fixture(scope="module")
def rules() -> dict[str, RuleResponse]:
    labels, sites = people(120)
    both = [answers(labels, strength=2.0, seed=seed) for seed in (1, 2)]
    together = set_side_by_side((both[0], CARD), (both[1], CARD), labels=labels, sites=sites)
    nobody = Overlap(by_scan=0, by_name=0, people=0, of=120)
    judged = judge(together, CARD, overlap=nobody)
    return {rule.name: RuleResponse(**asdict(rule)) for rule in judged}


def test_every_rule_of_a_comparison_says_its_number_in_chinese(rules: dict[str, RuleResponse]) -> None:
    with spoken(Language.CHINESE):
        said = {name: limit_of(rule) for name, rule in rules.items()}
    assert {name for name, limit in said.items() if not limit} == WITHOUT
    for name in said.keys() - WITHOUT:
        assert said[name] != rules[name].expected, name
        assert any("\u4e00" <= letter <= "\u9fff" for letter in said[name]), said[name]


def test_the_numbers_are_those_that_were_held_to(rules: dict[str, RuleResponse]) -> None:
    assert limit_of(rules["auc_not_worse"]) == "all of it above -0.05"
    assert limit_of(rules["sensitivity_not_worse"]) == "all of it above -0.10"
    assert limit_of(rules["decides_enough"]) == "all of it below +0.10"
    assert limit_of(rules["backends_agree"]) == "logits within 0.001"
    assert limit_of(rules["fast_enough"]).startswith("at most 2 times its ")
    promised = CARD.conformal_quantiles
    assert promised is not None
    assert limit_of(rules["coverage_kept"]).startswith(f"{promised['level']:.0%} of people")


def test_what_is_written_otherwise_is_given_as_it_is(rules: dict[str, RuleResponse]) -> None:
    other = rules["calibrated"].model_copy(update={"expected": "no error at all"})
    assert limit_of(other) == "no error at all"
    fields = other.model_copy(update={"name": "same_preprocessing", "expected": "tr_s 2.0"})
    assert limit_of(fields) == "tr_s 2.0"
