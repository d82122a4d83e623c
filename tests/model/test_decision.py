import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from model.decision import (
    Interval,
    bootstrap_interval,
    calibrated_probability,
    conformal_decision,
    conformal_set,
    decide,
)

logits = st.tuples(st.integers(1, 5), st.integers(1, 9)).flatmap(
    lambda shape: arrays(np.float64, shape, elements=st.floats(-30, 30))
)


@settings(deadline=None, max_examples=60)
@given(member_logits=logits, temperature=st.floats(0.2, 5), seed=st.integers(0, 2**63))
def test_the_interval_holds_the_estimate_and_stays_among_what_members_said(member_logits, temperature, seed):
    interval = bootstrap_interval(member_logits, temperature=temperature, seed=seed, n_draws=200)
    point = 1 / (1 + np.exp(-member_logits.mean() / temperature))
    assert interval.low - 1e-12 <= point <= interval.high + 1e-12
    assert interval.low >= 1 / (1 + np.exp(-member_logits.min() / temperature)) - 1e-9
    assert interval.high <= 1 / (1 + np.exp(-member_logits.max() / temperature)) + 1e-9


@settings(deadline=None, max_examples=30)
@given(member_logits=logits, seed=st.integers(0, 2**63))
def test_the_same_seed_gives_the_same_interval(member_logits, seed):
    first = bootstrap_interval(member_logits, temperature=1.0, seed=seed)
    assert first == bootstrap_interval(member_logits.copy(), temperature=1.0, seed=seed)


@settings(deadline=None, max_examples=30)
@given(member_logits=logits, seed=st.integers(0, 1000))
def test_turning_every_logit_round_turns_the_interval_round(member_logits, seed):
    one = bootstrap_interval(member_logits, temperature=1.0, seed=seed)
    other = bootstrap_interval(-member_logits, temperature=1.0, seed=seed)
    assert (1 - other.high, 1 - other.low) == pytest.approx((one.low, one.high), abs=1e-9)


def test_members_that_agree_leave_a_point_and_members_that_differ_do_not():
    same = bootstrap_interval(np.full((4, 8), 0.7), temperature=1.0, seed=0)
    assert same.high - same.low < 1e-12
    assert same.low == pytest.approx(0.6681877721681662)  # 1 / (1 + exp(-0.7))
    differ = bootstrap_interval(np.array([[-2.0] * 8, [2.0] * 8]), temperature=1.0, seed=0)
    # Two members, drawn twice: (-2, -2), (2, 2) a quarter of the time each, so the 5 % tails lie at both.
    assert (differ.low, differ.high) == pytest.approx((0.11920292202211755, 0.8807970779778823))


def test_the_interval_is_the_one_that_a_plain_loop_over_draws_gives():
    generator = np.random.default_rng(5)
    member_logits = generator.normal(0.4, 1.0, size=(3, 6))
    loop = np.random.default_rng(77)
    means = []
    for _ in range(20_000):
        rows, columns = loop.integers(3, size=3), loop.integers(6, size=6)
        means.append(np.mean([member_logits[row, columns].mean() for row in rows]))
    low, high = np.quantile(1 / (1 + np.exp(-np.array(means) / 1.5)), [0.05, 0.95])
    found = bootstrap_interval(member_logits, temperature=1.5, seed=1, n_draws=20_000)
    assert found.low == pytest.approx(low, abs=0.01)
    assert found.high == pytest.approx(high, abs=0.01)


@settings(deadline=None, max_examples=30)
@given(value=st.floats(-20, 20), temperature=st.floats(1, 10))
def test_a_higher_temperature_brings_a_probability_nearer_to_a_half(value, temperature):
    cool = calibrated_probability(np.array([value]), temperature=1.0).item()
    warm = calibrated_probability(np.array([value]), temperature=temperature).item()
    assert abs(warm - 0.5) <= abs(cool - 0.5) + 1e-12


@pytest.mark.parametrize(
    ("low", "probability", "high", "expected"),
    [
        (0.6, 0.7, 0.8, "adhd"),
        (0.1, 0.2, 0.3, "control"),
        (0.4, 0.6, 0.8, "uncertain"),
        (0.2, 0.4, 0.6, "uncertain"),
        (0.5, 0.7, 0.8, "uncertain"),
        (0.2, 0.3, 0.5, "uncertain"),
    ],
)
def test_a_decision_is_made_only_when_the_whole_interval_lies_on_one_side(low, probability, high, expected):
    assert decide(probability, Interval(level=0.9, low=low, high=high), threshold=0.5) == expected


def test_what_windows_do_to_all_members_alike_is_not_averaged_away():
    window_effect = np.random.default_rng(0).normal(0.0, 1.0, size=8)
    shared = bootstrap_interval(np.tile(window_effect, (4, 1)), temperature=1.0, seed=0)
    alone = bootstrap_interval(window_effect[None], temperature=1.0, seed=0)
    assert shared.high - shared.low == pytest.approx(alone.high - alone.low, rel=0.1)


def test_the_decision_turns_at_the_threshold_of_the_card():
    clear = Interval(level=0.9, low=0.35, high=0.45)
    assert decide(0.4, clear, threshold=0.3) == "adhd"
    assert decide(0.4, clear, threshold=0.6) == "control"
    assert decide(0.4, clear, threshold=0.42) == "uncertain"


def test_even_one_draw_leaves_the_estimate_inside():
    member_logits = np.array([[-3.0, 0.0, 5.0]])
    for seed in range(20):
        interval = bootstrap_interval(member_logits, temperature=1.0, seed=seed, n_draws=1)
        point = float(calibrated_probability(member_logits.mean(keepdims=True), temperature=1.0).item())
        assert interval.low <= point <= interval.high


@pytest.mark.parametrize(
    ("probability", "classes", "expected"),
    [
        # 1 - p(control) is p and may be up to 0.4; 1 - p(adhd) may be up to 0.3.
        (0.1, {"control"}, "control"),
        (0.4, {"control"}, "control"),
        (0.5, set(), "uncertain"),
        (0.75, {"adhd"}, "adhd"),
        (0.95, {"adhd"}, "adhd"),
    ],
)
def test_the_conformal_set_decides_only_where_it_is_a_single_class(probability, classes, expected):
    narrow = {"level": 0.8, "control": 0.4, "adhd": 0.3}
    assert conformal_set(probability, narrow) == classes
    assert conformal_decision(probability, narrow) == expected
    wide = {"level": 0.9, "control": 1.0, "adhd": 1.0}
    assert conformal_set(probability, wide) == {"adhd", "control"}
    assert conformal_decision(probability, wide) == "uncertain"


def test_the_cards_rule_says_who_decides():
    quantiles = {"level": 0.8, "control": 0.4, "adhd": 0.3}
    clear, open_ = Interval(level=0.9, low=0.55, high=0.65), Interval(level=0.9, low=0.3, high=0.95)
    assert decide(0.6, clear, threshold=0.5) == "adhd"
    assert decide(0.6, clear, threshold=0.5, conformal_quantiles=quantiles) == "adhd"
    assert decide(0.6, clear, threshold=0.5, rule="conformal", conformal_quantiles=quantiles) == "uncertain"
    assert decide(0.8, open_, threshold=0.5) == "uncertain"
    assert decide(0.8, open_, threshold=0.5, rule="conformal", conformal_quantiles=quantiles) == "adhd"
    assert decide(0.8, open_, threshold=0.9, rule="conformal", conformal_quantiles=quantiles) == "adhd"
    with pytest.raises(ValueError, match="conformal quantiles"):
        decide(0.6, clear, threshold=0.5, rule="conformal")
