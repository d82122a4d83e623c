"""Which axes a scan has and how long they are: three of space, one of time, within what we can hold."""

from collections.abc import Sequence
from typing import ClassVar

from imaging.errors import ScanError

MINIMUM_FRAMES = 20

# Bounds on what a header may promise, so that memory stays under 1 GiB whatever it says. A whole head at
# 1 mm has 7.2 million voxels; the longest runs that we know of have about 3,600 frames.
MAXIMUM_VOXELS = 10_000_000
MAXIMUM_FRAME_BYTES = 64 * 2**20
MAXIMUM_FRAMES = 4096
# Of a single volume: a head at 0.5 mm has some 60 million voxels.
MAXIMUM_VOLUME_VOXELS = 64_000_000
MAXIMUM_VOLUME_BYTES = 512 * 2**20
MAXIMUM_DURATION_S = 3600.0
MAXIMUM_DECODED_BYTES = 16 * 2**30


class BadDimensionsError(ScanError):
    """A header whose dim field describes no image."""

    code: ClassVar[str] = "bad_dimensions"

    def __init__(self, *, found: list[int]) -> None:
        super().__init__(f"expected 1 to 7 axes of at least one voxel each, found the dim field {found}")
        self.found = found


class NotFourDimensionalError(ScanError):
    """An image without a time axis, or with more axes than space and time."""

    code: ClassVar[str] = "not_four_dimensional"

    def __init__(self, *, found: list[int]) -> None:
        size = " x ".join(map(str, found))
        super().__init__(f"expected a series of volumes (4-D), found a {len(found)}-D image of {size}")
        self.found = found


class TooFewFramesError(ScanError):
    """Too short a run to say anything."""

    code: ClassVar[str] = "too_few_frames"

    def __init__(self, *, found: int, expected: int = MINIMUM_FRAMES) -> None:
        super().__init__(f"expected at least {expected} frames, found {found}")
        self.found = found
        self.expected = expected


class ScanTooLargeError(ScanError):
    """More than this software reads."""

    code: ClassVar[str] = "scan_too_large"

    def __init__(self, *, quantity: str, limit: float, found: float) -> None:
        super().__init__(f"expected at most {limit:,.0f} {quantity}, found {found:,.0f}")
        self.quantity = quantity
        self.limit = limit
        self.found = found


def four_dimensional(dim: Sequence[int]) -> tuple[int, int, int, int]:
    """Read the header's ``dim`` field (its first entry counts the axes) as (X, Y, Z, T).

    Axes of length one after the fourth are dropped.

    Raises
    ------
    BadDimensionsError
        If an axis is empty or negative, or the number of axes is impossible.
    NotFourDimensionalError
        If there is no time axis, or something varies along a fifth to seventh.
    """
    if not 1 <= dim[0] <= 7 or any(length < 1 for length in dim[1 : dim[0] + 1]):
        raise BadDimensionsError(found=list(dim))
    axes = list(dim[1 : dim[0] + 1])
    while len(axes) > 1 and axes[-1] == 1:
        axes.pop()
    if len(axes) != 4:
        raise NotFourDimensionalError(found=list(dim[1 : dim[0] + 1]))
    x, y, z, frames = axes
    return x, y, z, frames


def three_dimensional(dim: Sequence[int]) -> tuple[int, int, int, int]:
    """Read the header's ``dim`` field of a single volume as (X, Y, Z, 1).

    Raises
    ------
    BadDimensionsError
        If an axis is empty or negative, or the image is not of three dimensions.
    """
    axes = list(dim[1 : dim[0] + 1])
    while len(axes) > 3 and axes[-1] == 1:
        axes.pop()
    if len(axes) != 3 or any(length < 1 for length in axes):
        raise BadDimensionsError(found=list(dim))
    x, y, z = axes
    return x, y, z, 1


def require_size(shape: tuple[int, int, int, int], *, sample_bytes: int, tr_s: float) -> None:
    """Refuse more than we can hold, before any of it is read.

    Raises
    ------
    ScanTooLargeError
        Naming the first bound that is passed.
    """
    x, y, z, frames = shape
    voxels = x * y * z
    _refuse_above(
        ("voxels a frame", MAXIMUM_VOXELS, voxels),
        ("bytes a frame", MAXIMUM_FRAME_BYTES, voxels * sample_bytes),
        ("frames", MAXIMUM_FRAMES, frames),
        ("seconds", MAXIMUM_DURATION_S, frames * tr_s),
        ("bytes of samples", MAXIMUM_DECODED_BYTES, voxels * frames * sample_bytes),
    )


def require_volume_size(shape: tuple[int, int, int, int], *, sample_bytes: int) -> None:
    """Do what `require_size` does for a single volume, which may be finer than a frame.

    Raises
    ------
    ScanTooLargeError
        Naming the first bound that is passed.
    """
    x, y, z, _ = shape
    voxels = x * y * z
    _refuse_above(
        ("voxels", MAXIMUM_VOLUME_VOXELS, voxels),
        ("bytes of samples", MAXIMUM_VOLUME_BYTES, voxels * sample_bytes),
    )


def _refuse_above(*bounds: tuple[str, int | float, int | float]) -> None:
    for quantity, limit, found in bounds:
        if found > limit:
            raise ScanTooLargeError(quantity=quantity, limit=float(limit), found=float(found))
