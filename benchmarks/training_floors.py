"""What the trainings of `training_loops.py` cannot be faster than, and what the machine could do at best.

- floor_eager, floor_ours: hardly any data. A step is taken on the same random numbers again and again: the
  plain network's forward and backward pass, and ours, each with the optimiser's step. Ours also copies the
  windows' bytes once, which is all that it must read;
- arithmetic: how fast this machine multiplies matrices, and how many operations a window asks for.
"""

from collections.abc import Callable
from time import perf_counter, process_time
from typing import Any

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode
from training_loops import Kind, Work, eager_step

from model.networks import RestNetwork
from training.fitting.batches import PackedBatch
from training.fitting.precision import choose_precision
from training.fitting.prepared import inside_brain
from training.fitting.steps import Stepper

CPU = torch.device("cpu")


def floor_eager(work: Work) -> Callable[[], dict[str, Any]]:
    network, inside = work.network().train(), inside_brain(34)
    optimiser = torch.optim.Adam(network.parameters(), lr=work.settings.learning_rate, fused=True)
    dense = torch.zeros(work.settings.batch_size, 20, 34**3)
    dense[:, :, inside] = torch.randn(work.settings.batch_size, 20, len(inside))
    windows = dense.reshape(-1, 20, 34, 34, 34)
    labels = (torch.arange(len(windows)) % 2).float()

    def step(n: int) -> None:
        eager_step(network, optimiser, windows[:n], labels[:n])

    return lambda: only_steps(work, step)


def floor_ours(work: Work) -> Callable[[], dict[str, Any]]:
    subjects = work.subjects()
    network = work.network().train()
    stepper = Stepper(network, settings=work.settings, spec=subjects[0].spec, device=CPU)
    n_voxels = subjects[0].series[0].shape[1]
    frames = torch.randn(work.settings.batch_size, 20, n_voxels).half()
    labels = (torch.arange(len(frames)) % 2).float()

    def step(n: int) -> None:
        stepper.step(PackedBatch(frames[:n], labels[:n]), epoch=1, share_done=0.0)

    def read() -> dict[str, Any]:
        """Copy the epochs' bytes once more, which is all the reading that ours must do."""
        began, n_bytes = perf_counter(), 0
        for epoch in range(1, work.settings.epochs + 1):
            for batch in work.plan(subjects, epoch):
                for item in batch:
                    series = subjects[item.subject].series[item.scan]
                    n_bytes += np.array(series[item.start : item.start + 20]).nbytes
        return {"read_s": perf_counter() - began, "read_bytes": n_bytes}

    return lambda: only_steps(work, step) | read()


def arithmetic(work: Work) -> Callable[[], dict[str, Any]]:
    """Count what the plain network's convolutions and products ask for; its passes are run once, on a CPU."""
    network = RestNetwork(work.settings).train()
    with FlopCounterMode(display=False) as counter:
        network(torch.randn(1, 20, 34, 34, 34)).sum().backward()
    precision = choose_precision(work.settings.precision, device=CPU)
    size = 2048
    factor = torch.randn(size, size, dtype=getattr(torch, precision))

    def measure() -> dict[str, Any]:
        rates = []
        for _ in range(5):
            began = perf_counter()
            factor @ factor
            rates.append(2 * size**3 / (perf_counter() - began))
        return {"matmul_flop_s": max(rates), "flop_a_window": counter.get_total_flops()}

    return measure


def only_steps(work: Work, step: Callable[[int], None]) -> dict[str, Any]:
    """Take as many steps as the epochs have, each of its batch's size."""
    size = work.settings.batch_size
    began, cpu_began = perf_counter(), process_time()
    for _ in range(work.settings.epochs):
        for first in range(0, work.n_subjects, size):
            step(min(size, work.n_subjects - first))
    return {"steps_s": perf_counter() - began, "steps_cpu_s": process_time() - cpu_began}


FLOORS: dict[str, Kind] = {"floor_eager": floor_eager, "floor_ours": floor_ours, "arithmetic": arithmetic}
