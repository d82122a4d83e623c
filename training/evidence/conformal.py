"""Sets of diagnoses that hold the true one as often as promised, and the measurement of that promise.

Split-conformal prediction, one quantile a class (Mondrian; Vovk, Gammerman and Shafer 2005, "Algorithmic
Learning in a Random World", chapter 4). How strange a subject is for a class is 1 - p(class), and a class
stays in the set unless the subject is stranger than nearly all calibration subjects of that class were. The
promise holds on average over calibration samples, for people drawn as those were, for each class on its
own, however wrong the probabilities are. It does not hold for a new site: measure that.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any

import numpy as np
from jaxtyping import Bool, Float64

from model.decision import conformal_set
from training.evidence.proportions import Proportion
from training.evidence.shapes import Labels, Probabilities, Sets

# As the model's card names them; "adhd" is a case of whatever condition the cohort has.
CLASSES = ("control", "adhd")
ALWAYS = 1.0

_ROUNDING = 1e-9


def fit_quantiles(probabilities: Probabilities, labels: Labels, *, level: float) -> dict[str, float]:
    """Find how strange a subject may be for a class before the class leaves its set.

    With n calibration subjects of a class that is the k-th smallest of their 1 - p(class), where
    k = ceil((n + 1) level). A class with fewer than level / (1 - level) calibration subjects (9 for 0.9), or
    none at all, has no such k: its quantile is 1, so that it is in every set.

    Parameters
    ----------
    probabilities : (S,) float64
        Calibrated, of a case, of subjects that the model was not fitted to. That the temperature was is no
        harm to speak of: one number for all leaves their order as it was.
    labels : (S,) int
        0 control, 1 case.
    level : float
        Share of people whose set shall hold their class, between 0 and 1.

    Returns
    -------
    dict
        ``level``, ``control`` and ``adhd``, as in the model's card.

    Raises
    ------
    ValueError
        If the level is not between 0 and 1.
    """
    if not 0 < level < 1:
        raise ValueError(f"expected a level between 0 and 1, found {level}")
    return {
        "level": level,
        "control": _quantile(probabilities[labels == 0], level=level),
        "adhd": _quantile(1 - probabilities[labels == 1], level=level),
    }


def conformal_sets(probabilities: Probabilities, quantiles: Mapping[str, float]) -> Sets:
    """Give every subject's set as served, one row a subject, the columns control and case.

    Parameters
    ----------
    probabilities : (S,) float64
    quantiles : mapping
        From `fit_quantiles`; of the fold whose model made the probabilities.

    Returns
    -------
    (S, 2) bool
    """
    sets = [conformal_set(float(probability), quantiles) for probability in probabilities]
    return np.array([[name in classes for name in CLASSES] for classes in sets], dtype=np.bool_).reshape(
        -1, len(CLASSES)
    )


@dataclass(frozen=True)
class Coverage:
    """How often sets held the true class, and how much they said.

    Attributes
    ----------
    overall : Proportion
    by_class : dict of Proportion
        ``control`` and ``adhd``, as in the card; a class without subjects is left out.
    by_site : dict of Proportion
        Sites in alphabetical order.
    n_empty, n_single, n_both : int
        Sets by size; only single ones name a class.
    single_right : Proportion or None
        Of the single ones, those that name the true class; None where there are none.
    """

    overall: Proportion
    by_class: dict[str, Proportion]
    by_site: dict[str, Proportion]
    n_empty: int
    n_single: int
    n_both: int
    single_right: Proportion | None

    def to_json(self, *, level: float) -> dict[str, Any]:
        """Give what a model's card holds: the promised level, and the shares overall and by class."""
        return {
            "level": level,
            "overall": self.overall.to_json(),
            **{name: share.to_json() for name, share in self.by_class.items()},
        }


def coverage(labels: Labels, sets: Sets, *, sites: Sequence[str] = ()) -> Coverage:
    """Measure the coverage of sets on subjects that no part of the model or its calibration has seen.

    Parameters
    ----------
    labels : (S,) int
        0 control, 1 case.
    sets : (S, 2) bool
        From `conformal_sets`.
    sites : sequence of str, optional
        One a subject, for the coverage by site.

    Returns
    -------
    Coverage
    """
    held = sets[np.arange(len(labels)), labels]
    size = sets.sum(axis=1)
    single = held[size == 1]

    def among(chosen: Bool[np.ndarray, " S"]) -> Proportion:
        return Proportion.of(int(held[chosen].sum()), int(chosen.sum()))

    return Coverage(
        overall=among(np.ones(len(labels), dtype=np.bool_)),
        by_class={name: among(labels == i) for i, name in enumerate(CLASSES) if (labels == i).any()},
        by_site={site: among(np.array([other == site for other in sites])) for site in sorted(set(sites))},
        n_empty=int((size == 0).sum()),
        n_single=int((size == 1).sum()),
        n_both=int((size == 2).sum()),
        single_right=Proportion.of(int(single.sum()), len(single)) if len(single) else None,
    )


def _quantile(strangeness: Float64[np.ndarray, " n"], *, level: float) -> float:
    # The product may lie a rounding error above the whole number that it stands for.
    place = ceil((len(strangeness) + 1) * level - _ROUNDING)
    return ALWAYS if place > len(strangeness) else float(np.sort(strangeness)[place - 1])
