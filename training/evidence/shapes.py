"""The shape of every array that crosses a function boundary in this room.

Legend: ``S`` subjects; ``F`` features; ``B`` draws of the bootstrap.
"""

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int

Labels = Int[np.ndarray, " S"]
"""0 control, 1 case."""

LabelsOfPart = Int[np.ndarray, " _"]
"""As `Labels`, of other people than the rest of the call is about."""

Folds = Int[np.ndarray, " S"]
"""The fold that reports each subject."""

Probabilities = Float64[np.ndarray, " S"]
"""Of being a case."""

Logits = Float64[np.ndarray, " S"]
"""Log odds of being a case."""

Scores = Float64[np.ndarray, " S"]
"""What rises with being a case, on any scale."""

Thresholds = Float64[np.ndarray, " S"]
"""Of each subject, the one of its own fold."""

Sets = Bool[np.ndarray, "S 2"]
"""Whether a subject's conformal set holds control, and case."""

Features = Float64[np.ndarray, "S F"]

Connectivity = Float32[np.ndarray, "S F"]
"""Fisher-z correlations, a column a pair of regions."""

Kernel = Float64[np.ndarray, "S S"]
"""Inner products of subjects' features."""

Counts = Float64[np.ndarray, "B S"]
"""How often each subject is in each draw."""

Figures = Float64[np.ndarray, " B"]
"""What a figure comes to in each draw."""
