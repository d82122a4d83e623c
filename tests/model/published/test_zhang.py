import pytest
import torch

from model.published.zhang import SCCNNAttention


def settled(n_regions=4, *, seed=0):
    torch.manual_seed(seed)
    return SCCNNAttention(n_regions=n_regions).eval()


def test_parameters_worked_out_by_hand():
    # Kernels of 3 from 1 to 32, 64, 96 and 96 with biases; two maps of 96 to 256, one bias, and 256 to 1;
    # 116 regions of 96 to 512, and 512 to 2.
    convolutions = 3 * (32 + 32 * 64 + 64 * 96 + 96 * 96) + 32 + 64 + 96 + 96
    attention = 2 * 96 * 256 + 256 + 256 + 1
    dense = 116 * 96 * 512 + 512 + 512 * 2 + 2
    network = SCCNNAttention(n_regions=116)
    assert sum(p.numel() for p in network.parameters()) == convolutions + attention + dense == 5_805_443


def test_a_region_is_described_by_its_own_series_alone_and_as_any_other_would_be():
    network = settled()
    series = torch.randn(2, 20, 4)
    features = network.describe(series)
    changed = series.clone()
    changed[:, :, 1] += 1
    torch.testing.assert_close(network.describe(changed)[:, [0, 2, 3]], features[:, [0, 2, 3]])
    torch.testing.assert_close(network.describe(series.flip(2)), features.flip(1))


def test_weights_lie_between_0_and_1_and_look_at_the_other_regions():
    network = settled()
    features = 5 * torch.randn(3, 4, 96)
    weights = network.weigh(features)
    assert weights.shape == (3, 4)
    assert ((weights > 0) & (weights < 1)).all()
    assert not torch.allclose(weights.sum(dim=1), torch.ones(3)), "a sigmoid each, no softmax over regions"
    changed = features.clone()
    changed[:, 1] += 1
    assert not torch.allclose(network.weigh(changed)[:, 0], weights[:, 0])


def test_additive_attention_by_its_definition():
    network = settled()
    features = torch.randn(2, 4, 96)
    first, second = network.of_region, network.of_all
    for scan in range(2):
        mean = features[scan].mean(dim=0)
        for region in range(4):
            hidden = torch.tanh(first.weight @ features[scan, region] + first.bias + second.weight @ mean)
            expected = 1 / (1 + torch.exp(-(network.score.weight[0] @ hidden + network.score.bias[0])))
            torch.testing.assert_close(network.weigh(features)[scan, region], expected)


def test_regions_keep_their_places():
    network = settled()
    series = torch.randn(2, 20, 4)
    assert not torch.allclose(network(series), network(series.flip(2)))


def test_dropout_acts_in_training_and_nowhere_after_the_third_convolution():
    network = settled().train()
    series = torch.randn(2, 20, 4)
    assert not torch.equal(network(series), network(series))
    shares = [module.p for module in network.modules() if isinstance(module, torch.nn.Dropout)]
    assert shares == [0.3, 0.3, 0.0, 0.3]


def test_another_number_of_regions_than_built_for_is_an_error():
    with pytest.raises(RuntimeError):
        settled(4)(torch.randn(1, 20, 5))


def test_how_regions_go_together_in_time_is_lost_on_it():
    """A region is described by the mean over its own time: shifted against others it is described alike."""
    network = settled(30)
    scans = torch.randn(2, 200, 1) + torch.randn(2, 200, 30)
    # By multiples of what the pools join, and as a ring: only the ends meet other neighbours.
    shifted = torch.stack([torch.roll(scans[0, :, k], 4 * (7 * k % 50)) for k in range(30)], dim=1)
    with torch.no_grad():
        features = network.describe(torch.stack([scans[0], shifted, scans[1]]))
    assert (features[1] - features[0]).norm() < 0.2 * (features[2] - features[0]).norm()
    together, apart = (torch.corrcoef(series.T).abs().mean() for series in (scans[0], shifted))
    assert together > 3 * apart
