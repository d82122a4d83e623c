"""What a stored checkpoint looks like to whoever reads it through: finite tensors, of no network."""

import numpy as np
from safetensors.numpy import save


def checkpoint_bytes(text: str) -> bytes:
    """Return a small file of its own for each text."""
    return save({"weights": np.arange(4.0)}, metadata={"text": text})
