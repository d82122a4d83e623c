"""How each published network was trained, as far as it is stated, and our reading of the rest."""

from dataclasses import dataclass
from math import cos, pi
from typing import Literal

from model.published.systems import SYSTEMS, describe


@dataclass(frozen=True, kw_only=True)
class LearningCycle:
    """A learning rate that rises and falls once, while the momentum falls and rises.

    Smith, Topin: Super-convergence. SPIE 11006 (2019), arXiv:1708.07120; in half waves of a cosine, as
    ``torch.optim.lr_scheduler.OneCycleLR`` has it.

    Attributes
    ----------
    rising : float
        Share of the training before the peak.
    peak, end : float
        Learning rates there and at the end, as multiples of the one at the start.
    momentum, momentum_at_peak : float
        Adam's first.
    """

    rising: float = 0.3
    peak: float
    end: float
    momentum: float = 0.95
    momentum_at_peak: float = 0.85

    def at(self, share_done: float) -> tuple[float, float]:
        """Give the multiple of the first learning rate, and the momentum, after a share of the training."""
        rises = share_done < self.rising
        way = share_done / self.rising if rises else (1 - share_done) / (1 - self.rising)
        height, foot = (1 - cos(pi * way)) / 2, 1.0 if rises else self.end
        return (
            foot + (self.peak - foot) * height,
            self.momentum + (self.momentum_at_peak - self.momentum) * height,
        )


@dataclass(frozen=True, kw_only=True)
class TrainingRecipe:
    """What a network's training has for default; None: as every other's.

    Attributes
    ----------
    optimiser : "sgd" or "adam"
    learning_rate : float
        At the start.
    momentum : float
        Of SGD; 0 for Adam, which has its own.
    halve_every : int or None
        Epochs after which the learning rate is halved each time; None: it stays.
    schedule : "constant", "cosine" or None
        As the setting of that name.
    cycle : LearningCycle or None
        Of the learning rate and of Adam's first momentum, over all epochs.
    weight_decay, inner_stopping : float or None
        As the settings of these names.
    batch_size : int or None
        Scans or windows of a step.
    epochs : int or None
        Most epochs.
    piece_frames : int or None
        Frames of the pieces that regions' series are cut to in training; None: the shortest scan's.
    disagreement : float
        Weight of BolT's second term of the loss (`PackagedBolT.logits_and_disagreement`); 0: there is none.
    least_batch : int
        Fewest scans or windows that a step can be taken on: over a single one, a normalisation that has no
        voxels to take its figures over has none.
    stated : tuple of str
        Which of the fields above the publication, or its package, states; the others are our reading.
    """

    optimiser: Literal["sgd", "adam"]
    learning_rate: float
    momentum: float = 0.0
    halve_every: int | None = None
    schedule: Literal["constant", "cosine"] | None = None
    cycle: LearningCycle | None = None
    weight_decay: float | None = None
    inner_stopping: float | None = None
    batch_size: int | None = None
    epochs: int | None = None
    piece_frames: int | None = None
    disagreement: float = 0.0
    least_batch: int = 1
    stated: tuple[str, ...] = ()


# RestNet's own, where a publication says nothing that we know of.
_ADAM = TrainingRecipe(optimiser="adam", learning_rate=1e-4)

# Batch and epochs by the account of somebody who replicated it; the momentum is a habit of SGD.
_ZOU = TrainingRecipe(
    optimiser="sgd",
    learning_rate=1e-4,
    momentum=0.9,
    halve_every=20,
    batch_size=20,
    epochs=100,
    least_batch=2,
    stated=("optimiser", "learning_rate", "halve_every"),
)

_TRAININGS: dict[str, TrainingRecipe] = {
    "zou-3d-cnn": _ZOU,
    "zou-3d-cnn-t1w": _ZOU,
    "hong-time-distributed": TrainingRecipe(
        optimiser="adam", learning_rate=1e-4, stated=("optimiser", "learning_rate")
    ),
    # The package's own, with its 64 scans a step and 200 epochs at most.
    "mean-mlp": TrainingRecipe(
        optimiser="adam",
        learning_rate=5e-3,
        batch_size=64,
        epochs=200,
        stated=("optimiser", "learning_rate", "batch_size", "epochs"),
    ),
    # The authors' own for ABIDE (https://github.com/icon-lab/BolT, Dataset/datasetDetails.py and
    # Models/BolT/hyperparams.py): a random piece of each scan an epoch, and nothing is watched.
    "bolt": TrainingRecipe(
        optimiser="adam",
        learning_rate=2e-4,
        cycle=LearningCycle(peak=2.0, end=0.1),
        inner_stopping=0.0,
        batch_size=32,
        epochs=20,
        piece_frames=60,
        disagreement=1.0,
        stated=(
            "optimiser",
            "learning_rate",
            "cycle",
            "inner_stopping",
            "batch_size",
            "epochs",
            "piece_frames",
            "disagreement",
        ),
    ),
}
_TRAININGS |= {system.name: _ADAM for system in SYSTEMS if system.name not in _TRAININGS}


def training_of(name: str) -> TrainingRecipe:
    """Say how a published network was trained.

    Raises
    ------
    PublishedNetworkUnknownError
        If there is none of that name.
    """
    return _TRAININGS[describe(name).name]
