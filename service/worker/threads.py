"""How many threads the work of this process computes on."""

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def one_thread() -> Iterator[None]:
    """Compute on one thread: the other cores are for the scans that wait for an answer."""
    import torch  # noqa: PLC0415  (only a process that runs jobs pays for it)

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
