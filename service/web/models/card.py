"""A model's card as a reader wants it; whoever made it may have left anything out."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeGuard

from service.web.language import _, listed, marked
from service.web.language.numbers import per_cent
from service.web.rendering import percent

_AREAS = {
    "auc": (marked("AUC"), marked("how well it ranks: 0.5 is chance, 1 without fault")),
    "average_precision": (marked("Average precision"), marked("how well it finds those with ADHD")),
}
_SHARES = {
    "balanced_accuracy": (marked("Balanced accuracy"), marked("mean of sensitivity and specificity")),
    "accuracy": (marked("Accuracy"), marked("decisions by the threshold that are right")),
    "sensitivity": (marked("Sensitivity"), marked("of those with ADHD, called ADHD by the threshold")),
    "specificity": (marked("Specificity"), marked("of the controls, called control by the threshold")),
}
_ERRORS = {
    "brier": (marked("Brier score"), marked("squared error of the probability: less is better")),
    "ece": (
        marked("Calibration error"),
        marked("how far probabilities are from the truth: less is better"),
    ),
}
_LEVEL = 95  # percent, of the intervals in every card's metrics (docs/model-card.md)
_RULES = {
    "interval": marked("uncertain where the interval holds the threshold"),
    "conformal": marked("uncertain where the conformal set is not a single group"),
}


@dataclass(frozen=True)
class Figure:
    """A figure of the card's, in words; the interval is empty where the card has none."""

    name: str
    value: str
    interval: str
    meaning: str


def area(card: Mapping[str, Any]) -> Figure | None:
    """Read the AUC, which a list of models shows; None where the card has none."""
    return next((figure for figure in figures(card) if figure.name == _("AUC")), None)


def figures(card: Mapping[str, Any]) -> list[Figure]:
    """Read what was measured on subjects that the models were not trained on."""
    metrics = card.get("metrics") or {}
    read = []
    for names, write in ((_AREAS, _two_digits), (_SHARES, percent), (_ERRORS, _three_digits)):
        for key, (name, meaning) in names.items():
            read.append(_figure(metrics.get(key), name=_(name), meaning=_(meaning), write=write))
    covered = (metrics.get("coverage") or {}).get("overall")
    meaning = _("of people, in whose conformal set their group was")
    read.append(_figure(covered, name=_("Coverage"), meaning=meaning, write=percent))
    return [figure for figure in read if figure is not None]


def _figure(measured: Any, *, name: str, meaning: str, write: Callable[[Any], str]) -> Figure | None:
    # Some of the figures have no interval and are written as a number alone.
    measured = measured if isinstance(measured, Mapping) else {"value": measured}
    if not _is_number(measured.get("value")):
        return None
    low, high = measured.get("low"), measured.get("high")
    interval = ""
    if _is_number(low) and _is_number(high):
        interval = _(
            "%(level)s interval %(low)s to %(high)s",
            level=per_cent(_LEVEL),
            low=write(low),
            high=write(high),
        )
    return Figure(name, write(measured["value"]), interval, meaning)


def facts(card: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Say what the network is and how it decides."""
    said = []
    if _is_number(card.get("threshold")):
        said.append((_("Threshold"), percent(card["threshold"])))
    rule = _RULES.get(str(card.get("decision_rule")))
    if rule:
        said.append((_("Decision"), _(rule)))
    level = (card.get("conformal_quantiles") or {}).get("level")
    if _is_number(level):
        said.append((_("Promised coverage"), percent(level)))
    return said


def preprocessing(card: Mapping[str, Any]) -> str:
    """List the fields of the preprocessing by their names, as in the card."""
    spec = card.get("preprocessing") or {}
    return ", ".join(f"{field} {_plain(value)}" for field, value in spec.items())


def ages(card: Mapping[str, Any]) -> str:
    """Say how old the training subjects were; empty where the card does not."""
    age = ((card.get("population") or {}).get("figures") or {}).get("age_years") or {}
    low, middle, high = (age.get(key) for key in ("minimum", "p50", "maximum"))
    if not (_is_number(low) and _is_number(middle) and _is_number(high)):
        return ""
    return _(
        "%(low)s to %(high)s years, half of them under %(middle)s",
        low=format(low, ".0f"),
        high=format(high, ".0f"),
        middle=format(middle, ".0f"),
    )


def repetition_times(card: Mapping[str, Any]) -> str:
    """Say which repetition times there were; empty where the card does not."""
    known = (card.get("population") or {}).get("repetition_times") or []
    return listed(_("%(number)s s", number=format(one["tr_s"], "g")) for one in known)


def protocol(card: Mapping[str, Any]) -> str:
    """Name the protocol of the cross-validation as the card does; empty where it does not."""
    return str((card.get("metrics") or {}).get("protocol") or "")


def _plain(value: object) -> str:
    return "\N{EN DASH}".join(map(str, value)) if isinstance(value, list) else str(value)


def _two_digits(value: float) -> str:
    return format(value, ".2f")


def _three_digits(value: float) -> str:
    return format(value, ".3f")


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool)
