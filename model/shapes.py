"""The shape of every tensor that crosses a function boundary of the networks.

Legend: ``N`` frames without order; ``W`` windows; ``F`` frames in a window (20); ``G`` the edge of the input
cube (34); ``D`` features of a frame; ``M`` members of an ensemble.
"""

import numpy as np
from jaxtyping import Float, Float64
from torch import Tensor

Frames = Float[Tensor, "N 1 G G G"]
"""Single frames with their one channel, in no particular order."""

Features = Float[Tensor, "N D"]
"""What the residual network says about each frame."""

FeatureWindows = Float[Tensor, "W F D"]
"""The features of windows of consecutive frames, in the order of time."""

WindowBatch = Float[Tensor, "W F G G G"]
"""Windows of consecutive frames, as the whole network reads them."""

Logits = Float[Tensor, "W"]
"""One logit a window; above 0 speaks for ADHD."""

MemberLogits = Float64[np.ndarray, "M W"]
"""One logit a member of the ensemble and window."""
