"""Float32 with all of its digits on a GPU too."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def full_float32() -> Iterator[None]:
    """Keep TensorFloat32 from convolutions and recurrent layers, and let them add up in one order.

    Torch lets cuDNN round what these multiply to ten bits unless it is told not to, which costs three digits;
    other products of matrices it leaves alone. A CPU has none, and bfloat16 stays what it is.
    """
    with torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=False):
        yield
