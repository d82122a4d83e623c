import pytest
import torch
from torch.nn import functional

from model.published.zou import Zou3DCNN


def count(module):
    return sum(parameter.numel() for parameter in module.parameters())


def test_parameters_worked_out_by_hand():
    # 5^3 kernels on 3 maps to 32; 32 to 64 and twice 64 to 64 of 3^3; a scale and a shift for each filter;
    # 64 maps of 6^3 positions to 512 units, a scale and a shift for each; 512 to 2.
    convolutions = 3 * 32 * 125 + 32 * 64 * 27 + 2 * 64 * 64 * 27
    norms = 2 * (32 + 64 + 64 + 64)
    dense = 64 * 216 * 512 + 2 * 512
    assert count(Zou3DCNN(n_maps=3)) == convolutions + norms + dense + 512 * 2 + 2 == 7_368_866
    # A second branch on one structural map, and twice as wide a last layer.
    second = 32 * 125 + 32 * 64 * 27 + 2 * 64 * 64 * 27 + norms + dense
    assert count(Zou3DCNN(n_maps=3, n_structural=1)) == 7_368_866 + second + 512 * 2 == 14_729_730


def test_the_logit_is_the_log_odds_of_the_second_unit():
    torch.manual_seed(0)
    network = Zou3DCNN(n_maps=1).eval()
    units = []
    network.head.register_forward_hook(lambda _module, _inputs, output: units.append(output))
    logits = network(torch.randn(3, 1, 34, 34, 34))
    probability = functional.softmax(units[0], dim=1)[:, 1]
    torch.testing.assert_close(logits, torch.log(probability / (1 - probability)), atol=1e-5, rtol=1e-4)


def test_both_kinds_of_map_reach_the_answer():
    torch.manual_seed(1)
    network = Zou3DCNN(n_maps=1, n_structural=2).eval()
    maps, structural = torch.randn(2, 1, 34, 34, 34), torch.randn(2, 2, 68, 68, 68)
    maps.requires_grad_()
    structural.requires_grad_()
    network(maps, structural).sum().backward()
    assert maps.grad.any()
    assert structural.grad.any()


def test_structural_maps_are_asked_for_where_there_is_a_branch_and_refused_elsewhere():
    maps, structural = torch.zeros(1, 1, 34, 34, 34), torch.zeros(1, 1, 68, 68, 68)
    with pytest.raises(ValueError, match="expected structural maps, found none"):
        Zou3DCNN(n_maps=1, n_structural=1)(maps)
    with pytest.raises(ValueError, match="expected no structural maps, found some"):
        Zou3DCNN(n_maps=1)(maps, structural)


def test_a_negative_number_of_structural_maps_is_refused():
    with pytest.raises(ValueError, match="expected n_structural of at least 0, found -1"):
        Zou3DCNN(n_maps=1, n_structural=-1)


def test_dropout_acts_in_training():
    torch.manual_seed(2)
    network = Zou3DCNN(n_maps=1)
    maps = torch.randn(4, 1, 34, 34, 34)
    assert not torch.equal(network(maps), network(maps))
