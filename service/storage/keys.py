"""The names under which things are stored: short, lower-case, and nothing a person has typed."""

import re

from service.storage.errors import StorageKeyError

KEY = re.compile(r"[a-z0-9][a-z0-9_-]*(?:\.[a-z0-9]+)*(?:/[a-z0-9][a-z0-9_-]*(?:\.[a-z0-9]+)*)*")
SCAN_SUFFIXES = (".nii.gz", ".nii", ".zip")
SCANS = "scans"
MODELS = "models"
EXPLANATIONS = "explanations"
NORMALISED = "normalised"
# Drawn of each scan in template space, and kept beside it.
NORMALISED_FIGURES = ("registration", "carpet")
# Everything that is kept; what is made for a moment lies elsewhere.
PREFIXES = (MODELS, SCANS, EXPLANATIONS, NORMALISED)
_NORMALISED_FIGURE = re.compile(
    rf"({NORMALISED}/../[0-9a-f-]{{36}}-[0-9]+)-(?:{'|'.join(NORMALISED_FIGURES)})\.png"
)


def checked(key: str) -> str:
    """Return a key; raises StorageKeyError for what could leave its place."""
    if not KEY.fullmatch(key):
        raise StorageKeyError(key)
    return key


def scan_key(scan_id: str, display_name: str) -> str:
    """Return where an uploaded scan is kept; only a known suffix is taken from the file's name."""
    suffix = next((known for known in SCAN_SUFFIXES if display_name.lower().endswith(known)), "")
    return f"{SCANS}/{scan_id[:2]}/{scan_id}{suffix}"


def run_key(scan_id: str) -> str:
    """Return where the run is kept that was made of a zip, in the zip's place."""
    return f"{SCANS}/{scan_id[:2]}/{scan_id}-run.nii.gz"


def checkpoint_key(sha256: str) -> str:
    """Return where a checkpoint is kept: under its own hash, so equal bytes are kept once."""
    return f"{MODELS}/{sha256}.safetensors"


def explanation_key(prediction_id: str) -> str:
    """Return where the explanation of a prediction is kept."""
    return f"{EXPLANATIONS}/{prediction_id[:2]}/{prediction_id}.zip"


def normalised_key(scan_id: str, version: int) -> str:
    """Return where a scan is kept in template space, as a version of the pipeline made it.

    Under the scan's own id, although equal bytes give equal files: so it goes when its scan goes, and
    whoever has the same scan learns nothing of others.
    """
    return f"{NORMALISED}/{scan_id[:2]}/{scan_id}-{version}.nii.gz"


def normalised_figure_key(scan_id: str, version: int, name: str) -> str:
    """Return where a figure of a scan in template space is kept: beside the file that it was drawn of."""
    return f"{NORMALISED}/{scan_id[:2]}/{scan_id}-{version}-{name}.png"


def drawn_of(key: str) -> str:
    """Return the key of the file in template space that a figure belongs to; any other key as it is."""
    found = _NORMALISED_FIGURE.fullmatch(key)
    return key if found is None else f"{found[1]}.nii.gz"
