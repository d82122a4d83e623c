"""What every published network keeps to, whoever published it."""

import sys

import pytest
import torch
from safetensors.torch import load, save
from torch import nn
from torch.nn import functional

from model.errors import MethodsNotInstalledError, PublishedNetworkUnknownError, TooFewTimePointsError
from model.published import SYSTEMS, describe, training_of
from model.published.building import build_published
from model.published.training_recipes import LearningCycle

NAMES = [system.name for system in SYSTEMS]
OF_FRAMES = [system.name for system in SYSTEMS if system.reads == "frames"]
OF_REGIONS = [system.name for system in SYSTEMS if system.reads == "regions"]
N_MAPS = 2
N_REGIONS = 5
# The last layer of BolT's attention answers for the class token alone, so that what only the other tokens
# are scored by has no effect; at 20 time points no window has neighbours.
WITHOUT_EFFECT = {"bolt": {"cls_bias_sequence_down", "relative_position_bias_table"}}
# Cross-entropy of a batch; whoever knows nothing has .69.
LEARNT = 0.53
# Adam moves every weight alike: of 314,432 that meet in a gate, a larger step drowns every input.
STEP = {"hong-time-distributed": 1e-5}


class BesideItself(nn.Module):
    """A network that reads tissues, called with the first of the maps made finer in their place."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        return self.network(maps, functional.interpolate(maps[:, :1], scale_factor=2))


def build(name: str) -> nn.Module:
    if describe(name).with_tissues:
        return BesideItself(build_published(name, n_maps=N_MAPS, n_structural=1))
    return build_published(name, n_maps=N_MAPS, n_regions=N_REGIONS)


def made_up(name: str, *, n: int, time: int = 20, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    shape = {
        "frames": (n, time, 34, 34, 34),
        "maps": (n, N_MAPS, 34, 34, 34),
        "regions": (n, time, N_REGIONS),
    }[describe(name).reads]
    return torch.randn(shape, generator=generator)


def shortest(name: str) -> int:
    return describe(name).min_time_points


@pytest.mark.parametrize("name", NAMES)
def test_the_shortest_input_gives_one_logit_a_row(name):
    logits = build(name).eval()(made_up(name, n=3, time=shortest(name)))
    assert logits.shape == (3,)
    assert torch.isfinite(logits).all()


@pytest.mark.parametrize("time", [20, 27, 28, 75])
@pytest.mark.parametrize("name", OF_REGIONS)
def test_series_of_any_longer_length_are_read(name, time):
    assert build(name).eval()(made_up(name, n=2, time=time)).shape == (2,)


@pytest.mark.parametrize("name", [name for name in NAMES if shortest(name) > 1])
def test_too_short_a_time_is_refused(name):
    with pytest.raises(TooFewTimePointsError, match=f"at least {shortest(name)} time points") as caught:
        build(name)(made_up(name, n=1, time=shortest(name) - 1))
    assert (caught.value.expected, caught.value.found) == (shortest(name), shortest(name) - 1)


@pytest.mark.parametrize("name", NAMES)
def test_a_seed_decides_the_weights_and_what_they_answer(name):
    answers = []
    for seed in (4, 4, 5):
        torch.manual_seed(seed)
        answers.append(build(name).eval()(made_up(name, n=2, time=max(4, shortest(name)))).detach())
    assert torch.equal(answers[0], answers[1])
    assert not torch.equal(answers[0], answers[2])


@pytest.mark.parametrize("name", NAMES)
def test_an_answer_does_not_depend_on_the_rest_of_the_batch(name):
    torch.manual_seed(1)
    network = build(name)
    batch = made_up(name, n=4, time=max(4, shortest(name)))
    network(batch)  # gives batch normalisation statistics of its own
    network.eval()
    torch.testing.assert_close(network(batch)[1:2], network(batch[1:2]), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_gradients_reach_every_parameter(name):
    torch.manual_seed(2)
    network = build(name).eval()  # without dropout, which would hide some
    time = max(5, shortest(name))
    network(made_up(name, n=4, time=time)).square().sum().backward()
    still = {
        key.rpartition(".")[2]
        for key, parameter in network.named_parameters()
        if parameter.grad is None or not parameter.grad.any()
    }
    assert still <= WITHOUT_EFFECT.get(name, set())


@pytest.mark.parametrize("name", NAMES)
def test_weights_survive_a_safetensors_file(name):
    torch.manual_seed(3)
    network = build(name)
    batch = made_up(name, n=3, time=max(4, shortest(name)))
    network(batch)
    # Contiguous, as runs and checkpoints write them: a file has no layout of its own.
    stored = load(save({key: tensor.contiguous() for key, tensor in network.state_dict().items()}))
    # As of our own networks: only the counts of batches are whole numbers; checkpoints leave them out.
    whole = {key for key, tensor in stored.items() if not tensor.is_floating_point()}
    assert all(key.endswith("num_batches_tracked") for key in whole)
    torch.manual_seed(30)
    other = build(name)
    other.load_state_dict(stored)
    assert torch.equal(other.eval()(batch), network.eval()(batch))


@pytest.mark.parametrize("name", NAMES)
def test_a_separable_set_is_learnt(name):
    torch.manual_seed(6)
    network = build(name).train()
    for module in network.modules():
        if isinstance(module, nn.Dropout):
            module.eval()
    labels = torch.tensor([0.0, 1.0, 0.0, 1.0, 0.0, 1.0])
    batch = made_up(name, n=6, time=max(1 if name in OF_FRAMES else 4, shortest(name)))
    # Cases vary three times as strongly, in one half of what is read.
    batch[labels == 1, ..., : batch.shape[-1] // 2] *= 3
    optimiser = torch.optim.Adam(network.parameters(), lr=STEP.get(name, 2e-3))
    for _ in range(40):
        logits = network(batch)
        loss = functional.binary_cross_entropy_with_logits(logits, labels)
        learnt = torch.equal(logits > 0, labels > 0) and loss.item() < LEARNT
        if learnt:
            break
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert learnt


@pytest.mark.parametrize("name", NAMES)
def test_a_missing_size_is_refused(name):
    missing = {"maps": "n_maps", "regions": "n_regions"}.get(describe(name).reads)
    if missing is None:
        assert build_published(name)
        return
    with pytest.raises(ValueError, match=f"expected {missing} of at least 1, found 0"):
        build_published(name)


def test_tissues_that_are_missing_are_refused():
    with pytest.raises(ValueError, match="expected n_structural of at least 1, found 0"):
        build_published("zou-3d-cnn-t1w", n_maps=3)


def test_an_unknown_name_is_refused():
    with pytest.raises(PublishedNetworkUnknownError, match=r"among zou-3d-cnn, .* found 'dai'"):
        build_published("dai")


@pytest.mark.parametrize("name", [system.name for system in SYSTEMS if system.packaged])
def test_a_package_that_is_missing_is_named(name, monkeypatch):
    monkeypatch.setitem(sys.modules, "ml4fmri", None)
    with pytest.raises(MethodsNotInstalledError, match=r"'ml4fmri'.*extra `methods`"):
        build(name)


def test_the_package_is_loaded_only_when_one_of_its_networks_is_built(run_python):
    loaded = run_python(
        "import sys; import model.published; print('torch' in sys.modules);"
        "import model.published.building as b; print('ml4fmri' in sys.modules);"
        "b.build_published('mean-mlp', n_regions=3); print('ml4fmri' in sys.modules)"
    )
    assert loaded.split() == ["False", "False", "True"]


def test_names_are_told_apart_and_each_has_a_training():
    assert len(set(NAMES)) == len(NAMES)
    for name in NAMES:
        training = training_of(name)
        fields = vars(training)
        assert set(training.stated) <= set(fields) - {"stated"}
        assert all(fields[field] is not None for field in training.stated)
    assert training_of("zou-3d-cnn").halve_every == 20
    with pytest.raises(PublishedNetworkUnknownError):
        training_of("dai")


def test_only_a_reconstruction_lacks_its_publication():
    for system in SYSTEMS:
        assert (system.citation.doi is None) == (system.standing == "reconstruction"), system.name


def test_a_cycle_is_that_of_torch():
    cycle = LearningCycle(peak=2.0, end=0.1)
    weight = torch.nn.Parameter(torch.zeros(1))
    optimiser = torch.optim.AdamW([weight], lr=1.0)
    n_steps = 4001
    # Torch gives the start as a part of the peak, and the end as a part of the start.
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, max_lr=2.0, total_steps=n_steps, div_factor=2.0, final_div_factor=10.0
    )
    for step in range(n_steps):
        (group,) = optimiser.param_groups
        found = (group["lr"], group["betas"][0])
        assert cycle.at(step / (n_steps - 1)) == pytest.approx(found, abs=2e-3), step
        optimiser.step()
        if step < n_steps - 1:
            schedule.step()
