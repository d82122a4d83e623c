"""How each published network was trained, as far as it is stated, and our reading of the rest."""

from dataclasses import dataclass
from typing import Literal

from model.published.systems import SYSTEMS, describe


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
    # The package's own: one learning rate for each network, 64 scans a step and 200 epochs at most.
    "mean-mlp": TrainingRecipe(
        optimiser="adam",
        learning_rate=5e-3,
        batch_size=64,
        epochs=200,
        stated=("optimiser", "learning_rate", "batch_size", "epochs"),
    ),
    "bolt": TrainingRecipe(
        optimiser="adam",
        learning_rate=2e-4,
        batch_size=64,
        epochs=200,
        disagreement=1.0,
        stated=("optimiser", "learning_rate", "batch_size", "epochs", "disagreement"),
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
