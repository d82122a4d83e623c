"""Several runs side by side: the paper's figures, its question about convergence, and the published rows."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from model.methods.catalogue import METHODS
from training.evidence.report.contents import BaselineReport, RunReport
from training.evidence.report.figures_across import BarGroup, bars, convergence, memory_bars
from training.evidence.report.wording import listed

_EARLY, _LATE = ("C", "D"), ("A", "B")
_MEBIBYTE = 2**20
# A peak within so much of another is the same peak: it moves with the allocator.
_SAME_MEMORY = 0.05


@dataclass(frozen=True, kw_only=True)
class DrawnFigure:
    """A figure with its heading and the sentences under it."""

    heading: str
    svg: Markup
    sentences: tuple[str, ...]


def in_paper_order(reports: Sequence[RunReport]) -> list[RunReport]:
    """Order runs as the paper does: the Bi-LSTM first, networks by letter; then the catalogue's order."""
    return sorted(reports, key=_place)


def _place(report: RunReport) -> tuple[int, int, str, str]:
    rnns = ("Bi-LSTM", "Bi-GRU")
    rnn = rnns.index(report.rnn) if report.rnn in rnns else len(rnns)
    return list(METHODS).index(report.method.name), rnn, report.network or "", report.regions or ""


def named(reports: Sequence[RunReport], *, by: Callable[[RunReport], str]) -> dict[str, RunReport]:
    """Name runs by what tells them apart: their regions, if need be, their folder, and a number at last."""
    names = [by(report) for report in reports]
    names = [
        name if names.count(name) == 1 or regions is None else f"{name}, {regions.name}"
        for name, regions in zip(names, [report.data.record.regions for report in reports], strict=True)
    ]
    names = [
        name if names.count(name) == 1 else f"{name} ({report.data.name})"
        for name, report in zip(names, reports, strict=True)
    ]
    found: dict[str, RunReport] = {}
    for number, (name, report) in enumerate(zip(names, reports, strict=True)):
        again = names[:number].count(name)
        found[f"{name}, {again + 1}" if again else name] = report
    return found


def on_one_ground(one: RunReport, other: RunReport) -> bool:
    """Whether two runs report the same scans of the same people, each in the same fold."""
    return _ground(one) == _ground(other)


def _ground(report: RunReport) -> tuple[object, ...]:
    data = report.data
    people = tuple((row.subject_id, row.fold) for row in data.predictions)
    return data.record.cohort_fingerprint, data.record.split, people, tuple(data.labels.tolist())


def differences_between(reports: Sequence[RunReport]) -> list[str]:
    """Say where runs that stand side by side do not stand on the same ground."""
    found = []
    leaving = [report for report in reports if report.leave_site_out]
    others = [report for report in reports if not report.leave_site_out]
    cohorts = {report.data.record.cohort_fingerprint for report in reports}
    if len(cohorts) > 1:
        names = listed(sorted({f"{r.data.record.cohort_name} ({r.n} {r.people})" for r in reports}))
        found.append(
            f"These runs stand on {len(cohorts)} different cohorts or selections: {names}. A difference "
            f"between two of them may come from the subjects as well as from the {_noun(reports)}."
        )
    elif any(len(_divisions(runs)) > 1 for runs in (leaving, others)):
        found.append(
            "These runs divide the same subjects into different folds, which alone moves figures a little."
        )
    if leaving and others:
        found.append(
            f"{len(leaving)} of {len(reports)} runs {'leaves' if len(leaving) == 1 else 'leave'} sites out. "
            f"How a {_noun(reports)} does at sites that it was not trained on is another question than how "
            "it does on further subjects of its own sites, and a harder one: the figures of the two do not "
            "compare, and a ranking holds within each kind alone."
        )
    protocols = sorted({str(report.data.record.settings.get("protocol")) for report in reports})
    if len(protocols) > 1:
        found.append(f"They follow different protocols: {listed(protocols)}.")
    return found


def _noun(reports: Sequence[RunReport]) -> str:
    """Say what runs are called together."""
    nouns = {report.noun for report in reports}
    return nouns.pop() if len(nouns) == 1 else "system"


def _divisions(reports: Sequence[RunReport]) -> set[tuple[tuple[str, int], ...]]:
    """Give the ways in which runs divide their subjects into folds."""
    return {tuple((one.subject_id, one.fold) for one in report.data.subjects) for report in reports}


def shared_baselines(reports: Sequence[RunReport]) -> tuple[BaselineReport, ...]:
    """Give the baselines of runs on the same subjects and folds, which are then the same; otherwise none."""
    if not all(on_one_ground(reports[0], report) for report in reports):
        return ()
    fullest = max((report.baselines for report in reports), key=len)
    figures = {baseline.name: baseline.evaluation for baseline in fullest}
    others = (baseline for report in reports for baseline in report.baselines)
    return fullest if all(other.evaluation == figures[other.name] for other in others) else ()


def metrics_by_network(reports: Sequence[RunReport]) -> list[DrawnFigure]:
    """Draw accuracy, sensitivity and specificity of the networks among runs, a figure a recurrent network."""
    drawn = []
    for rnn, runs in _by_rnn(reports).items():
        groups = [
            BarGroup(
                name=name,
                accuracy=report.overall.accuracy,
                sensitivity=report.overall.sensitivity,
                specificity=report.overall.specificity,
            )
            for name, report in named(runs, by=_letter).items()
        ]
        drawn.append(
            DrawnFigure(
                heading=f"Networks with a {rnn}",
                svg=bars(groups, label=f"residual network, with {rnn}"),
                sentences=("All folds together; lines are 95 % intervals.",),
            )
        )
    return drawn


def metrics_by_fold(reports: Sequence[RunReport]) -> list[DrawnFigure]:
    """Draw the three metrics of each fold, a figure a run; the paper does so for network C."""
    drawn = []
    for name, report in named(reports, by=lambda report: report.title).items():
        groups, without = [], []
        for fold in report.folds:
            if fold.sensitivity is None or fold.specificity is None:
                without.append(f"Fold {fold.name} has one class only.")
                continue
            groups.append(
                BarGroup(
                    name=fold.name,
                    accuracy=fold.accuracy,
                    sensitivity=fold.sensitivity,
                    specificity=fold.specificity,
                )
            )
        if groups:
            drawn.append(
                DrawnFigure(
                    heading=f"Folds of {name}",
                    svg=bars(
                        groups, label=f"site left out, {name}" if report.leave_site_out else f"fold of {name}"
                    ),
                    sentences=("Each fold alone; lines are 95 % intervals.", *without),
                )
            )
    return drawn


def convergence_by_network(reports: Sequence[RunReport]) -> list[DrawnFigure]:
    """Draw how fast the networks learn, and say whether C and D converge faster than A and B here too."""
    drawn = []
    for rnn, runs in _by_rnn(reports).items():
        by_name = named(runs, by=_letter)
        if len(by_name) < 2:
            continue
        curves = {name: list(report.data.epochs.values()) for name, report in by_name.items()}
        kept = {name: _mean_best_epoch(report) for name, report in by_name.items()}
        drawn.append(
            DrawnFigure(
                heading=f"Learning with a {rnn}",
                svg=convergence(curves, kept, label=f"training loss of the networks with {rnn}"),
                sentences=(convergence_sentence(by_name),),
            )
        )
    return drawn


def convergence_sentence(by_name: dict[str, RunReport]) -> str:
    """Answer from the numbers whether C and D need fewer epochs than A and B.

    Parameters
    ----------
    by_name : dict of RunReport
        By the network's letter; with one recurrent network.
    """
    if not any(_watched(report) for report in by_name.values()):
        return (
            "Nobody was watched for an early stop: every epoch was run, and of convergence there is only "
            "what the curves show."
        )
    kept = []
    for name, report in by_name.items():
        epochs = [outcome.best_epoch for outcome in report.data.outcomes]
        kept.append(f"{name} after epoch {np.mean(epochs):.1f} ({min(epochs)} to {max(epochs)})")
    facts = f"Weights were kept, mean over folds with the range: {listed(kept)}."
    if any(_still_improving(report) for report in by_name.values()):
        return f"{facts} Some were still improving at the last epoch allowed: it says little of convergence."
    early = [_mean_best_epoch(by_name[name]) for name in _EARLY if name in by_name]
    late = [_mean_best_epoch(by_name[name]) for name in _LATE if name in by_name]
    if len(early) < 2 or len(late) < 2:
        return f"{facts} Whether C and D converge faster than A and B takes runs of all four."
    if max(early) < min(late):
        return f"{facts} C and D converge faster than A and B here too, as the paper says."
    if min(early) > max(late):
        return f"{facts} C and D converge more slowly than A and B here, against what the paper says."
    return f"{facts} Here C and D do not both converge faster than A and B, as the paper says they do."


def memory_by_network(reports: Sequence[RunReport]) -> list[DrawnFigure]:
    """Draw the peak memory of each network, a figure a recurrent network, and what an epoch took."""
    drawn = []
    for rnn, runs in _by_rnn(reports).items():
        by_name = named(runs, by=_letter)
        peaks = {name: float(report.peak_memory_bytes) for name, report in by_name.items()}
        batches = sorted({_batch(report) for report in runs})
        devices = sorted({outcome.device for report in runs for outcome in report.data.outcomes})
        seconds = listed(
            [
                f"{name} {np.mean([outcome.seconds_per_epoch for outcome in report.data.outcomes]):.1f} s"
                for name, report in by_name.items()
            ]
        )
        drawn.append(
            DrawnFigure(
                heading=f"Memory and time with a {rnn}",
                svg=memory_bars(peaks, label=f"peak memory, MiB ({rnn}, batch {listed(batches)})"),
                sentences=(
                    f"An epoch took {seconds} on {listed(devices)}, mean over folds.",
                    _memory_sentence(peaks),
                ),
            )
        )
    return drawn


def _memory_sentence(peaks: dict[str, float]) -> str:
    caution = (
        "On a CPU the peak is the whole process's while a fold is trained, libraries and the scans that it "
        "reads included. On other systems than Linux a network cannot show less than one trained before it."
    )
    if len(peaks) < 2:
        return caution
    most, least = max(peaks, key=lambda name: peaks[name]), min(peaks, key=lambda name: peaks[name])
    if peaks[most] < (1 + _SAME_MEMORY) * peaks[least]:
        return f"All of them took the same, within 5 %. {caution}"
    return f"{most} took the most, {peaks[most] / peaks[least]:.1f} times what {least} took. {caution}"


def _batch(report: RunReport) -> str:
    settings = report.data.record.settings
    at_once = settings.get("micro_batch")
    return f"{settings.get('batch_size', '?')}{f', {at_once} at once' if at_once else ''}"


def _mean_best_epoch(report: RunReport) -> float:
    return float(np.mean([outcome.best_epoch for outcome in report.data.outcomes]))


def _watched(report: RunReport) -> bool:
    """Whether anything could stop the training early: an inner part, or, under "paper", its own loss."""
    paper = report.data.record.settings.get("protocol") == "paper"
    return paper or any(outcome.n_stopping for outcome in report.data.outcomes)


def _still_improving(report: RunReport) -> bool:
    allowed = report.data.record.settings.get("epochs")
    return any(outcome.best_epoch == allowed for outcome in report.data.outcomes)


def _letter(report: RunReport) -> str:
    return report.network or ""


def _by_rnn(reports: Sequence[RunReport]) -> dict[str, list[RunReport]]:
    """Put runs of one recurrent network together, in the paper's order; other methods have none."""
    found: dict[str, list[RunReport]] = {}
    for report in in_paper_order(reports):
        if report.rnn is not None:
            found.setdefault(report.rnn, []).append(report)
    return found
