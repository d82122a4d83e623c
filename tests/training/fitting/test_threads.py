import torch
from threadpoolctl import threadpool_info, threadpool_limits

from training.fitting.threads import on_threads


def blas_threads() -> set[int]:
    return {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"}


def test_torch_and_the_blas_take_as_many_threads_as_are_asked_for_and_get_theirs_back():
    with threadpool_limits(limits=2, user_api="blas"):
        before = torch.get_num_threads()
        with on_threads(1):
            assert (torch.get_num_threads(), blas_threads()) == (1, {1})
        assert (torch.get_num_threads(), blas_threads()) == (before, {2})
