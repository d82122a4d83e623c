"""From arrays to PNG pictures: slices through volumes, a carpet, a map over the template."""

from dataclasses import dataclass
from io import BytesIO
from typing import Any

import nibabel as nib
import numpy as np
from jaxtyping import Float32, Float64, UInt8
from PIL import Image
from scipy.ndimage import map_coordinates

from imaging import brain_cube
from imaging.pictures import Carpet
from imaging.shapes import Affine, Cube, Volume
from imaging.template_file import template_file

# Axial slices evenly through the template's brain, from below to above.
ROWS, COLUMNS = 3, 7
LEVELS_MM = np.linspace(-48.0, 72.0, ROWS * COLUMNS)
# Of a slice, in pixels: what has fewer voxels is enlarged.
SLICE_PIXELS = 98
# A carpet shows deviations up to this many standard deviations, from black to white.
CARPET_DEVIATIONS = 2.5
CARPET_PIXELS = 1000
# Of a slice along either side.
MOST_PIXELS = 512
# Of the largest sizes in a map: a share below this is not drawn, one at it is drawn solid.
_FAINTEST, _SOLID = 0.2, 0.7
_FOR_ADHD = np.array([255, 150, 40], dtype=np.float32)
_FOR_CONTROL = np.array([70, 150, 255], dtype=np.float32)

Picture = UInt8[np.ndarray, "H W"] | UInt8[np.ndarray, "H W 3"]
Slices = tuple[list[Float32[np.ndarray, "X Y"]], Float64[np.ndarray, " 2"]]
"""Axial slices from below to above, and the millimetres of a pixel along x and y."""


@dataclass(frozen=True)
class Drawn:
    """A picture as a file, and what its darkest and brightest mean.

    Attributes
    ----------
    png : bytes
    width, height : int
        Pixels.
    low, high : float
        The values that are drawn black and white, or at the full colours.
    """

    png: bytes
    width: int
    height: int
    low: float
    high: float


def draw_mosaic(volume: Volume, affine: Affine, *, low: float, high: float) -> Drawn:
    """Draw axial slices of a volume, the left of the brain on the left, its front above.

    Parameters
    ----------
    volume : (X, Y, Z) float32
        Axes turned to the nearest of RAS+; one that lies at an angle to them is drawn upright all the same.
    affine : (4, 4) float64
        Voxel indices -> RAS+ mm.
    low, high : float
        Drawn black and white.
    """
    axes = affine[:3, :3]
    # Of a volume that lies straight the voxels themselves are shown.
    straight = np.count_nonzero(axes - np.diag(np.diag(axes))) == 0
    slices, zooms_mm = (_own_slices if straight else _world_slices)(volume, affine)
    picture = _tiles([_grey(piece, low, high) for piece in slices])
    return _drawn(_enlarged(picture, zooms_mm=zooms_mm), low, high)


def draw_carpet(carpet: Carpet) -> Drawn:
    """Draw voxels over time: bright where a voxel is above its own course; few frames are drawn wider."""
    limits = (-CARPET_DEVIATIONS, CARPET_DEVIATIONS)
    times = max(1, CARPET_PIXELS // max(carpet.shape[1], 1))
    return _drawn(_grey(carpet, *limits).repeat(times, axis=1), *limits)


def draw_map(cube: Cube) -> Drawn:
    """Draw a map over the template: orange speaks for ADHD, blue against it, faint shares not at all.

    Parameters
    ----------
    cube : (G, G, G) float32
    """
    background: Any = nib.load(template_file())
    anatomy = np.asarray(background.dataobj, dtype=np.float32)
    affine = np.asarray(background.affine)
    size = np.abs(cube)
    strongest = float(np.quantile(size[size > 0], 0.995)) if size.any() else 0.0
    to_cube = np.linalg.inv(brain_cube(cube.shape[0]).affine) @ affine
    tiles = []
    for level in LEVELS_MM:
        depth = round((level - affine[2, 3]) / affine[2, 2])
        under = _grey(anatomy[:, :, depth], 0.0, 255.0).astype(np.float32)[..., None]
        shares = _sampled(cube, to_cube, anatomy.shape[:2], depth)
        strength = np.abs(shares) / (strongest or 1.0)
        opacity = np.clip((strength - _FAINTEST) / (_SOLID - _FAINTEST), 0, 1)[..., None]
        colour = np.where(shares[..., None] > 0, _FOR_ADHD, _FOR_CONTROL)
        tiles.append((under * (1 - opacity) + colour * opacity).astype(np.uint8))
    return _drawn(_tiles(tiles), -strongest, strongest)


def _own_slices(volume: Volume, affine: Affine) -> Slices:
    depths = np.rint((LEVELS_MM - affine[2, 3]) / affine[2, 2]).astype(np.int64)
    empty = np.zeros(volume.shape[:2], dtype=volume.dtype)
    slices = [volume[:, :, k] if 0 <= k < volume.shape[2] else empty for k in depths]
    return slices, np.abs(np.diag(affine))[:2]


def _world_slices(volume: Volume, affine: Affine) -> Slices:
    """Sample a volume along axial planes of the world, over all that it covers, about as finely as it is."""
    last = np.array(volume.shape) - 1
    corners = affine[:3, :3] @ (np.indices((2, 2, 2)).reshape(3, 8) * last[:, None]) + affine[:3, 3:]
    start, end = corners.min(axis=1)[:2], corners.max(axis=1)[:2]
    # An affine that no scanner gives must not ask for a picture that no memory holds.
    pixel_mm = max(np.linalg.norm(affine[:3, :3], axis=0)[:2].min(), (end - start).max() / MOST_PIXELS)
    x, y = (np.arange(start[axis], end[axis] + pixel_mm / 2, pixel_mm) for axis in (0, 1))
    to_voxels = np.linalg.inv(affine)
    slices = []
    for level in LEVELS_MM:
        places = np.stack(np.meshgrid(x, y, level, indexing="ij")).reshape(3, -1)
        points = to_voxels[:3, :3] @ places + to_voxels[:3, 3:]
        slices.append(map_coordinates(volume, points, order=1).reshape(len(x), len(y)))
    return slices, np.full(2, pixel_mm)


def _sampled(cube: Cube, to_cube: Affine, shape: tuple[int, ...], depth: int) -> Float32[np.ndarray, "X Y"]:
    x, y = np.indices(shape, dtype=np.float64).reshape(2, -1)
    points = to_cube[:3, :3] @ np.stack([x, y, np.full_like(x, depth)]) + to_cube[:3, 3:]
    values: Float32[np.ndarray, "X Y"] = map_coordinates(cube, points, order=1).reshape(shape)
    return values


def _grey(values: Float32[np.ndarray, "A B"], low: float, high: float) -> UInt8[np.ndarray, "A B"]:
    span = high - low
    share = (np.nan_to_num(values) - low) / span if span > 0 else np.zeros_like(values)
    grey: UInt8[np.ndarray, "A B"] = np.rint(np.clip(share, 0, 1) * 255).astype(np.uint8)
    return grey


def _tiles(slices: list[UInt8[np.ndarray, "X Y ..."]]) -> Picture:
    """Set slices side by side; a slice's x runs to the right and its y upwards."""
    upright = [np.swapaxes(piece, 0, 1)[::-1] for piece in slices]
    rows = [np.concatenate(upright[at : at + COLUMNS], axis=1) for at in range(0, len(upright), COLUMNS)]
    return np.concatenate(rows, axis=0)


def _enlarged(picture: Picture, *, zooms_mm: Float64[np.ndarray, " 2"]) -> Picture:
    """Repeat pixels until a slice is large enough, and as wide and high as it is in millimetres."""
    times = max(1.0, SLICE_PIXELS * COLUMNS / picture.shape[1])
    wide, high = np.maximum(1, np.rint(times * zooms_mm / zooms_mm.min())).astype(int)
    return picture.repeat(high, axis=0).repeat(wide, axis=1)


def _drawn(picture: Picture, low: float, high: float) -> Drawn:
    height, width = picture.shape[:2]
    if not height or not width:
        # A scan that covers nothing of the brain has an empty carpet, which no picture can be.
        picture, height, width = np.zeros((1, 1), dtype=np.uint8), 1, 1
    file = BytesIO()
    Image.fromarray(np.ascontiguousarray(picture)).save(file, "PNG", optimize=True)
    return Drawn(file.getvalue(), width, height, low, high)
