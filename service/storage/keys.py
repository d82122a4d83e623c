"""The names under which things are stored: short, lower-case, and nothing a person has typed."""

import re

from service.storage.errors import StorageKeyError

KEY = re.compile(r"[a-z0-9][a-z0-9_-]*(?:\.[a-z0-9]+)*(?:/[a-z0-9][a-z0-9_-]*(?:\.[a-z0-9]+)*)*")
SCAN_SUFFIXES = (".nii.gz", ".nii")
SCANS = "scans"
MODELS = "models"
EXPLANATIONS = "explanations"
# Everything that is kept; what is made for a moment lies elsewhere.
PREFIXES = (MODELS, SCANS, EXPLANATIONS)


def checked(key: str) -> str:
    """Return a key; raises StorageKeyError for what could leave its place."""
    if not KEY.fullmatch(key):
        raise StorageKeyError(key)
    return key


def scan_key(scan_id: str, display_name: str) -> str:
    """Return where an uploaded scan is kept; only a known suffix is taken from the file's name."""
    suffix = next((known for known in SCAN_SUFFIXES if display_name.lower().endswith(known)), "")
    return f"{SCANS}/{scan_id[:2]}/{scan_id}{suffix}"


def checkpoint_key(sha256: str) -> str:
    """Return where a checkpoint is kept: under its own hash, so equal bytes are kept once."""
    return f"{MODELS}/{sha256}.safetensors"


def explanation_key(prediction_id: str) -> str:
    """Return where the explanation of a prediction is kept."""
    return f"{EXPLANATIONS}/{prediction_id[:2]}/{prediction_id}.zip"
