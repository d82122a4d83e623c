import copy

import numpy as np
import pytest
import torch

from imaging import brain_cube
from model.encoder import FrameEncoder
from training.fitting.brain_stem import BrainStem
from training.fitting.wide_stem import WideStem

# More than a block of 16, and not a multiple of it.
N_FRAMES = 19


def frames(seed=0):
    n_voxels = int(brain_cube(34).mask.sum())
    return torch.from_numpy(np.random.default_rng(seed).standard_normal((N_FRAMES, n_voxels))).half()


def dense(packed):
    cube = torch.zeros(len(packed), 34**3)
    cube[:, torch.from_numpy(np.flatnonzero(brain_cube(34).mask))] = packed.float()
    return cube.reshape(-1, 1, 34, 34, 34)


def encoder(width, *, seed=0):
    torch.manual_seed(seed)
    made = FrameEncoder(n_stages=1, width=width).train()
    with torch.no_grad():
        made.stem_norm.weight.uniform_(-1.5, 1.5)  # negative scales turn the maximum into a minimum
        made.stem_norm.bias.normal_(0, 0.5)
    return made


def written_out(made, packed):
    """Convolution, norm, ReLU and pool as torch has them, in double precision."""
    return made.double().pool(made.relu(made.stem_norm(made.stem(dense(packed).double()))))


def close(found, expected):
    scale = float(expected.abs().max())
    torch.testing.assert_close(found.double() / scale, expected / scale, atol=1e-5, rtol=0)


def wide_stem(dtype=torch.float32):
    """The stem that a GPU uses, which computes the same anywhere."""
    return WideStem(34, device=torch.device("cpu"), dtype=dtype)


STEMS = pytest.mark.parametrize("stem", [BrainStem(34), wide_stem()], ids=["a CPU's", "a GPU's"])


@STEMS
@pytest.mark.parametrize("width", [1, 5])
def test_maps_gradients_and_running_statistics_are_those_of_the_layers_one_by_one(stem, width):
    ours = encoder(width)
    theirs = copy.deepcopy(ours)
    packed = frames()
    expected = written_out(theirs, packed)
    found = stem(ours, packed)
    assert found.shape == expected.shape == (N_FRAMES, width, 17, 17, 17)
    close(found.detach(), expected.detach())
    weights = torch.randn(expected.shape, generator=torch.Generator().manual_seed(1))
    (found * weights).sum().backward()
    (expected * weights).sum().backward()
    for name in ("stem.weight", "stem_norm.weight", "stem_norm.bias"):
        close(ours.get_parameter(name).grad, theirs.get_parameter(name).grad)
    for name in ("running_mean", "running_var"):
        close(ours.stem_norm.get_buffer(name), theirs.stem_norm.get_buffer(name))
    assert int(ours.stem_norm.num_batches_tracked) == 1


@STEMS
def test_a_frame_without_signal_still_has_the_norms_shift(stem):
    """Cells outside the brain are not computed; they hold what a dense convolution of zeros would."""
    made = encoder(3)
    packed = frames()
    packed[4] = 0
    found = stem(made, packed)
    theirs = encoder(3)
    close(found.detach()[4], written_out(theirs, packed).detach()[4])
    assert float(found.detach()[4].std(dim=(1, 2, 3)).max()) == pytest.approx(0, abs=1e-6)


@STEMS
def test_channels_lie_last_in_memory(stem):
    found = stem(encoder(4), frames())
    assert found.is_contiguous(memory_format=torch.channels_last_3d)


@STEMS
def test_the_same_frames_give_the_same_bits(stem):
    first, again = (stem(encoder(4), frames()) for _ in range(2))
    assert torch.equal(first, again)


def test_bfloat16_differs_by_its_rounding_alone():
    made, packed = encoder(4), frames()
    expected = written_out(copy.deepcopy(made), packed).detach()
    found = wide_stem(torch.bfloat16)(made, packed)
    assert found.dtype == torch.bfloat16
    # 8 bits of a value, on its way through a product and a scale.
    assert float((found.detach().double() - expected).abs().max() / expected.abs().max()) < 2**-6
    found.float().square().mean().backward()
    assert made.stem.weight.grad.dtype == torch.float32
    assert float(made.stem.weight.grad.abs().max()) > 0
