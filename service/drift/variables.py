"""What is measured of a scan, and how each variable is compared."""

from collections.abc import Mapping
from enum import StrEnum
from math import isfinite
from typing import Any

from service.population import spike_share

# A repetition time within this share of one of the reference belongs to its class.
SAME_TR = 0.05

OF_THE_SCAN = (
    "n_frames",
    "duration_s",
    "tsnr",
    "mean_intensity",
    "temporal_sd",
    "dvars_mean",
    "dvars_max",
    "spike_share",
    "template_coverage",
    "in_band_power",
)
DISTANCE = "embedding_distance"
PROBABILITY = "adhd_probability"
CONTINUOUS = (*OF_THE_SCAN, DISTANCE, PROBABILITY)

NOT_GIVEN = "?"
"""The site of a scan that none was typed for."""

REPETITION_TIME = "tr_s"
GRID = "grid"
DECISION = "decision"
CATEGORIES = (REPETITION_TIME, GRID, DECISION)

OF_THE_MODEL = frozenset({DISTANCE, PROBABILITY, DECISION})
"""What a model says of a scan: of those it was fitted on it says other things than of any others."""


class Beside(StrEnum):
    """What a figure was compared with."""

    REFERENCE = "reference"
    ITS_PEOPLE = "its_people"
    FIRST_WEEKS = "first_weeks"


def measured_of(result: Mapping[str, Any]) -> dict[str, Any]:
    """Return the figures that are kept of a scan, from the object of ``predict --json``.

    Returns
    -------
    dict
        Numbers by the names of ``OF_THE_SCAN``, the repetition time in seconds, and the grid as text; what
        was not measured is left out.
    """
    scan, quality = result.get("scan") or {}, result.get("quality") or {}
    figures = figures_of(quality)
    if scan.get("shape") and scan.get("zooms_mm"):
        figures[GRID] = grid_of(scan["shape"], scan["zooms_mm"])
    return figures


def figures_of(quality: Mapping[str, Any]) -> dict[str, Any]:
    """Return the figures of a scan's quality by their names, without those that are not known."""
    named = {**quality, "spike_share": spike_share(quality)}
    found = {name: named.get(name) for name in (*OF_THE_SCAN, REPETITION_TIME)}
    return {name: float(value) for name, value in found.items() if value is not None and isfinite(value)}


def grid_of(shape: Any, zooms_mm: Any) -> str:
    """Name a grid: voxels along each axis, and their size in millimetres."""
    voxels = "x".join(str(int(length)) for length in shape[:3])
    return f"{voxels}, {'x'.join(f'{float(size):.2f}' for size in zooms_mm[:3])} mm"


def site_name(typed: str | None) -> str:
    """Name a site as scans are grouped: whatever its case and spacing."""
    return " ".join((typed or "").split()).casefold() or NOT_GIVEN


def tr_class(tr_s: float, known: list[float]) -> str:
    """Name the class of a repetition time: that of the nearest known one, or its own."""
    nearest = min(known, key=lambda one: abs(one - tr_s), default=None)
    if nearest is not None and abs(nearest - tr_s) <= SAME_TR * nearest + 1e-9:
        tr_s = nearest
    return f"{tr_s:.2f}"
