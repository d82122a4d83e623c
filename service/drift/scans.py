"""Scans as they are compared: what is known of each, and the figures of many by variable."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from service.drift.variables import (
    CATEGORIES,
    DECISION,
    DISTANCE,
    NOT_GIVEN,
    OF_THE_SCAN,
    PROBABILITY,
    REPETITION_TIME,
    tr_class,
)

ALL_SITES = ""
"""The site of what is about every site together."""

OTHER_SITES = "others"
"""Of scans whose site has no group of its own: they are judged among all scans only."""

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
    site : str
        As :func:`service.drift.variables.site_name` names it.
    """

    figures: Mapping[str, Any]
    embedding: Sequence[float] | None = None
    probability: float | None = None
    decision: str | None = None
    site: str = NOT_GIVEN


@dataclass(frozen=True, kw_only=True)
class SeenScan(Scan):
    """A scan that was classified, and when.

    Attributes
    ----------
    week : str
        ISO 8601 week of the answer, in UTC, such as ``2026-W48``.
    """

    week: str


def week_of(moment: datetime) -> str:
    """Name the ISO week of a moment, in UTC."""
    year, week, _ = moment.astimezone(UTC).isocalendar()
    return f"{year:04d}-W{week:02d}"


def numbers_of(scans: Sequence[Scan], distances: Sequence[float]) -> dict[str, list[float]]:
    """Return the numbers of scans by variable, with the distances of those that have an embedding."""
    numbers: dict[str, Sequence[float]] = {
        name: [scan.figures[name] for scan in scans if name in scan.figures] for name in OF_THE_SCAN
    }
    numbers[DISTANCE] = distances
    numbers[PROBABILITY] = [scan.probability for scan in scans if scan.probability is not None]
    return {name: list(map(rounded, values)) for name, values in numbers.items()}


def kinds_of(scans: Sequence[Scan], repetition_times: list[float]) -> dict[str, Counter[str]]:
    """Count the kinds of scans by variable."""
    counted: dict[str, Counter[str]] = {name: Counter() for name in CATEGORIES}
    for scan in scans:
        for name, value in scan.figures.items():
            if name == REPETITION_TIME:
                counted[name][tr_class(value, repetition_times)] += 1
            elif name in counted:
                counted[name][value] += 1
        if scan.decision is not None:
            counted[DECISION][scan.decision] += 1
    return counted


def rounded(value: float) -> float:
    """Round as a reference keeps its values: 454.71999 and 454.72 are one duration, not two."""
    return float(f"{value:.{_DIGITS}g}")
