import numpy as np
import pytest
import torch
from torch.nn import functional

from model import networks
from model.blocks import ResidualBlock
from model.encoder import FrameEncoder
from model.networks import build_network

# Worked out on paper from the plan, not from the code.
PARAMETERS_WITH_LSTM = {"A": 40_295_569, "B": 12_034_385, "C": 4_354_769, "D": 2_700_753}
FEATURES = {"A": 78_608, "B": 23_328, "C": 8_000, "D": 3_456}
EIGHT = [(network, rnn) for network in "ABCD" for rnn in ("lstm", "gru")]


def count(network):
    return sum(parameter.numel() for parameter in network.parameters())


def settled(network, *, seed=0):
    """Give every BatchNorm statistics and scales of its own, as training would."""
    generator = torch.Generator().manual_seed(seed)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm3d):
            module.running_mean.normal_(0, 0.2, generator=generator)
            module.running_var.uniform_(0.5, 2.0, generator=generator)
            with torch.no_grad():
                module.weight.uniform_(-1.5, 1.5, generator=generator)
                module.bias.normal_(0, 0.3, generator=generator)
    return network.eval()


@pytest.mark.parametrize("network", "ABCD")
def test_published_size_networks_have_the_parameters_and_features_of_the_reading(network):
    with torch.device("meta"):
        built = build_network(network, "lstm")
    assert count(built) == PARAMETERS_WITH_LSTM[network]
    assert built.n_features == FEATURES[network]


@pytest.mark.parametrize(("network", "rnn"), EIGHT)
def test_named_builders_build_what_they_are_called(network, rnn):
    with torch.device("meta"):
        named = getattr(networks, f"network_{network.lower()}_{rnn}")(width=2)
        general = build_network(network, rnn, width=2)
    assert isinstance(named.rnn, torch.nn.LSTM if rnn == "lstm" else torch.nn.GRU)
    assert {k: v.shape for k, v in named.state_dict().items()} == {
        k: v.shape for k, v in general.state_dict().items()
    }
    assert len(named.encoder.stages) == "ABCD".index(network) + 1


@pytest.mark.parametrize(("network", "rnn"), EIGHT)
def test_each_of_the_eight_gives_a_finite_logit_a_window_and_learns_from_all_its_weights(network, rnn):
    torch.manual_seed(0)
    built = build_network(network, rnn, width=1).eval()
    logits = built(torch.randn(2, 3, 34, 34, 34))
    assert logits.shape == (2,)
    assert torch.isfinite(logits).all()
    logits.sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in built.parameters())


@pytest.mark.parametrize(("n_stages", "edge", "channels"), [(1, 17, 2), (2, 9, 4), (3, 5, 8), (4, 3, 16)])
def test_stages_halve_the_grid_and_double_the_channels(n_stages, edge, channels):
    encoder = FrameEncoder(n_stages=n_stages, width=2)
    seen = []
    encoder.stages[-1].register_forward_hook(lambda _module, _inputs, output: seen.append(output.shape))
    encoder(torch.randn(2, 1, 34, 34, 34))
    assert seen == [(2, channels, edge, edge, edge)]


def test_a_residual_block_is_what_a_loop_over_voxels_says():
    """Written out with numpy loops: convolution, scale and shift, ReLU, and the sum with the projection."""
    block = settled(ResidualBlock(2, 3, stride=2))
    x = torch.randn(1, 2, 5, 5, 5, generator=torch.Generator().manual_seed(1))

    def convolve(image, kernel, *, stride, padding):
        padded = np.pad(image, [(0, 0)] + [(padding, padding)] * 3)
        size = kernel.shape[2]
        n = (padded.shape[1] - size) // stride + 1
        out = np.zeros((kernel.shape[0], n, n, n))
        for i, j, k in np.ndindex(n, n, n):
            corner = np.s_[:, i * stride : i * stride + size, j * stride : j * stride + size]
            patch = padded[corner][..., k * stride : k * stride + size]
            out[:, i, j, k] = (kernel * patch).sum(axis=(1, 2, 3, 4))
        return out

    def normalise(image, norm):
        mean, variance, scale, shift = (
            t.detach().numpy().astype(float)[:, None, None, None]
            for t in (norm.running_mean, norm.running_var, norm.weight, norm.bias)
        )
        return (image - mean) / np.sqrt(variance + norm.eps) * scale + shift

    kernels = [c.weight.detach().numpy().astype(float) for c in (block.conv1, block.conv2, block.projection)]
    image = x[0].numpy().astype(float)
    first = np.maximum(normalise(convolve(image, kernels[0], stride=2, padding=1), block.norm1), 0)
    second = normalise(convolve(first, kernels[1], stride=1, padding=1), block.norm2)
    shortcut = normalise(convolve(image, kernels[2], stride=2, padding=0), block.projection_norm)
    np.testing.assert_allclose(block(x)[0].detach().numpy(), np.maximum(second + shortcut, 0), atol=1e-5)


def test_the_stem_is_convolution_norm_relu_and_then_the_pool():
    encoder = settled(FrameEncoder(n_stages=1, width=2))
    seen = []
    encoder.stages[0].register_forward_hook(lambda _module, inputs, _output: seen.append(inputs[0]))
    frames = torch.randn(2, 1, 34, 34, 34, generator=torch.Generator().manual_seed(2))
    encoder(frames)
    norm = encoder.stem_norm
    expected = functional.max_pool3d(
        functional.relu(
            functional.batch_norm(
                functional.conv3d(frames, encoder.stem.weight, padding=1),
                norm.running_mean,
                norm.running_var,
                norm.weight,
                norm.bias,
            )
        ),
        2,
    )
    torch.testing.assert_close(seen[0], expected)


@pytest.mark.parametrize("rnn", ["lstm", "gru"])
def test_encoding_shared_frames_once_and_reading_windows_is_the_whole_network(rnn):
    torch.manual_seed(3)
    network = settled(build_network("C", rnn, width=2))
    frames = torch.randn(8, 34, 34, 34)
    windows = torch.stack([frames[0:5], frames[2:7], frames[3:8]])
    features = network.encode(frames.unsqueeze(1))
    read = network.read(torch.stack([features[0:5], features[2:7], features[3:8]]))
    torch.testing.assert_close(read, network(windows), atol=1e-6, rtol=1e-5)


def test_the_readout_is_the_mean_over_time_of_both_directions():
    torch.manual_seed(4)
    network = build_network("D", "gru", width=1).eval()
    features = torch.randn(2, 6, network.n_features)
    over_time, _ = network.rnn(features)
    expected = over_time.mean(dim=1) @ network.head.weight[0] + network.head.bias
    torch.testing.assert_close(network.read(features), expected)
    network.train()
    assert not torch.equal(network.read(features), network.read(features)), "dropout acts in training"


def test_a_network_without_channels_is_refused():
    with pytest.raises(ValueError, match="expected a width of at least 1, found 0"):
        build_network("A", "gru", width=0)


def test_a_fresh_reader_starts_as_keras_starts_it():
    rnn = build_network("D", "lstm", width=2).rnn.requires_grad_(False)
    forget = rnn.bias_ih_l0[64:128]
    assert torch.equal(forget, torch.ones_like(forget))
    assert float(rnn.bias_ih_l0.abs().sum()) == 64
    limit = (6 / (rnn.weight_ih_l0.shape[0] + rnn.weight_ih_l0.shape[1])) ** 0.5
    assert 0.9 * limit < float(rnn.weight_ih_l0.abs().max()) <= limit
