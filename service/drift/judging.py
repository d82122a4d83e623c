"""Weeks and sites against a reference: every variable that both have, corrected for how many there are."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Any

import numpy as np

from service.drift.reference import Reference, Scan
from service.drift.statistics import compare_kinds, compare_numbers, holm
from service.drift.variables import (
    CATEGORIES,
    CONTINUOUS,
    DECISION,
    DISTANCE,
    OF_THE_MODEL,
    PROBABILITY,
    REPETITION_TIME,
    tr_class,
)

ALL_SITES = ""
"""The site of what is about every site together."""

OTHER_SITES = "others"
"""Of scans whose site has no group of its own: they are judged among all scans only."""


@dataclass(frozen=True, kw_only=True)
class Rule:
    """When scans differ.

    Attributes
    ----------
    fewest_scans : int
        A week of a site with fewer is not judged.
    least_effect : float
        A smaller difference is none, however many scans show it: the largest gap between two distributions,
        or the share that would have to be of another kind.
    level : float
        Of the corrected p-values.
    """

    fewest_scans: int = 10
    least_effect: float = 0.2
    level: float = 0.01


@dataclass(frozen=True, kw_only=True)
class SeenScan(Scan):
    """A scan that was classified, and when and where from.

    Attributes
    ----------
    week : str
        ISO 8601 week of the answer, in UTC, such as ``2026-W48``.
    site : str
        As said at the upload; "?" where nothing was.
    """

    week: str
    site: str


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One variable in one week of one site.

    Attributes
    ----------
    site : str
        ``ALL_SITES`` for all of them together.
    n : int
        Scans.
    statistic, p_value, corrected_p : float
    judged : bool
        Whether it may alarm; what a model says of people that it was fitted on is described only.
    alarm : bool
    middle : float or None
        Median of a number.
    share : float or None
        Of the reference's commonest kind.
    kind : str or None
        The commonest kind of the reference.
    """

    week: str
    site: str
    variable: str
    n: int
    statistic: float
    p_value: float
    corrected_p: float = 1.0
    judged: bool = True
    alarm: bool = False
    middle: float | None = None
    kind: str | None = None
    share: float | None = None

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return asdict(self)


def week_of(moment: datetime) -> str:
    """Name the ISO week of a moment, in UTC."""
    year, week, _ = moment.astimezone(UTC).isocalendar()
    return f"{year:04d}-W{week:02d}"


def judge(scans: Iterable[SeenScan], reference: Reference, rule: Rule | None = None) -> list[Finding]:
    """Compare every week of every site, and of all of them, with a reference.

    Each scan is taken for one that says something of its own: give one a person and week.

    Returns
    -------
    list of Finding
        By week, site and variable; weeks of sites with too few scans are left out.
    """
    rule = rule or Rule()
    groups: dict[tuple[str, str], list[SeenScan]] = defaultdict(list)
    sites = set()
    for scan in scans:
        sites.add(scan.site)
        groups[scan.week, ALL_SITES].append(scan)
        if scan.site != OTHER_SITES:
            groups[scan.week, scan.site].append(scan)
    # With one site alone "all sites" would be the same scans, counted twice in the correction.
    if len(sites) == 1:
        groups = {key: group for key, group in groups.items() if key[1] == ALL_SITES}
    found: list[Finding] = []
    for (week, site), group in sorted(groups.items()):
        if len(group) >= rule.fewest_scans:
            found += _compare(group, reference, rule, week=week, site=site)
    family = [finding for finding in found if finding.judged]
    corrected = dict(zip(map(id, family), holm([finding.p_value for finding in family]), strict=True))
    return [
        replace(
            finding,
            corrected_p=corrected[id(finding)],
            alarm=corrected[id(finding)] <= rule.level and finding.statistic >= rule.least_effect,
        )
        if finding.judged
        else finding
        for finding in found
    ]


def _compare(
    group: Sequence[SeenScan], reference: Reference, rule: Rule, *, week: str, site: str
) -> list[Finding]:
    found = []
    for name, now in numbers_of(group, reference).items():
        before = reference.numbers.get(name, ())
        if len(before) and len(now) >= rule.fewest_scans:
            statistic, p_value = compare_numbers(before, now)
            found.append(
                Finding(
                    week=week,
                    site=site,
                    variable=name,
                    n=len(now),
                    statistic=statistic,
                    p_value=p_value,
                    judged=_may_alarm(name, reference),
                    middle=float(np.median(now)),
                )
            )
    for name, counted in kinds_of(group, reference).items():
        expected, n = reference.kinds.get(name, {}), counted.total()
        if expected and n >= rule.fewest_scans:
            statistic, p_value = compare_kinds(expected, counted)
            commonest = max(sorted(expected), key=expected.__getitem__)
            found.append(
                Finding(
                    week=week,
                    site=site,
                    variable=name,
                    n=n,
                    statistic=statistic,
                    p_value=p_value,
                    judged=_may_alarm(name, reference),
                    kind=commonest,
                    share=counted[commonest] / n,
                )
            )
    return found


def _may_alarm(variable: str, reference: Reference) -> bool:
    return not (reference.fitted and variable in OF_THE_MODEL)


def numbers_of(group: Sequence[Scan], reference: Reference) -> dict[str, list[float]]:
    """Return the numbers of some scans by variable, with their distances from a reference."""
    numbers = {name: [scan.figures[name] for scan in group if name in scan.figures] for name in CONTINUOUS}
    numbers[PROBABILITY] = [scan.probability for scan in group if scan.probability is not None]
    embedded = [scan.embedding for scan in group if scan.embedding is not None]
    if reference.cloud is not None and embedded:
        numbers[DISTANCE] = reference.cloud.distances(np.array(embedded, dtype=np.float64)).tolist()
    return numbers


def kinds_of(group: Sequence[Scan], reference: Reference) -> Mapping[str, Counter[str]]:
    """Count the kinds of some scans by variable."""
    counted: dict[str, Counter[str]] = {name: Counter() for name in CATEGORIES}
    for scan in group:
        for name, value in scan.figures.items():
            if name == REPETITION_TIME:
                counted[name][tr_class(value, reference.repetition_times)] += 1
            elif name in counted:
                counted[name][value] += 1
        if scan.decision is not None:
            counted[DECISION][scan.decision] += 1
    return counted
