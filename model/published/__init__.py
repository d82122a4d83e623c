"""Networks that others published for the same question, to be trained beside ours on the same subjects.

Importing this package loads no torch: it says what there is, what each reads and how it was trained.
`model.published.building` builds one. Each system has a module that says what its publication states and
what is our reading of it; docs/published-networks.md has the table. The published figures are in
`training.evidence.published`.
"""

from model.published.systems import (
    SYSTEMS,
    Citation,
    InputKind,
    PublishedNetwork,
    Standing,
    describe,
)
from model.published.training_recipes import TrainingRecipe, training_of

__all__ = [
    "SYSTEMS",
    "Citation",
    "InputKind",
    "PublishedNetwork",
    "Standing",
    "TrainingRecipe",
    "describe",
    "training_of",
]
