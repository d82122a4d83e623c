"""How each published network was trained, as far as it is stated, and our reading of the rest."""

from dataclasses import dataclass
from typing import Literal

from model.published.systems import SYSTEMS, describe


@dataclass(frozen=True, kw_only=True)
class PublishedTraining:
    """One network's training.

    Attributes
    ----------
    optimiser : "sgd" or "adam"
    learning_rate : float
        At the start.
    momentum : float
        Of SGD; 0 for Adam, which has its own.
    halve_every : int or None
        Epochs after which the learning rate is halved each time; None: it stays.
    batch_size : int or None
        Scans or windows of a step; None: whoever trains decides.
    epochs : int or None
        Most epochs; None: whoever trains decides.
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
    batch_size: int | None = None
    epochs: int | None = None
    disagreement: float = 0.0
    least_batch: int = 1
    stated: tuple[str, ...] = ()


# RestNet's own, where a publication says nothing that we know of.
_ADAM = PublishedTraining(optimiser="adam", learning_rate=1e-4)

_TRAININGS: dict[str, PublishedTraining] = {
    # Batch and epochs by the account of somebody who replicated it; the momentum is a habit of SGD.
    "zou-3d-cnn": PublishedTraining(
        optimiser="sgd",
        learning_rate=1e-4,
        momentum=0.9,
        halve_every=20,
        batch_size=20,
        epochs=100,
        least_batch=2,
        stated=("optimiser", "learning_rate", "halve_every"),
    ),
    "hong-time-distributed": PublishedTraining(
        optimiser="adam", learning_rate=1e-4, stated=("optimiser", "learning_rate")
    ),
    # The package's own: one learning rate for each network, 64 scans a step and 200 epochs at most.
    "mean-mlp": PublishedTraining(
        optimiser="adam",
        learning_rate=5e-3,
        batch_size=64,
        epochs=200,
        stated=("optimiser", "learning_rate", "batch_size", "epochs"),
    ),
    "bolt": PublishedTraining(
        optimiser="adam",
        learning_rate=2e-4,
        batch_size=64,
        epochs=200,
        disagreement=1.0,
        stated=("optimiser", "learning_rate", "batch_size", "epochs", "disagreement"),
    ),
}
_TRAININGS |= {system.name: _ADAM for system in SYSTEMS if system.name not in _TRAININGS}


def training_of(name: str) -> PublishedTraining:
    """Say how a published network was trained.

    Raises
    ------
    PublishedNetworkUnknownError
        If there is none of that name.
    """
    return _TRAININGS[describe(name).name]
