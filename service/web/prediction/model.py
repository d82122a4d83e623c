"""What the page says of the model that answered: who it learnt from, and how well it did on others."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from service.web import terms
from service.web.language import _, listed, marked, ngettext, pgettext
from service.web.language.numbers import per_cent
from service.web.rendering import percent

_MEASURED = {
    "sensitivity": marked("Sensitivity"),
    "specificity": marked("Specificity"),
}
_MEANINGS = {
    "sensitivity": marked(
        "of those with ADHD the threshold alone calls so many ADHD, and leaves nobody uncertain"
    ),
    "specificity": marked(
        "of the controls the threshold alone calls so many control, and leaves nobody uncertain"
    ),
}
_LEVEL = 95  # percent, of the intervals in every card's metrics (docs/model-card.md)


@dataclass(frozen=True)
class Measured:
    """A figure of the model's, measured on subjects that it was not trained on.

    Attributes
    ----------
    name, value, interval, meaning : str
        The interval is empty where the card has none.
    """

    name: str
    value: str
    interval: str
    meaning: str


def measured(card: Mapping[str, Any] | None) -> list[Measured]:
    """Read what the card says was measured; whoever made it may have left anything out."""
    metrics = (card or {}).get("metrics") or {}
    found = []
    for key, name in _MEASURED.items():
        figure = metrics.get(key)
        if isinstance(figure, Mapping) and _is_number(figure.get("value")):
            found.append(Measured(_(name), percent(figure["value"]), _interval(figure), _(_MEANINGS[key])))
    share = metrics.get("uncertain_share")
    if isinstance(share, int | float):
        meaning = _("of all of them the rule by which this page decides leaves so many uncertain")
        found.append(Measured(_("Left uncertain"), percent(share), "", meaning))
    return found


def measured_on(card: Mapping[str, Any] | None) -> str:
    """Say on whom; empty where the card does not."""
    said = ((card or {}).get("metrics") or {}).get("measured_on")
    return said if isinstance(said, str) else ""


def training_subjects(card: Mapping[str, Any] | None) -> str:
    """Count the training subjects in one sentence; empty where the card does not describe them."""
    population = (card or {}).get("population")
    if not population:
        return ""
    parts = [
        _(
            "%(cases)s with the condition, %(controls)s",
            cases=population["cases"],
            controls=ngettext("%(num)s control", "%(num)s controls", population["controls"]),
        )
    ]
    if any(population["sex"].values()):
        parts.append(listed(terms.sexes(population["sex"])))
    if population["sites"]:
        sites = ngettext("%(num)s site", "%(num)s sites", len(population["sites"]))
        named = listed(f"{site} {number}" for site, number in population["sites"].items())
        parts.append(_("%(sites)s (%(named)s)", sites=sites, named=named))
    return pgettext("between the parts of a description", "; ").join(parts)


def _interval(figure: Mapping[str, Any]) -> str:
    if not (_is_number(figure.get("low")) and _is_number(figure.get("high"))):
        return ""
    return _(
        "%(level)s interval %(low)s to %(high)s",
        level=per_cent(_LEVEL),
        low=percent(figure["low"]),
        high=percent(figure["high"]),
    )


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
