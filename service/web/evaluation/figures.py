"""What two models did on the same people, as a reader wants it, and their differences as lines in a box."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from service.web.language import _, marked
from service.web.rendering import percent, signed

# Those with an interval and a difference; a difference below 0 is worse, except of the last.
_COMPARED = {
    "auc": marked("AUC"),
    "sensitivity": marked("Sensitivity"),
    "specificity": marked("Specificity"),
    "brier": marked("Brier score"),
}
# The edge of the plot, where no difference is larger.
_NARROWEST = 0.1


@dataclass(frozen=True)
class Row:
    """A figure of both models, in words; ``difference`` is empty where none is judged."""

    name: str
    champion: str
    challenger: str
    difference: str


@dataclass(frozen=True)
class Bar:
    """A difference with its interval, where it lies in the plot.

    Attributes
    ----------
    name, said : str
    low, at, high : float
        Hundredths of the plot's width.
    top : int
        Hundredths of its height.
    """

    name: str
    said: str
    low: float
    at: float
    high: float
    top: int


@dataclass(frozen=True)
class Forest:
    """The differences of a comparison; ``edge`` is what lies at either side, with 0 in the middle."""

    bars: tuple[Bar, ...]
    edge: str


@dataclass(frozen=True)
class AtSite:
    """How both ranked the people of one site; empty where it has too few of a class."""

    name: str
    people: int
    champion: str
    challenger: str


def rows(together: Mapping[str, Any]) -> list[Row]:
    """Put the figures of two models beside each other."""
    old, new = together["champion"], together["challenger"]
    differences = together["differences"]
    beside = [
        Row(_(name), _estimate(old[key]), _estimate(new[key]), _estimate(differences[key], sign=True))
        for key, name in _COMPARED.items()
    ]
    beside.append(Row(_("Calibration error"), format(old["ece"], ".3f"), format(new["ece"], ".3f"), ""))
    if old["coverage"] or new["coverage"]:
        beside.append(Row(_("Coverage"), _coverage(old["coverage"]), _coverage(new["coverage"]), ""))
    share = "uncertain_share"
    # What an earlier version compared has both shares, and nothing about their difference.
    more = _estimate(differences[share], sign=True) if share in differences else ""
    beside.append(Row(_("Uncertain answers"), percent(old[share]), percent(new[share]), more))
    beside.append(Row(_("Time for a scan"), _seconds(old), _seconds(new), ""))
    return beside


def forest(together: Mapping[str, Any]) -> Forest:
    """Draw the differences, challenger minus champion, around a line at 0."""
    found = {key: together["differences"][key] for key in _COMPARED}
    edge: float = max(_NARROWEST, *(abs(one[end]) for one in found.values() for end in ("low", "high")))

    def place(value: float) -> float:
        return round(50 + 48 * value / edge, 2)

    bars = tuple(
        Bar(
            name=_(name),
            said=_estimate(found[key], sign=True),
            low=place(found[key]["low"]),
            at=place(found[key]["value"]),
            high=place(found[key]["high"]),
            top=round((number + 0.5) * 100 / len(_COMPARED)),
        )
        for number, (key, name) in enumerate(_COMPARED.items())
    )
    return Forest(bars, format(edge, ".2f"))


def sites(outcome: Mapping[str, Any]) -> list[AtSite]:
    """Say how both models ranked the people of each site."""
    old, new = (outcome["together"][which]["sites"] for which in ("champion", "challenger"))
    return [
        AtSite(
            name,
            people,
            _estimate(old[name]) if name in old else "",
            _estimate(new[name]) if name in new else "",
        )
        for name, people in outcome["evaluation_set"]["sites"].items()
    ]


def _estimate(found: Mapping[str, float], *, sign: bool = False) -> str:
    value, low, high = (
        signed(found[name], 3) if sign else format(found[name], ".3f") for name in ("value", "low", "high")
    )
    return _("%(value)s (%(low)s to %(high)s)", value=value, low=low, high=high)


def _seconds(measured: Mapping[str, Any]) -> str:
    return _("%(number)s s", number=format(measured["seconds_per_scan"], ".2f"))


def _coverage(found: Mapping[str, Any] | None) -> str:
    if found is None:
        return _("promises none")
    held = {name: percent(found["overall"][name]) for name in ("value", "low", "high")}
    return _("%(value)s (%(low)s to %(high)s)", **held)
