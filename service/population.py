"""How a person and a scan compare with the people that a model was trained on, by the figures of its card.

The figures are those of `model.population`, read here as JSON. Values and figures are rounded to what people
are shown before they are compared: nobody is outside by a difference that nobody sees. docs/science.md says
why the lines are drawn where they are.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

# Every figure that is compared, and the decimals that it is shown with.
DECIMALS: Mapping[str, int] = {
    "age_years": 1,
    "tr_s": 2,
    "n_frames": 0,
    "duration_s": 0,
    "tsnr": 2,
    "dvars_mean": 2,
    "dvars_max": 2,
    "spike_share": 2,
    "template_coverage": 2,
    "in_band_power": 2,
}
# A repetition time that differs by more from every one of the training is one that the model has not met.
NEAREST_TR = 0.05
# A sex that fewer of the training subjects have is one that the model hardly met.
RAREST_SEX = 0.01

_PERCENTS = {
    "minimum": 0.0,
    "p1": 1.0,
    "p5": 5.0,
    "p25": 25.0,
    "p50": 50.0,
    "p75": 75.0,
    "p95": 95.0,
    "p99": 99.0,
    "maximum": 100.0,
}


class Place(StrEnum):
    """Where a value lies; equal to its plain string."""

    INSIDE = "inside"
    OUTSIDE = "outside"
    UNKNOWN = "unknown"


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """One value beside those of the training subjects.

    Attributes
    ----------
    name : str
        "age_years", "sex", "site", or a figure of the scan's quality.
    value : float, str or None
        None where it was not given or not measured.
    place : Place
        "unknown" where either side is.
    middle_90 : (float, float) or None
        Between these lie nine tenths of the training subjects.
    percentile : float or None
        How many in a hundred of the training subjects have a smaller value; 0 and 100 beyond all of them.
    subjects : int or None
        How many of the training subjects are of this sex or site, or have this repetition time.
    """

    name: str
    value: float | str | None
    place: Place
    middle_90: tuple[float, float] | None = None
    percentile: float | None = None
    subjects: int | None = None


def compare(
    population: Mapping[str, Any],
    *,
    age_years: float | None,
    sex: str | None,
    site: str | None,
    quality: Mapping[str, Any],
) -> tuple[Comparison, ...]:
    """Compare a person and a scan with the training subjects, figure by figure.

    Parameters
    ----------
    population : mapping
        Of the model's card.
    age_years, sex, site
        As said at the upload; None where nothing was.
    quality : mapping
        Of the result, with the scan's repetition time.

    Returns
    -------
    tuple of Comparison
        Age, sex, site and repetition time, then the scan's other figures in the order of ``DECIMALS``.
    """
    figures = population["figures"]
    measured = {**quality, "spike_share": spike_share(quality)}
    of_the_scan = [name for name in DECIMALS if name not in {"age_years", "tr_s"}]
    return (
        compare_figure(figures, "age_years", age_years),
        _compare_sex(population, sex),
        _compare_site(population, site),
        _compare_repetition_time(population, quality.get("tr_s")),
        *(compare_figure(figures, name, measured.get(name)) for name in of_the_scan),
    )


def spike_share(quality: Mapping[str, Any]) -> float | None:
    """Give the share of changes from frame to frame that stand out."""
    spikes, n_frames = quality.get("spikes"), quality.get("n_frames")
    return None if spikes is None or n_frames is None or n_frames < 2 else spikes / (n_frames - 1)


def compare_figure(figures: Mapping[str, Any], name: str, value: float | None) -> Comparison:
    """Compare one figure: outside is what lies beyond the central 98 % of the training subjects."""
    spread = figures.get(name) or {}
    known = [spread.get(quantile) for quantile in _PERCENTS]
    quantiles = [float(one) for one in known if one is not None]
    if len(quantiles) < len(_PERCENTS):
        return Comparison(name=name, value=value, place=Place.UNKNOWN)

    def shown(number: float) -> float:
        return round(number, DECIMALS[name])

    middle_90 = (shown(spread["p5"]), shown(spread["p95"]))
    if value is None:
        return Comparison(name=name, value=None, place=Place.UNKNOWN, middle_90=middle_90)
    inside = shown(spread["p1"]) <= shown(value) <= shown(spread["p99"])
    return Comparison(
        name=name,
        value=value,
        place=Place.INSIDE if inside else Place.OUTSIDE,
        middle_90=middle_90,
        percentile=_percentile(quantiles, float(value)),
    )


def _percentile(quantiles: Sequence[float], value: float) -> float:
    """Go straight from quantile to quantile; among several that are equal, stand in their middle."""
    percents = list(_PERCENTS.values())
    first, behind = bisect_left(quantiles, value), bisect_right(quantiles, value)
    if first < behind:
        return (percents[first] + percents[behind - 1]) / 2
    if first == 0:
        return 0.0
    if first == len(quantiles):
        return 100.0
    below, above = quantiles[first - 1], quantiles[first]
    share = (value - below) / (above - below)
    return round(percents[first - 1] + share * (percents[first] - percents[first - 1]), 1)


def _compare_sex(population: Mapping[str, Any], sex: str | None) -> Comparison:
    known = sum(population["sex"].values())
    if sex is None or not known:
        return Comparison(name="sex", value=sex, place=Place.UNKNOWN)
    same = population["sex"].get(sex, 0)
    place = Place.INSIDE if same >= RAREST_SEX * known and same else Place.OUTSIDE
    return Comparison(name="sex", value=sex, place=place, subjects=same)


def _compare_site(population: Mapping[str, Any], site: str | None) -> Comparison:
    if site is None:
        return Comparison(name="site", value=None, place=Place.UNKNOWN)
    named = {name.casefold(): number for name, number in population["sites"].items()}
    same = named.get(site.casefold(), 0)
    if not same and population["subjects_at_unnamed_sites"]:
        # It may be one of those.
        return Comparison(name="site", value=site, place=Place.UNKNOWN)
    place = Place.INSIDE if same else Place.OUTSIDE
    return Comparison(name="site", value=site, place=place, subjects=same)


def _compare_repetition_time(population: Mapping[str, Any], tr_s: float | None) -> Comparison:
    seen = population["repetition_times"]
    beside = compare_figure(population["figures"], "tr_s", tr_s)
    if tr_s is None or not seen:
        return Comparison(name="tr_s", value=tr_s, place=Place.UNKNOWN, middle_90=beside.middle_90)
    same = sum(one["subjects"] for one in seen if _near(tr_s, one["tr_s"]))
    return Comparison(
        name="tr_s",
        value=tr_s,
        place=Place.INSIDE if same else Place.OUTSIDE,
        middle_90=beside.middle_90,
        percentile=beside.percentile,
        subjects=same,
    )


def _near(tr_s: float, seen_s: float) -> bool:
    # To the millisecond: 2.1 s differs from 2 s by 5 %, and in binary by a little more.
    return round(abs(tr_s - seen_s), 3) <= round(NEAREST_TR * seen_s, 3)
