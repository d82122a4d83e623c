"""The words that a review is made of."""

from collections.abc import Mapping
from enum import StrEnum

REASON_MAX_LENGTH = 2000
"""Characters."""


class Verdict(StrEnum):
    """What a reviewer does with the model's answer."""

    ACCEPTED = "accepted"
    OVERRIDDEN = "overridden"


class OwnDecision(StrEnum):
    """What a reviewer says instead of the model."""

    ADHD = "adhd"
    CONTROL = "control"
    CANNOT_TELL = "cannot_tell"


class Diagnosis(StrEnum):
    """The final clinical diagnosis, as far as it bears on the model's two groups."""

    ADHD = "adhd"
    CONTROL = "control"
    OTHER = "other"


AGREES_WITH: Mapping[str, OwnDecision] = {
    "adhd": OwnDecision.ADHD,
    "control": OwnDecision.CONTROL,
    "uncertain": OwnDecision.CANNOT_TELL,
}
"""By the model's decision: the reviewer's word that says the same, and so overrides nothing."""
