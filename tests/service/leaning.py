"""A second model that answers every scan otherwise, made of another one's file."""

import json
from pathlib import Path

from safetensors import safe_open
from safetensors.torch import save_file

# The lean of its answers, in logits: no answer of the one can be taken for the other's.
LEAN = 3.0


def leaning(checkpoint: Path, path: Path) -> Path:
    """Write a model that is surer of ADHD than another one, on every scan, and says another version."""
    with safe_open(checkpoint, framework="pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        card = json.loads(file.metadata()["card"])
    changed = 0
    for name, tensor in tensors.items():
        if name.endswith("head.bias"):
            tensors[name] = tensor + LEAN
            changed += 1
    assert changed == card["members"], sorted(tensors)
    save_file(tensors, path, metadata={"card": json.dumps(card | {"version": "leaning"})})
    return path
