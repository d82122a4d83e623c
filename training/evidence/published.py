"""Figures that others printed for ADHD-200, with what is known of how they were obtained.

None of them was measured by this project. They come from the paper that RestNet follows (`SOURCE`): its own
results and its comparison table, which sets results of different people and tests under each other. Where the
quoted publication, or a later review, says who was tested and how, the row says that instead. The rows stand
on other subjects than ours, and mostly on another way of testing, so a difference between two rows is not a
difference between two methods.
"""

from collections.abc import Iterable
from dataclasses import dataclass

# What all of them are about; beside another condition they would compare nothing.
CONDITION = "ADHD"
SOURCE = "A 3D-ResNet Combined with BRNN: Application in the Auxiliary Diagnosis of ADHD"

_QUOTED = "as the paper quotes it; way of testing not stated there"
_NOT_STATED = "not stated in the paper that quotes it"
_PAPER = "5-fold cross-validation; which loss stopped the training is not stated"
_PAPERS_COHORT = (
    "430 subjects (215 ADHD) of NYU, Peking, NeuroIMAGE and Pittsburgh; who they were is not stated"
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
    auc : str or None
        As printed.
    cohort : str
        What is known of the subjects.
    protocol : str
        What is known of the testing.
    n, positives : int or None
        Subjects or scans that were tested, and how many of them had ADHD, where stated.
    doi : str or None
        Of a quoted publication, where we know it.
    """

    name: str
    accuracy: str
    sensitivity: str | None = None
    specificity: str | None = None
    auc: str | None = None
    cohort: str = _NOT_STATED
    protocol: str = _QUOTED
    n: int | None = None
    positives: int | None = None
    doi: str | None = None


COMPARISON_TABLE = (
    PublishedRow(
        name="Dai, multiple kernel learning",
        accuracy="67.79",
        sensitivity="38.29",
        specificity="84.08",
        cohort="ADHD-200 Global Competition; how many of them is not stated in the paper that quotes it",
        doi="10.3389/fnsys.2012.00063",
    ),
    PublishedRow(name="Hong, 3D-CNN by frame + LSTM", accuracy="68"),
    PublishedRow(
        name="Zhang, SC-CNN-Attention",
        accuracy="68.60",
        cohort="1019 scans of 5 sites of ADHD-200",
        protocol="each site left out once, as its authors say; not as the paper's table has it",
        n=1019,
        doi="10.3390/e22080893",
    ),
    PublishedRow(
        name="Zou, 3D-CNN",
        accuracy="69.15",
        # The review: Neuroimage Clin 30, 102584 (2021), table 3.
        cohort="ADHD-200; trained on 559 people (197 ADHD) of 8 sites, by a later review",
        protocol=(
            "told differently: the competition's held-out release by its authors, 10 folds and sites left "
            "out by a later review"
        ),
        doi="10.1109/ACCESS.2017.2762703",
    ),
    PublishedRow(
        name="Mao, 4D-CNN",
        accuracy="71.30",
        sensitivity="73.20",
        specificity="69.70",
        auc="0.80",
        cohort="ADHD-200, each scan cut into several shorter samples; how many people is not stated here",
        protocol="how people were divided is not in its abstract",
        doi="10.1016/j.ins.2019.05.043",
    ),
    PublishedRow(name="Niu, 3D-CNN + GRU", accuracy="71.65", sensitivity="68.00", specificity="73.80"),
)

OWN_RESULTS = (
    PublishedRow(
        name="the paper, network C + Bi-LSTM",
        accuracy="76.56",
        sensitivity="80.16",
        specificity="90.22",
        cohort=_PAPERS_COHORT,
        protocol=_PAPER,
        n=430,
        positives=215,
    ),
    PublishedRow(
        name="the paper, network C + Bi-GRU",
        accuracy="71.25",
        sensitivity="70.97",
        specificity="89.13",
        cohort=_PAPERS_COHORT,
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
