"""What would have changed, against worked examples."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.scoring.figures import BINS, DECISIONS, Pair, compare
from service.shares import share_of

PAIRS = [
    Pair(0.20, "control", 0.25, "control", "control"),
    Pair(0.30, "control", 0.70, "adhd", "adhd"),
    Pair(0.50, "uncertain", 0.40, "uncertain", "adhd"),
    Pair(0.80, "adhd", 0.60, "uncertain", "control"),
    Pair(0.90, "adhd", 0.90, "adhd"),
]
ANSWERS = st.sampled_from(DECISIONS)
SHARES = st.floats(0, 1)


def test_decisions_are_counted_by_what_was_said_then_and_now() -> None:
    figures = compare(PAIRS)
    assert figures.n == 5
    assert figures.decisions == {
        "control": {"control": 1, "adhd": 1, "uncertain": 0},
        "adhd": {"control": 0, "adhd": 1, "uncertain": 1},
        "uncertain": {"control": 0, "adhd": 0, "uncertain": 1},
    }
    assert (figures.changed.count, figures.changed.of, figures.changed.value) == (2, 5, 0.4)


@pytest.mark.parametrize(
    ("count", "of", "low", "high"),
    # By statsmodels.stats.proportion.proportion_confint(count, of, method="wilson").
    [
        (2, 5, 0.117621, 0.769276),
        (0, 10, 0.0, 0.277533),
        (10, 10, 0.722467, 1.0),
        (81, 263, 0.255291, 0.366176),
    ],
)
def test_shares_have_wilsons_interval(count: int, of: int, low: float, high: float) -> None:
    share = share_of(count, of)
    assert (share.low, share.high) == (pytest.approx(low, abs=2e-4), pytest.approx(high, abs=2e-4))
    assert share.low is not None
    assert share.low <= count / of


def test_there_is_no_share_of_nothing() -> None:
    figures = compare([])
    assert (figures.n, figures.changed.value, figures.differences) == (0, None, None)
    assert figures.agreement_now.sensitivity.value is None


def test_differences_are_now_less_then() -> None:
    differences = compare(PAIRS).differences
    assert differences is not None
    # 0.05, 0.4, -0.1, -0.2, 0
    assert differences.mean == pytest.approx(0.03)
    assert differences.mean_absolute == pytest.approx(0.15)
    assert (differences.least, differences.most) == (pytest.approx(-0.2), pytest.approx(0.4))
    # numpy.quantile([-0.2, -0.1, 0, 0.05, 0.4], [0.05, 0.25, 0.5, 0.75, 0.95])
    assert list(differences.quantiles.values()) == pytest.approx([-0.18, -0.1, 0.0, 0.05, 0.33])
    assert differences.reach == 0.5
    # Steps of 1/21 from -0.5 on: -0.2 lies in the 7th, -0.1 in the 9th, 0 in the 11th, the one in the middle.
    assert [place for place, number in enumerate(differences.histogram, 1) if number] == [7, 9, 11, 12, 19]


def test_an_uncertain_answer_meets_no_diagnosis() -> None:
    figures = compare(PAIRS)
    then, now = figures.agreement_then, figures.agreement_now
    assert (then.sensitivity.count, then.sensitivity.of) == (0, 2)
    assert (now.sensitivity.count, now.sensitivity.of) == (1, 2)
    assert (then.specificity.count, then.specificity.of) == (1, 2)
    assert (now.specificity.count, now.specificity.of) == (1, 2)
    assert (then.uncertain, now.uncertain) == (1, 2)


@given(st.lists(st.builds(Pair, SHARES, ANSWERS, SHARES, ANSWERS), min_size=1))
def test_every_pair_is_counted_once(pairs: list[Pair]) -> None:
    figures = compare(pairs)
    assert figures.differences is not None
    assert len(figures.differences.histogram) == BINS
    assert sum(figures.differences.histogram) == len(pairs)
    assert sum(sum(row.values()) for row in figures.decisions.values()) == len(pairs)
    low, high = figures.changed.low, figures.changed.high
    assert low is not None
    assert high is not None
    assert 0 <= low <= figures.changed.count / len(pairs) <= high <= 1


@given(st.lists(st.builds(Pair, SHARES, ANSWERS, SHARES, ANSWERS), min_size=1))
def test_the_other_way_round_it_is_the_mirror_image(pairs: list[Pair]) -> None:
    back = compare([Pair(pair.now, pair.now_decision, pair.then, pair.then_decision) for pair in pairs])
    there = compare(pairs)
    assert there.changed == back.changed
    assert there.differences is not None
    assert back.differences is not None
    assert there.differences.mean == pytest.approx(-back.differences.mean)
    assert there.decisions["adhd"]["control"] == back.decisions["control"]["adhd"]
