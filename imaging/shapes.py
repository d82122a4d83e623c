"""The shape of every array that crosses a function boundary in this project.

Legend: ``X Y Z`` voxels of the scan's own grid; ``T`` frames; ``N`` voxels inside a mask; ``W`` windows;
``K`` those inside the mask of a cube twice as fine; ``G`` the edge of the network's cube (34); ``F`` frames
in a window (20); ``M`` derived maps (5).
"""

import numpy as np
from jaxtyping import Bool, Float32, Float64, Shaped

Bold = Float32[np.ndarray, "X Y Z T"]
"""Blood-oxygen-level-dependent signal, time last."""

Volume = Float32[np.ndarray, "X Y Z"]
"""One value a voxel of a scan's grid."""

BrainMask = Bool[np.ndarray, "X Y Z"]

Affine = Float64[np.ndarray, "4 4"]
"""Voxel indices -> RAS+ millimetres."""

RawBlock = Shaped[np.ndarray, "X Y Z T"]
"""Consecutive frames as stored in the file, any real dtype."""

Cube = Float32[np.ndarray, "G G G"]

CubeMask = Bool[np.ndarray, "G G G"]
"""Which voxels of the cube are brain."""

CubeSeries = Float32[np.ndarray, "T G G G"]
"""A whole scan on the network's grid, time first."""

Windows = Float32[np.ndarray, "W F G G G"]
"""What the network reads: windows of consecutive frames."""

VoxelSeries = Float32[np.ndarray, "N T"]
"""Time courses of the voxels inside a mask."""

BrainMap = Float32[np.ndarray, " N"]
"""One value a voxel inside a mask."""

BrainMaps = Float32[np.ndarray, "M N"]
"""Derived maps of one scan."""

TissueMaps = Float32[np.ndarray, "3 K"]
"""Grey matter, white matter and fluid of one head."""
