"""What the scans of a site are compared with: its own people or first weeks, where there are enough."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from service.drift.reference import Reference, Sample, enough_kinds, enough_numbers
from service.drift.scans import OTHER_SITES, Scan, SeenScan
from service.drift.variables import NOT_GIVEN, Beside

FEWEST_OF_FIRST_WEEKS = 30
"""A site's first weeks are as many as hold so many scans."""

_BAND = (0.05, 0.5, 0.95)


@dataclass(frozen=True, kw_only=True, eq=False)
class Baseline:
    """What a site's scans were like.

    Attributes
    ----------
    beside : Beside
        Its people in the reference, or its own first weeks.
    sample : Sample
    weeks : tuple of str
        The first weeks; empty for people of the reference.
    """

    beside: Beside
    sample: Sample
    weeks: tuple[str, ...] = ()

    def described(self) -> dict[str, Any]:
        """Return plain JSON values, without any person's."""
        return {"beside": self.beside.value, "weeks": list(self.weeks), **described(self.sample)}


def described(sample: Sample) -> dict[str, Any]:
    """Return how many people, the 5th, 50th and 95th percentiles of their numbers, and their kinds."""
    return {
        "people": sample.people,
        "bands": {name: np.quantile(values, _BAND).tolist() for name, values in sample.numbers.items()},
        "kinds": {name: dict(counts) for name, counts in sample.kinds.items()},
    }


def baselines_of(scans: Iterable[SeenScan], reference: Reference) -> dict[str, Baseline]:
    """Return by site what its scans are compared with; a site with too few of its own has none."""
    of_sites: dict[str, list[SeenScan]] = defaultdict(list)
    for scan in scans:
        of_sites[scan.site].append(scan)
    found = {}
    for site, own in of_sites.items():
        if site in {NOT_GIVEN, OTHER_SITES}:
            continue
        if site in reference.sites:
            found[site] = Baseline(beside=Beside.ITS_PEOPLE, sample=reference.sites[site])
        elif (first := _first_weeks(own, reference)) is not None:
            found[site] = first
    return found


def distances_of(scans: Sequence[Scan], reference: Reference) -> list[float]:
    """Return how far the embeddings of scans lie from those of a reference, of those that have one."""
    embedded = [scan.embedding for scan in scans if scan.embedding is not None]
    if reference.cloud is None or not embedded:
        return []
    found: list[float] = reference.cloud.distances(np.array(embedded, dtype=np.float64)).tolist()
    return found


def _first_weeks(scans: Sequence[SeenScan], reference: Reference) -> Baseline | None:
    by_week: Mapping[str, list[SeenScan]] = defaultdict(list)
    for scan in scans:
        by_week[scan.week].append(scan)
    first: list[SeenScan] = []
    weeks: list[str] = []
    for week in sorted(by_week):
        first += by_week[week]
        weeks.append(week)
        if len(first) >= FEWEST_OF_FIRST_WEEKS:
            break
    if len(first) < FEWEST_OF_FIRST_WEEKS or len(weeks) == len(by_week):
        return None
    sample = Sample(
        people=len(first),
        numbers=enough_numbers(first, distances_of(first, reference)),
        kinds=enough_kinds(first, reference.repetition_times),
    )
    return Baseline(beside=Beside.FIRST_WEEKS, sample=sample, weeks=tuple(weeks))
