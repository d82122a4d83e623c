import pytest
import torch
from torch.nn import functional

from model.published.packaged import PackagedBolT, PackagedMeanMLP


def count(module):
    return sum(parameter.numel() for parameter in module.parameters())


def test_parameters_of_mean_mlp_worked_out_by_hand():
    # 116 to 160, a scale and a shift for each, 160 to 2.
    assert count(PackagedMeanMLP(n_regions=116)) == 116 * 160 + 160 + 2 * 160 + 160 * 2 + 2 == 19_362


def test_parameters_of_bolt_worked_out_by_hand():
    regions, width, heads = 116, 36 * 20, 36
    layer = (
        3 * (regions * width + width)  # queries, keys, values
        + width * regions + regions
        + 2 * (regions * regions + regions)  # the perceptron, as wide as its input
        + 2 * 2 * regions  # two normalisations
    )  # fmt: skip
    positions = sum(
        heads * ((2 * (19 + 24 * i) + 1) + (20 + 48 * i) + 20 + 1)  # places; token to them and back
        for i in range(4)
    )
    rest = regions + 2 * regions + 2 * regions + 2
    assert count(PackagedBolT(n_regions=regions)) == 4 * layer + positions + rest == 1_488_694


def test_mean_mlp_answers_by_the_mean_of_its_time_points():
    torch.manual_seed(0)
    network = PackagedMeanMLP(n_regions=6).eval()
    series = torch.randn(2, 9, 6)
    alone = torch.stack([network(series[:, t : t + 1]) for t in range(9)], dim=1)
    torch.testing.assert_close(network(series), alone.mean(dim=1))


def test_the_logit_is_the_log_odds_of_the_packages_second_class():
    torch.manual_seed(1)
    network = PackagedBolT(n_regions=6).eval()
    series = torch.randn(3, 40, 6)
    probability = functional.softmax(network.network(series)[0], dim=1)[:, 1]
    torch.testing.assert_close(
        network(series), torch.log(probability / (1 - probability)), atol=1e-5, rtol=1e-4
    )


def test_bolt_reads_whole_windows_and_leaves_out_what_follows():
    torch.manual_seed(2)
    network = PackagedBolT(n_regions=6).eval()
    series = torch.randn(2, 35, 6)
    torch.testing.assert_close(network(series), network(series[:, :28]))
    assert not torch.allclose(network(series), network(series[:, :27]))


@pytest.mark.parametrize("frames", [20, 35, 60, 190])
def test_bolt_gives_the_packages_own_numbers_and_gradients(frames):
    torch.manual_seed(4)
    ours, package = PackagedBolT(n_regions=6).eval().double(), PackagedBolT(n_regions=6).eval().double()
    package.load_state_dict(ours.state_dict())
    series = torch.randn(2, frames, 6, dtype=torch.float64)
    # By default positions are hardly told apart.
    for (name, weight), other in zip(ours.named_parameters(), package.parameters(), strict=True):
        if "bias" in name:
            torch.nn.init.normal_(weight)
            other.data.copy_(weight.data)

    logits, disagreement = ours.logits_and_disagreement(series)
    (logits.sum() + disagreement).backward()
    units, more = package.network(series)
    expected = units[:, 1] - units[:, 0]
    _, log = package.network.compute_loss(more, torch.tensor([0, 1]))
    (expected.sum() + (more["cls"] - more["cls"].mean(dim=1, keepdim=True)).square().mean()).backward()

    torch.testing.assert_close(logits, expected)
    assert disagreement.item() == pytest.approx(log["cls_loss"], rel=1e-5)
    for (name, weight), other in zip(ours.named_parameters(), package.parameters(), strict=True):
        torch.testing.assert_close(weight.grad, other.grad, msg=lambda text, name=name: f"{name}: {text}")


def test_the_disagreement_is_that_of_the_packages_own_loss():
    torch.manual_seed(3)
    network = PackagedBolT(n_regions=6).eval()
    series = torch.randn(2, 44, 6)
    logits, disagreement = network.logits_and_disagreement(series)
    torch.testing.assert_close(logits, network(series))
    _, log = network.network.compute_loss(network.network(series)[1], torch.tensor([0, 1]))
    assert abs(disagreement.item() - log["cls_loss"]) < 1e-6
    assert disagreement > 0
    assert network.logits_and_disagreement(series[:, :20])[1] == 0, "one window agrees with itself"


def test_nothing_but_weights_is_stored():
    for network in (PackagedMeanMLP(n_regions=4), PackagedBolT(n_regions=4)):
        assert set(network.state_dict()) == {name for name, _ in network.named_parameters()}


def test_building_leaves_numpys_generator_alone_and_prints_nothing(capsys):
    import numpy as np

    before = np.random.get_state()[1].copy()  # noqa: NPY002  (the global one is what is asked about)
    PackagedBolT(n_regions=4)(torch.zeros(1, 20, 4))
    assert (np.random.get_state()[1] == before).all()  # noqa: NPY002
    assert capsys.readouterr() == ("", "")
