"""Several runs as one table: a row a run, each measured against one of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import ClassVar

from training.errors import CohortError
from training.evidence.comparison import paired_difference
from training.evidence.estimates import Difference
from training.evidence.metrics import N_DRAWS
from training.evidence.report.assembling import SEED
from training.evidence.report.comparing import in_paper_order, named, on_one_ground
from training.evidence.report.contents import RIDGE, RunReport
from training.evidence.report.wording import NOT_DRAWN_WORDS, named_or_counted

# What the paper reports best, and what a reader therefore looks for first.
_REFERENCE = "C-lstm"
_BASELINE = "the baseline on connectivity"


class ReferenceUnknownError(CohortError):
    """A run that others were to be compared with, and that is not among them."""

    code: ClassVar[str] = "report_reference_unknown"

    def __init__(self, *, expected: Sequence[str], found: str) -> None:
        self.expected = list(expected)
        self.found = found
        super().__init__(
            f"expected the run to compare with to be one of {', '.join(expected)}, found {found!r}"
        )


@dataclass(frozen=True, kw_only=True)
class ComparedRun:
    """A run's row.

    Attributes
    ----------
    name : str
        That tells it from the others.
    report : RunReport
    is_reference : bool
    above_reference : Difference or None
        AUC minus that of the reference; None for that one itself, and where the two do not stand on the same
        people in the same folds.
    above_ridge : Difference or None
        AUC minus that of ridge on connectivity, where that is known on the same people and folds.
    ridge : str or None
        What stands for ridge on connectivity there: the baseline that the run keeps, or else the run of that
        method; None without a difference.
    """

    name: str
    report: RunReport
    is_reference: bool
    above_reference: Difference | None
    above_ridge: Difference | None
    ridge: str | None


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """The table of several runs, in the order of the paper's table: a ranking would be a choice.

    Attributes
    ----------
    runs : tuple of ComparedRun
    reference : str
        Name of the run that differences are to.
    ridge : str or None
        What stands for ridge on connectivity, of all runs together; None where it is beside none of them.
    sentences : tuple of str
        How the differences are to be read.
    """

    runs: tuple[ComparedRun, ...]
    reference: str
    ridge: str | None
    sentences: tuple[str, ...]

    def of(self, report: RunReport) -> ComparedRun:
        """Give the row of a run."""
        return next(run for run in self.runs if run.report is report)


def compare(
    reports: Sequence[RunReport], *, reference: str | None = None, n_draws: int = N_DRAWS
) -> Comparison:
    """Set runs beside each other.

    Parameters
    ----------
    reports : sequence of RunReport
        At least one, in any order.
    reference : str, optional
        Folder or system of the run that the others are compared with; the first network C with a Bi-LSTM if
        there is one, otherwise the first run of the table.
    n_draws : int
        Of the bootstrap; the same people are drawn for every difference that draws can show.

    Returns
    -------
    Comparison

    Raises
    ------
    ReferenceUnknownError
        If the reference is none of the runs.
    """
    ordered = in_paper_order(reports)
    names = named(ordered, by=lambda report: report.title)
    chosen = _reference(ordered, reference)
    ridge_run = next((report for report in ordered if report.method.name == RIDGE), None)
    name_of_ridge = next((name for name, report in names.items() if report is ridge_run), None)

    def above(report: RunReport, other: RunReport | None) -> Difference | None:
        if other is None or report is other or not on_one_ground(report, other):
            return None
        return paired_difference(
            report.data.labels, report.data.scores, other.data.scores, seed=SEED, n_draws=n_draws
        )

    def compared(name: str, report: RunReport) -> ComparedRun:
        of_baseline = None if report.connectivity is None else report.connectivity.difference
        above_ridge = of_baseline or above(report, ridge_run)
        stands_for_it = _BASELINE if of_baseline else name_of_ridge
        return ComparedRun(
            name=name,
            report=report,
            is_reference=report is chosen,
            above_reference=above(report, chosen),
            above_ridge=above_ridge,
            ridge=stands_for_it if above_ridge else None,
        )

    runs = tuple(compared(name, report) for name, report in names.items())
    name_of = next(run.name for run in runs if run.is_reference)
    return Comparison(runs=runs, reference=name_of, ridge=_ridge(runs), sentences=_sentences(runs, name_of))


def _ridge(runs: Sequence[ComparedRun]) -> str | None:
    """Say what stands for ridge on connectivity in the column of all runs."""
    kept = [run for run in runs if run.ridge == _BASELINE]
    of_a_run = next((run.ridge for run in runs if run.ridge not in {None, _BASELINE}), None)
    if kept and of_a_run:
        return f"{_BASELINE} of the runs that keep it, for the others the run {of_a_run}"
    return _BASELINE if kept else of_a_run


def _reference(ordered: Sequence[RunReport], asked: str | None) -> RunReport:
    if asked is None:
        return next((one for one in ordered if one.data.record.system == _REFERENCE), ordered[0])
    by_folder = (one for one in ordered if one.data.name == asked)
    by_system = (one for one in ordered if one.data.record.system == asked)
    found = next(chain(by_folder, by_system), None)
    if found is not None:
        return found
    raise ReferenceUnknownError(expected=[one.data.name for one in ordered], found=asked)


def _sentences(runs: Sequence[ComparedRun], reference: str) -> tuple[str, ...]:
    apart = [run.name for run in runs if run.above_reference is None and not run.is_reference]
    not_drawn = [run.name for run in runs if _is_not_drawn(run.above_reference, run.above_ridge)]
    n_paired = len(runs) - 1 - len(apart)
    said = []
    if n_paired:
        but = " except where an AUC is exactly 1 or 0" if not_drawn else ""
        said.append(
            f"AUC differences are of a run minus {reference}, on the same drawn people{but}; an interval "
            "that holds 0 leaves open which of the two is better."
        )
    if not_drawn:
        which = named_or_counted(not_drawn, n_runs=len(runs))
        said.append(f"An AUC of exactly 1 or 0 has part in a difference of {which}: {NOT_DRAWN_WORDS}.")
    if apart:
        which = named_or_counted(apart, n_runs=len(runs))
        said.append(
            f"No paired difference is given for {which}: not the same people in the same folds as "
            f"{reference}."
        )
    if n_paired > 1:
        said.append(
            f"{n_paired} differences stand side by side, and each interval is right for one comparison "
            "alone: of many systems that do not differ at all, one in twenty would leave 0 out by chance."
        )
    return tuple(said)


def _is_not_drawn(*differences: Difference | None) -> bool:
    return any(difference is not None and not difference.is_drawn for difference in differences)
