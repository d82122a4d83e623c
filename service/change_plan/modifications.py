"""The first part: what a run changes in the model that answers, and what stays as it is."""

from collections.abc import Mapping
from typing import Any

from service.api.model_payloads import ModelVersionResponse
from service.change_plan.contents import Part, Table
from service.change_plan.sources import Sources
from service.methods import NETWORK, architecture_of, method_of
from service.registry.gate import preprocessing_of
from service.web.language import _, listed
from service.web.methods import RNNS, title_of
from service.web.models import card as cards
from service.web.terms import INTENDED_USES

_DIGITS_OF_A_HASH = 12


def modifications(sources: Sources) -> Part:
    """Say what may change."""
    return Part(
        name="modifications",
        heading=_("What may change"),
        meaning=_(
            "Description of modifications. A training run makes new weights, and with them a new threshold, "
            "calibration and conformal sets. It touches nothing else."
        ),
        tables=[_changes(sources)],
        points=_kept(sources),
    )


def _changes(sources: Sources) -> Table:
    unknown = _("known when the run has finished")
    none = _("none")
    run, before, after = sources.run, sources.card_before, sources.card
    asked = {
        "method": run.method,
        "network": run.network,
        "rnn": run.rnn,
        "width": run.settings.get("width"),
    }
    rows = [
        (_("Model"), _named(sources.before) or none, _named(sources.model) or unknown),
        (
            _kind(before, after or asked),
            _network(before) or none,
            _network(after) or _network(asked) or unknown,
        ),
        (
            _("Width"),
            _plain(_width(before), none),
            _plain(_width(after or asked), unknown if _is_network(after or asked) else none),
        ),
        (
            _("Trained on"),
            _(str(before.get("trained_on") or "")) or none,
            _(str(after.get("trained_on") or "")) or _plain(run.cohort, unknown),
        ),
        (_("Threshold"), _plain(before.get("threshold"), none), _plain(after.get("threshold"), unknown)),
        (
            _("Temperature"),
            _plain(before.get("temperature"), none),
            _plain(after.get("temperature"), unknown),
        ),
        (_("Promised coverage"), _promised(before) or none, _promised(after) or (none if after else unknown)),
        (
            _("Made with RestNet"),
            _plain(before.get("code_version"), none),
            _plain(after.get("code_version"), unknown),
        ),
        (
            _("Fingerprint of the cohort"),
            _hash(before.get("cohort_fingerprint")) or none,
            _hash(after.get("cohort_fingerprint")) or unknown,
        ),
        (
            _("SHA-256 of the file"),
            none if sources.before is None else _hash(sources.before.sha256),
            unknown if sources.model is None else _hash(sources.model.sha256),
        ),
    ]
    return Table(
        caption=_("What this run changes"), head=("", _("The model before"), _("This run")), rows=rows
    )


def _kept(sources: Sources) -> list[tuple[str, str]]:
    return [
        (_("What goes in"), _("A resting-state fMRI scan, read, checked and refused by the same rules.")),
        (_("How a scan is prepared"), _preparation(sources)),
        (
            _("What comes out"),
            _(
                "A calibrated probability with its interval, a decision or that there is none, the quality "
                "of the scan and warnings. No field changes its meaning."
            ),
        ),
        (_("What it is for"), _use(sources.card_before, sources.card)),
        (
            _("Who decides"),
            _("A clinician, who sees how far the answer is to be trusted and may overrule it."),
        ),
    ]


def _preparation(sources: Sources) -> str:
    if sources.model is None:
        return _("By the preprocessing of the cohort; it is compared when the run has finished.")
    new = preprocessing_of(sources.card)
    told = cards.preprocessing({"preprocessing": new})
    if sources.before is None:
        return _("By: %(fields)s.", fields=told)
    old = preprocessing_of(sources.card_before)
    changed = sorted(name for name in old.keys() | new.keys() if old.get(name) != new.get(name))
    if not changed:
        return _("As before, field by field: %(fields)s.", fields=told)
    arrows = (f"{name} {old.get(name)} \N{RIGHTWARDS ARROW} {new.get(name)}" for name in changed)
    return _("This changes, and is a rule of the gate: %(fields)s.", fields=listed(arrows))


def _use(before: Mapping[str, Any], after: Mapping[str, Any]) -> str:
    old, new = (str(card.get("intended_use") or "") for card in (before, after))
    said = [_(INTENDED_USES.get(use, use)) for use in (old, new)]
    if old and new and old != new:
        return _(
            "This changes: %(old)s before, %(new)s now.",
            old=said[0],
            new=said[1],
        )
    return said[1] or said[0] or _("Not said in a card yet.")


def _named(model: ModelVersionResponse | None) -> str:
    return "" if model is None else f"{_(model.name)} {model.version}"


def _is_network(card: Mapping[str, Any]) -> bool:
    return method_of(card) == NETWORK


def _kind(*cards_: Mapping[str, Any]) -> str:
    return _("Network") if all(_is_network(card) for card in cards_) else _("Method")


def _width(card: Mapping[str, Any]) -> object:
    # A card has every setting of its training; this one is of networks alone.
    return card.get("width") if _is_network(card) else None


def _network(card: Mapping[str, Any]) -> str:
    architecture, members = architecture_of(card), card.get("members")
    if architecture["method"] != NETWORK:
        said = title_of(card)
    elif architecture["network"] and architecture["rnn"]:
        said = f"{architecture['network']} + {RNNS.get(architecture['rnn'], architecture['rnn'])}"
    else:
        return ""
    return f"{said} \N{MULTIPLICATION SIGN} {members}" if members else said


def _promised(card: Mapping[str, Any]) -> str:
    level = (card.get("conformal_quantiles") or {}).get("level")
    return "" if level is None else f"{level:.0%}"


def _hash(digest: object) -> str:
    return str(digest)[:_DIGITS_OF_A_HASH] if digest else ""


def _plain(value: object, otherwise: str) -> str:
    if value is None or value == "":
        return otherwise
    return f"{value:.4g}" if isinstance(value, float) else str(value)
