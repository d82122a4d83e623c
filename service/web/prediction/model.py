"""What the page says of the model that answered: who it learnt from, and how well it did on others."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from imaging.words import counted
from service.web.rendering import percent

_MEASURED = {
    "sensitivity": "Sensitivity",
    "specificity": "Specificity",
}
_MEANINGS = {
    "sensitivity": "of those with ADHD it called so many ADHD",
    "specificity": "of the controls it called so many control",
}
_LEVEL = "95\u202f%"  # of the intervals in every card's metrics (docs/model-card.md)


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
    """Read sensitivity and specificity off the card; whoever made it may have left them out."""
    metrics = (card or {}).get("metrics") or {}
    found = []
    for key, name in _MEASURED.items():
        figure = metrics.get(key)
        if isinstance(figure, Mapping) and _is_number(figure.get("value")):
            found.append(Measured(name, percent(figure["value"]), _interval(figure), _MEANINGS[key]))
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
    parts = [f"{population['cases']} with the condition, {counted(population['controls'], 'control')}"]
    if any(population["sex"].values()):
        parts.append(", ".join(f"{number} {sex}" for sex, number in population["sex"].items()))
    if population["sites"]:
        named = ", ".join(f"{site} {number}" for site, number in population["sites"].items())
        parts.append(f"{counted(len(population['sites']), 'site')} ({named})")
    return "; ".join(parts)


def _interval(figure: Mapping[str, Any]) -> str:
    if not (_is_number(figure.get("low")) and _is_number(figure.get("high"))):
        return ""
    return f"{_LEVEL} interval {percent(figure['low'])} to {percent(figure['high'])}"


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
