"""How many threads a training takes: torch's and those of the linear algebra beneath numpy."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from threadpoolctl import threadpool_limits


@contextmanager
def on_threads(number: int) -> Iterator[None]:
    """Let products run on so many threads, in a block or, as a decorator, in a function.

    The threads of a BLAS wait for each other in a loop: two trainings that take a core for each of them on
    the same cores hold each other up many times over.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        with threadpool_limits(limits=number, user_api="blas"):
            yield
    finally:
        torch.set_num_threads(before)
