"""Figures that others printed for ADHD-200, with what is known of how they were obtained.

None of them was measured by this project. They come from the paper that RestNet follows (`SOURCE`): its own
results and its comparison table. The rows stand on other subjects than ours, and mostly on another way of
testing, so a difference between two rows is not a difference between two methods.
"""

from collections.abc import Iterable
from dataclasses import dataclass

# What all of them are about; beside another condition they would compare nothing.
CONDITION = "ADHD"
SOURCE = "A 3D-ResNet Combined with BRNN: Application in the Auxiliary Diagnosis of ADHD"

_QUOTED = "as the paper quotes it; subjects and way of testing not stated there"
_PAPER = (
    "5-fold cross-validation over 430 subjects (215 ADHD); who they were is not stated, nor which loss "
    "stopped the training"
)


@dataclass(frozen=True, kw_only=True)
class PublishedRow:
    """One line of somebody else's results.

    Attributes
    ----------
    name : str
        Authors and method.
    accuracy, sensitivity, specificity : str or None
        Percent, with the digits that were printed; None where only the accuracy was.
    protocol : str
        What is known of subjects and testing.
    n, positives : int or None
        Subjects, and how many of them had ADHD, where stated.
    """

    name: str
    accuracy: str
    sensitivity: str | None = None
    specificity: str | None = None
    protocol: str = _QUOTED
    n: int | None = None
    positives: int | None = None


COMPARISON_TABLE = (
    PublishedRow(
        name="Dai, multiple kernel learning", accuracy="67.79", sensitivity="38.29", specificity="84.08"
    ),
    PublishedRow(name="Hong, 3D-CNN by frame + LSTM", accuracy="68"),
    PublishedRow(name="Zhang, SC-CNN-Attention", accuracy="68.60"),
    PublishedRow(name="Zou, 3D-CNN", accuracy="69.15"),
    PublishedRow(name="Mao, 4D-CNN", accuracy="71.30", sensitivity="73.20", specificity="69.70"),
    PublishedRow(name="Niu, 3D-CNN + GRU", accuracy="71.65", sensitivity="68.00", specificity="73.80"),
)

OWN_RESULTS = (
    PublishedRow(
        name="the paper, network C + Bi-LSTM",
        accuracy="76.56",
        sensitivity="80.16",
        specificity="90.22",
        protocol=_PAPER,
        n=430,
        positives=215,
    ),
    PublishedRow(
        name="the paper, network C + Bi-GRU",
        accuracy="71.25",
        sensitivity="70.97",
        specificity="89.13",
        protocol=_PAPER,
        n=430,
        positives=215,
    ),
)
PUBLISHED = COMPARISON_TABLE + OWN_RESULTS


def published_beside(conditions: Iterable[str]) -> tuple[PublishedRow, ...]:
    """Give the published rows if one of the conditions is theirs, otherwise none."""
    return PUBLISHED if any(is_comparable(condition) for condition in conditions) else ()


def is_comparable(condition: str) -> bool:
    """Say whether published rows may stand beside a run about this condition."""
    return condition.strip().casefold() == CONDITION.casefold()
