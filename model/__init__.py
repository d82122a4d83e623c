"""Networks, checkpoints and prediction.

Importing this package loads no torch, so that a card can be read where the network is never run. The
modules that need torch are imported by name: `model.networks`, `model.checkpoint`, `model.predictor`,
`model.prediction`.
"""

from pathlib import Path

from model.card import ModelCard, read_card
from model.errors import CheckpointError, ModelError

__all__ = ["CheckpointError", "ModelCard", "ModelError", "demonstration_checkpoint", "read_card"]


def demonstration_checkpoint() -> Path:
    """Say where the committed demonstration checkpoint lies; it was trained on simulated scans only."""
    return Path(__file__).parent / "assets" / "demonstration.safetensors"
