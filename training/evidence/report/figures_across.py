"""The paper's figures over several runs: networks A to D side by side, for each recurrent network."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from typing import Any

import numpy as np
from markupsafe import Markup

from training.evidence.estimates import Estimate
from training.evidence.report.drawing import (
    BLUE,
    GREEN,
    GREY,
    INK,
    ORANGE,
    SKY,
    VERMILION,
    canvas,
    number_epochs,
    to_svg,
)
from training.runs import EpochRecord

_Line = tuple[str, Any, str]

_BARS = (("accuracy", BLUE, ""), ("sensitivity", ORANGE, "///"), ("specificity", SKY, "..."))
# A network looks the same in every figure.
_LINES: dict[str, _Line] = {
    "A": (VERMILION, "-", "o"),
    "B": (ORANGE, (0, (1, 1)), "s"),
    "C": (BLUE, (0, (5, 1.5)), "^"),
    "D": (GREEN, (0, (4, 1.5, 1, 1.5)), "D"),
}
_MEBIBYTE = 2**20
# Of the bars' names; more of them, sites for example, have to lean.
_LETTERS_BESIDE_EACH_OTHER = 30


@dataclass(frozen=True, kw_only=True)
class BarGroup:
    """Accuracy, sensitivity and specificity of one network or fold; without intervals where None is known."""

    name: str
    accuracy: Estimate
    sensitivity: Estimate
    specificity: Estimate


def bars(groups: Sequence[BarGroup], *, label: str) -> Markup:
    """Draw the three metrics as grouped bars with their 95 % intervals."""
    with canvas(height=3.3) as (figure, axes):
        places = np.arange(len(groups))
        for number, (metric, colour, hatch) in enumerate(_BARS):
            estimates: list[Estimate] = [getattr(group, metric) for group in groups]
            values = np.array([100 * estimate.value for estimate in estimates])
            low = values - [100 * estimate.low for estimate in estimates]
            high = [100 * estimate.high for estimate in estimates] - values
            axes.bar(
                places + (number - 1) * 0.27,
                values,
                width=0.25,
                color=colour,
                edgecolor=INK,
                hatch=hatch,
                label=metric,
                # A rounding error may put a point a hair outside its own interval.
                yerr=np.clip([low, high], 0, None),
                error_kw={"ecolor": INK, "elinewidth": 1},
            )
        names = [group.name for group in groups]
        upright = sum(map(len, names)) <= _LETTERS_BESIDE_EACH_OTHER
        axes.set_xticks(
            places,
            names,
            rotation=0 if upright else 55,
            ha="center" if upright else "right",
            rotation_mode="anchor",
        )
        axes.set_xlabel(label)
        axes.set_ylabel("%")
        axes.set_ylim(0, 104)
        axes.tick_params(axis="x", length=0)
        figure.legend(loc="outside upper center", ncols=3)
        said = "; ".join(
            f"{group.name}: accuracy {100 * group.accuracy.value:.0f} %, "
            f"sensitivity {100 * group.sensitivity.value:.0f} %, "
            f"specificity {100 * group.specificity.value:.0f} %"
            for group in groups
        )
        return to_svg(figure, says=f"{label}. {said}")


def convergence(
    curves: Mapping[str, Sequence[Sequence[EpochRecord]]], kept: Mapping[str, float], *, label: str
) -> Markup:
    """Draw each network's training loss, mean over its folds, up to the last epoch that every fold ran.

    Parameters
    ----------
    curves : mapping of str to the folds' epochs
        By network.
    kept : mapping of str to float
        Mean epoch whose weights were kept, by network; marked on the curve.
    label : str
    """
    longest = 1
    with canvas(height=3.2) as (figure, axes):
        for (network, folds), (colour, dashes, marker) in zip(curves.items(), _lines(curves), strict=True):
            length = min(len(records) for records in folds)
            longest = max(longest, length)
            losses = np.mean([[r.training_loss for r in records[:length]] for records in folds], axis=0)
            epochs = np.arange(1, length + 1)
            axes.plot(epochs, losses, color=colour, linestyle=dashes)
            at = min(max(kept[network], 1.0), float(length))
            axes.plot(
                [at],
                [np.interp(at, epochs, losses)],
                color=colour,
                marker=marker,
                linestyle=dashes,
                label=f"{network}, kept after {kept[network]:.1f}",
            )
        axes.set_xlabel("epoch")
        number_epochs(axes, last=longest)
        axes.set_ylabel("training loss, mean over folds")
        axes.set_ylim(0, 1.06 * axes.dataLim.ymax)
        axes.legend(loc="best")
        said = ", ".join(f"{network} {epoch:.1f}" for network, epoch in kept.items())
        return to_svg(figure, says=f"{label}: mean epoch whose weights were kept: {said}")


def memory_bars(peaks: Mapping[str, float], *, label: str) -> Markup:
    """Draw the largest memory that any fold of a network took, in bytes by name, as MiB."""
    with canvas(height=0.9 + 0.34 * len(peaks)) as (figure, axes):
        sizes = [peak / _MEBIBYTE for peak in peaks.values()]
        drawn = axes.barh(range(len(peaks)), sizes, height=0.6, color=SKY, edgecolor=INK)
        axes.bar_label(drawn, [f"{size:,.0f}" for size in sizes], padding=3)
        axes.set_yticks(range(len(peaks)), list(peaks))
        axes.set_ylim(len(peaks) - 0.5, -0.5)
        axes.set_xlim(0, 1.18 * max(sizes))
        axes.set_xlabel(label)
        axes.tick_params(axis="y", length=0, colors=INK)
        axes.spines["left"].set_color(GREY)
        said = ", ".join(f"{name} {size:.0f}" for name, size in zip(peaks, sizes, strict=True))
        return to_svg(figure, says=f"{label}: {said}")


def _lines(networks: Collection[str]) -> list[_Line]:
    """Give each network its own line; several runs of one network take turns."""
    if set(networks) <= _LINES.keys():
        return [_LINES[network] for network in networks]
    return list(islice(cycle(_LINES.values()), len(networks)))
