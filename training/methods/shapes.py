"""The shape of every array that crosses a function boundary in this room.

Legend: ``S`` subjects; ``F`` features; ``R`` regions; ``T`` frames; ``M`` kernels; ``A`` candidates.
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

RegionSeries = Float[np.ndarray, "T R"]

Matrix = Float64[np.ndarray, "R R"]

Matrices = Float64[np.ndarray, "S R R"]

TangentFeatures = Float64[np.ndarray, "S F"]
"""``F`` is ``R (R + 1) / 2``: the lower triangle, row by row."""
