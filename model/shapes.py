"""The shape of every tensor that crosses a function boundary of the networks.

Legend: ``N`` frames without order; ``W`` windows; ``F`` frames in a window (20); ``G`` the edge of the input
cube (34); ``D`` features of a frame; ``M`` members of an ensemble.

For the networks of others (`model.published`) also: ``K`` derived maps of a scan; ``S`` structural maps, on a
grid of edge ``H`` twice as fine (68); ``T`` time points and ``R`` regions of a scan's series.
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

DerivedMaps = Float[Tensor, "W K G G G"]
"""Maps derived from whole scans, each standardised over its subject's voxels."""

StructuralMaps = Float[Tensor, "W S H H H"]
"""Structural maps of the same people, on a grid twice as fine."""

RegionSeries = Float[Tensor, "W T R"]
"""Mean series of regions, dimensionless."""

RegionWeights = Float[Tensor, "W R"]
"""One weight a region."""
