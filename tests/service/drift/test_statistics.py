"""Worked examples, and scipy where it states the same by another way."""

import warnings
from collections import Counter

import numpy as np
import pytest
from scipy import stats

from service.drift.statistics import compare_kinds, compare_numbers, holm


def test_the_statistic_is_the_largest_gap_between_two_distributions() -> None:
    # After 3 all of one and none of the other.
    assert compare_numbers([1, 2, 3], [4, 5, 6]) == (1.0, pytest.approx(2 / 20))
    statistic, p_value = compare_numbers([1, 2, 3, 4], [3, 4, 5, 6])
    assert statistic == pytest.approx(0.5)
    assert p_value == pytest.approx(stats.ks_2samp([1, 2, 3, 4], [3, 4, 5, 6]).pvalue)


def test_large_samples_agree_with_the_exact_test() -> None:
    generator = np.random.default_rng(0)
    before, now = generator.normal(size=900), generator.normal(0.2, size=400)
    statistic, p_value = compare_numbers(before, now)
    exact = stats.ks_2samp(before, now, method="exact")
    assert statistic == pytest.approx(exact.statistic)
    assert p_value == pytest.approx(exact.pvalue, rel=0.2)


def test_two_kinds_are_compared_exactly() -> None:
    # Fisher's tea: 3 of 4 cups and 1 of 4.
    statistic, p_value = compare_kinds({"milk": 3, "tea": 1}, {"milk": 1, "tea": 3})
    assert statistic == pytest.approx(0.5)
    assert p_value == pytest.approx(34 / 70)


def test_three_common_kinds_are_compared_by_chi_square() -> None:
    before, now = {"a": 30, "b": 40, "c": 30}, {"a": 45, "b": 40, "c": 15}
    statistic, p_value = compare_kinds(before, now)
    assert statistic == pytest.approx(0.15)
    # (7.5^2 / 37.5 + 7.5^2 / 22.5) * 2 = 8, two degrees of freedom.
    assert p_value == pytest.approx(np.exp(-8 / 2))


def test_rare_kinds_are_counted_together_and_their_share_is_not_lost() -> None:
    before = Counter({"2.00": 90}) + Counter({f"{tr:.2f}": 1 for tr in np.linspace(1, 1.9, 10)})
    statistic, p_value = compare_kinds(before, {"2.00": 12})
    assert statistic == pytest.approx(0.1)
    assert p_value == pytest.approx(stats.fisher_exact([[90, 10], [12, 0]]).pvalue)


def test_a_kind_that_was_never_seen_is_not_counted_together_with_a_known_one() -> None:
    before = {"2.00": 60, "2.50": 30, "1.96": 10}
    statistic, p_value = compare_kinds(before, {"1.50": 10})
    assert statistic == pytest.approx(1.0)
    assert p_value == pytest.approx(stats.fisher_exact([[100, 0], [0, 10]]).pvalue)
    assert p_value < 1e-12


def test_the_seen_and_the_unseen_are_two_tests() -> None:
    before, now = {"a": 30, "b": 70}, {"a": 6, "b": 10, "c": 4}
    unseen = stats.fisher_exact([[100, 0], [16, 4]]).pvalue
    rest = stats.fisher_exact([[30, 70], [6, 10]]).pvalue
    assert unseen < rest
    assert compare_kinds(before, now)[1] == pytest.approx(2 * unseen)


def test_one_kind_alone_is_no_difference() -> None:
    assert compare_kinds({"a": 20}, {"a": 3}) == (0.0, 1.0)


def test_holm_as_in_a_worked_example() -> None:
    # Sorted .005 .01 .03 .04 times 4 3 2 1, never falling.
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []


def test_samples_that_are_all_but_equal_are_compared_without_a_warning() -> None:
    before = list(range(300))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        statistic, p_value = compare_numbers(before, [*before[1:], 300.0])
    assert (statistic, p_value) == (pytest.approx(1 / 300), 1.0)
