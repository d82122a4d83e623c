"""Two figures of a run that came into template space, as PNG: does the template fit, and what was cleaned."""

from collections.abc import Sequence
from io import BytesIO
from typing import Any

import matplotlib as mpl
import numpy as np
from jaxtyping import Float32
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from imaging.native.normalise import Normalised
from imaging.native.pictures import NativePictures
from imaging.native.quality import DISPLACED_MM, NativeQuality
from imaging.native.tissues import template_tissues
from imaging.pictures import Carpet

# Where the planes lie, millimetres of the template: from left to right, back to front, below to above.
PLANES = {
    0: (-56, -40, -24, -6, 10, 26, 42, 58),
    1: (-88, -68, -48, -28, -8, 12, 32, 52),
    2: (-36, -22, -8, 6, 20, 34, 48, 62),
}
_AXES = "xyz"

# A carpet shows deviations up to so many standard deviations, from black to white.
_DEVIATIONS = 2.0

_BRAIN, _WHITE_MATTER = "#ff5a36", "#4fc3f7"
_TISSUES = {"grey_matter": "grey", "white_matter": "white", "fluid": "fluid"}
_LOOK: Any = {"font.size": 8, "axes.linewidth": 0.6, "figure.dpi": 110}

_Slice = Float32[np.ndarray, "H W"]


def draw_registration(pictures: NativePictures) -> bytes:
    """Draw the template's outlines over the mean frame, in eight slices along each axis.

    Returns
    -------
    bytes
        PNG. Orange: the template's brain; blue: its white matter. The left of the brain is on the left.
    """
    tissues = template_tissues()
    brain, white = tissues.shares.sum(axis=0), tissues.shares[1]
    bright = float(np.percentile(pictures.mean[brain > 0.5], 99)) or 1.0
    with mpl.rc_context(_LOOK):
        figure = Figure(figsize=(12, 5.6), facecolor="black", layout="constrained")
        grid = figure.subplots(3, 8)
        for (axis, places_mm), row in zip(PLANES.items(), grid, strict=True):
            for place_mm, axes in zip(places_mm, row, strict=True):
                number = round((place_mm - tissues.affine[axis, 3]) / tissues.affine[axis, axis])
                axes.imshow(
                    _slice(pictures.mean, axis, number), cmap="gray", vmin=0, vmax=bright, origin="lower"
                )
                _outline(axes, _slice(white, axis, number), _WHITE_MATTER, width=0.5)
                _outline(axes, _slice(brain, axis, number), _BRAIN, width=0.9)
                axes.set_title(f"{_AXES[axis]} {place_mm} mm", color="white", fontsize=7, pad=1)
                axes.axis("off")
            if axis != 0:
                _name_sides(row[0])
        return _png(figure)


def draw_carpets(pictures: NativePictures, quality: NativeQuality) -> bytes:
    """Draw every voxel over time, before and after cleaning, under the head's movement and DVARS.

    Returns
    -------
    bytes
        PNG.
    """
    frames = range(1, quality.n_frames)
    with mpl.rc_context(_LOOK):
        figure = Figure(figsize=(10, 7.5), layout="constrained")
        moved, changed, before, after = figure.subplots(4, 1, sharex=True, height_ratios=(1, 1, 3, 3))
        _course(moved, frames, {"displacement": quality.displacement_mm}, label="mm")
        moved.axhline(DISPLACED_MM, color="#b00020", linewidth=0.6, linestyle="--")
        moved.set_ylim(0, max(2 * DISPLACED_MM, 1.1 * quality.max_displacement_mm))
        _course(
            changed, frames, {"before": quality.dvars_before, "after": quality.dvars_after}, label="DVARS"
        )
        for axes, carpet, title in (
            (before, pictures.before, "before cleaning"),
            (after, pictures.after, "after cleaning"),
        ):
            _carpet(axes, carpet, pictures, n_frames=quality.n_frames)
            axes.set_title(title, fontsize=8, loc="left", pad=2)
        after.set_xlabel("frame")
        after.xaxis.set_major_locator(MaxNLocator(integer=True))
        return _png(figure)


def draw_figures(found: Normalised) -> dict[str, bytes]:
    """Draw both figures of a run.

    Returns
    -------
    dict of str to bytes
        PNG, by the name without its ending: ``registration`` and ``carpet``.
    """
    return {
        "registration": draw_registration(found.pictures),
        "carpet": draw_carpets(found.pictures, found.quality),
    }


def _slice(volume: Float32[np.ndarray, "I J K"], axis: int, number: int) -> _Slice:
    plane: _Slice = volume.take(number, axis=axis).T
    return plane


def _name_sides(axes: Axes) -> None:
    for place, name in ((0.03, "L"), (0.9, "R")):
        axes.text(place, 0.03, name, color="white", fontsize=8, transform=axes.transAxes)


def _outline(axes: Axes, share: _Slice, colour: str, *, width: float) -> None:
    # Without a crossing there is no line, and matplotlib says so in a warning.
    if share.min() < 0.5 < share.max():
        axes.contour(share, levels=[0.5], colors=[colour], linewidths=width)


def _course(axes: Axes, frames: Sequence[int], courses: dict[str, tuple[float, ...]], *, label: str) -> None:
    for (name, values), colour in zip(courses.items(), ("#37474f", "#0288d1"), strict=False):
        axes.plot(frames, values, linewidth=0.9, color=colour, label=name)
    axes.set_ylabel(label)
    axes.legend(loc="upper right", fontsize=6, frameon=False, ncols=2)
    axes.margins(x=0)


def _carpet(axes: Axes, carpet: Carpet, pictures: NativePictures, *, n_frames: int) -> None:
    height = len(carpet)
    axes.imshow(
        carpet,
        cmap="gray",
        vmin=-_DEVIATIONS,
        vmax=_DEVIATIONS,
        aspect="auto",
        interpolation="nearest",
        extent=(-0.5, n_frames - 0.5, height, 0),
    )
    ends = np.cumsum(list(pictures.rows.values()))
    middles = ends - np.array(list(pictures.rows.values())) / 2
    axes.set_yticks(middles, [_TISSUES[name] for name in pictures.rows])
    axes.tick_params(axis="y", length=0)
    for end in ends[:-1]:
        axes.axhline(end, color="#ffb300", linewidth=0.6)


def _png(figure: Figure) -> bytes:
    file = BytesIO()
    # Nothing of when or by what: the same run gives the same bytes.
    figure.savefig(file, format="png", metadata={"Software": None})
    return file.getvalue()
