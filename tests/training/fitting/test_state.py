import json
import resource

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from tests.training.fitting.toy_cohort import toy_subjects
from training.fitting.machine import Machine
from training.fitting.settings import TrainingSettings
from training.fitting.state import (
    TrainingState,
    TrainingStateError,
    TrainingStateNotSavedError,
    identify,
    load_state,
    optimiser_moments,
    restore_moments,
    save_state,
)
from training.runs import EpochRecord

RECORD = EpochRecord(
    epoch=1, training_loss=0.1 + 0.2, stopping_loss=None, stopping_auc=0.5, learning_rate=1e-4, seconds=2.5
)
MACHINE = Machine(device="cpu", device_name="x86_64", threads=3, torch_version="2.13.0")


def state(weights, **changes):
    facts = {
        "records": [RECORD],
        "finished": False,
        "peak_memory_bytes": 7,
        "precision": "float32",
        "machine": MACHINE,
    }
    return TrainingState(identity="me", network=weights, **(facts | changes))


def stepped(seed):
    torch.manual_seed(seed)
    network = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4), torch.nn.Linear(4, 1))
    optimiser = torch.optim.AdamW(network.parameters(), lr=0.1, fused=True)
    for _ in range(2):
        step(network, optimiser)
    return network, optimiser


def step(network, optimiser):
    optimiser.zero_grad()
    network(torch.randn(5, 3, generator=torch.Generator().manual_seed(8))).square().sum().backward()
    optimiser.step()


def test_weights_and_adams_moments_come_back_to_the_bit(tmp_path):
    network, optimiser = stepped(0)
    path = tmp_path / "state.safetensors"
    best = {name: tensor + 1 for name, tensor in network.state_dict().items()}
    save_state(path, state(network.state_dict(), best=best, moments=optimiser_moments(network, optimiser)))
    other, its_optimiser = stepped(1)
    found = load_state(path, identity="me")
    other.load_state_dict(found.network)
    restore_moments(other, its_optimiser, found.moments)
    for _ in range(3):
        step(network, optimiser)
        step(other, its_optimiser)
    assert all(torch.equal(network.state_dict()[name], t) for name, t in other.state_dict().items())
    assert all(torch.equal(best[name], tensor) for name, tensor in found.best.items())
    assert found.records == [RECORD]
    assert (found.finished, found.peak_memory_bytes, found.precision) == (False, 7, "float32")
    assert found.machine == MACHINE


def test_nothing_saved_yet_is_nothing(tmp_path):
    assert load_state(tmp_path / "state.safetensors", identity="me") is None


def test_a_full_disk_is_said_and_the_state_before_is_still_there(tmp_path):
    path = tmp_path / "state.safetensors"
    save_state(path, state({"w": torch.ones(10)}))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    # A file that may not grow further fails as one on a full disk does.
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, limits[1]))
    try:
        with pytest.raises(
            TrainingStateNotSavedError, match="expected room to save epoch 1, found: "
        ) as error:
            save_state(path, state({"w": torch.ones(1_000_000)}))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert error.value.code == "training_state_not_saved"
    assert [file.name for file in tmp_path.iterdir()] == ["state.safetensors"]
    assert torch.equal(load_state(path, identity="me").network["w"], torch.ones(10))


def test_a_folder_that_is_gone_is_said(tmp_path):
    with pytest.raises(TrainingStateNotSavedError, match=r"epoch 1, found: .*o such file"):
        save_state(tmp_path / "gone" / "state.safetensors", state({"w": torch.ones(10)}))


def test_a_state_from_before_its_machine_was_kept_is_read(tmp_path):
    path = tmp_path / "state.safetensors"
    save_state(path, state({"w": torch.ones(10)}, machine=None))
    assert load_state(path, identity="me").machine is None
    save_state(path, state({"w": torch.ones(10)}))
    rewrite_facts(path, forget="machine")
    assert load_state(path, identity="me").machine is None


def test_a_state_in_a_precision_that_does_not_exist_is_refused(tmp_path):
    path = tmp_path / "state.safetensors"
    save_state(path, state({"w": torch.ones(10)}, precision="float8"))
    with pytest.raises(TrainingStateError, match="found a damaged file"):
        load_state(path, identity="me")


def rewrite_facts(path, *, forget):
    with safe_open(path, framework="pt") as file:
        facts = json.loads(file.metadata()["training"])
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
    del facts[forget]
    save_file(tensors, path, metadata={"training": json.dumps(facts)})


@pytest.mark.parametrize(
    "change",
    [
        {"settings": TrainingSettings(dropout=0.4)},
        {"seed": 2},
        {"training": toy_subjects(3, turned=True)},
        {"training": toy_subjects(4)},
        {"training": toy_subjects(3, frames=9)},
        {"stopping": toy_subjects(3, seed=2)},
    ],
)
def test_another_training_has_another_identity(change):
    this = {
        "settings": TrainingSettings(),
        "seed": 1,
        "training": toy_subjects(3),
        "stopping": toy_subjects(2, seed=1),
    }

    def identity(of):
        return identify(of["settings"], **{name: of[name] for name in ("seed", "training", "stopping")})

    assert identity(this) == identity(dict(this))
    assert identity(this) != identity(this | change)
