"""Figures by week as lines in a small box, with what they are compared with behind them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from service.api.drift_payloads import FoundResponse, OutcomeResponse
from service.api.model_payloads import DeploymentResponse
from service.web.language import _

WIDTH, HEIGHT = 300.0, 70.0
# A point at the edge is cut in half there.
_MARGIN = 6.0


@dataclass(frozen=True)
class Point:
    """A week's figure.

    Attributes
    ----------
    x, y : float
        In the box.
    week : str
    value : float
    alarm : bool
    """

    x: float
    y: float
    week: str
    value: float
    alarm: bool


@dataclass(frozen=True)
class Plot:
    """A variable by week.

    Attributes
    ----------
    name : str
    kind : str or None
        Whose share it is, where it is one.
    points : list of Point
    line : str
        Points of a polyline.
    band : (float, float) or None
        Top and height of where nine tenths of the reference lie.
    middle : float or None
        Where its median lies.
    low, high : float
        Values at the edges of the box.
    share : bool
        Whether the values are shares.
    """

    name: str
    kind: str | None
    points: list[Point]
    line: str
    band: tuple[float, float] | None
    middle: float | None
    low: float
    high: float
    share: bool


@dataclass(frozen=True)
class Stay:
    """How long a model answered, along the weeks.

    Attributes
    ----------
    x, width : float
        In the box.
    model : str
    """

    x: float
    width: float
    model: str


def plots_of(found: FoundResponse, *, site: str) -> list[Plot]:
    """Draw what was compared at a site: medians, or shares of the reference's commonest kind."""
    names = dict.fromkeys(one.variable for one in found.findings)
    bands = {} if found.reference is None else found.reference.bands
    if (baseline := found.baseline_of(site)) is not None:
        bands = {**bands, **baseline.bands}
    plots = []
    for name in names:
        own = [one for one in found.findings if one.variable == name and one.site == site]
        numbers = {one.week: (one.middle, one.alarm) for one in own if one.middle is not None}
        shares = {one.week: (one.share, one.alarm) for one in own if one.share is not None}
        if numbers:
            plots.append(_plot(name, found.weeks, numbers, band=bands.get(name)))
        elif shares:
            plots.append(_plot(name, found.weeks, shares, kind=own[0].kind, between=(0.0, 1.0)))
    return plots


def rates_of(found: FoundResponse, *, site: str) -> list[Plot]:
    """Draw how many answers of a site were uncertain, and how many were overridden."""
    plots = []
    for name in ("uncertain", "overridden"):
        shares = {one.week: getattr(one, name) for one in found.outcomes if one.site == site}
        values = {week: (share.value, False) for week, share in shares.items() if share is not None}
        if values:
            plots.append(_plot(name, found.weeks, values, between=(0.0, 1.0)))
    return plots


def stays_of(deployments: Sequence[DeploymentResponse], weeks: Sequence[str]) -> list[Stay]:
    """Draw which model answered when."""
    if not weeks:
        return []
    began = datetime.strptime(f"{weeks[0]}-1", "%G-W%V-%u").replace(tzinfo=UTC)
    whole = timedelta(weeks=len(weeks))
    stays = []
    for one in reversed(deployments):
        first = max((one.started_at - began) / whole, 0.0)
        last = min(((one.ended_at or began + whole) - began) / whole, 1.0)
        if last > first:
            name = f"{_(one.model_name)} {one.model_version}"
            stays.append(Stay(round(first * WIDTH, 1), round((last - first) * WIDTH, 1), name))
    return stays


def outcomes_of(found: FoundResponse, *, site: str) -> list[OutcomeResponse]:
    """Return the outcomes of a site, newest first."""
    return [one for one in reversed(found.outcomes) if one.site == site]


def _plot(
    name: str,
    weeks: Sequence[str],
    values: Mapping[str, tuple[float, bool]],
    *,
    kind: str | None = None,
    band: Sequence[float] | None = None,
    between: tuple[float, float] | None = None,
) -> Plot:
    edges = [value for value, _alarm in values.values()] + list(band or ())
    low, high = between or (min(edges), max(edges))
    spread = (high - low) or 1.0
    step = WIDTH / len(weeks)

    def down(value: float) -> float:
        return round(HEIGHT - _MARGIN - (HEIGHT - 2 * _MARGIN) * (value - low) / spread, 1)

    points = [
        Point(round((place + 0.5) * step, 1), down(values[week][0]), week, *values[week])
        for place, week in enumerate(weeks)
        if week in values
    ]
    return Plot(
        name=name,
        kind=kind,
        points=points,
        line=" ".join(f"{point.x},{point.y}" for point in points),
        band=None if band is None else (down(band[2]), round(down(band[0]) - down(band[2]), 1)),
        middle=None if band is None else down(band[1]),
        low=low,
        high=high,
        share=between is not None,
    )
