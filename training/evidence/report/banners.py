"""What may not be missed about a run: a reader who sees nothing else sees these."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from imaging.words import counted
from training.evidence.report.contents import RIDGE, RunReport
from training.evidence.report.judging import CHANCE, unbeaten
from training.evidence.report.wording import area, listed, named_or_counted

# Leakage-free imaging reaches 60 to 68 % on people; more than this is a bug until proven otherwise.
TOO_GOOD = 0.75
# Below so many people of a class, a sensitivity or specificity is known to about 14 points at best.
SMALL_CLASS = 50

Weight = Literal["danger", "warning", "note"]


@dataclass(frozen=True, kw_only=True)
class Banner:
    """Something that may not be missed.

    Attributes
    ----------
    weight : "danger", "warning" or "note"
    code : str
        Stable, for programs.
    title, text : str
        With the run's own figures.
    brief : str
        The same without them, for several runs at once.
    """

    weight: Weight
    code: str
    title: str
    text: str
    brief: str


def banners(report: RunReport) -> list[Banner]:
    """Say what may not be missed about a run, the gravest first."""
    found = [
        *_of_the_run(report),
        *_of_the_result(report),
        *_of_the_sample(report),
        *_of_what_is_lacking(report),
    ]
    return _gravest_first(found)


def banners_of_several(reports: dict[str, RunReport]) -> list[Banner]:
    """Say once what may not be missed about several runs, with the runs that it holds for."""
    found: dict[str, dict[str, Banner]] = {}
    for name, report in reports.items():
        for banner in banners(report):
            found.setdefault(banner.code, {})[name] = banner
    merged = []
    for of_runs in found.values():
        first = next(iter(of_runs.values()))
        alike = len({banner.text for banner in of_runs.values()}) == 1
        # Each run's section has its own banners: of many the number is enough.
        which = named_or_counted(list(of_runs), n_runs=len(reports))
        if len(of_runs) == len(reports):
            which = "All runs"
        merged.append(replace(first, text=f"{which}: {first.text if alike else first.brief}"))
    return _gravest_first(merged)


def _of_the_run(report: RunReport) -> Iterable[Banner]:
    data = report.data
    if data.record.mixed:
        yield Banner(
            weight="danger",
            code="simulated",
            title="Simulated scans among others",
            text=f"Some of the cohort's scans are simulated, and the {report.noun} may tell those from the "
            f"others. These figures say nothing about how well {data.record.condition} can be told from a "
            "scan.",
            brief="Some of the cohort's scans are simulated. The figures say nothing about people.",
        )
    elif data.record.simulated:
        yield Banner(
            weight="danger",
            code="simulated",
            title="Simulated scans",
            text="No person was measured. These figures show that the software works; they say nothing about "
            f"how well {data.record.condition} can be told from a scan.",
            brief="No person was measured. The figures say nothing about people.",
        )
    if data.missing:
        yield Banner(
            weight="danger",
            code="unfinished",
            title="Unfinished run",
            text=f"Reported from {len(data.outcomes)} of {len(data.record.fold_names)} folds; missing: "
            f"{listed(data.missing)}. The figures will change.",
            brief="Some folds are missing. The figures will change.",
        )
    if report.leave_site_out:
        yield Banner(
            weight="note",
            code="leave_site_out",
            title="Leave-site-out",
            text="Every fold is a site, or the sites of one institution, that the model was not trained on. "
            "This is the harder question, and the one that a new hospital asks. A model leans to the larger "
            "class of those that it was trained on, and so against the site left out: where people of "
            "different sites are ranked, that lean is taken from the log odds.",
            brief="Every fold is a site that the model was not trained on.",
        )
    if data.record.added is not None:
        who = f"{data.record.added.n_subjects} of {data.record.added.name}"
        yield Banner(
            weight="note",
            code="others_added",
            title="Trained on others besides",
            text=f"Every fold was also fitted to people who stand in none: {who}. The figures are of the "
            "cohort's people alone; the baselines were not fitted to the others.",
            brief="Every fold was also fitted to people who stand in none; the figures are of the cohort's.",
        )
    if not any(outcome.conformal_quantiles for outcome in data.outcomes):
        yield Banner(
            weight="note",
            code="uncalibrated",
            title="Not calibrated",
            text=f"Protocol {data.record.settings.get('protocol', 'paper')!s} keeps no inner part: the "
            "temperature is 1, the threshold 0.5, and there are no conformal sets.",
            brief="No inner part was kept: no temperature, threshold or conformal set was fitted.",
        )


def _of_the_result(report: RunReport) -> Iterable[Banner]:
    overall, simulated = report.overall, report.data.record.simulated
    if overall.accuracy.value > TOO_GOOD and not simulated:
        yield Banner(
            weight="danger",
            code="too_good",
            title="Too good to believe",
            text=f"Accuracy {100 * overall.accuracy.value:.1f} % from scans of people is above "
            f"{100 * TOO_GOOD:.0f} %, more than leakage-free imaging has reached (60 to 68 %). Take it for "
            "a bug until proven otherwise: look for subjects in two folds, a site or scanner that gives the "
            "class away, or choices made on the reported folds.",
            brief=f"Accuracy from scans of people is above {100 * TOO_GOOD:.0f} %, more than leakage-free "
            "imaging has reached (60 to 68 %). Take it for a bug until proven otherwise.",
        )
    if overall.auc.high < CHANCE:
        yield Banner(
            weight="danger",
            code="worse_than_chance",
            title="Worse than chance",
            text=f"AUC {area(overall.auc)}. Look for exchanged labels or folds before anything else.",
            brief="Look for exchanged labels or folds before anything else.",
        )
    elif overall.auc.low <= CHANCE:
        yield Banner(
            weight="warning",
            code="chance",
            title="Not shown to be better than chance",
            text=f"AUC {area(overall.auc)}: the interval holds {CHANCE}.",
            brief=f"The interval of the AUC holds {CHANCE}.",
        )
    if not (overall.tp + overall.fp and overall.tn + overall.fn):
        only = report.data.record.condition if overall.tp + overall.fp else "control"
        yield Banner(
            weight="warning",
            code="one_answer",
            title="One answer for everybody",
            text=f"The {report.noun} called every one of {report.n} {report.people} {only}: it decided "
            "nothing.",
            brief="Everybody was called the same: nothing was decided.",
        )
    equals = unbeaten(report)
    if equals:
        names = [f"{one.name} (AUC {one.evaluation.auc.value:.2f})" for one in equals]
        yield Banner(
            weight="warning",
            code="baseline_as_good",
            title="Not shown to be better than without a scan",
            text=f"The {report.noun} is not shown to be better than the baseline {listed(names, last='or')}, "
            "which never saw a brain.",
            brief="Not shown to be better than a baseline that never saw a brain.",
        )
    linear = report.yardstick
    if linear is not None and linear.difference.high < 0:
        yield Banner(
            weight="warning",
            code="connectivity_better",
            title="Beaten by a linear method",
            text=f"Ridge regression on connectivity is better than the {report.noun} "
            f"(AUC {linear.evaluation.auc.value:.2f}), from the same scans on the same folds.",
            brief="Ridge regression on connectivity is better.",
        )
    elif linear is not None and linear.difference.low <= 0:
        yield Banner(
            weight="warning",
            code="connectivity_as_good",
            title="Not shown to be better than a linear method",
            text=f"The {report.noun} is not shown to be better than ridge regression on connectivity "
            f"(AUC {linear.evaluation.auc.value:.2f}), from the same scans on the same folds.",
            brief="Not shown to be better than ridge regression on connectivity.",
        )
    if report.site.finding == "inseparable":
        yield Banner(
            weight="warning",
            code="site_inseparable",
            title="May be about sites alone",
            text=report.site.sentence,
            brief="Too few can be compared within sites: the AUC may be about sites alone, and these data "
            "cannot tell.",
        )
    if report.site.finding == "site_explains":
        yield Banner(
            weight="warning",
            code="site_explains",
            title="The site explains it",
            text=report.site.sentence,
            brief="Among subjects of one site nothing is shown to be told.",
        )


def _of_what_is_lacking(report: RunReport) -> Iterable[Banner]:
    if report.connectivity is None and report.method.name != RIDGE:
        text = (
            "Ridge on connectivity, the yardstick from the same scans, is not beside it: "
            "restnet report RUN --cohort COHORT measures it, and keeps it in the run's folder."
        )
        yield Banner(
            weight="note",
            code="connectivity_not_measured",
            title="One baseline is lacking",
            text=text,
            brief=text,
        )


def _of_the_sample(report: RunReport) -> Iterable[Banner]:
    cases = report.n_cases
    smaller = min(cases, report.n - cases)
    if smaller < SMALL_CLASS:
        yield Banner(
            weight="warning",
            code="small_sample",
            title="Few subjects",
            text=f"{cases} with {report.data.record.condition} and {counted(report.n - cases, 'control')}. "
            f"Figures of {counted(smaller, 'subject')} move by ten points and more by chance alone: read the "
            "intervals.",
            brief="Figures of so few subjects move by ten points and more: read the intervals.",
        )


def _gravest_first(found: Sequence[Banner]) -> list[Banner]:
    return sorted(found, key=lambda banner: ("danger", "warning", "note").index(banner.weight))
