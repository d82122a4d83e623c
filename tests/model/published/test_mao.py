import numpy as np
import pytest
import torch

from model.published.mao import ConvolutionFusion, Mao4DCNN

# 1 -> 16 -> 32 -> 64 filters of 3^3, and a scale and a shift for each filter.
FRAME_CNN = 27 * (16 + 16 * 32 + 32 * 64) + 2 * (16 + 32 + 64)
# 64 maps of 4^3 positions to 128 features.
DESCRIBED = 64 * 64 * 128 + 128
PARAMETERS = {
    "pooling": FRAME_CNN + DESCRIBED + 128 + 1,
    # Four gates, each of 128 inputs, 64 states and two biases.
    "lstm": FRAME_CNN + DESCRIBED + 4 * 64 * (128 + 64 + 2) + 64 + 1,
    # 3x3x3x3 kernels from 64 to 32, their scales and shifts; 32 maps of 4^3 positions to 128.
    "convolution": FRAME_CNN + 64 * 32 * 81 + 2 * 32 + 32 * 64 * 128 + 128 + 128 + 1,
}


@pytest.mark.parametrize("fusion", PARAMETERS)
def test_parameters_worked_out_by_hand(fusion):
    network = Mao4DCNN(fusion=fusion)
    assert sum(parameter.numel() for parameter in network.parameters()) == PARAMETERS[fusion]


def test_the_sums_are_those_of_the_documentation():
    assert PARAMETERS == {"pooling": 594_321, "lstm": 643_921, "convolution": 498_129}


@pytest.mark.parametrize("fusion", PARAMETERS)
@pytest.mark.parametrize("n_frames", [3, 8])
def test_windows_of_any_length_are_read(fusion, n_frames):
    assert Mao4DCNN(fusion=fusion).eval()(torch.zeros(2, n_frames, 34, 34, 34)).shape == (2,)


@pytest.mark.parametrize(("fusion", "ordered"), [("pooling", False), ("lstm", True), ("convolution", True)])
def test_only_pooling_forgets_the_order_of_frames(fusion, ordered):
    torch.manual_seed(0)
    network = Mao4DCNN(fusion=fusion).eval()
    windows = torch.randn(1, 5, 34, 34, 34)
    same = torch.allclose(network(windows), network(windows.flip(1)), atol=1e-6)
    assert same != ordered


def test_neighbouring_frames_as_channels_are_a_convolution_in_four_dimensions():
    torch.manual_seed(1)
    fusion = ConvolutionFusion().eval()
    seen = []
    fusion.convolve.register_forward_hook(lambda _module, _inputs, output: seen.append(output))
    maps = torch.randn(1, 4, 64, 4, 4, 4)
    fusion(maps)
    # By its definition, one product of a shifted kernel and the padded series at a time.
    kernel = fusion.convolve.weight.detach().numpy().astype(float).reshape(32, 3, 64, 3, 3, 3)
    padded = np.pad(maps[0].numpy().astype(float), [(0, 0), (0, 0), (1, 1), (1, 1), (1, 1)])
    expected = np.zeros((2, 32, 4, 4, 4))
    for t, i, j, k in np.ndindex(2, 4, 4, 4):
        patch = padded[t : t + 3, :, i : i + 3, j : j + 3, k : k + 3]
        expected[t, :, i, j, k] = (kernel * patch).sum(axis=(1, 2, 3, 4, 5))
    np.testing.assert_allclose(seen[0].detach().numpy(), expected, atol=1e-4)


def test_a_fusion_of_another_name_is_refused():
    # Past beartype, which guards the annotation in the tests alone.
    with pytest.raises(ValueError, match="expected a fusion among pooling, lstm, convolution, found 'sum'"):
        Mao4DCNN.__init__.__wrapped__(Mao4DCNN.__new__(Mao4DCNN), fusion="sum")
