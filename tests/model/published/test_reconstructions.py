"""Niu's and Hong's networks, as reconstructed."""

import torch

from model.published.hong import HongTimeDistributed
from model.published.niu import Niu3DCNNGRU


def count(module):
    return sum(parameter.numel() for parameter in module.parameters())


def test_parameters_of_niu_worked_out_by_hand():
    frame_cnn = 27 * (16 + 16 * 32 + 32 * 64) + 2 * (16 + 32 + 64)
    space = 64 * 64 * 64 + 64
    time = 3 * 64 * (512 + 64 + 2)  # three gates, each of 8^3 cells, 64 states and two biases
    assert count(Niu3DCNNGRU()) == frame_cnn + space + time + 128 + 1 == 443_089


def test_parameters_of_hong_worked_out_by_hand():
    lstm = 4 * 10 * (64 * 17**3 + 10 + 2)
    assert lstm == 12_577_760
    assert count(HongTimeDistributed()) == 27 * 64 + 64 + lstm + 10 + 1 == 12_579_563


def test_niu_reads_space_whatever_the_order_and_time_by_it():
    torch.manual_seed(0)
    network = Niu3DCNNGRU().eval()
    windows = torch.randn(2, 4, 34, 34, 34)
    torch.testing.assert_close(network.of_space(windows.flip(1)), network.of_space(windows))
    assert not torch.allclose(network.of_time(windows.flip(1)), network.of_time(windows))


def test_the_cells_of_niu_leave_no_voxel_out():
    frame = torch.zeros(1, 1, 34, 34, 34, requires_grad=True)
    Niu3DCNNGRU().coarsen(frame).sum().backward()
    assert (frame.grad > 0).all()


def test_hong_computes_again_what_it_does_not_keep_and_comes_to_the_same():
    torch.manual_seed(1)
    network = HongTimeDistributed().eval()
    windows = torch.randn(2, 3, 34, 34, 34)
    logits = network(windows)
    features = network.describe(windows.flatten(0, 1).unsqueeze(1)).unflatten(0, (2, 3))
    states, _ = network.lstm(features)
    kept = network.head(states[:, -1]).squeeze(1)
    torch.testing.assert_close(logits, kept)
    for answers in (logits, kept):
        answers.sum().backward()
    once, twice = HongTimeDistributed(), network
    once.load_state_dict(network.state_dict())
    once.eval()(windows).sum().backward()
    torch.testing.assert_close(twice.convolve.weight.grad, 2 * once.convolve.weight.grad)


def test_the_features_of_hong_are_convolution_relu_and_the_maximum_of_eight():
    torch.manual_seed(2)
    network = HongTimeDistributed()
    frames = torch.randn(1, 1, 34, 34, 34)
    maps = network.convolve(frames).clamp(min=0)
    eights = maps.reshape(1, 64, 17, 2, 17, 2, 17, 2)
    torch.testing.assert_close(network.describe(frames), eights.amax(dim=(3, 5, 7)).flatten(1))
