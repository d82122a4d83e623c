"""Networks, checkpoints and prediction.

Importing this package loads no torch, so that a card can be read where the network is never run. The
modules that need torch are imported by name: `model.networks`, `model.checkpoint`, `model.predictor`,
`model.prediction`.

Importing it also bounds how long torch's threads spin while they wait for each other, which must happen
before torch is loaded: beside other work on the same cores, a spinning thread takes the time of the one it
waits for (docs/architecture.md has the figures). A ``GOMP_SPINCOUNT`` of the environment is left as it is.
"""

import os
from pathlib import Path

from model.card import ModelCard, read_card
from model.errors import CheckpointError, ModelError

__all__ = ["CheckpointError", "ModelCard", "ModelError", "demonstration_checkpoint", "read_card"]


# Long enough for threads that run; libgomp's own 300000 is milliseconds at each of thousands of waits.
os.environ.setdefault("GOMP_SPINCOUNT", "3000")


def demonstration_checkpoint() -> Path:
    """Say where the committed demonstration checkpoint lies; it was trained on simulated scans only."""
    return Path(__file__).parent / "assets" / "demonstration.safetensors"
