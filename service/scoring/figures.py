"""What would have changed, in figures: pairs of answers in, counts and shares out. No database, no HTTP."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from statistics import fmean

from service.shares import Share, share_of

DECISIONS = ("control", "adhd", "uncertain")
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
BINS = 21
"""Of the histogram: an odd number, so that the one in the middle holds what did not change."""
_REACHES = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)


@dataclass(frozen=True)
class Pair:
    """One scan and what two models said of it.

    Attributes
    ----------
    then, now : float
        Probability of ADHD, by the model that answered and by the other one.
    then_decision, now_decision : str
        One of `DECISIONS`.
    diagnosis : str or None
        ``adhd`` or ``control`` where a clinician has confirmed one of them.
    """

    then: float
    then_decision: str
    now: float
    now_decision: str
    diagnosis: str | None = None


@dataclass(frozen=True)
class Differences:
    """Probability by the other model less the one that was answered.

    Attributes
    ----------
    quantiles : dict
        By `QUANTILES`; between two values, in proportion.
    reach : float
        The histogram goes from ``-reach`` to ``reach``.
    histogram : tuple of int
        Scans in each of `BINS` equal steps.
    """

    mean: float
    mean_absolute: float
    least: float
    most: float
    quantiles: dict[float, float]
    reach: float
    histogram: tuple[int, ...]


@dataclass(frozen=True)
class Agreement:
    """How one model's decisions meet confirmed diagnoses; "uncertain" meets none of them.

    Attributes
    ----------
    sensitivity : Share
        Called ADHD, of those with ADHD.
    specificity : Share
        Called control, of those without.
    uncertain : int
        Of both.
    """

    sensitivity: Share
    specificity: Share
    uncertain: int


@dataclass(frozen=True)
class Figures:
    """What would have changed.

    Attributes
    ----------
    decisions : dict
        Scans by the decision then, and by the decision now.
    changed : Share
        Scans with another decision.
    differences : Differences or None
        None without a pair.
    agreement_then, agreement_now : Agreement
        Of the scans with a confirmed diagnosis.
    """

    n: int
    decisions: dict[str, dict[str, int]]
    changed: Share
    differences: Differences | None
    agreement_then: Agreement
    agreement_now: Agreement


def compare(pairs: Sequence[Pair]) -> Figures:
    """Say what would have changed."""
    counted = Counter((pair.then_decision, pair.now_decision) for pair in pairs)
    return Figures(
        n=len(pairs),
        decisions={then: {now: counted[then, now] for now in DECISIONS} for then in DECISIONS},
        changed=share_of(sum(pair.then_decision != pair.now_decision for pair in pairs), len(pairs)),
        differences=_differences([pair.now - pair.then for pair in pairs]) if pairs else None,
        agreement_then=_agreement([(pair.diagnosis, pair.then_decision) for pair in pairs]),
        agreement_now=_agreement([(pair.diagnosis, pair.now_decision) for pair in pairs]),
    )


def _differences(values: list[float]) -> Differences:
    ordered = sorted(values)
    reach = next(
        (reach for reach in _REACHES if max(-ordered[0], ordered[-1]) <= reach),
        _REACHES[-1],
    )
    histogram = [0] * BINS
    for value in values:
        place = ceil((value + reach) / (2 * reach) * BINS) - 1
        histogram[min(max(place, 0), BINS - 1)] += 1
    return Differences(
        mean=fmean(values),
        mean_absolute=fmean(map(abs, values)),
        least=ordered[0],
        most=ordered[-1],
        quantiles={quantile: _quantile(ordered, quantile) for quantile in QUANTILES},
        reach=reach,
        histogram=tuple(histogram),
    )


def _quantile(ordered: list[float], quantile: float) -> float:
    place = quantile * (len(ordered) - 1)
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (place - below) * (ordered[above] - ordered[below])


def _agreement(said: list[tuple[str | None, str]]) -> Agreement:
    counted = Counter(said)

    def met(group: str) -> Share:
        return share_of(counted[group, group], sum(counted[group, decision] for decision in DECISIONS))

    return Agreement(
        sensitivity=met("adhd"),
        specificity=met("control"),
        uncertain=counted["adhd", "uncertain"] + counted["control", "uncertain"],
    )
