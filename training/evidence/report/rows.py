"""The same figures as one long table: a line a run, part and metric."""

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields

from training.evidence.conformal import Coverage
from training.evidence.estimates import Estimate
from training.evidence.groups import GroupEvaluation
from training.evidence.metrics import COUNTS, Evaluation
from training.evidence.proportions import Proportion
from training.evidence.published import PublishedRow, published_beside
from training.evidence.report.comparing import named
from training.evidence.report.contents import CLASS_NAMES, METRICS, RunReport
from training.evidence.report.inner_choice import choose_on_inner_parts
from training.evidence.report.side_by_side import ComparedRun, Comparison, compare
from training.evidence.report.wording import FEW_WORDS

_OVERALL = (*METRICS, "average_precision", "brier")
_CHOICE = "chosen in each fold on inner parts"


@dataclass(frozen=True, kw_only=True)
class FigureRow:
    """One figure; empty cells where there is none, for example no interval of a published one.

    Attributes
    ----------
    run : str
        Folder, the source of a published row, or that it was chosen among the runs fold by fold.
    measured : str
        "here" or "published".
    part, name : str
        "overall", "baseline", "fold", "site", "sex", "age band" or "coverage", and which one; "run": what it
        took; "comparison": the AUC minus that of the one named, where there are several runs.
    n, n_cases : int or None
    metric : str
    value, low, high : float or None
        From 0 to 1, with the 95 % interval; or a count of the confusion table, parameters, seconds, bytes.
    note : str or None
        How careful to be with it; of "run", what was trained; of a published figure, on whom.
    """

    run: str
    measured: str
    part: str
    name: str
    n: int | None
    n_cases: int | None
    metric: str
    value: float | None
    low: float | None
    high: float | None
    note: str | None = None


def figure_rows(reports: Sequence[RunReport], *, comparison: Comparison | None = None) -> list[FigureRow]:
    """Give every figure of the runs, what a choice among them on inner parts comes to, and published rows.

    The last only where a run is about the same condition.

    Parameters
    ----------
    reports : sequence of RunReport
    comparison : Comparison, optional
        Of these runs; made here if there are several and none is given.
    """
    published = published_beside(report.data.record.condition for report in reports)
    choice = choose_on_inner_parts(named(reports, by=lambda report: report.data.name))
    rows = [row for report in reports for row in _rows_of(report)]
    if len(reports) > 1:
        comparison = comparison or compare(reports)
        rows += [row for run in comparison.runs for row in _compared(run, comparison)]
    if choice is not None:
        names = {report.short_name for report in reports}
        rows += _evaluated(
            _CHOICE, "overall", names.pop() if len(names) == 1 else "system", choice.evaluation, METRICS
        )
    return rows + list(_published(published))


def to_csv(rows: Sequence[FigureRow]) -> str:
    """Write the rows as comma-separated text, header first."""
    text = io.StringIO()
    writer = csv.DictWriter(text, [field.name for field in fields(FigureRow)], lineterminator="\n")
    writer.writeheader()
    writer.writerows(asdict(row) for row in rows)
    return text.getvalue()


def _rows_of(report: RunReport) -> Iterator[FigureRow]:
    run, n, n_cases = report.data.name, report.n, report.n_cases
    yield from _evaluated(run, "overall", report.short_name, report.overall, _OVERALL)
    yield _row(
        run,
        part="overall",
        name=report.short_name,
        n=n,
        n_cases=n_cases,
        metric="ece",
        value=report.overall.ece,
    )
    for baseline in report.baselines:
        yield from _evaluated(run, "baseline", baseline.name, baseline.evaluation, METRICS)
        yield _row(
            run,
            part="baseline",
            name=baseline.name,
            n=n,
            n_cases=n_cases,
            metric=f"auc_of_{report.noun}_minus_this",
            value=baseline.difference.value,
            low=baseline.difference.low,
            high=baseline.difference.high,
        )
    parts = {
        "fold": report.folds,
        "site": report.sites,
        "sex": report.sexes,
        "age band": report.age_bands,
    }
    for part, groups in parts.items():
        for group in groups:
            yield from _evaluated(run, part, group.name, group, METRICS)
    if report.coverage is not None:
        yield from _covered(report, report.coverage)
    took = {
        "n_parameters": report.data.record.n_parameters,
        "training_seconds": report.training_seconds,
        "peak_memory_bytes": report.peak_memory_bytes,
    }
    for metric, value in took.items():
        yield _row(
            run, part="run", name=report.title, n=n, n_cases=n_cases, metric=metric, value=value,
            note="; ".join(filter(None, [report.method.kind, report.regions])),
        )  # fmt: skip


def _compared(run: ComparedRun, comparison: Comparison) -> Iterator[FigureRow]:
    found = ((comparison.reference, run.above_reference), (run.ridge, run.above_ridge))
    for name, difference in found:
        if name is not None and difference is not None:
            yield _row(
                run.report.data.name, part="comparison", name=name, n=run.report.n,
                n_cases=run.report.n_cases, metric="auc_of_run_minus_this", value=difference.value,
                low=difference.low, high=difference.high,
            )  # fmt: skip


def _evaluated(
    run: str,
    part: str,
    name: str,
    evaluation: Evaluation | GroupEvaluation,
    metrics: Sequence[str],
) -> Iterator[FigureRow]:
    n_cases = evaluation.tp + evaluation.fn
    n = n_cases + evaluation.fp + evaluation.tn
    few = isinstance(evaluation, GroupEvaluation) and evaluation.few
    for metric in metrics:
        estimate: Estimate | None = getattr(evaluation, metric)
        yield _row(
            run,
            part=part,
            name=name,
            n=n,
            n_cases=n_cases,
            metric=metric,
            value=None if estimate is None else estimate.value,
            low=None if estimate is None else estimate.low,
            high=None if estimate is None else estimate.high,
            note=FEW_WORDS if few and metric == "auc" else None,
        )
    for count in COUNTS:
        value = getattr(evaluation, count)
        yield _row(run, part=part, name=name, n=n, n_cases=n_cases, metric=count, value=value)


def _covered(report: RunReport, coverage: Coverage) -> Iterator[FigureRow]:
    of_class = {CLASS_NAMES[name]: share for name, share in coverage.by_class.items()}
    named: dict[str, Proportion] = {"overall": coverage.overall, **of_class, **coverage.by_site}
    for name, share in named.items():
        yield _row(
            report.data.name, part="coverage", name=name, n=share.n, n_cases=None, metric="coverage",
            value=share.value, low=share.low, high=share.high,
        )  # fmt: skip


def _row(
    run: str,
    *,
    part: str,
    name: str,
    n: int,
    n_cases: int | None,
    metric: str,
    value: float | None = None,
    low: float | None = None,
    high: float | None = None,
    note: str | None = None,
) -> FigureRow:
    rounded = [None if number is None else round(number, 4) for number in (value, low, high)]
    return FigureRow(
        run=run,
        measured="here",
        part=part,
        name=name,
        n=n,
        n_cases=n_cases,
        metric=metric,
        value=rounded[0],
        low=rounded[1],
        high=rounded[2],
        note=note,
    )


def _published(rows: Sequence[PublishedRow]) -> Iterator[FigureRow]:
    for row in rows:
        for metric in ("accuracy", "sensitivity", "specificity", "auc"):
            printed = getattr(row, metric)
            if printed is not None:
                share = float(printed) if metric == "auc" else float(printed) / 100
                yield FigureRow(
                    run=row.name,
                    measured="published",
                    part="overall",
                    name=row.protocol,
                    n=row.n,
                    n_cases=row.positives,
                    metric=metric,
                    value=round(share, 4),
                    low=None,
                    high=None,
                    note=row.cohort,
                )
