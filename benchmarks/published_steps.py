"""What a training step of each published network takes on one core, against plain layers and the floor.

``python benchmarks/published_steps.py [--networks NAME ...] [--rounds 3] [--out results.json]`` times steps
of the optimiser, in turn within one run, as CPU-seconds:

- ours: channels that lie together and memory that is kept from step to step, as a run trains;
- plain: the layers as torch lays them out, BolT as its package computes it, and memory given back after each;
- floor: the step's multiplications and additions by torch's own count, at the rate of one large product
  of matrices on the same core. Only who multiplies nothing but large matrices comes near.

In the file of results the rows of the networks that were run are replaced, and the others stay.
"""

import argparse
import json
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from statistics import median
from time import process_time
from typing import Any

import torch
from recording import machine
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

from model.published import SYSTEMS, training_of
from model.published.building import build_published
from model.published.packaged import PackagedBolT
from model.published.systems import PublishedNetwork
from model.published.two_units import difference_of_two
from training.fitting.kept_memory import kept_memory

COMMAND = "python benchmarks/published_steps.py"
EDGE, FRAMES, WINDOWS = 34, 20, 8
# Of the tiles of 20 mm, and of the pieces that ABIDE's shortest scan allows.
REGIONS, PIECE_FRAMES, SCANS = 223, 146, 32
MATRIX = 2048


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    names = [system.name for system in SYSTEMS]
    arguments.add_argument("--networks", nargs="+", choices=names, default=names, metavar="NAME")
    arguments.add_argument("--rounds", type=int, default=3)
    arguments.add_argument("--out", type=Path)
    options = arguments.parse_args()
    torch.set_num_threads(1)
    rows = [
        measured(system, n_rounds=options.rounds) for system in SYSTEMS if system.name in options.networks
    ]
    if options.out:
        before = json.loads(options.out.read_text())["networks"] if options.out.exists() else []
        known = {row["network"]: row for row in before} | {row["network"]: row for row in rows}
        found = {"command": COMMAND, "machine": machine(), "networks": list(known.values())}
        options.out.write_text(json.dumps(found, indent=2) + "\n")


def measured(system: PublishedNetwork, *, n_rounds: int) -> dict[str, Any]:
    """Time a network's steps both ways, and count what they must do."""
    inputs = inputs_of(system)
    n_maps = inputs[0].shape[1] if system.reads == "maps" else 0
    sizes = {"n_maps": n_maps, "n_structural": 3 * system.with_tissues, "n_regions": REGIONS}
    ours, plain = (build_published(system.name, **sizes) for _ in range(2))
    for module in plain.modules():
        if isinstance(module, nn.Conv2d | nn.Conv3d):
            module.weight.data = module.weight.data.contiguous()
    if isinstance(plain, PackagedBolT):
        plain.forward = lambda series: difference_of_two(plain.network(series)[0])
    with FlopCounterMode(display=False) as counter:
        step_of(ours, inputs)()
    took: dict[str, list[float]] = {"ours": [], "plain": []}
    rates = []
    for _ in range(n_rounds):
        rates.append(matrix_rate())
        for name, network, memory in (("ours", ours, kept_memory()), ("plain", plain, nullcontext())):
            with memory:
                took[name].append(seconds(step_of(network, inputs)))
    floor = counter.get_total_flops() / median(rates)
    row = {
        "network": system.name,
        "inputs": [list(one.shape) for one in inputs],
        "gflop": round(counter.get_total_flops() / 1e9, 2),
        **{f"{name}_cpu_s": [round(one, 3) for one in times] for name, times in took.items()},
        "plain_over_ours": round(median(took["plain"]) / median(took["ours"]), 2),
        "ours_over_floor": round(median(took["ours"]) / floor, 1),
    }
    print(
        f"{system.name:<24}ours {median(took['ours']):6.2f} CPU-s, plain {row['plain_over_ours']} times it, "
        f"floor a part in {row['ours_over_floor']} of it",
        flush=True,
    )
    return row


def inputs_of(system: PublishedNetwork) -> tuple[Tensor, ...]:
    """Make up a batch as a run gives it."""
    if system.reads == "frames":
        return (torch.randn(WINDOWS, FRAMES, EDGE, EDGE, EDGE),)
    if system.reads == "regions":
        n_frames = min(training_of(system.name).piece_frames or PIECE_FRAMES, PIECE_FRAMES)
        return (torch.randn(SCANS, n_frames, REGIONS),)
    maps = torch.randn(WINDOWS, 3, EDGE, EDGE, EDGE)
    return (maps, torch.randn(WINDOWS, 3, 2 * EDGE, 2 * EDGE, 2 * EDGE)) if system.with_tissues else (maps,)


def step_of(network: nn.Module, inputs: tuple[Tensor, ...]) -> Callable[[], None]:
    """Give a function that takes a step of the optimiser."""
    network.train()
    optimiser = torch.optim.AdamW(network.parameters(), lr=1e-4)
    labels = torch.arange(len(inputs[0])).remainder(2).float()

    def step() -> None:
        optimiser.zero_grad(set_to_none=True)
        loss = functional.binary_cross_entropy_with_logits(network(*inputs), labels)
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()

    return step


def seconds(step: Callable[[], None]) -> float:
    """Time one step after one that is not timed."""
    step()
    began = process_time()
    step()
    return process_time() - began


def matrix_rate() -> float:
    """Measure the additions and multiplications a second of one large product."""
    left, right = torch.randn(MATRIX, MATRIX), torch.randn(MATRIX, MATRIX)
    return 2 * MATRIX**3 / seconds(lambda: torch.mm(left, right))


if __name__ == "__main__":
    main()
