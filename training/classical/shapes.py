"""The shape of every array that crosses a function boundary in this room.

Legend: ``S`` subjects; ``F`` features; ``M`` kernels; ``A`` candidates.
"""

import numpy as np
from jaxtyping import Float, Float64, Int

Features = Float[np.ndarray, "S F"]

Weights = Float64[np.ndarray, " F"]
"""Of the features as they were given, whatever was done to them inside."""

Scores = Float64[np.ndarray, " S"]
"""What rises with being a case, on any scale."""

Labels = Int[np.ndarray, " S"]
"""0 control, 1 case."""

CandidateScores = Float64[np.ndarray, "A S"]

Kernels = Float64[np.ndarray, "M S S"]

Shares = Float64[np.ndarray, " M"]
"""Of the kernels in their sum; none is negative, and together they are 1."""
