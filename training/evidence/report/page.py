"""One self-contained page: words first, then figures and tables, published rows marked as such."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from training.evidence.claims import check_claim
from training.evidence.estimates import Estimate
from training.evidence.proportions import Proportion
from training.evidence.published import SOURCE, PublishedRow, is_comparable, published_beside
from training.evidence.report import comparing, figures, side_by_side
from training.evidence.report.banners import Banner, banners, banners_of_several
from training.evidence.report.contents import BASELINE_WORDS, CLASS_NAMES, RunReport
from training.evidence.report.inner_choice import choose_on_inner_parts
from training.evidence.report.judging import answer, answer_to_several, best_baseline
from training.evidence.report.wording import (
    FEW_WORDS,
    NOT_DRAWN_WORDS,
    area,
    change,
    duration,
    listed,
    signed,
)

_TEMPLATES = Path(__file__).parent / "templates"
_NONE = Markup("\N{EN DASH}")


@dataclass(frozen=True, kw_only=True)
class RunSection:
    """A run with what is drawn of it."""

    name: str
    anchor: str
    report: RunReport
    answer: list[str]
    banners: list[Banner]
    drawn: dict[str, Markup]


@dataclass(frozen=True, kw_only=True)
class PublishedLine:
    """A published row, and why its figures cannot be true together where that can be shown."""

    row: PublishedRow
    objection: str | None


def render(reports: Sequence[RunReport], *, comparison: side_by_side.Comparison | None = None) -> str:
    """Write the page of one or several runs.

    Parameters
    ----------
    reports : sequence of RunReport
        At least one.
    comparison : Comparison, optional
        Of these runs; made here if there are several and none is given.

    Returns
    -------
    str
        HTML that loads nothing; the same runs give the same text.
    """
    reports = comparing.in_paper_order(reports)
    runs = comparing.named(reports, by=lambda report: report.title)
    sections = [_section(name, report, number) for number, (name, report) in enumerate(runs.items(), 1)]
    several = len(runs) > 1
    if several and comparison is None:
        comparison = side_by_side.compare(reports)
    choice = choose_on_inner_parts(runs)
    published = published_beside(report.data.record.condition for report in reports)
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "share": _share,
        "area": _area,
        "change": change,
        "difference": _difference,
        "sentence_area": area,
        "mebibytes": _mebibytes,
        "duration": duration,
        "prose": _prose,
    }
    return environment.get_template("report.html").render(
        several=several,
        title=_title(reports),
        cohorts=list(dict.fromkeys(_cohort(report) for report in reports)),
        sections=sections,
        answer=answer_to_several(runs, choice) if several else sections[0].answer,
        banners=banners_of_several(runs) if several else sections[0].banners,
        differences=comparing.differences_between(reports) if several else [],
        across=_across(reports),
        published=[_published(row) for row in published],
        comparable=[one for one in sections if is_comparable(one.report.data.record.condition)],
        source=SOURCE,
        baseline_words=BASELINE_WORDS,
        few_words=FEW_WORDS,
        not_drawn_words=NOT_DRAWN_WORDS,
        class_names=CLASS_NAMES,
        best_baseline=best_baseline,
        choice=choice,
        comparison=comparison if several else None,
        anchors={one.name: one.anchor for one in sections},
        shared_baselines=comparing.shared_baselines(reports),
        code_versions=sorted({report.data.record.code_version for report in reports}),
    )


def _title(reports: Sequence[RunReport]) -> str:
    conditions = sorted({report.data.record.condition for report in reports})
    what = reports[0].title if len(reports) == 1 else f"{len(reports)} runs"
    return f"{_capital(listed(conditions))} from resting-state scans: {what}"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _cohort(report: RunReport) -> str:
    record = report.data.record
    return (
        f"Cohort {record.cohort_name}, selection {record.selection}: {report.n} {report.people}, "
        f"{report.n_cases} with {record.condition}."
    )


def _section(name: str, report: RunReport, number: int) -> RunSection:
    data, overall = report.data, report.overall
    scores = data.scores
    compared = [figures.IntervalRow(name=report.short_name, estimate=overall.auc, ours=True)]
    compared += [
        figures.IntervalRow(
            name=baseline.name, estimate=baseline.evaluation.auc, blind=not baseline.sees_brains
        )
        for baseline in report.baselines
    ]
    by_site = [figures.IntervalRow(name="all sites", estimate=overall.auc, ours=True)]
    if report.site.within_site is not None:
        by_site.append(figures.IntervalRow(name="within sites", estimate=report.site.within_site, ours=True))
    by_site += [
        figures.IntervalRow(name=f"{site.name} *" if site.few else site.name, estimate=site.auc)
        for site in report.sites
        if site.auc is not None
    ]
    drawn = {
        "compared": figures.intervals(compared, label="AUC, 95 % interval"),
        "by_site": figures.intervals(by_site, label="AUC by site, 95 % interval"),
        "roc": figures.roc(data.labels, scores, overall, name=report.short_name),
        "precision_recall": figures.precision_recall(data.labels, scores, overall, name=report.short_name),
        "reliability": figures.reliability(overall, condition=data.record.condition),
    }
    if report.method.learns_in_epochs:
        drawn["learning"] = figures.learning_curves(data.epochs, data.outcomes, title=name)
    return RunSection(
        name=name,
        anchor=f"run-{number}",
        report=report,
        answer=answer(report),
        banners=banners(report),
        drawn=drawn,
    )


def _across(reports: Sequence[RunReport]) -> list[comparing.DrawnFigure]:
    if len(reports) == 1:
        return comparing.metrics_by_fold(reports)
    return [
        *comparing.metrics_by_network(reports),
        *comparing.metrics_by_fold([report for report in reports if report.network == "C"]),
        *comparing.convergence_by_network(reports),
        *comparing.memory_by_network(reports),
    ]


def _published(row: PublishedRow) -> PublishedLine:
    if not (row.sensitivity and row.specificity and row.n and row.positives):
        return PublishedLine(row=row, objection=None)
    check = check_claim(
        accuracy=row.accuracy,
        sensitivity=row.sensitivity,
        specificity=row.specificity,
        n=row.n,
        positives=row.positives,
    )
    # The answer and its first reason; `--check-claim` gives the others.
    return PublishedLine(row=row, objection=None if check.possible else " ".join(check.sentences[:2]))


def _share(estimate: Estimate | Proportion | None) -> Markup:
    """Write percent with a smaller interval under it, a dash where there is none."""
    if estimate is None:
        return _NONE
    return _with_interval(
        f"{100 * estimate.value:.1f}", f"{100 * estimate.low:.1f}", f"{100 * estimate.high:.1f}"
    )


def _area(estimate: Estimate | None, marked: bool = False) -> Markup:  # noqa: FBT001, FBT002 - a template's filter
    if estimate is None:
        return _NONE
    value = f"{estimate.value:.2f}{' *' if marked else ''}"
    return _with_interval(value, f"{estimate.low:.2f}", f"{estimate.high:.2f}")


def _difference(estimate: Estimate | None) -> Markup:
    if estimate is None:
        return _NONE
    return _with_interval(*(signed(number) for number in (estimate.value, estimate.low, estimate.high)))


def _with_interval(value: str, low: str, high: str) -> Markup:
    return Markup('{} <span class="interval">[{}, {}]</span>').format(
        *(escape(text) for text in (value, low, high))
    )


def _prose(sentence: str) -> str:
    """Keep a figure, its unit and its interval on one line."""
    together = re.sub(r" (\[[^],]*), ", "\N{NO-BREAK SPACE}\\1,\N{NO-BREAK SPACE}", sentence)
    return together.replace(" %", "\N{NO-BREAK SPACE}%")


def _mebibytes(n_bytes: int) -> str:
    return f"{n_bytes / 2**20:,.0f} MiB"
