"""What scans are compared with: samples of a cohort, without the people they are of."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from service.drift.distance import Cloud, fit_cloud, own_distances
from service.drift.scans import Scan, kinds_of, numbers_of
from service.drift.variables import NOT_GIVEN, REPETITION_TIME

# Fewer people say too little of a distribution.
FEWEST_PEOPLE = 20


@dataclass(frozen=True, kw_only=True, eq=False)
class Sample:
    """What some people's scans measured; a variable that fewer than 20 of them have is none.

    Attributes
    ----------
    people : int
    numbers : dict of str to list of float
        By variable, sorted.
    kinds : dict of str to dict of str to int
        By variable, how many there are of each kind.
    """

    people: int
    numbers: Mapping[str, Sequence[float]]
    kinds: Mapping[str, Mapping[str, int]]

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "people": self.people,
            "numbers": {name: list(values) for name, values in self.numbers.items()},
            "kinds": {name: dict(counts) for name, counts in self.kinds.items()},
        }


@dataclass(frozen=True, kw_only=True, eq=False)
class Reference(Sample):
    """A cohort's samples.

    Attributes
    ----------
    fitted : bool
        Whether the model was fitted on any of these people: what it says of them is then no measure of what
        it says of others, and is described but raises no alarm.
    repetition_times : list of float
        Those that have a class, in seconds.
    cloud : Cloud or None
        None where no embedding is known.
    sites : dict of str to Sample
        Of each site with 20 people or more.
    """

    fitted: bool
    repetition_times: list[float] = field(default_factory=list)
    cloud: Cloud | None = None
    sites: Mapping[str, Sample] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        cloud = None
        if self.cloud is not None:
            cloud = {"mean": self.cloud.mean.tolist(), "covariance": self.cloud.covariance.tolist()}
        return super().to_json() | {
            "fitted": self.fitted,
            "repetition_times": self.repetition_times,
            "cloud": cloud,
            "sites": {site: sample.to_json() for site, sample in self.sites.items()},
        }

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> "Reference":
        """Read what :meth:`to_json` wrote; one from before sites were told apart has none."""
        cloud = stored["cloud"]
        if cloud is not None:
            cloud = Cloud(np.array(cloud["mean"]), np.array(cloud["covariance"]))
        sites = {site: Sample(**sample) for site, sample in stored.get("sites", {}).items()}
        return cls(**{**stored, "cloud": cloud, "sites": sites})


def build_reference(scans: Sequence[Scan], *, fitted: bool) -> Reference:
    """Make a reference of one scan a person."""
    embedded = [place for place, scan in enumerate(scans) if scan.embedding is not None]
    cloud, distances = None, {}
    if len(embedded) >= FEWEST_PEOPLE:
        points = np.array([scans[place].embedding for place in embedded], dtype=np.float64)
        cloud = fit_cloud(points)
        distances = dict(zip(embedded, own_distances(points).tolist(), strict=True))
    times = sorted({round(scan.figures[REPETITION_TIME], 2) for scan in scans if _has_tr(scan)})
    of_sites: dict[str, list[int]] = defaultdict(list)
    for place, scan in enumerate(scans):
        of_sites[scan.site].append(place)

    def sample(places: Sequence[int]) -> dict[str, Any]:
        return {
            "people": len(places),
            "numbers": enough_numbers(
                [scans[place] for place in places],
                [distances[place] for place in places if place in distances],
            ),
            "kinds": enough_kinds([scans[place] for place in places], times),
        }

    return Reference(
        **sample(range(len(scans))),
        fitted=fitted,
        repetition_times=times,
        cloud=cloud,
        sites={
            site: Sample(**sample(places))
            for site, places in sorted(of_sites.items())
            if site != NOT_GIVEN and len(places) >= FEWEST_PEOPLE
        },
    )


def enough_numbers(scans: Sequence[Scan], distances: Sequence[float]) -> dict[str, list[float]]:
    """Return the numbers of scans that 20 or more of them have, by variable, sorted."""
    numbers = numbers_of(scans, distances)
    return {name: sorted(values) for name, values in numbers.items() if len(values) >= FEWEST_PEOPLE}


def enough_kinds(scans: Sequence[Scan], repetition_times: list[float]) -> dict[str, dict[str, int]]:
    """Count the kinds of scans by variable, of those that 20 or more of them have."""
    counted = kinds_of(scans, repetition_times)
    return {name: dict(counts) for name, counts in counted.items() if counts.total() >= FEWEST_PEOPLE}


def _has_tr(scan: Scan) -> bool:
    return REPETITION_TIME in scan.figures
