"""The third part: what the change may do to people, what holds the risks, and what was found."""

from collections.abc import Mapping
from typing import Any

from service.change_plan.contents import Part, Table
from service.change_plan.sources import Compared, Sources
from service.web.language import _, listed, marked
from service.web.models import card as cards

_ON_PEOPLE = marked(
    "Both on the same %(people)s people (%(cases)s cases) of the locked evaluation set %(name)s, with 95%% "
    "intervals"
)
_ON_SIMULATED = marked(
    "Both on the same %(people)s simulated people (%(cases)s cases) of the locked evaluation set %(name)s, "
    "with 95%% intervals"
)
_DIFFERENCES = {
    "auc": "AUC",
    "sensitivity": "Sensitivity",
    "specificity": "Specificity",
    "brier": "Brier score",
}


def impact(sources: Sources) -> Part:
    """Say what a change may do, and what this run's records say of it so far."""
    tables = [_people(sources)]
    if sources.compared is not None:
        tables = [_together(sources.compared), _sites(sources.compared), *tables]
    return Part(
        name="impact",
        heading=_("What it may do"),
        meaning=_(
            "Impact assessment. Whom a change can help or harm, what holds the harm, and what is known of "
            "this change."
        ),
        tables=tables,
        points=[*_found(sources), *_risks()],
    )


def _together(compared: Compared) -> Table:
    models = [compared.together["champion"], compared.together["challenger"]]
    rows = [
        (
            _(words),
            *(_estimate(model.get(name)) for model in models),
            _estimate(compared.together["differences"].get(name), signed=True),
        )
        for name, words in _DIFFERENCES.items()
    ]
    share = "uncertain_share"
    rows.append(
        (
            _("Uncertain answers"),
            *(_estimate(model.get(share)) for model in models),
            _estimate(compared.together["differences"].get(share), signed=True),
        )
    )
    people = compared.evaluation_set
    said = _ON_SIMULATED if people["simulated"] else _ON_PEOPLE
    return Table(
        caption=_(said, people=people["subjects"], cases=people["cases"], name=compared.set_name),
        head=("", _("The model before"), _("This run"), _("Difference")),
        rows=rows,
    )


def _sites(compared: Compared) -> Table:
    models = [compared.together["champion"]["sites"], compared.together["challenger"]["sites"]]
    return Table(
        caption=_("AUC by site, where enough people of each group are"),
        head=(_("Site"), _("The model before"), _("This run")),
        rows=[
            (site, *(_estimate(model.get(site)) for model in models))
            for site in sorted(models[0].keys() | models[1].keys())
        ],
    )


def _people(sources: Sources) -> Table:
    both = (sources.card_before, sources.card)
    rows = [
        (_("Subjects"), *(_subjects(card) for card in both)),
        (_("Age"), *(cards.ages(card) or "\N{EN DASH}" for card in both)),
        (_("Sex"), *(_counts((card.get("population") or {}).get("sex")) for card in both)),
        (_("Sites"), *(_counts((card.get("population") or {}).get("sites")) for card in both)),
        (_("Repetition time"), *(cards.repetition_times(card) or "\N{EN DASH}" for card in both)),
    ]
    return Table(
        caption=_("Whom each learnt from"), head=("", _("The model before"), _("This run")), rows=rows
    )


def _found(sources: Sources) -> list[tuple[str, str]]:
    said = []
    if sources.before is None:
        said.append(
            (
                _("The model before"),
                _("None answers yet: nothing is known of what would become better or worse."),
            )
        )
    elif sources.compared is None:
        said.append(
            (
                _("The difference"),
                _("Not known: nobody has set the two side by side on people whom neither was trained on."),
            )
        )
    lost = _lost_sites(sources.card_before, sources.card)
    if lost:
        said.append((_("Sites that it no longer learnt from"), listed(lost)))
    return said


def _risks() -> list[tuple[str, str]]:
    return [
        (
            _("A wrong answer"),
            _(
                "A probability with its interval, no decision where the model cannot tell, and a clinician "
                "who decides."
            ),
        ),
        (
            _("Worse for some sites or groups"),
            _(
                "Sites are set side by side, and each result says where a person lies outside the people "
                "learnt from."
            ),
        ),
        (
            _("Too sure of itself"),
            _("Calibration is a rule of the gate, on people whom it was not trained on."),
        ),
        (
            _("An evaluation that flatters"),
            _(
                "The gate compares the people trained on with those of the evaluation set, by name and by "
                "scan."
            ),
        ),
        (
            _("Harm that shows only in use"),
            _(
                "It can score live scans in shadow before it answers any; overruled answers and confirmed "
                "diagnoses are counted, drift is watched where there is a reference, and one step leads back."
            ),
        ),
        (
            _("Answers given before"),
            _(
                "They stay as they were given, with the model that gave them; what this one would say of "
                "them can be shown beside."
            ),
        ),
    ]


def _lost_sites(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    old, new = ((card.get("population") or {}).get("sites") for card in (before, after))
    return sorted(old.keys() - new.keys()) if old and new else []


def _subjects(card: Mapping[str, Any]) -> str:
    population = card.get("population")
    if not population:
        return "\N{EN DASH}"
    return _(
        "%(subjects)s, of them %(cases)s cases", subjects=population["subjects"], cases=population["cases"]
    )


def _counts(counts: Mapping[str, int] | None) -> str:
    return listed(f"{name} {number}" for name, number in sorted((counts or {}).items())) or "\N{EN DASH}"


def _estimate(found: Mapping[str, float] | float | None, *, signed: bool = False) -> str:
    sign = "+" if signed else ""
    if found is None:
        return "\N{EN DASH}"
    if not isinstance(found, Mapping):
        return f"{found:{sign}.3f}"
    return f"{found['value']:{sign}.3f} [{found['low']:{sign}.3f}, {found['high']:{sign}.3f}]"
