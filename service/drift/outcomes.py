"""How a model's answers fare, by week and site: how often it is uncertain, overridden, and right."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from service.drift.scans import ALL_SITES
from service.shares import share_of

# Of fewer answers the quartiles are those of one or two people.
FEWEST_FOR_QUARTILES = 5

ADHD, CONTROL, UNCERTAIN = "adhd", "control", "uncertain"


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """One answer and what people said of it.

    Attributes
    ----------
    week, site : str
        As of :class:`service.drift.judging.SeenScan`.
    probability : float
    decision : str
    overridden : bool or None
        By the newest review; None where there is none.
    diagnosis : str or None
        The newest one that was given.
    """

    week: str
    site: str
    probability: float
    decision: str
    overridden: bool | None = None
    diagnosis: str | None = None


def summarise(outcomes: Iterable[Outcome]) -> list[dict[str, Any]]:
    """Count a model's answers by week and site, and of all sites together (``ALL_SITES``).

    Returns
    -------
    list of dict
        By week and site: ``n``; quartiles of the probability, or None for few; and as shares, each with
        ``value``, ``low`` and ``high`` (Wilson, 95 %) and ``n``: ``uncertain`` of all, ``overridden`` of
        the reviewed, ``sensitivity`` and ``specificity`` of those with a confirmed diagnosis. As of scores
        (:mod:`service.scoring.figures`) an uncertain answer meets no diagnosis: it is counted as one that is
        not right.
    """
    groups: dict[tuple[str, str], list[Outcome]] = defaultdict(list)
    for outcome in outcomes:
        groups[outcome.week, ALL_SITES].append(outcome)
        groups[outcome.week, outcome.site].append(outcome)
    return [_summary(week, site, group) for (week, site), group in sorted(groups.items())]


def _summary(week: str, site: str, group: list[Outcome]) -> dict[str, Any]:
    ordered = sorted(outcome.probability for outcome in group)
    reviewed = [outcome for outcome in group if outcome.overridden is not None]
    uncertain = sum(outcome.decision == UNCERTAIN for outcome in group)
    cases = [outcome.decision == ADHD for outcome in group if outcome.diagnosis == ADHD]
    controls = [outcome.decision == CONTROL for outcome in group if outcome.diagnosis == CONTROL]
    return {
        "week": week,
        "site": site,
        "n": len(group),
        "probability": _quartiles(ordered),
        "uncertain": described_share(uncertain, len(group)),
        "overridden": described_share(sum(bool(outcome.overridden) for outcome in reviewed), len(reviewed)),
        "sensitivity": described_share(sum(cases), len(cases)),
        "specificity": described_share(sum(controls), len(controls)),
    }


def _quartiles(ordered: list[float]) -> list[float] | None:
    if len(ordered) < FEWEST_FOR_QUARTILES:
        return None
    return [ordered[round(place * (len(ordered) - 1))] for place in (0.25, 0.5, 0.75)]


def described_share(count: int, of: int) -> dict[str, Any] | None:
    """Describe a share with its interval; None where there is nothing to count."""
    share = share_of(count, of)
    if share.value is None or share.low is None or share.high is None:
        return None
    return {"value": share.value, "low": round(share.low, 6), "high": round(share.high, 6), "n": of}
