"""How fast a GPU trains the networks A to D, how far that is from its peak, how near its logits are a CPU's.

Every network is fitted by `training.fitting.fit.fit`, with all that it does, on subjects of random numbers of
the size of real ones; the first epoch, in which kernels are chosen, is not counted. Beside that stand

- a step alone, on one batch again and again: what the loader costs is the difference;
- the same step with torch's own layers for the stem instead of `training.fitting.wide_stem`;
- the operations that a window asks for (`torch.utils.flop_counter`, the plain network, forward and backward),
  against the rate of a large product of matrices in the same precision.

Usage, on a machine with a CUDA device::

    python benchmarks/training_on_a_gpu.py [--width 16] [--epochs 4] [--subjects 128] [--out results.json]
"""

import argparse
import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from imaging import PreprocessingSpec
from model.networks import RestNetwork
from training.fitting.batches import FrameBuffer, PackedBatch
from training.fitting.fit import fit
from training.fitting.logits import subject_logits
from training.fitting.precision import encoding_in
from training.fitting.prepared import TrainingSubject, inside_brain
from training.fitting.settings import TrainingSettings
from training.fitting.steps import Stepper

SPEC = PreprocessingSpec()
N_FRAMES = 172
CPU = torch.device("cpu")
GPU = torch.device("cuda")


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    arguments.add_argument("--width", type=int, default=16)
    arguments.add_argument("--epochs", type=int, default=4)
    arguments.add_argument("--subjects", type=int, default=128)
    arguments.add_argument("--out", type=Path)
    options = arguments.parse_args()
    if not torch.cuda.is_available():
        raise SystemExit("expected a machine with a CUDA device, found none")
    people = subjects(options.subjects)
    result: dict[str, Any] = {
        "machine": f"{torch.cuda.get_device_name()}, torch {torch.__version__}",
        "width": options.width,
        "batch": TrainingSettings().batch_size,
        "matmul_tflop_s": matmul_rate() / 1e12,
        "networks": {},
    }
    print(f"{result['machine']}: {result['matmul_tflop_s']:.0f} TFLOP/s in a large bfloat16 product")
    for network in ("A", "B", "C", "D"):
        settings = TrainingSettings(
            network=network,
            width=options.width,
            protocol="paper",
            epochs=options.epochs,
            windows_per_subject=4,
            feature_norm="batch",
        )
        row = result["networks"][network] = measure(settings, people, peak=1e12 * result["matmul_tflop_s"])
        print(network, ", ".join(f"{name} {value:.4g}" for name, value in row.items()), flush=True)
    if options.out:
        options.out.write_text(json.dumps(result, indent=2) + "\n")


def measure(settings: TrainingSettings, people: list[TrainingSubject], *, peak: float) -> dict[str, float]:
    """Give rates in windows a second, shares of the peak, memory in bytes and the difference of logits."""
    n_windows = len(people) * settings.windows_per_subject
    with tempfile.TemporaryDirectory(prefix="restnet-benchmark-") as folder:
        fitted = fit(
            fresh(settings), people, stopping=[], settings=settings, folder=Path(folder), seed=0, device=GPU
        )
    rate = n_windows / median(record.seconds for record in fitted.records[1:])
    flop = flop_a_window(settings)
    network = fresh(settings).train()
    for norm in (module for module in network.modules() if isinstance(module, torch.nn.BatchNorm3d)):
        norm.running_var.fill_(0.3)  # as of a network in use, so that the logits are not all bias
    on_cpu = subject_logits(network.to(CPU), people[:2], device=CPU)
    on_gpu = subject_logits(network.to(GPU), people[:2], device=GPU)
    return {
        "windows_a_second": rate,
        "windows_a_second_of_steps_alone": step_rate(Stepper, settings),
        "windows_a_second_of_plain_layers": step_rate(PlainStepper, settings),
        "gflop_a_window": flop / 1e9,
        "share_of_peak": rate * flop / peak,
        "peak_memory_bytes": fitted.peak_memory_bytes,
        "largest_difference_of_logits": float(np.abs(on_gpu - on_cpu).max()),
    }


class PlainStepper(Stepper):
    """Torch's convolution, norm, ReLU and pool over dense frames."""

    def __init__(self, network: RestNetwork, **options: Any) -> None:
        super().__init__(network, **options)
        self._buffer = FrameBuffer(TrainingSettings().batch_size * SPEC.window_frames, spec=SPEC, device=GPU)

    def _encode(self, frames: torch.Tensor) -> torch.Tensor:
        dense = self._buffer.unpack(frames).unsqueeze(1)
        with encoding_in(self.precision, device=GPU):
            return self._network.encoder(dense)


def step_rate(kind: type[Stepper], settings: TrainingSettings) -> float:
    """Windows a second of optimiser steps on one batch."""
    stepper = kind(fresh(settings).to(GPU).train(), settings=settings, spec=SPEC, device=GPU)
    size = settings.batch_size
    frames = torch.randn(size, SPEC.window_frames, len(inside_brain(SPEC.grid_size))).half().pin_memory()
    batch = PackedBatch(frames, (torch.arange(size) % 2).float())
    return size / seconds(lambda: stepper.step(batch, epoch=1, share_done=0.0))


def matmul_rate() -> float:
    factor = torch.randn(8192, 8192, device=GPU, dtype=torch.bfloat16)
    return 2 * 8192**3 / seconds(lambda: factor @ factor)


def seconds(run: Callable[[], object], *, n: int = 10) -> float:
    """Seconds of a run, mean of ten after three that are not counted."""
    for _ in range(3):
        run()
    torch.cuda.synchronize()
    began = perf_counter()
    for _ in range(n):
        run()
    torch.cuda.synchronize()
    return (perf_counter() - began) / n


def flop_a_window(settings: TrainingSettings) -> int:
    network = fresh(settings).train()
    with FlopCounterMode(display=False) as counter:
        network(torch.randn(1, SPEC.window_frames, *[SPEC.grid_size] * 3)).sum().backward()
    return counter.get_total_flops()


def fresh(settings: TrainingSettings) -> RestNetwork:
    torch.manual_seed(0)
    return RestNetwork(settings)


def subjects(n: int) -> list[TrainingSubject]:
    """Random numbers in the place of scans; every subject begins elsewhere in the same ones."""
    n_voxels = len(inside_brain(SPEC.grid_size))
    series = np.random.default_rng(0).standard_normal((N_FRAMES + n, n_voxels), dtype=np.float32)
    half = series.astype(np.float16)
    return [
        TrainingSubject(
            subject_id=str(number),
            site="",
            label=number % 2,
            series=(half[number : number + N_FRAMES],),
            spec=SPEC,
        )
        for number in range(n)
    ]


if __name__ == "__main__":
    main()
