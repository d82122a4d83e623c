"""The tests: two samples of a number, two of a kind, what lies outside of a sample, and many at once."""

import warnings
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
from scipy import stats

# Above this product of sizes the exact distribution costs more than its last digits are worth.
_EXACT_UP_TO = 100_000
# A table whose expected counts are smaller is no ground for chi-square (Cochran 1954).
_FEWEST_EXPECTED = 5.0


def compare_numbers(reference: Sequence[float], found: Sequence[float]) -> tuple[float, float]:
    """Compare two samples of a number by Kolmogorov and Smirnov's test.

    Parameters
    ----------
    reference, found : sequence of float
        Neither is empty.

    Returns
    -------
    statistic : float
        The largest difference between the two distributions, 0 to 1.
    p_value : float
        Two-sided; exact for small samples. Equal values make it too large, never too small.
    """
    exact = len(reference) * len(found) <= _EXACT_UP_TO
    with warnings.catch_warnings():
        # Of samples that are all but equal the exact value may be more than 1 by its last digits; SciPy then
        # warns, and takes the asymptotic one.
        warnings.filterwarnings("ignore", message="ks_2samp: Exact calculation unsuccessful")
        result = stats.ks_2samp(reference, found, method="exact" if exact else "asymp")
    return float(result.statistic), float(min(result.pvalue, 1.0))


def compare_kinds(reference: Mapping[str, int], found: Mapping[str, int]) -> tuple[float, float]:
    """Compare two samples of a kind: Fisher's exact test for two kinds, chi-square for more.

    Among the kinds of the reference the rarest are counted together until every expected count is large
    enough for chi-square, or two kinds are left. How many are of a kind that the reference has not is a test
    of its own beside it (:func:`count_unseen`): counted together with a known kind they would not be seen.

    Parameters
    ----------
    reference, found : mapping of str to int
        How many there are of each kind; neither is empty.

    Returns
    -------
    statistic : float
        The share of one sample that would have to be of another kind for the two to be alike, 0 to 1.
    p_value : float
        Two-sided; of two tests the smaller one, doubled.
    """
    n_reference, n_found = sum(reference.values()), sum(found.values())
    kinds = sorted({*reference, *found})
    shares = [(reference.get(kind, 0) / n_reference, found.get(kind, 0) / n_found) for kind in kinds]
    statistic = sum(abs(before - now) for before, now in shares) / 2
    seen = {kind: n for kind, n in found.items() if reference.get(kind, 0)}
    p_values = []
    if len(seen) < len(found):
        p_values.append(count_unseen(reference, found)[1])
    if seen and len(reference) > 1:
        p_values.append(_p_value(_merged(reference, seen)))
    return statistic, min([1.0, *(len(p_values) * p_value for p_value in p_values)])


def count_outside(reference: Sequence[float], found: Sequence[float]) -> tuple[float, float]:
    """Count how many numbers lie outside the range of a reference, its outermost hundredths left out.

    Between its r-th smallest and its r-th largest of n values lies a share of the population that is
    distributed as Beta(n + 1 - 2r, 2r), whatever the population (Wilks 1941, Ann. Math. Stat. 12:91).

    Parameters
    ----------
    reference : sequence of float
        Sorted.
    found : sequence of float
        Not empty.

    Returns
    -------
    statistic : float
        The share outside, 0 to 1.
    p_value : float
        Of at least so many outside; equal values make it too large, never too small.
    """
    n = len(reference)
    trimmed = 1 + n // 100
    low, high = reference[trimmed - 1], reference[n - trimmed]
    outside = sum(not low <= value <= high for value in found)
    p_value = stats.betabinom.sf(outside - 1, len(found), 2 * trimmed, n + 1 - 2 * trimmed)
    return outside / len(found), float(p_value)


def count_unseen(reference: Mapping[str, int], found: Mapping[str, int]) -> tuple[float, float]:
    """Count how many are of a kind that a reference has not.

    Returns
    -------
    statistic : float
        Their share, 0 to 1.
    p_value : float
        By Fisher's exact test; 1 where there is none.
    """
    n_reference, n_found = sum(reference.values()), sum(found.values())
    n_seen = sum(n for kind, n in found.items() if reference.get(kind, 0))
    if n_seen == n_found:
        return 0.0, 1.0
    table = np.array([[n_reference, 0], [n_seen, n_found - n_seen]])
    return 1 - n_seen / n_found, _p_value(table)


def _p_value(table: np.ndarray) -> float:
    if table.shape[1] == 2:
        return float(stats.fisher_exact(table).pvalue)
    return float(stats.chi2_contingency(table, correction=False).pvalue)


def _merged(reference: Mapping[str, int], found: Mapping[str, int]) -> np.ndarray:
    both = Counter(reference) + Counter(found)
    ordered = [kind for kind, _ in sorted(both.items(), key=lambda item: (-item[1], item[0]))]
    groups = [[kind] for kind in ordered]
    smaller = min(sum(reference.values()), sum(found.values())) / (both.total() or 1)
    while len(groups) > 2 and smaller * sum(both[kind] for kind in groups[-1]) < _FEWEST_EXPECTED:
        last = groups.pop()
        groups[-1] = groups[-1] + last
        groups.sort(key=lambda group: -sum(both[kind] for kind in group))
    return np.array(
        [[sum(counts.get(kind, 0) for kind in group) for group in groups] for counts in (reference, found)]
    )


def holm(p_values: Sequence[float]) -> list[float]:
    """Correct p-values for how many there are (Holm 1979): each of them may be held against one level.

    Returns
    -------
    list of float
        In the same order, at most 1; the share of families with any false one stays below the level, however
        the tests depend on each other.
    """
    corrected = [0.0] * len(p_values)
    highest = 0.0
    for rank, place in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[place]))
        corrected[place] = highest
    return corrected
