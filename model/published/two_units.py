"""One logit of a network that was published with two units and a softmax."""

from jaxtyping import Float
from torch import Tensor

from model.shapes import Logits


def difference_of_two(units: Float[Tensor, "W 2"]) -> Logits:
    """Give the logit whose sigmoid is the softmax's probability of the second unit, which is ADHD."""
    return units[:, 1] - units[:, 0]
