"""How a model's answers fare, by week and site: how often it is uncertain, overridden, and right."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from service.drift.judging import ALL_SITES
from service.drift.statistics import wilson

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
        the reviewed, ``sensitivity`` and ``specificity`` of those with a confirmed diagnosis and a decision.
    """
    groups: dict[tuple[str, str], list[Outcome]] = defaultdict(list)
    for outcome in outcomes:
        groups[outcome.week, ALL_SITES].append(outcome)
        groups[outcome.week, outcome.site].append(outcome)
    return [_summary(week, site, group) for (week, site), group in sorted(groups.items())]


def _summary(week: str, site: str, group: list[Outcome]) -> dict[str, Any]:
    ordered = sorted(outcome.probability for outcome in group)
    reviewed = [outcome for outcome in group if outcome.overridden is not None]
    decided = [outcome for outcome in group if outcome.decision != UNCERTAIN]
    cases = [outcome.decision == ADHD for outcome in decided if outcome.diagnosis == ADHD]
    controls = [outcome.decision == CONTROL for outcome in decided if outcome.diagnosis == CONTROL]
    return {
        "week": week,
        "site": site,
        "n": len(group),
        "probability": _quartiles(ordered),
        "uncertain": share_of(len(group) - len(decided), len(group)),
        "overridden": share_of(sum(bool(outcome.overridden) for outcome in reviewed), len(reviewed)),
        "sensitivity": share_of(sum(cases), len(cases)),
        "specificity": share_of(sum(controls), len(controls)),
    }


def _quartiles(ordered: list[float]) -> list[float] | None:
    if len(ordered) < FEWEST_FOR_QUARTILES:
        return None
    return [ordered[round(place * (len(ordered) - 1))] for place in (0.25, 0.5, 0.75)]


def share_of(successes: int, trials: int) -> dict[str, Any] | None:
    """Describe a share with its interval; None without any trial."""
    interval = wilson(successes, trials)
    if interval is None:
        return None
    low, high = (round(end, 6) for end in interval)
    return {"value": successes / trials, "low": low, "high": high, "n": trials}
