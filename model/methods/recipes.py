"""How each method that learns in epochs is trained where nobody asks otherwise."""

from dataclasses import asdict
from typing import Any

from model.methods.catalogue import METHODS, MethodName
from model.published.training_recipes import TrainingRecipe, training_of

_BESIDE_SETTINGS = (
    "optimiser",
    "momentum",
    "halve_every",
    "cycle",
    "piece_frames",
    "disagreement",
    "least_batch",
)

_OWN: dict[MethodName, TrainingRecipe] = {
    # Chosen on inner people alone (docs/benchmark.md).
    "learned-regions-mlp": TrainingRecipe(
        optimiser="adam",
        learning_rate=5e-3,
        schedule="cosine",
        weight_decay=1e-2,
        inner_stopping=0.0,
        batch_size=64,
        epochs=40,
        piece_frames=40,
    ),
}


def recipe_of(name: MethodName) -> TrainingRecipe:
    """Say how a method is trained.

    Raises
    ------
    PublishedNetworkUnknownError
        If it does not learn in epochs, or is one of the eight networks.
    """
    return _OWN[name] if name in _OWN else training_of(name)


def recipe_beside_settings(name: MethodName) -> dict[str, Any] | None:
    """Give what of a method's training no setting says, as JSON; None where it does not learn in epochs.

    The settings that a recipe is the default of are a run's own.
    """
    if name == "network" or not METHODS[name].learns_in_epochs:
        return None
    recipe = asdict(recipe_of(name))
    return {field: recipe[field] for field in _BESIDE_SETTINGS}
