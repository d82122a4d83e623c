"""The file beside simulated scans: whoever reads their folder as a cohort can tell what they are."""

import json
from collections.abc import Mapping
from pathlib import Path

from model.files import replace_file

MARKER_NAME = "simulation.json"


def mark_simulated(folder: Path, settings: Mapping[str, float]) -> None:
    """Say that a folder's scans are simulated, and with which settings."""
    replace_file(folder / MARKER_NAME, (json.dumps(settings, indent=2) + "\n").encode())


def is_marked(folder: Path) -> bool:
    """Say whether a folder's scans are said to be simulated."""
    return (folder / MARKER_NAME).is_file()
