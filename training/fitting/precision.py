"""In which numbers a network is trained, and the context that makes torch use them.

bfloat16 halves the bytes that a convolution moves, but only a processor that multiplies it natively gets
faster by it; others emulate it, slower than float32. So it is taken by itself only where the hardware has it
and where it computes the right thing.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import torch
from torch.nn import functional

from model.full_float32 import full_float32
from training.fitting.settings import Precision

Used = Literal["float32", "bfloat16"]

# bfloat16 keeps 8 bits of a number; a sum of some hundred products stays well within this of the true one.
_TOLERATED_ERROR = 0.03


def choose_precision(asked: Precision, *, device: torch.device) -> Used:
    """Say in which numbers the residual network computes during training.

    Parameters
    ----------
    asked : "auto", "float32" or "bfloat16"
        "bfloat16" is obeyed even where it is emulated.
    device : torch.device
    """
    if asked != "auto":
        return asked
    return "bfloat16" if _is_native(device) and is_bfloat16_right(device) else "float32"


@contextmanager
def encoding_in(precision: Used, *, device: torch.device) -> Iterator[None]:
    """Compute convolutions in this precision; weights, gradients and sums stay in float32."""
    with torch.autocast(device.type, dtype=torch.bfloat16, enabled=precision == "bfloat16"):
        yield


def is_bfloat16_right(device: torch.device) -> bool:
    """Hold one strided convolution against float32: some builds get it wrong without a word."""
    generator = torch.Generator().manual_seed(0)
    frames = torch.randn(2, 8, 9, 9, 9, generator=generator).to(device)
    kernel = torch.randn(8, 8, 3, 3, 3, generator=generator).to(device)
    with full_float32():
        expected = functional.conv3d(frames, kernel, stride=2, padding=1)
        with encoding_in("bfloat16", device=device):
            found = functional.conv3d(frames, kernel, stride=2, padding=1).float()
    return bool((found - expected).abs().max() <= _TOLERATED_ERROR * expected.abs().max())


def _is_native(device: torch.device) -> bool:
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    capabilities = torch.cpu.get_capabilities()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))
