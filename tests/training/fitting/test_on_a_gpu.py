"""What a GPU computes, beside what a CPU does; each tolerance is the one that the documentation states."""

import numpy as np
import pytest
import torch

from imaging import brain_cube
from model.encoder import FrameEncoder
from model.networks import RestNetwork
from tests.training.fitting.toy_cohort import toy_subjects
from training.fitting.brain_stem import BrainStem
from training.fitting.fit import fit
from training.fitting.frozen import encode_subjects, settle_normalisation
from training.fitting.logits import encoded_logits, subject_logits
from training.fitting.settings import TrainingSettings
from training.fitting.wide_stem import WideStem

CPU = torch.device("cpu")
SETTINGS = TrainingSettings(
    network="C",
    width=4,
    protocol="paper",
    epochs=4,
    batch_size=4,
    learning_rate=1e-3,
    feature_norm="batch",
    precision="float32",
)

pytestmark = pytest.mark.gpu


@pytest.fixture
def gpu():
    if not torch.cuda.is_available():
        pytest.skip("this machine has no CUDA device")
    return torch.device("cuda")


def fresh(settings=SETTINGS):
    torch.manual_seed(0)
    return RestNetwork(settings)


def trained(folder, device, *, settings=SETTINGS, progress=None):
    network = fresh(settings)
    result = fit(
        network,
        toy_subjects(8),
        stopping=[],
        settings=settings,
        folder=folder,
        seed=3,
        device=device,
        progress=progress,
    )
    return network, result


def difference(one, other):
    """The largest difference of two networks' weights, beside the largest weight of its tensor."""
    weights = [
        [tensor.cpu().double() for tensor in network.state_dict().values()] for network in (one, other)
    ]
    return max(
        float((a - b).abs().max() / b.abs().max().clamp_min(1e-3)) for a, b in zip(*weights, strict=True)
    )


@pytest.mark.parametrize("network", ["A", "B", "C", "D"])
@pytest.mark.parametrize("rnn", ["lstm", "gru"])
def test_logits_are_the_cpus(gpu, network, rnn):
    """Within 1e-4: float32 without TensorFloat32, sums in another order."""
    made = fresh(TrainingSettings(network=network, rnn=rnn, width=16))
    subjects = toy_subjects(3, scans=2)
    on_cpu = subject_logits(made.to(CPU), subjects, device=CPU)
    on_gpu = subject_logits(made.to(gpu), subjects, device=gpu)
    np.testing.assert_allclose(on_gpu, on_cpu, atol=1e-4)


@pytest.mark.parametrize("rnn", ["lstm", "gru"])
def test_logits_of_features_are_the_cpus(gpu, rnn, tmp_path):
    """Within 1e-4, as a frozen training watches them: of the same features, so that only reading differs."""
    made = fresh(TrainingSettings(network="D", rnn=rnn, width=16, feature_norm="batch", encoder="frozen"))
    subjects = toy_subjects(3, scans=2)
    settle_normalisation(made, subjects, seed=0, device=CPU)
    encoded = encode_subjects(made, subjects, folder=tmp_path, identity="a" * 64, device=CPU)
    on_cpu = encoded_logits(made, encoded, device=CPU)
    on_gpu = encoded_logits(made.to(gpu), encoded, device=gpu)
    np.testing.assert_allclose(on_gpu, on_cpu, atol=1e-4)


def test_statistics_settle_to_the_cpus(gpu):
    on_cpu, on_gpu = fresh(), fresh().to(gpu)
    for network, device in ((on_cpu, CPU), (on_gpu, gpu)):
        settle_normalisation(network, toy_subjects(20), seed=0, device=device)
    for name, expected in on_cpu.encoder.named_buffers():
        found = on_gpu.encoder.get_buffer(name).cpu()
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)


def test_the_stem_is_the_cpus(gpu):
    packed = torch.from_numpy(
        np.random.default_rng(0).standard_normal((5, int(brain_cube(34).mask.sum()))).astype(np.float16)
    )
    torch.manual_seed(0)
    on_cpu, on_gpu = FrameEncoder(n_stages=1, width=4), FrameEncoder(n_stages=1, width=4).to(gpu)
    on_gpu.load_state_dict(on_cpu.state_dict())
    expected = BrainStem(34)(on_cpu, packed)
    found = WideStem(34, device=gpu, dtype=torch.float32)(on_gpu, packed.to(gpu))
    torch.testing.assert_close(found.cpu(), expected, atol=1e-5, rtol=1e-5)
    for maps in (found, expected):
        maps.square().sum().backward()
    torch.testing.assert_close(on_gpu.stem.weight.grad.cpu(), on_cpu.stem.weight.grad, atol=0, rtol=1e-3)


def test_training_follows_the_cpu(gpu, tmp_path):
    """Within 2 % of the loss; without dropout, whose random numbers are each device's own."""
    settings = SETTINGS.model_copy(update={"dropout": 0.0})
    _, on_cpu = trained(tmp_path / "cpu", CPU, settings=settings)
    _, on_gpu = trained(tmp_path / "gpu", gpu, settings=settings)
    losses = [[record.training_loss for record in result.records] for result in (on_cpu, on_gpu)]
    np.testing.assert_allclose(losses[1], losses[0], rtol=0.02)


def test_bfloat16_is_taken_where_it_is_native_and_follows_float32(gpu, tmp_path):
    settings = SETTINGS.model_copy(update={"dropout": 0.0})
    _, exact = trained(tmp_path / "float32", gpu, settings=settings)
    automatic = settings.model_copy(update={"precision": "auto"})
    _, rounded = trained(tmp_path / "auto", gpu, settings=automatic)
    native = torch.cuda.is_bf16_supported(including_emulation=False)
    assert rounded.precision == ("bfloat16" if native else "float32")
    assert rounded.records[0].training_loss == pytest.approx(exact.records[0].training_loss, rel=0.02)


@pytest.mark.parametrize("moment", [(1, 2), (2, 1), (4, 2)])
def test_an_interrupted_training_goes_on_to_the_same_weights(gpu, tmp_path, moment):
    """Within a millionth of the largest weight: convolutions are told to add up in one order."""

    def interrupt(progress):
        if (progress.epoch, progress.batch) == moment:
            raise KeyboardInterrupt

    expected, _ = trained(tmp_path / "whole", gpu)
    with pytest.raises(KeyboardInterrupt):
        trained(tmp_path / "cut", gpu, progress=interrupt)
    went_on, _ = trained(tmp_path / "cut", gpu)
    assert difference(went_on, expected) < 1e-6
    assert difference(fresh(), expected) > 1e-2
