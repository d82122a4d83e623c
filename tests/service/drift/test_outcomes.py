"""How answers fare, by week and site, on a few that are counted by hand."""

from typing import Any

import pytest
from scipy import stats

from service.drift.beside_card import outside_card
from service.drift.outcomes import Outcome, summarise
from service.drift.scans import SeenScan
from service.scoring.figures import Pair, compare


def outcome(decision: str, **more: Any) -> Outcome:
    return Outcome(**{"week": "2026-W48", "site": "nyu", "probability": 0.5, "decision": decision, **more})


def test_shares_count_what_they_say() -> None:
    outcomes = [
        outcome("adhd", diagnosis="adhd", overridden=False),
        outcome("adhd", diagnosis="adhd", overridden=True),
        outcome("control", diagnosis="adhd"),
        outcome("uncertain", diagnosis="adhd", overridden=False),
        outcome("control", diagnosis="control", overridden=False),
        outcome("adhd", diagnosis="other"),
    ]
    [everywhere, there] = summarise(outcomes)
    assert (everywhere["site"], there["site"]) == ("", "nyu")
    assert everywhere["n"] == 6
    assert (everywhere["uncertain"]["value"], everywhere["uncertain"]["n"]) == (pytest.approx(1 / 6), 6)
    assert (everywhere["overridden"]["value"], everywhere["overridden"]["n"]) == (0.25, 4)
    assert (everywhere["sensitivity"]["value"], everywhere["sensitivity"]["n"]) == (0.5, 4)
    assert (everywhere["specificity"]["value"], everywhere["specificity"]["n"]) == (1.0, 1)
    expected = stats.binomtest(2, 4).proportion_ci(method="wilson")
    assert everywhere["sensitivity"]["low"] == pytest.approx(expected.low, abs=1e-5)
    assert everywhere["sensitivity"]["high"] == pytest.approx(expected.high, abs=1e-5)


def test_sensitivity_is_that_of_scores() -> None:
    said = [("adhd", "adhd"), ("adhd", "uncertain"), ("control", "uncertain"), ("control", "control")]
    everywhere = summarise([outcome(decision, diagnosis=diagnosis) for diagnosis, decision in said])[0]
    scored = compare(
        [
            Pair(then=0.5, then_decision=decision, now=0.5, now_decision=decision, diagnosis=diagnosis)
            for diagnosis, decision in said
        ]
    ).agreement_now
    for name in ("sensitivity", "specificity"):
        share = getattr(scored, name)
        assert (everywhere[name]["value"], everywhere[name]["n"]) == (share.value, share.of) == (0.5, 2)


def test_what_nobody_said_has_no_share_and_few_answers_no_quartiles() -> None:
    few = summarise([outcome("adhd", probability=0.9)] * 4)[0]
    assert (few["overridden"], few["sensitivity"], few["probability"]) == (None, None, None)
    many = summarise([outcome("adhd", probability=value / 10) for value in range(1, 6)])[0]
    assert many["probability"] == [0.2, 0.3, 0.4]


def test_beside_a_card_scans_beyond_its_tails_are_counted() -> None:
    names = ("minimum", "p1", "p5", "p25", "p50", "p75", "p95", "p99", "maximum")
    spread = dict(zip(names, (1.0, 1.1, 1.2, 1.3, 1.4, 1.5, 1.6, 1.7, 1.8), strict=True))
    card = {"population": {"figures": {"dvars_mean": {"n_known": 50, **spread}}}}
    scans = [
        SeenScan(week="2026-W48", site="nyu", figures={"dvars_mean": value, "tsnr": 3.0})
        for value in (1.4, 1.5, 1.75, 9.0)
    ]
    [everywhere, there] = outside_card(scans, card)
    assert (everywhere["variable"], everywhere["site"], there["site"]) == ("dvars_mean", "", "nyu")
    assert (everywhere["outside"]["value"], everywhere["outside"]["n"]) == (0.5, 4)
    assert outside_card(scans, {}) == []
