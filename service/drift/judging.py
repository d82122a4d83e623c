"""Weeks and sites against a reference: every variable that both have, corrected for how many there are.

All sites together are compared with the reference as one population with another. A site is not a population
in small: it has one scanner, and so one repetition time, where a reference of many sites has several. It is
compared with its own people in the reference. Where there are too few of them it is asked how much lies
outside of what the whole reference holds, and of its later weeks also how they compare with its first ones.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from service.drift.baselines import Baseline, baselines_of, distances_of
from service.drift.reference import Reference
from service.drift.scans import ALL_SITES, OTHER_SITES, SeenScan, kinds_of, numbers_of
from service.drift.statistics import compare_kinds, compare_numbers, count_outside, count_unseen, holm
from service.drift.variables import NOT_GIVEN, OF_THE_MODEL, Beside


@dataclass(frozen=True, kw_only=True)
class Rule:
    """When scans differ.

    Attributes
    ----------
    fewest_scans : int
        A week of a site with fewer is not judged.
    least_effect : float
        A smaller difference is none, however many scans show it: the largest gap between two distributions,
        the share that would have to be of another kind, or that lies outside.
    level : float
        Of the corrected p-values.
    """

    fewest_scans: int = 10
    least_effect: float = 0.2
    level: float = 0.01


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
    beside : Beside
        What was compared with; of two comparisons the one that tells more.
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
    beside: Beside
    corrected_p: float = 1.0
    judged: bool = True
    alarm: bool = False
    middle: float | None = None
    kind: str | None = None
    share: float | None = None

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return asdict(self)


def judge(scans: Iterable[SeenScan], reference: Reference, rule: Rule | None = None) -> list[Finding]:
    """Compare every week of every site, and of all of them, with a reference.

    Each scan is taken for one that says something of its own: give one a person and week.

    Returns
    -------
    list of Finding
        By week, site and variable; weeks of sites with too few scans are left out.
    """
    rule = rule or Rule()
    scans = list(scans)
    return correct(compare(scans, reference, baselines_of(scans, reference), rule), rule)


def compare(
    scans: Sequence[SeenScan], reference: Reference, baselines: Mapping[str, Baseline], rule: Rule
) -> list[Finding]:
    """Compare every week of every site, and of all of them; nothing is corrected, and so nothing alarms."""
    groups: dict[tuple[str, str], list[SeenScan]] = defaultdict(list)
    for scan in scans:
        groups[scan.week, ALL_SITES].append(scan)
        if scan.site != OTHER_SITES:
            groups[scan.week, scan.site].append(scan)
    sites = {scan.site for scan in scans}
    # With one site alone "all sites" would be the same scans, counted twice in the correction.
    alone = sites.pop() if len(sites) == 1 else None
    if alone is not None:
        groups = {key: group for key, group in groups.items() if key[1] == ALL_SITES}
    found: list[Finding] = []
    for (week, site), group in sorted(groups.items()):
        if len(group) >= rule.fewest_scans:
            judged_as = alone or site
            found += _compare(
                group,
                _Expected(
                    reference,
                    baseline=baselines.get(judged_as),
                    whole=judged_as in {ALL_SITES, NOT_GIVEN, OTHER_SITES},
                ),
                rule,
                week=week,
                site=site,
            )
    return found


def correct(found: Sequence[Finding], rule: Rule) -> list[Finding]:
    """Correct what was found for how much was compared, and say what alarms."""
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


@dataclass(frozen=True, eq=False)
class _Expected:
    """What the scans of a site are compared with.

    Attributes
    ----------
    reference : Reference
    baseline : Baseline or None
        The site's own.
    whole : bool
        Whether the scans are of many sites, and so a population as the reference is.
    """

    reference: Reference
    baseline: Baseline | None
    whole: bool

    def numbers(self, name: str, now: Sequence[float], *, week: str) -> "_Difference | None":
        """Compare the numbers of a variable; None where there is nothing to compare with."""
        differences = []
        if (own := self._own(week)) is not None and (before := own.sample.numbers.get(name)):
            differences.append(self._difference(name, own.beside, compare_numbers(before, now)))
        if _alone_is_too_little(differences) and (before := self.reference.numbers.get(name)):
            compared = compare_numbers if self.whole else count_outside
            differences.append(self._difference(name, Beside.REFERENCE, compared(before, now)))
        return _telling(differences)

    def kinds(self, name: str, now: Mapping[str, int], *, week: str) -> "_Difference | None":
        """Compare the kinds of a variable; None where there is nothing to compare with."""
        differences = []
        if (own := self._own(week)) is not None and (before := own.sample.kinds.get(name)):
            differences.append(self._difference(name, own.beside, compare_kinds(before, now)))
        if _alone_is_too_little(differences) and (before := self.reference.kinds.get(name)):
            compared = compare_kinds if self.whole else count_unseen
            differences.append(self._difference(name, Beside.REFERENCE, compared(before, now)))
        return _telling(differences)

    def commonest(self, name: str) -> str:
        """Return the commonest kind of a variable, at the site itself where that is known."""
        own = {} if self.baseline is None else self.baseline.sample.kinds.get(name, {})
        kinds = own or self.reference.kinds[name]
        return max(sorted(kinds), key=kinds.__getitem__)

    def _own(self, week: str) -> Baseline | None:
        """Return the site's own, of which a week is no part."""
        return None if self.baseline is None or week in self.baseline.weeks else self.baseline

    def _difference(self, name: str, beside: Beside, found: tuple[float, float]) -> "_Difference":
        # What a model said of other scans of the site is a measure, whomever it was fitted on.
        of_the_fitted = self.reference.fitted and beside != Beside.FIRST_WEEKS and name in OF_THE_MODEL
        return _Difference(*found, beside=beside, judged=not of_the_fitted)


def _alone_is_too_little(differences: Sequence["_Difference"]) -> bool:
    return not any(one.beside == Beside.ITS_PEOPLE for one in differences)


@dataclass(frozen=True)
class _Difference:
    statistic: float
    p_value: float
    beside: Beside
    judged: bool


def _telling(differences: Sequence[_Difference]) -> _Difference | None:
    """Return the difference that tells more, its p-value times how many may tell (Bonferroni)."""
    if not differences:
        return None
    judged = [one for one in differences if one.judged] or differences
    least = min(judged, key=lambda one: one.p_value)
    return replace(least, p_value=min(1.0, len(judged) * least.p_value))


def _compare(
    group: Sequence[SeenScan], expected: _Expected, rule: Rule, *, week: str, site: str
) -> list[Finding]:
    reference = expected.reference
    found = []
    for name, now in numbers_of(group, distances_of(group, reference)).items():
        difference = expected.numbers(name, now, week=week) if len(now) >= rule.fewest_scans else None
        if difference is not None:
            middle = float(np.median(now))
            found.append(
                Finding(week=week, site=site, variable=name, n=len(now), middle=middle, **vars(difference))
            )
    for name, counted in kinds_of(group, reference.repetition_times).items():
        n = counted.total()
        difference = expected.kinds(name, counted, week=week) if n >= rule.fewest_scans else None
        if difference is not None:
            kind = expected.commonest(name)
            share = counted[kind] / n
            found.append(
                Finding(week=week, site=site, variable=name, n=n, kind=kind, share=share, **vars(difference))
            )
    return found
