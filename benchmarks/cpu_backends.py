"""How fast the residual networks are on a processor, by backend and precision, and how far each is off.

The backends are timed in turn, round after round, in one process; a ratio is taken within a round. "eager"
is each member by itself as trained, what the parity test at load compares with. The two bfloat16 ones are
candidates that are not offered: `model.openvino_encoder` says why.

Usage::

    python benchmarks/cpu_backends.py [--rounds 9] [--frames 80] [--out results.json]
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch
from file_to_probability import ratio
from recording import machine

from model import demonstration_checkpoint, openvino_encoder
from model.checkpoint import load_checkpoint
from model.encoder import FrameEncoder
from model.joint_encoder import JointEncoder
from model.network_members import FRAMES_PER_CHUNK
from model.networks import GRID_SIZE, build_network
from model.openvino_encoder import OpenVinoEncoder


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    arguments.add_argument("--rounds", type=int, default=9)
    arguments.add_argument("--frames", type=int, default=80)
    arguments.add_argument("--out", type=Path)
    options = arguments.parse_args()
    torch.manual_seed(0)
    frames = torch.randn(options.frames, 1, GRID_SIZE, GRID_SIZE, GRID_SIZE)
    demonstration = load_checkpoint(demonstration_checkpoint()).networks()
    ensembles = {
        "demonstration, C of width 4, 4 members": [network.encoder for network in demonstration],
        "C of width 16, 1 member": [build_network("C", "lstm", width=16).eval().encoder],
    }
    result = {
        "machine": machine(),
        "frames": options.frames,
        "rounds": options.rounds,
        "ensembles": {
            name: measure(encoders, frames, rounds=options.rounds) for name, encoders in ensembles.items()
        },
    }
    print(json.dumps(result, indent=2))
    if options.out:
        options.out.write_text(json.dumps(result, indent=2) + "\n")


@torch.inference_mode()
def measure(encoders: list[FrameEncoder], frames: torch.Tensor, *, rounds: int) -> dict[str, object]:
    """Time each backend on the same frames; differences are shares of the largest feature."""
    joint = JointEncoder(encoders)
    candidates: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
        "eager": lambda chunk: torch.stack([encoder(chunk) for encoder in encoders]),
        "torch float32": joint,
        "torch bfloat16": lambda chunk: autocast(joint, chunk),
        "openvino float32": OpenVinoEncoder(encoders),
        "openvino bfloat16": openvino_in_bfloat16(encoders),
    }
    chunks = frames.split(FRAMES_PER_CHUNK["cpu"])
    answers = {
        name: torch.cat([encode(chunk) for chunk in chunks], dim=1) for name, encode in candidates.items()
    }
    times_ms: dict[str, list[float]] = {name: [] for name in candidates}
    for _ in range(rounds):
        for name, encode in candidates.items():
            began = time.perf_counter()
            for chunk in chunks:
                encode(chunk)
            times_ms[name].append(1000 * (time.perf_counter() - began))
    eager = answers["eager"]
    return {
        name: {
            "ms_a_frame": statistics.median(times) / len(frames),
            "eager_over_this": ratio(times_ms["eager"], times),
            "difference": float((answers[name] - eager).abs().max() / eager.abs().max()),
        }
        for name, times in times_ms.items()
    }


def autocast(encode: JointEncoder, chunk: torch.Tensor) -> torch.Tensor:
    """Let torch multiply in bfloat16."""
    with torch.autocast("cpu", dtype=torch.bfloat16):
        return encode(chunk).float()


def openvino_in_bfloat16(encoders: list[FrameEncoder]) -> OpenVinoEncoder:
    """Compile the same graph with the other hint."""
    compile_model = openvino_encoder.ov.Core.compile_model

    def in_bfloat16(core: object, model: object, device: str, hints: dict[str, object]) -> object:
        return compile_model(core, model, device, {**hints, "INFERENCE_PRECISION_HINT": "bf16"})

    openvino_encoder.ov.Core.compile_model = in_bfloat16
    try:
        return OpenVinoEncoder(encoders)
    finally:
        openvino_encoder.ov.Core.compile_model = compile_model


if __name__ == "__main__":
    main()
