"""The second part: on whom and by which rules the changed model is verified, and how it comes into use."""

from collections.abc import Sequence

from service.api.model_payloads import DeploymentResponse, RuleResponse
from service.change_plan.contents import Part, Table
from service.change_plan.sources import Sources
from service.web.language import _, ngettext
from service.web.models import card as cards
from service.web.models import wording
from service.web.models.limits import limit_of
from service.web.rendering import moment
from service.web.training.wording import PROTOCOLS, SELECTIONS, SPLITS


def verification(sources: Sources) -> Part:
    """Say how a change is verified, and what this run's records say of it so far."""
    tables = [_training(sources)]
    figures = _figures(sources)
    if figures.rows:
        tables.append(figures)
    if sources.model is not None:
        tables.append(_rules(sources.model.gate))
        if sources.model.deployments:
            tables.append(_uses(sources.model.deployments))
    return Part(
        name="verification",
        heading=_("How it is verified"),
        meaning=_(
            "Modification protocol. What is measured, on whom, what has to hold before a model answers, and "
            "how it is put in use and taken out of it."
        ),
        tables=tables,
        points=_procedure(),
    )


def _training(sources: Sources) -> Table:
    run, plan = sources.run, sources.run.plan or {}
    people = (
        ngettext(
            "%(num)s subject, %(cases)s of them cases",
            "%(num)s subjects, %(cases)s of them cases",
            int(plan["n_subjects"]),
            cases=plan["n_cases"],
        )
        if "n_subjects" in plan
        else _("known when the run is planned")
    )
    rows = [
        (_("Cohort"), run.cohort or _("one that was named by its folder")),
        (_("Selection"), _(SELECTIONS.get(run.selection or "", run.selection or ""))),
        *([(_("Filters"), ", ".join(run.where))] if run.where else []),
        (_("Subjects"), people),
        (
            _("Folds"),
            f"{len(run.folds) or run.settings.get('folds', 5)}, {_(SPLITS[run.split or 'stratified'])}",
        ),
        (_("Protocol"), _(PROTOCOLS[str(run.settings.get("protocol", "nested"))])),
        (_("Seed"), "0" if run.seed is None else str(run.seed)),
        (_("Run"), run.id),
    ]
    return Table(caption=_("How it was trained"), head=("", _("This run")), rows=rows)


def _figures(sources: Sources) -> Table:
    before = {figure.name: figure for figure in cards.figures(sources.card_before)}
    after = {figure.name: figure for figure in cards.figures(sources.card)}
    names = list(dict.fromkeys([*before, *after]))
    return Table(
        caption=_("Cross-validated, each model on its own people; not to be subtracted"),
        head=("", _("The model before"), _("This run")),
        rows=[(name, *(_figure(card.get(name)) for card in (before, after))) for name in names],
    )


def _figure(figure: cards.Figure | None) -> str:
    if figure is None:
        return "\N{EN DASH}"
    return f"{figure.value} ({figure.interval})" if figure.interval else figure.value


def _rules(gate: Sequence[RuleResponse]) -> Table:
    rows = []
    for rule in gate:
        name, expected = wording.RULES.get(rule.name, (rule.name, rule.expected))
        outcome = {True: _("passed"), False: _("failed"), None: _("not judged")}[rule.passed]
        limit = limit_of(rule)
        held_to = f"{_(expected)} ({limit})" if limit else _(expected)
        rows.append((_(name), held_to, wording.found(rule) or rule.found, outcome))
    return Table(
        caption=_("What has to hold before it answers"),
        head=(_("Rule"), _("Expected"), _("Found"), _("Outcome")),
        rows=rows,
    )


def _uses(deployments: Sequence[DeploymentResponse]) -> Table:
    rows = []
    for one in deployments:
        overruled = (
            ""
            if one.overridden is None
            else _(
                "overruled: %(rules)s, because: %(reason)s",
                rules=", ".join(rule.name for rule in one.overridden.rules),
                reason=one.overridden.reason,
            )
        )
        span = f"{moment(one.started_at)} \N{EN DASH} {moment(one.ended_at) if one.ended_at else ''}"
        said = "; ".join(part for part in (one.reason, overruled) if part)
        rows.append((span, _(wording.KINDS[one.kind.value]), wording.by(one.by), said))
    return Table(caption=_("When it answered"), head=(_("Time"), _("How"), _("By"), _("Why")), rows=rows)


def _procedure() -> list[tuple[str, str]]:
    return [
        (
            _("Before"),
            _(
                "A model that was trained answers nothing. It is registered with the hash of its file, and "
                "every worker compares that hash before it loads the file."
            ),
        ),
        (
            _("Coming into use"),
            _(
                "An administrator promotes it and says why. A rule that fails can be overruled only where it "
                "says so, with a written reason that is kept. The change is one step of the database: a scan "
                "is answered by the one model or by the other, and the prediction keeps which."
            ),
        ),
        (
            _("Going back"),
            _(
                "The model before answers again at one press of a button, without a restart; who, when and "
                "why is kept."
            ),
        ),
        (
            _("Afterwards"),
            _("What people say in reviews is counted for each model, and every act stands in the audit."),
        ),
    ]
