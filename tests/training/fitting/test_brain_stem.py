import copy

import numpy as np
import pytest
import torch

from imaging import brain_cube
from model.encoder import FrameEncoder
from training.fitting.brain_stem import BrainStem

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


@pytest.mark.parametrize("width", [1, 5])
def test_maps_gradients_and_running_statistics_are_those_of_the_layers_one_by_one(width):
    ours = encoder(width)
    theirs = copy.deepcopy(ours)
    packed = frames()
    expected = written_out(theirs, packed)
    found = BrainStem(34)(ours, packed)
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


def test_a_frame_without_signal_still_has_the_norms_shift():
    """Cells outside the brain are not computed; they hold what a dense convolution of zeros would."""
    made = encoder(3)
    packed = frames()
    packed[4] = 0
    found = BrainStem(34)(made, packed)
    theirs = encoder(3)
    close(found.detach()[4], written_out(theirs, packed).detach()[4])
    assert float(found.detach()[4].std(dim=(1, 2, 3)).max()) == pytest.approx(0, abs=1e-6)


def test_channels_lie_last_in_memory():
    found = BrainStem(34)(encoder(4), frames())
    assert found.is_contiguous(memory_format=torch.channels_last_3d)


def test_the_same_frames_give_the_same_bits():
    first, again = (BrainStem(34)(encoder(4), frames()) for _ in range(2))
    assert torch.equal(first, again)
