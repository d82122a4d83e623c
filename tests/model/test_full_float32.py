import pytest
import torch
from torch.backends import cudnn

from model.full_float32 import full_float32


def flags():
    return cudnn.enabled, cudnn.allow_tf32, cudnn.deterministic


def test_only_what_is_inside_is_kept_from_tensorfloat32():
    before = flags()
    assert before[1], "torch allows it unless it is told not to"
    with full_float32():
        assert flags() == (True, False, True)
        with full_float32():
            assert flags() == (True, False, True)
        assert flags() == (True, False, True)
    assert flags() == before
    with pytest.raises(KeyboardInterrupt), full_float32():
        raise KeyboardInterrupt
    assert flags() == before


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="this machine has no CUDA device")
def test_a_convolution_keeps_float32s_digits():
    frames, kernel = torch.randn(4, 64, 8, 8, 8), torch.randn(64, 64, 3, 3, 3)
    exact = torch.nn.functional.conv3d(frames.double(), kernel.double())
    with full_float32():
        found = torch.nn.functional.conv3d(frames.cuda(), kernel.cuda())
    torch.testing.assert_close(found.cpu().double(), exact, rtol=0, atol=1e-5 * float(exact.abs().max()))
