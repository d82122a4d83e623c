"""Each named ablation against the sum written out, and the defaults against what they were without a name."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from model.architecture import Architecture
from model.blocks import PreActivationBlock
from model.card import ModelCard
from model.checkpoint import load_checkpoint, save_checkpoint
from model.encoder import FrameEncoder
from model.network_members import NetworkMembers
from model.networks import RestNetwork

# Network C with a Bi-LSTM, width 16, from 4,354,769 parameters and 8,000 features: a feature costs the
# recurrent layer 2 * 4 * 64 weights; counted on paper.
PARAMETERS = {
    ("space", "average"): 4_354_769 - (8_000 - 64) * 512,
    ("space", "bottleneck"): 4_354_769 - (8_000 - 1_000) * 512 + 64 * 8 + 2 * 8,
    ("space", "readout"): 4_354_769 - (8_000 - 64) * 512 + 64 * 125,
    ("time", "last"): 4_354_769,
    # Each block normalises its input instead of a projection and its output, and once more at the end.
    ("blocks", "pre_activation"): 4_354_769 - 2 * (3 * 32 - 48 + 3 * 64 - 96 - 64),
    ("feature_norm", "batch"): 4_354_769,
    ("feature_dropout", 0.3): 4_354_769,
}


def architecture(**changes):
    return Architecture(**({"network": "D", "rnn": "gru", "width": 1} | changes))


def unsettled(network, *, seed=0):
    """Statistics and scales that training could have left."""
    generator = torch.Generator().manual_seed(seed)
    for module in network.modules():
        if isinstance(module, (torch.nn.BatchNorm3d, torch.nn.BatchNorm1d)):
            module.running_mean.normal_(0, 0.2, generator=generator)
            module.running_var.uniform_(0.5, 2.0, generator=generator)
            if module.affine:
                with torch.no_grad():
                    module.weight.uniform_(-1.5, 1.5, generator=generator)
                    module.bias.normal_(0, 0.3, generator=generator)
    return network.eval()


@pytest.mark.parametrize(("setting", "value"), PARAMETERS)
def test_an_ablation_changes_the_parameters_by_what_paper_says(setting, value):
    with torch.device("meta"):
        built = RestNetwork(Architecture(network="C", rnn="lstm", width=16, **{setting: value}))
    assert sum(parameter.numel() for parameter in built.parameters()) == PARAMETERS[setting, value]


@pytest.mark.parametrize("space", ["flatten", "average", "bottleneck", "readout"])
def test_space_is_read_as_its_name_says(space):
    torch.manual_seed(1)
    encoder = unsettled(FrameEncoder(n_stages=4, width=1, space=space, bottleneck_channels=2))
    maps = torch.randn(2, 8, 3, 3, 3)
    x = maps.numpy().astype(float)
    if space == "flatten":
        expected = x.reshape(2, -1)
    elif space == "average":
        expected = x.mean(axis=(2, 3, 4))
    elif space == "readout":
        expected = np.einsum("ncxyz,cxyz->nc", x, encoder.reading.weight.detach().numpy())
    else:
        mixed = np.einsum("kc,ncxyz->nkxyz", encoder.reading.mix.weight.detach().numpy()[..., 0, 0, 0], x)
        norm = encoder.reading.norm
        mean, variance, scale, shift = (
            t.detach().numpy()[:, None, None, None]
            for t in (norm.running_mean, norm.running_var, norm.weight, norm.bias)
        )
        normalised = (mixed - mean) / np.sqrt(variance + 1e-5) * scale + shift
        expected = np.maximum(normalised, 0).reshape(2, -1)
    found = encoder.reading(maps)
    assert found.shape == (2, encoder.n_features)
    np.testing.assert_allclose(found.detach().numpy(), expected, atol=1e-5)


def test_the_last_state_is_where_each_direction_ends():
    torch.manual_seed(2)
    network = RestNetwork(architecture(time="last")).eval()
    features = torch.randn(3, 5, network.n_features)
    _, last = network.rnn(features)  # torch's own (direction, window, unit)
    expected = torch.cat([last[0], last[1]], dim=1) @ network.head.weight[0] + network.head.bias
    torch.testing.assert_close(network.read(features), expected)


def test_features_are_standardised_over_the_frames_of_the_batch_and_later_by_what_was_seen():
    torch.manual_seed(3)
    network = RestNetwork(architecture(feature_norm="batch", dropout=0.0)).train()
    features = torch.randn(4, 5, network.n_features) * 0.1 + 0.5
    flat = features.numpy().astype(float).reshape(20, -1)
    expected = (flat - flat.mean(axis=0)) / np.sqrt(flat.var(axis=0) + 1e-3)
    plain = RestNetwork(architecture(dropout=0.0)).train()
    plain.load_state_dict(network.state_dict(), strict=False)
    standardised = torch.from_numpy(expected.reshape(4, 5, -1)).float()
    torch.testing.assert_close(network.read(features), plain.read(standardised), atol=1e-5, rtol=1e-4)
    network.feature_norm.momentum = 1.0
    network.read(features)
    network.eval()
    # The running variance is the sample's, n - 1: a few per cent above.
    torch.testing.assert_close(network.read(features), plain.read(standardised), atol=5e-3, rtol=0.05)


def test_features_are_dropped_and_the_others_raised_in_training_and_none_in_use():
    torch.manual_seed(3)
    network = RestNetwork(architecture(feature_dropout=0.3, dropout=0.0)).train()
    seen = []
    network.rnn.register_forward_pre_hook(lambda _module, inputs: seen.append(inputs[0]))
    features = torch.rand(4, 5, network.n_features) + 1
    network.read(features)
    kept = seen[0] != 0
    assert float(kept.float().mean()) == pytest.approx(0.7, abs=0.02)
    torch.testing.assert_close(seen[0][kept], features[kept] / 0.7)
    network.eval().read(features)
    assert torch.equal(seen[1], features)


@pytest.mark.parametrize(("channels", "stride"), [(2, 1), (3, 2)])
def test_a_pre_activation_block_normalises_before_it_convolves(channels, stride):
    block = unsettled(PreActivationBlock(2, channels, stride=stride))
    x = torch.randn(2, 2, 5, 5, 5, generator=torch.Generator().manual_seed(1))

    def normalise(image, norm):
        return functional.batch_norm(image, norm.running_mean, norm.running_var, norm.weight, norm.bias)

    activated = functional.relu(normalise(x, block.norm1))
    middle = functional.conv3d(activated, block.conv1.weight, stride=stride, padding=1)
    middle = functional.relu(normalise(middle, block.norm2))
    residual = functional.conv3d(middle, block.conv2.weight, padding=1)
    shortcut = x if stride == 1 else functional.conv3d(activated, block.projection.weight, stride=stride)
    torch.testing.assert_close(block(x), residual + shortcut)


def test_a_pre_activation_encoder_ends_with_a_norm_and_a_relu():
    encoder = unsettled(FrameEncoder(n_stages=2, width=2, blocks="pre_activation"))
    seen = []
    encoder.stages.register_forward_hook(lambda _module, _inputs, output: seen.append(output))
    features = encoder(torch.randn(2, 1, 34, 34, 34))
    norm = encoder.last_norm
    expected = functional.relu(
        functional.batch_norm(seen[0], norm.running_mean, norm.running_var, norm.weight, norm.bias)
    )
    torch.testing.assert_close(features, expected.flatten(1))


COMBINATIONS = [
    {},
    {"space": "bottleneck", "feature_norm": "batch", "time": "last"},
    {"space": "readout", "blocks": "pre_activation", "feature_norm": "batch"},
    {"space": "average", "blocks": "pre_activation", "time": "last"},
]


@pytest.mark.parametrize("ablations", COMBINATIONS)
def test_every_weight_of_an_ablated_network_learns(ablations):
    torch.manual_seed(4)
    network = RestNetwork(architecture(width=2, bottleneck_channels=2, **ablations)).eval()
    network(torch.randn(2, 3, 34, 34, 34)).sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in network.parameters())


@pytest.mark.parametrize("ablations", COMBINATIONS)
def test_a_checkpoint_serves_the_network_that_was_trained(ablations, make_card, network_input, tmp_path):
    card = make_card(bottleneck_channels=2, **ablations)
    torch.manual_seed(5)
    networks = [unsettled(RestNetwork(card), seed=i) for i in range(card.members)]
    path = tmp_path / "ablated.safetensors"
    save_checkpoint(path, members=[network.state_dict() for network in networks], card=card)
    assert load_checkpoint(path).card == card
    built = load_checkpoint(path).networks()
    members = NetworkMembers(built, spec=network_input.spec, device=torch.device("cpu"), backend="auto")
    starts = np.array([0, 3, 7])
    windows = torch.stack([torch.from_numpy(network_input.frames[s : s + 5]) for s in starts])
    with torch.inference_mode():
        eager = torch.stack([network(windows) for network in networks]).numpy()
    served = members.read_windows(network_input.series.T, starts).logits
    assert np.ptp(eager) > 1e-3
    np.testing.assert_allclose(served, eager, atol=1e-5)


def test_half_precision_keeps_the_statistics_of_standardised_features_whole(make_card, tmp_path):
    card = make_card(feature_norm="batch", members=1)
    torch.manual_seed(6)
    network = unsettled(RestNetwork(card))
    path = tmp_path / "half.safetensors"
    save_checkpoint(path, members=[network.state_dict()], card=card, weights_dtype="float16")
    stored = load_checkpoint(path).members[0]
    assert torch.equal(stored["feature_norm.running_var"], network.feature_norm.running_var)
    assert not torch.equal(stored["head.weight"], network.head.weight)


def test_a_card_from_before_the_ablations_means_their_defaults(make_card):
    fields = make_card().model_dump()
    ablations = ("space", "bottleneck_channels", "time", "blocks", "feature_norm")
    for name in (*ablations, "dropout", "feature_dropout"):
        del fields[name]
    assert ModelCard.model_validate(fields) == make_card(
        space="flatten", time="mean", blocks="post_activation", feature_norm="none", dropout=0.5
    )
