"""How each method that learns in epochs is trained where nobody asks otherwise."""

from model.methods.catalogue import MethodName
from model.published.training_recipes import TrainingRecipe, training_of

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
