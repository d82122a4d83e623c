"""Matrix products on one thread."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

from threadpoolctl import ThreadpoolController


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Let products run on one thread, in a block or, as a decorator, in a function.

    The threads of a BLAS wait for each other in a loop, on the core that another thread here works on. And
    the last bits of a product depend on how many share it.
    """
    with _blas().limit(limits=1):
        yield


@cache
def _blas() -> ThreadpoolController:
    return ThreadpoolController().select(user_api="blas")
