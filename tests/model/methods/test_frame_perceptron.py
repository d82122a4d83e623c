import pytest
import torch

from model.methods.frame_perceptron import DROPOUT, FramePerceptron


@pytest.fixture
def network():
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(0)
        return FramePerceptron(n_regions=7).eval()


def test_a_scans_logit_is_the_mean_of_its_frames_in_any_order(network):
    series = torch.randn(3, 25, 7, generator=torch.Generator().manual_seed(1))
    whole = network(series)
    assert whole.shape == (3,)
    by_frame = torch.stack([network(series[:, t : t + 1]) for t in range(25)]).mean(dim=0)
    torch.testing.assert_close(whole, by_frame)
    torch.testing.assert_close(network(series.flip(1)), whole)


def test_it_sees_which_regions_go_together_and_not_only_how_high_they_are(network):
    """Regions of mean 0 whose signs agree or not: a linear readout of the mean would see nothing."""
    signs = torch.tensor([1.0, -1.0]).repeat(10)[None, :, None]
    together, apart = signs * torch.ones(7), signs * torch.tensor([1.0, -1, 1, -1, 1, -1, 1])
    torch.testing.assert_close(together.mean(dim=1), apart.mean(dim=1))
    assert (network(together) - network(apart)).abs().item() > 1e-3


def test_units_are_dropped_in_training_alone(network):
    series = torch.randn(1, 5, 7, generator=torch.Generator().manual_seed(2))
    assert torch.equal(network(series), network(series))
    network.train()
    assert not torch.equal(network(series), network(series))
    assert network.hidden[3].p == DROPOUT


def test_regions_there_have_to_be():
    with pytest.raises(ValueError, match="n_regions"):
        FramePerceptron(n_regions=0)
