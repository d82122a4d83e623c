"""Drawing people anew, kept as how often each one is drawn: every figure is then a weighted sum.

Two classifiers judged on the same counts are judged on the same people, which is what a paired comparison
needs.
"""

import numpy as np
from jaxtyping import Int

from training.evidence.shapes import Counts, Figures, Labels, Scores


def draw_counts(strata: Int[np.ndarray, " S"], *, n_draws: int, seed: int) -> Counts:
    """Draw people with replacement within each stratum, so that every draw is as large as the stratum is.

    Parameters
    ----------
    strata : (S,) int
        Which stratum each person belongs to, for example the label.
    n_draws : int
    seed : int

    Returns
    -------
    (B, S) float64
        How often each person is in each draw.
    """
    generator = np.random.default_rng(seed)
    counts = np.zeros((n_draws, len(strata)))
    rows = np.arange(n_draws)[:, None]
    for stratum in np.unique(strata):
        members = np.flatnonzero(strata == stratum)
        drawn = generator.integers(len(members), size=(n_draws, len(members))) + rows * len(members)
        counts[:, members] = np.bincount(drawn.ravel(), minlength=n_draws * len(members)).reshape(n_draws, -1)
    return counts


def once_each(n_subjects: int) -> Counts:
    """Give the one draw that is the sample itself."""
    return np.ones((1, n_subjects))


def ordered_pairs(counts: Counts, labels: Labels, scores: Scores) -> tuple[Figures, Figures]:
    """Count the pairs of one case and one other that the scores put in the right order, and all such pairs.

    Parameters
    ----------
    counts : (B, S) float64
    labels : (S,) int
        0 or 1.
    scores : (S,) float64

    Returns
    -------
    right, pairs : (B,) float64
        A tie is half right.
    """
    cases, others = _by_distinct_score(counts, labels, scores)
    below = np.cumsum(others, axis=1) - others
    right = (cases * (below + others / 2)).sum(axis=1)
    return right, cases.sum(axis=1) * others.sum(axis=1)


def area_under_roc(counts: Counts, labels: Labels, scores: Scores) -> Figures:
    """Give the share of pairs in the right order, ties counting half (Mann-Whitney), for every draw."""
    right, pairs = ordered_pairs(counts, labels, scores)
    return np.asarray(right / pairs)


def average_precision(counts: Counts, labels: Labels, scores: Scores) -> Figures:
    """Give the area under the precision-recall steps for every draw; people of one score enter together."""
    cases, others = _by_distinct_score(counts, labels, scores)
    at_least = np.cumsum(cases[:, ::-1], axis=1)[:, ::-1]
    called = at_least + np.cumsum(others[:, ::-1], axis=1)[:, ::-1]
    precision = at_least / np.maximum(called, 1.0)
    return np.asarray((cases * precision).sum(axis=1) / cases.sum(axis=1))


def _by_distinct_score(counts: Counts, labels: Labels, scores: Scores) -> tuple[Counts, Counts]:
    """Add up the cases and the others of every distinct score, from the lowest to the highest."""
    order = np.argsort(scores, kind="stable")
    starts = np.flatnonzero(np.r_[True, np.diff(scores[order]) != 0])
    ordered, label = counts[:, order], labels[order]
    cases = np.add.reduceat(ordered * label, starts, axis=1)
    return cases, np.add.reduceat(ordered * (1 - label), starts, axis=1)
