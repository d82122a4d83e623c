"""What scans are compared with: samples of a cohort, without the people they are of."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from service.drift.distance import Cloud, fit_cloud, own_distances
from service.drift.variables import (
    DECISION,
    DISTANCE,
    GRID,
    OF_THE_SCAN,
    PROBABILITY,
    REPETITION_TIME,
    tr_class,
)

# Fewer people say too little of a distribution.
FEWEST_PEOPLE = 20
_DIGITS = 6


@dataclass(frozen=True)
class Scan:
    """What is known of one scan.

    Attributes
    ----------
    figures : mapping
        As :func:`service.drift.variables.measured_of` gives them.
    embedding : sequence of float or None
    probability : float or None
    decision : str or None
    """

    figures: Mapping[str, Any]
    embedding: Sequence[float] | None = None
    probability: float | None = None
    decision: str | None = None


@dataclass(frozen=True, eq=False)
class Reference:
    """A cohort's samples.

    Attributes
    ----------
    people : int
    fitted : bool
        Whether the model was fitted on any of these people: what it says of them is then no measure of what
        it says of others, and is described but raises no alarm.
    numbers : dict of str to list of float
        By variable, sorted.
    kinds : dict of str to dict of str to int
        By variable, how many there are of each kind.
    repetition_times : list of float
        Those that have a class, in seconds.
    cloud : Cloud or None
        None where no embedding is known.
    """

    people: int
    fitted: bool
    numbers: Mapping[str, Sequence[float]]
    kinds: Mapping[str, Mapping[str, int]]
    repetition_times: list[float] = field(default_factory=list)
    cloud: Cloud | None = None

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        cloud = None
        if self.cloud is not None:
            cloud = {"mean": self.cloud.mean.tolist(), "covariance": self.cloud.covariance.tolist()}
        return {
            "people": self.people,
            "fitted": self.fitted,
            "numbers": {name: list(values) for name, values in self.numbers.items()},
            "kinds": {name: dict(counts) for name, counts in self.kinds.items()},
            "repetition_times": self.repetition_times,
            "cloud": cloud,
        }

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> "Reference":
        """Read what :meth:`to_json` wrote."""
        cloud = stored["cloud"]
        if cloud is not None:
            cloud = Cloud(np.array(cloud["mean"]), np.array(cloud["covariance"]))
        return cls(
            people=stored["people"],
            fitted=stored["fitted"],
            numbers=stored["numbers"],
            kinds=stored["kinds"],
            repetition_times=stored["repetition_times"],
            cloud=cloud,
        )


def build_reference(scans: Sequence[Scan], *, fitted: bool) -> Reference:
    """Make a reference of one scan a person; a variable that fewer than 20 people have is none."""
    embedded = [scan.embedding for scan in scans if scan.embedding is not None]
    cloud, numbers = None, {}
    if len(embedded) >= FEWEST_PEOPLE:
        points = np.array(embedded, dtype=np.float64)
        cloud = fit_cloud(points)
        numbers[DISTANCE] = own_distances(points).tolist()
    for name in OF_THE_SCAN:
        numbers[name] = [scan.figures[name] for scan in scans if name in scan.figures]
    numbers[PROBABILITY] = [scan.probability for scan in scans if scan.probability is not None]
    times = sorted({round(scan.figures[REPETITION_TIME], 2) for scan in scans if _has_tr(scan)})
    kinds = {
        REPETITION_TIME: Counter(
            tr_class(scan.figures[REPETITION_TIME], times) for scan in scans if _has_tr(scan)
        ),
        GRID: Counter(scan.figures[GRID] for scan in scans if GRID in scan.figures),
        DECISION: Counter(scan.decision for scan in scans if scan.decision is not None),
    }
    return Reference(
        people=len(scans),
        fitted=fitted,
        numbers={
            name: sorted(float(f"{value:.{_DIGITS}g}") for value in values)
            for name, values in numbers.items()
            if len(values) >= FEWEST_PEOPLE
        },
        kinds={name: dict(counts) for name, counts in kinds.items() if counts.total() >= FEWEST_PEOPLE},
        repetition_times=times,
        cloud=cloud,
    )


def _has_tr(scan: Scan) -> bool:
    return REPETITION_TIME in scan.figures
