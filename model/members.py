"""What an ensemble makes of one scan, whatever its members are."""

from collections.abc import Callable
from dataclasses import dataclass

from jaxtyping import Float64, Int
from numpy import ndarray

from model.shapes import MemberLogits

Progress = Callable[[str, float], None]

CLASSIFYING = "classifying"


@dataclass(frozen=True, eq=False)
class Reading:
    """One scan, read by every member.

    Attributes
    ----------
    logits : (M, W) float64
    starts : (W,) int
        First frame of each window; 0 alone where the members read the whole scan at once.
    features : (D,) float64
        Of the scan as the members see it; what its embedding is projected from.
    """

    logits: MemberLogits
    starts: Int[ndarray, " W"]
    features: Float64[ndarray, " D"]
