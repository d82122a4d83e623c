"""Multiple-kernel learning over modalities: a linear kernel each, of the features that tell the groups apart.

All that is learned is learned from the people trained on: means, deviations, which features are kept, the
kernels' sizes and shares. In the parts on which cost and number of features are chosen it is learned anew,
from the people of the other parts. Kernels are linear, so that a model is a weight a feature that was kept.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import Float64, Int64
from scipy.special import expit

from training.classical.inner import choose_inside, require_enough
from training.classical.selection import strongest, two_sample_t
from training.classical.shapes import Features, Kernels, Labels, Scores
from training.classical.simple_mkl import KernelMachine, fit_kernel_machine
from training.errors import CohortError

COSTS = (0.01, 0.1, 1.0, 10.0)
NUMBERS_KEPT: tuple[int | None, ...] = (None, 2000, 200)


class ModalitiesDifferError(CohortError):
    """Modalities of other people, or of other features, than belong together."""

    code: ClassVar[str] = "modalities_differ"

    def __init__(self, *, expected: str, found: str) -> None:
        self.expected = expected
        self.found = found
        super().__init__(f"modalities: expected {expected}, found {found}")


@dataclass(frozen=True, eq=False)
class ModalityWeights:
    """What one modality adds to a score.

    Attributes
    ----------
    n_features : int
        That it has.
    selected : (K,) int64
        The features that were kept, ascending.
    weights : (K,) float64
        Of those, as they came.
    share : float
        Of its kernel.
    """

    n_features: int
    selected: Int64[np.ndarray, " K"]
    weights: Float64[np.ndarray, " K"]
    share: float


@dataclass(frozen=True, eq=False)
class MultipleKernels:
    """A fitted model; nobody who was trained on is in it.

    Attributes
    ----------
    modalities : tuple of ModalityWeights
    intercept : float
    cost : float
        C, chosen inside.
    n_kept : int or None
        Features of each modality, chosen inside; None is all.
    slope, lean : float
        A decision's logit is ``slope`` times it, and ``lean``.
    """

    modalities: tuple[ModalityWeights, ...]
    intercept: float
    cost: float
    n_kept: int | None
    slope: float
    lean: float

    def decisions(self, modalities: Sequence[Features]) -> Scores:
        """Give anybody the decision value of the SVM: above 0 on the side of the cases.

        Parameters
        ----------
        modalities : sequence of (S, F) float
            In the order of those fitted on.

        Raises
        ------
        ModalitiesDifferError
            If they are not those.
        """
        expected = [one.n_features for one in self.modalities]
        found = [features.shape[1] for features in modalities]
        if expected != found:
            raise ModalitiesDifferError(expected=f"features {expected}", found=f"{found}")
        total = np.full(len(modalities[0]), self.intercept)
        for one, features in zip(self.modalities, modalities, strict=True):
            total += features[:, one.selected].astype(np.float64) @ one.weights
        return total

    def probabilities(self, modalities: Sequence[Features]) -> Scores:
        """Give anybody the probability of label 1; as `decisions`."""
        return np.asarray(expit(self.slope * self.decisions(modalities) + self.lean))


def fit_multiple_kernels(
    modalities: Sequence[Features],
    labels: Labels,
    *,
    costs: Sequence[float] = COSTS,
    numbers_kept: Sequence[int | None] = NUMBERS_KEPT,
    seed: int = 0,
) -> MultipleKernels:
    """Fit SimpleMKL, its cost and the number of features chosen inside the people trained on.

    Parameters
    ----------
    modalities : sequence of (S, F) float
        One array a modality, of the same people in the same order; finite.
    labels : (S,) int
    costs : sequence of float
        To choose from, for kernels with a mean diagonal of 1.
    numbers_kept : sequence of int or None
        To choose from: how many features of each modality, by their two-sample t; None is all.
    seed : int
        Of the split inside.

    Raises
    ------
    TooFewToSplitError
        If there are fewer than two people of a class.
    ModalitiesDifferError
        If there is no modality, or one is of another number of people.
    """
    people = [len(features) for features in modalities]
    if not people or set(people) != {len(labels)}:
        raise ModalitiesDifferError(
            expected=f"at least one, each of {len(labels)} people", found=f"arrays of {people} people"
        )
    require_enough(labels, method="multiple_kernels")
    # What is as large as the modality is a choice that is there already.
    widest = max(features.shape[1] for features in modalities)
    kept = [n for n in numbers_kept if n is None or n < widest] or [None]
    candidates = [(n_kept, cost) for n_kept in kept for cost in costs]

    def score_part(others: np.ndarray, here: np.ndarray) -> Float64[np.ndarray, "A P"]:
        training, asked = ([features[of] for features in modalities] for of in (others, here))
        prepared = _Statistics.all_of(training, labels[others])
        found = []
        for n_kept in kept:
            sides = [one.keeping(n_kept) for one in prepared]
            own = [side.project(features) for side, features in zip(sides, training, strict=True)]
            new = [side.project(features) for side, features in zip(sides, asked, strict=True)]
            across = np.array([left @ right.T for left, right in zip(new, own, strict=True)])
            found += [
                np.tensordot(machine.shares, across, axes=1) @ machine.dual + machine.intercept
                for machine in _path(_kernels(own), labels[others], costs)
            ]
        return np.array(found)

    choice = choose_inside(labels, score_part, seed=seed)
    n_kept, cost = candidates[choice.best]
    sides = [one.keeping(n_kept) for one in _Statistics.all_of(modalities, labels)]
    own = [side.project(features) for side, features in zip(sides, modalities, strict=True)]
    machine = fit_kernel_machine(_kernels(own), labels, cost=cost)
    weights = [
        ModalityWeights(
            n_features=features.shape[1],
            selected=side.selected,
            weights=np.asarray(share * (machine.dual @ projected) / side.divisor),
            share=float(share),
        )
        for side, projected, features, share in zip(sides, own, modalities, machine.shares, strict=True)
    ]
    centres = sum(float(side.mean @ one.weights) for side, one in zip(sides, weights, strict=True))
    return MultipleKernels(
        modalities=tuple(weights),
        intercept=machine.intercept - centres,
        cost=cost,
        n_kept=n_kept,
        slope=choice.slope,
        lean=choice.lean,
    )


@dataclass(frozen=True, eq=False)
class _Side:
    """The way from a modality's features to those whose inner products are its kernel."""

    selected: Int64[np.ndarray, " K"]
    mean: Float64[np.ndarray, " K"]
    divisor: Float64[np.ndarray, " K"]

    def project(self, features: Features) -> Float64[np.ndarray, "S K"]:
        return np.asarray((features[:, self.selected].astype(np.float64) - self.mean) / self.divisor)


@dataclass(frozen=True, eq=False)
class _Statistics:
    """What is known of a modality from the people trained on."""

    mean: Float64[np.ndarray, " F"]
    deviation: Float64[np.ndarray, " F"]
    statistic: Float64[np.ndarray, " F"]

    @classmethod
    def all_of(cls, modalities: Sequence[Features], labels: Labels) -> list["_Statistics"]:
        return [
            cls(
                mean=features.mean(axis=0, dtype=np.float64),
                deviation=features.std(axis=0, dtype=np.float64),
                statistic=two_sample_t(features, labels),
            )
            for features in modalities
        ]

    def keeping(self, n_kept: int | None) -> _Side:
        selected = strongest(self.statistic, n_kept)
        mean, deviation = self.mean[selected], self.deviation[selected]
        lively = deviation > 1e-9 * np.abs(mean)
        # A standardised feature adds 1 to the mean diagonal; one that nobody differs in divided by infinity
        # stays nothing, also in a person who does.
        divisor = np.where(lively, deviation, np.inf) * np.sqrt(max(int(lively.sum()), 1))
        return _Side(selected=selected, mean=mean, divisor=divisor)


def _kernels(own: Sequence[Float64[np.ndarray, "S K"]]) -> Kernels:
    return np.array([projected @ projected.T for projected in own])


def _path(kernels: Kernels, labels: Labels, costs: Sequence[float]) -> list[KernelMachine]:
    """Fit for each cost, each starting from the shares of the one before it."""
    machines: list[KernelMachine] = []
    for cost in costs:
        start = _inside(machines[-1].shares) if machines else None
        machines.append(fit_kernel_machine(kernels, labels, cost=cost, start=start))
    return machines


def _inside(shares: Float64[np.ndarray, " M"]) -> Float64[np.ndarray, " M"]:
    """Move shares off zero, so that a kernel that an easier problem had no use for can come back."""
    return np.asarray(0.9 * shares + 0.1 / len(shares))
