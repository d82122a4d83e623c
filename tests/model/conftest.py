"""Small untrained ensembles, and prepared scans that need no file."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from imaging import NetworkInput, PreprocessingSpec, QualityReport, brain_cube
from model.card import ModelCard
from model.checkpoint import save_checkpoint
from model.methods.building import build_method, count_voxels
from model.networks import RestNetwork

SPEC = PreprocessingSpec(window_frames=5, n_windows=3)


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """Tiny networks gain nothing from threads, and wait long for each other's on a busy machine."""
    torch.set_num_threads(1)


@pytest.fixture
def make_card() -> Callable[..., ModelCard]:
    def make(**changes: object) -> ModelCard:
        fields = {
            "name": "test ensemble",
            "version": "0",
            "network": "D",
            "rnn": "gru",
            "width": 1,
            "members": 2,
            "preprocessing": SPEC.to_json(),
            "threshold": 0.5,
            "temperature": 1.5,
            "cohort_fingerprint": "0" * 64,
            "trained_on": "nothing at all",
            "intended_use": "research",
            "metrics": {},
            "code_version": "0.1.0",
        }
        return ModelCard.model_validate(fields | changes)

    return make


@pytest.fixture
def make_members() -> Callable[[ModelCard], list[dict[str, torch.Tensor]]]:
    def make(card: ModelCard) -> list[dict[str, torch.Tensor]]:
        torch.manual_seed(0)
        networks = [RestNetwork(card) for _ in range(card.members)]
        for network in networks:
            for name, buffer in network.named_buffers():
                if name.endswith("running_var"):
                    buffer.uniform_(0.5, 2.0)
            with torch.no_grad():
                network.head.weight.mul_(20)  # logits of about 1, so that members differ in what they say
        return [network.state_dict() for network in networks]

    return make


@pytest.fixture
def card(make_card) -> ModelCard:
    return make_card()


@pytest.fixture
def members(card, make_members) -> list[dict[str, torch.Tensor]]:
    return make_members(card)


@pytest.fixture
def checkpoint_file(tmp_path: Path, card, members) -> Path:
    path = tmp_path / "tiny.safetensors"
    save_checkpoint(path, members=members, card=card)
    return path


@pytest.fixture
def perceptron_file(tmp_path: Path, make_card) -> Path:
    """Give a checkpoint of a method that keeps a temperature beside its weights."""
    card = make_card(method="learned-regions-mlp")
    models = [build_method(card.method, grid_size=34, n_regions=0) for _ in range(card.members)]
    for model in models:
        model.region_of_voxel = torch.arange(count_voxels(34)).remainder(200).add(1).float()
    path = tmp_path / "perceptron.safetensors"
    save_checkpoint(path, members=[model.state_dict() for model in models], card=card)
    return path


@pytest.fixture
def network_input() -> NetworkInput:
    brain_voxels = int(brain_cube(34).mask.sum())
    series = np.random.default_rng(3).standard_normal((brain_voxels, 12)).astype(np.float32)
    quality = QualityReport(
        n_frames=12,
        tr_s=2.0,
        duration_s=24.0,
        tsnr=None,
        mean_intensity=None,
        temporal_sd=1.0,
        dvars_mean=1.0,
        dvars_max=1.0,
        dvars=(1.0,),
        spikes=0,
        template_coverage=1.0,
        in_band_power=0.9,
        template_space={},
    )
    return NetworkInput(series=series, tr_s=2.0, spec=SPEC, quality=quality)
