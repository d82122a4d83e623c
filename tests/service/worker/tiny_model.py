"""A checkpoint of two small members with weights as they were drawn."""

from pathlib import Path

import torch

from model.card import ModelCard
from model.checkpoint import save_checkpoint
from model.networks import RestNetwork
from tests.training.validation.tiny_cohorts import SPEC


def save_tiny_model(path: Path, **changes: object) -> Path:
    """Write it; ``changes`` are of its card."""
    card = ModelCard.model_validate(
        {
            "name": "tiny",
            "version": "0",
            "network": "D",
            "rnn": "gru",
            "width": 1,
            "members": 2,
            "preprocessing": SPEC.to_json(),
            "threshold": 0.5,
            "temperature": 1.0,
            "cohort_fingerprint": "0" * 64,
            "trained_on": "nothing",
            "intended_use": "research",
            "metrics": {},
            "code_version": "0",
            **changes,
        }
    )
    torch.manual_seed(0)
    members = [RestNetwork(card).state_dict() for _ in range(card.members)]
    save_checkpoint(path, members=members, card=card)
    return path
