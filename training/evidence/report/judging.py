"""What a reader must know first, in sentences made from the figures.

Nothing here is rounded in the result's favour: an interval that holds no difference is called none.
"""

from collections.abc import Sequence

from training.evidence.report.contents import RIDGE, BaselineReport, RunReport
from training.evidence.report.inner_choice import InnerChoice
from training.evidence.report.wording import area, change, named_or_counted, percent

CHANCE = 0.5


def best_baseline(report: RunReport) -> BaselineReport:
    """Name the baseline that ranks best of those that never saw a brain."""
    return max(report.blind_baselines, key=lambda baseline: baseline.evaluation.auc.value)


def unbeaten(report: RunReport) -> list[BaselineReport]:
    """Name the baselines without a brain that a run is not shown to be better than, the best first."""
    found = [
        baseline
        for baseline in report.blind_baselines
        if baseline.difference.low <= 0 or report.overall.accuracy.value <= _accuracy_of_guessing(baseline)
    ]
    return sorted(found, key=lambda baseline: -baseline.evaluation.auc.value)


def _accuracy_of_guessing(baseline: BaselineReport) -> float:
    # Ranking says nothing of one answer for everybody, which may still be right more often.
    return baseline.evaluation.accuracy.value if baseline.name == "majority" else 0.0


def answer(report: RunReport) -> list[str]:
    """Say in sentences what came out: for the head of the page and the terminal."""
    overall = report.overall
    right = overall.tp + overall.tn
    unseen = (
        "by a model that had never seen any subject of that site"
        if report.leave_site_out
        else ("each by a model that had never seen them")
    )
    name = f"Network {report.title}" if report.is_network else report.title
    result = (
        f"{name} was right on {right} of {report.n} {report.people}, {unseen}: accuracy "
        f"{percent(overall.accuracy)}, AUC {area(overall.auc)}; brackets hold 95 % intervals."
    )
    # Chance has its sentence already, and a site that explains or may explain everything has a banner.
    said = report.site.finding == "chance" or report.site.may_explain
    site = "" if said else report.site.sentence
    sentences = [
        result,
        _against_chance(report),
        _against_guessing(report),
        _against_baselines(report),
        _against_connectivity(report),
        _gain(report),
        site,
    ]
    return [sentence for sentence in sentences if sentence]


def answer_to_several(reports: dict[str, RunReport], choice: InnerChoice | None = None) -> list[str]:
    """Say in sentences what several runs came to.

    Parameters
    ----------
    reports : dict of RunReport
        By what they are called.
    choice : InnerChoice, optional
        What choosing among them on inner parts came to.
    """
    ranked = sorted(reports, key=lambda name: -reports[name].overall.auc.value)
    above = [name for name in ranked if reports[name].overall.auc.low > CHANCE]
    ahead = [name for name in ranked if not unbeaten(reports[name])]
    shown = (
        f"{_how_many(above, len(reports))} shown to be better than chance, "
        f"{_how_many(ahead, len(reports)).lower()} shown to be better than every baseline that never saw "
        "a brain."
    )
    others = [name for name in ranked if reports[name].method.name != RIDGE]
    linear = [name for name in others if reports[name].yardstick is not None]
    yardstick = _of_yardstick(
        [name for name in linear if _beats(reports[name].yardstick)],
        n_compared=len(linear),
        n_runs=len(others),
        among="runs" if len(others) == len(reports) else "other runs",
    )
    chosen = (
        "To take a run for its AUC here is to choose on the very subjects that its figures are about: expect "
        "less of it on new ones."
    )
    inner = [] if choice is None else [_of_choice(choice)]
    return [_highest_and_lowest(reports), shown, *([yardstick] if linear else []), chosen, *inner]


def _highest_and_lowest(reports: dict[str, RunReport]) -> str:
    """Say who has the highest AUC and who the lowest; what the page writes alike, nobody has alone."""
    written = {name: _to_two_decimals(report) for name, report in reports.items()}
    highest, lowest = max(written.values(), key=float), min(written.values(), key=float)
    n_runs, explained = len(reports), "brackets hold 95 % intervals"
    if highest == lowest:
        return f"Every run has the same AUC to two decimals, {highest}; {explained}."
    at_the_top, at_the_bottom = (
        [name for name in reports if written[name] == figure] for figure in (highest, lowest)
    )
    top, bottom = (
        f"{named_or_counted(names, n_runs=n_runs)} {'has' if len(names) == 1 else 'have'}"
        for names in (at_the_top, at_the_bottom)
    )
    return (
        f"{top} the highest AUC, {_figure(at_the_top, reports)}, and {bottom} the lowest, "
        f"{_figure(at_the_bottom, reports)}; {explained}."
    )


def _figure(names: Sequence[str], reports: dict[str, RunReport]) -> str:
    first = reports[names[0]]
    if len(names) == 1:
        return area(first.overall.auc)
    return f"the same to two decimals, {_to_two_decimals(first)}"


def _to_two_decimals(report: RunReport) -> str:
    return f"{report.overall.auc.value:.2f}"


def _of_yardstick(beyond: Sequence[str], *, n_compared: int, n_runs: int, among: str) -> str:
    ridge = "ridge regression on the connectivity of the same scans"
    if n_compared == n_runs:
        counted = f"Of the {among}: " if among != "runs" else ""
        said = _how_many(beyond, n_compared)
        return f"{counted}{said.lower() if counted else said} shown to be better than {ridge}."
    # Of the others a run of that method may stand in the table: it is no baseline of theirs.
    measured = (
        f"Only {n_compared} of {n_runs} {among} {'has' if n_compared == 1 else 'have'} {ridge} for a baseline"
    )
    return f"{measured}: {_how_many(beyond, n_compared).lower()} shown to be better."


def _of_choice(choice: InnerChoice) -> str:
    linear = choice.above_connectivity
    beside = "" if linear is None else f", minus that of ridge on connectivity {change(linear)}"
    return (
        "Chosen instead without a look at what is reported, fold by fold on inner subjects, the runs reach "
        f"AUC {area(choice.evaluation.auc)}{beside}."
    )


def _against_chance(report: RunReport) -> str:
    auc = report.overall.auc
    if auc.low > CHANCE:
        return f"That is better than chance, as far as {report.n} {report.people} can tell."
    if auc.high < CHANCE:
        return "That is worse than chance: one null result in forty is, and a mistake in labels or folds."
    return f"That is not shown to be better than chance: the interval of the AUC holds {CHANCE}."


def _against_guessing(report: RunReport) -> str:
    guessing = next(one.evaluation for one in report.baselines if one.name == "majority")
    if report.overall.accuracy.value > guessing.accuracy.value:
        return ""
    return (
        "Calling everybody the larger class is right as often or more: "
        f"{100 * guessing.accuracy.value:.1f} % of the time."
    )


def _against_baselines(report: RunReport) -> str:
    best = best_baseline(report)
    auc = best.evaluation.auc
    name = f"{best.name} ({report.words_for(best.name)})"
    reaches = f"Without looking at a brain, the best baseline, {name}, reaches AUC {area(auc)}"
    if auc.low <= CHANCE:
        reaches = (
            "Without looking at a brain nothing is shown to be better than chance; the best baseline, "
            f"{name}, reaches AUC {area(auc)}"
        )
    return f"{reaches}: {_compared(best, report.noun)}."


def _against_connectivity(report: RunReport) -> str:
    linear = report.yardstick
    if linear is None:
        return ""
    reaches = f"From the same scans, ridge on connectivity reaches AUC {area(linear.evaluation.auc)}"
    return f"{reaches}: {_compared(linear, report.noun)}."


def _compared(baseline: BaselineReport, noun: str) -> str:
    difference = f"{noun} minus baseline {change(baseline.difference)}"
    if baseline.difference.high < 0:
        return f"the {noun} is worse than that, {difference}"
    if baseline.difference.low > 0:
        return f"the {noun} is better than that, {difference}"
    return f"the {noun} is not shown to be better than that, {difference}"


def _gain(report: RunReport) -> str:
    found = report.gain
    if found.gain is None:
        return f"Whether imaging adds to phenotype is not known: {found.reason}."
    by = f"AUC changes by {change(found.gain)} when the {report.noun}'s answer joins the phenotype"
    if found.gain.low > 0:
        return f"Imaging adds to phenotype: {by}."
    if found.gain.high < 0:
        return f"Imaging takes away from phenotype: {by}."
    return f"Imaging is not shown to add to phenotype: {by}."


def _beats(baseline: BaselineReport | None) -> bool:
    return baseline is not None and baseline.difference.low > 0


def _how_many(names: Sequence[str], total: int) -> str:
    if not names:
        return "None is"
    if len(names) == total:
        return "It is" if total == 1 else "All are"
    return f"{len(names)} of {total} {'is' if len(names) == 1 else 'are'}"
