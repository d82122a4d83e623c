"""The figures of one run."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup
from matplotlib.figure import Figure
from sklearn.metrics import precision_recall_curve, roc_curve

from training.evidence.estimates import Estimate
from training.evidence.metrics import Evaluation
from training.evidence.report.drawing import (
    BLUE,
    GREY,
    INK,
    SQUARE,
    VERMILION,
    canvas,
    number_epochs,
    to_svg,
)
from training.evidence.shapes import Labels, Scores
from training.runs import EpochRecord, FoldOutcome

_WITH_LEGEND = SQUARE + 0.65  # inches: three lines of it stand under a square


@dataclass(frozen=True, kw_only=True)
class IntervalRow:
    """One line of an interval plot; `ours` stands out from what it is compared with.

    `blind` is what never saw a brain.
    """

    name: str
    estimate: Estimate
    ours: bool = False
    blind: bool = True


def intervals(rows: Sequence[IntervalRow], *, label: str, chance: float = 0.5) -> Markup:
    """Draw estimates with their intervals below each other, the line of chance through them."""
    with canvas(height=0.75 + 0.34 * len(rows)) as (figure, axes):
        axes.axvline(chance, color=GREY, linestyle=(0, (4, 3)), linewidth=1)
        for place, row in enumerate(rows):
            colour = VERMILION if row.ours else INK
            estimate = row.estimate
            axes.plot(
                [estimate.low, estimate.high], [place, place], color=colour, linewidth=2.2, clip_on=False
            )
            marker = "o" if row.ours else "s" if row.blind else "D"
            axes.plot([estimate.value], [place], marker=marker, color=colour, markersize=6, clip_on=False)
        axes.set_yticks(range(len(rows)), [row.name for row in rows])
        axes.set_ylim(len(rows) - 0.5, -0.5)
        lowest = min([0.4, *(row.estimate.low for row in rows)])
        axes.set_xlim(max(0.0, lowest - 0.03), 1.0)
        axes.set_xlabel(label)
        axes.tick_params(axis="y", length=0)
        said = "; ".join(
            f"{row.name} {row.estimate.value:.2f} ({row.estimate.low:.2f} to {row.estimate.high:.2f})"
            for row in rows
        )
        return to_svg(figure, says=f"{label}: {said}")


def roc(labels: Labels, scores: Scores, evaluation: Evaluation, *, name: str = "network") -> Markup:
    """Draw sensitivity against false alarms over all thresholds, and where the decisions were made.

    `name` is what the curve is called, for example "network".
    """
    false_alarms, sensitivity, _ = roc_curve(labels, scores)
    with canvas(width=SQUARE, height=_WITH_LEGEND) as (figure, axes):
        axes.plot([0, 1], [0, 1], color=GREY, linestyle=(0, (4, 3)), linewidth=1, label="chance")
        auc = evaluation.auc.value
        axes.plot(
            false_alarms, sensitivity, color=BLUE, drawstyle="steps-post", label=f"{name}, AUC {auc:.2f}"
        )
        axes.plot(
            [1 - evaluation.specificity.value],
            [evaluation.sensitivity.value],
            marker="o",
            color=VERMILION,
            linestyle="none",
            label="where it decided",
        )
        axes.set_xlabel("false alarms (1 - specificity)")
        axes.set_ylabel("sensitivity")
        axes.set_aspect("equal")
        _legend_below(figure)
        return to_svg(figure, says=f"ROC curve, area {auc:.2f}")


def precision_recall(
    labels: Labels, scores: Scores, evaluation: Evaluation, *, name: str = "network"
) -> Markup:
    """Draw precision against sensitivity over all thresholds; chance is the share of cases."""
    precision, recall, _ = precision_recall_curve(labels, scores)
    # Who finds nobody has no precision: that of the first found reaches to there, as in the area.
    found = recall > 0
    precision, recall = np.append(precision[found], precision[found][-1]), np.append(recall[found], 0.0)
    area = evaluation.average_precision.value
    with canvas(width=SQUARE, height=_WITH_LEGEND) as (figure, axes):
        share = float(labels.mean())
        axes.axhline(share, color=GREY, linestyle=(0, (4, 3)), linewidth=1, label=f"chance, {share:.2f}")
        axes.plot(recall, precision, color=BLUE, drawstyle="steps-post", label=f"{name}, area {area:.2f}")
        axes.set_xlabel("sensitivity (recall)")
        axes.set_ylabel("precision")
        axes.set_xlim(0, 1.02)
        axes.set_ylim(0, 1.02)
        axes.set_aspect("equal")
        _legend_below(figure)
        return to_svg(figure, says=f"precision-recall curve, area {area:.2f}, by chance {share:.2f}")


def reliability(evaluation: Evaluation, *, condition: str) -> Markup:
    """Draw observed shares against stated probabilities; the larger a marker, the more people stand in it."""
    bins = evaluation.reliability
    largest = max(bin_.n for bin_ in bins)
    with canvas(width=SQUARE, height=_WITH_LEGEND) as (figure, axes):
        axes.plot(
            [0, 1], [0, 1], color=GREY, linestyle=(0, (4, 3)), linewidth=1, label="perfectly calibrated"
        )
        for bin_ in bins:
            place = [bin_.mean_probability, bin_.mean_probability]
            axes.plot(place, [bin_.observed.low, bin_.observed.high], color=BLUE, linewidth=1.2)
            size = 3 + 7 * np.sqrt(bin_.n / largest)
            axes.plot(
                place[:1], [bin_.observed.value], marker="o", color=BLUE, markersize=size, clip_on=False
            )
        axes.plot([], [], marker="o", color=BLUE, linewidth=1.2, label="people of one stated tenth")
        axes.set_xlim(0, 1)
        axes.set_ylim(0, 1)
        axes.set_xlabel("probability as stated")
        axes.set_ylabel(f"share with {condition}")
        axes.set_aspect("equal")
        _legend_below(figure)
        said = "; ".join(
            f"stated {bin_.mean_probability:.2f}, observed {bin_.observed.value:.2f} of {bin_.n}"
            for bin_ in bins
        )
        return to_svg(figure, says=f"reliability diagram: {said}")


def learning_curves(
    epochs: Mapping[int, Sequence[EpochRecord]], outcomes: Sequence[FoldOutcome], *, title: str
) -> Markup:
    """Draw each fold's losses by epoch, and the epoch whose weights were kept."""
    watched = any(record.stopping_loss is not None for records in epochs.values() for record in records)
    with canvas() as (figure, axes):
        for number, outcome in enumerate(outcomes):
            records = epochs[outcome.fold]
            axes.plot(
                [record.epoch for record in records],
                [record.training_loss for record in records],
                color=BLUE,
                alpha=0.75,
                linewidth=1.1,
                marker=_marker(records),
                label="training" if not number else None,
            )
            stopping = [(r.epoch, r.stopping_loss) for r in records if r.stopping_loss is not None]
            if stopping:
                axes.plot(
                    *zip(*stopping, strict=True),
                    color=VERMILION,
                    linestyle=(0, (4, 2)),
                    linewidth=1.1,
                    marker=_marker(stopping),
                    label="inner stopping part" if not number else None,
                )
            kept = next((record for record in records if record.epoch == outcome.best_epoch), None)
            if kept is not None:
                loss = kept.training_loss if kept.stopping_loss is None else kept.stopping_loss
                axes.plot(
                    [kept.epoch],
                    [loss],
                    marker="o",
                    color=INK,
                    markersize=4.5,
                    linestyle="none",
                    label="weights kept" if not number else None,
                )
        axes.axhline(np.log(2), color=GREY, linestyle=(0, (1, 2)), linewidth=1, label="knowing nothing")
        axes.set_xlabel("epoch")
        number_epochs(axes, last=max(len(records) for records in epochs.values()))
        axes.set_ylabel("loss (cross-entropy)")
        axes.set_ylim(bottom=0)
        axes.legend(loc="best", ncols=2 if watched else 1)
        kept_epochs = ", ".join(str(outcome.best_epoch) for outcome in outcomes)
        return to_svg(figure, says=f"learning curves of {title}; weights kept after epochs {kept_epochs}")


def _legend_below(figure: Figure) -> None:
    # Whatever the curve, there is no corner inside the axes that none of it can reach.
    for axes in figure.axes:
        axes.set_anchor("N")
    figure.legend(loc="outside lower left")


def _marker(points: Sequence[object]) -> str | None:
    # A line needs two points.
    return "." if len(points) == 1 else None
