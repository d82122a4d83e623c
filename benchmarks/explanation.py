"""What an explanation costs, and whether it finds what was planted.

The first part times both methods on an Athena-sized simulated scan (49 x 58 x 47 voxels, 172 frames) in turn
with the forward pass of a prediction, in one run; the peak of memory is each one's own, in a process of its
own. The second asks on which regions of simulated subjects the maps lie: within 10 mm of the nine nodes of
the default mode network, which carries most of the planted effect, against the rest of the brain. Nodes are
louder than the rest in any scan, so the same figure of the scan's mean size and of an ensemble with random
weights stands beside it.

Usage::

    python benchmarks/explanation.py [--rounds 5] [--subjects 8] [--out results.json]
"""

import argparse
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch
from recording import load_now, machine, report
from scipy.stats import spearmanr

from imaging import NetworkInput, PreprocessingSpec, brain_cube, preprocess
from model import demonstration_checkpoint
from model.checkpoint import load_checkpoint
from model.explanation import Explanation, explain
from model.methods.scan_view import ScanView
from model.networks import RestNetwork
from model.predictor import Predictor
from training.simulation.brain_networks import NETWORKS, NODE_MM, NODE_NETWORK
from training.simulation.simulator import simulate_subject, subject_profile

SEED = 1
EFFECT_SIZE = 0.5  # what the demonstration model was trained on
METHODS = ("integrated_gradients", "grad_cam")


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    arguments.add_argument("--rounds", type=int, default=5)
    arguments.add_argument("--subjects", type=int, default=8)
    arguments.add_argument("--out", type=Path)
    options = arguments.parse_args()
    before = load_now()
    predictor = Predictor.load(demonstration_checkpoint(), device="cpu")
    scan = athena_sized()
    result = {
        "machine": machine(),
        "load_before": before,
        "cost": cost(predictor, scan, rounds=options.rounds),
        "peak_mb": {name: in_own_process(name) for name in ("forward", *METHODS)},
        "planted": planted(predictor, n_subjects=options.subjects),
        "load_after": load_now(),
    }
    report(result, options.out)


def athena_sized() -> NetworkInput:
    """Prepare one scan of the size and repetition time of NYU's."""
    nyu = next(index for index in range(100) if subject_profile(index, seed=SEED).site.name == "NYU")
    return prepared(nyu)


def prepared(index: int) -> NetworkInput:
    card = load_checkpoint(demonstration_checkpoint()).card
    spec = PreprocessingSpec.from_json(dict(card.preprocessing))
    return preprocess(simulate_subject(index, seed=SEED, effect_size=EFFECT_SIZE), spec)


def candidates(predictor: Predictor, scan: NetworkInput) -> dict[str, Callable[[], object]]:
    return {
        "forward": lambda: predictor.member_logits(ScanView.of(scan)),
        "integrated_gradients": lambda: explain(predictor, scan),
        "grad_cam": lambda: explain(predictor, scan, method="grad_cam"),
    }


def cost(predictor: Predictor, scan: NetworkInput, *, rounds: int) -> dict[str, object]:
    """Time the three in turn, round after round."""
    tried = candidates(predictor, scan)
    answers = {name: candidate() for name, candidate in tried.items()}
    seconds: dict[str, list[float]] = {name: [] for name in tried}
    for _ in range(rounds):
        for name, candidate in tried.items():
            began = time.perf_counter()
            candidate()
            seconds[name].append(time.perf_counter() - began)
    return {
        "rounds": rounds,
        "threads": torch.get_num_threads(),
        "forward_backend": predictor.backend,
        "seconds": {
            name: {
                "median": round(statistics.median(own), 3),
                "min": round(min(own), 3),
                "max": round(max(own), 3),
            }
            for name, own in seconds.items()
        },
        "over_forward": {
            name: round(
                statistics.median(
                    own / forward for own, forward in zip(seconds[name], seconds["forward"], strict=True)
                ),
                1,
            )
            for name in METHODS
        },
        "settings": {name: settings(answers[name]) for name in METHODS},
    }


def settings(found: Explanation) -> dict[str, int]:
    return {
        "steps": found.steps,
        "windows": len(found.start_frames),
        "members": found.members,
        "gradients": found.gradients,
    }


def in_own_process(name: str) -> dict[str, int]:
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(peak_mb, name).result()


def peak_mb(name: str) -> dict[str, int]:
    """Give what the process holds once the scan is ready, and its peak while the method runs."""
    predictor = Predictor.load(demonstration_checkpoint(), device="cpu")
    scan = athena_sized()
    tried = candidates(predictor, scan)
    Path("/proc/self/clear_refs").write_text("5")  # forget the peak of simulating and preparing
    before = resident_peak_mb()
    tried[name]()
    return {"before": before, "after": resident_peak_mb()}


def resident_peak_mb() -> int:
    """Read the peak of this program alone; getrusage would count its parent's, from before it was started."""
    status = Path("/proc/self/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")) // 1024


def planted(predictor: Predictor, *, n_subjects: int) -> dict[str, object]:
    """Compare the maps inside and outside the default mode network, subject by subject."""
    random = random_weights()
    rows = []
    for index in range(n_subjects):
        scan = prepared(index)
        found, by_random = explain(predictor, scan), explain(random, scan)
        mask = brain_cube(scan.spec.grid_size).mask
        rows.append(
            {
                "label": subject_profile(index, seed=SEED).label,
                "logit": round(found.logit, 3),
                "baseline_logit": round(found.baseline_logit, 3),
                "completeness_error": round(found.completeness_error or 0.0, 3),
                "inside_over_outside": round(contrast(found.map), 3),
                "of_the_scan_itself": round(contrast(np.abs(scan.frames).mean(axis=0)), 3),
                "of_random_weights": round(contrast(by_random.map), 3),
                "of_grad_cam": round(contrast(explain(predictor, scan, method="grad_cam").map), 3),
                "rank_correlation_with_random": round(
                    float(spearmanr(np.abs(found.map[mask]), np.abs(by_random.map[mask])).statistic), 3
                ),
            }
        )
    return {"seed": SEED, "effect_size": EFFECT_SIZE, "radius_mm": 10, "subjects": rows}


def random_weights() -> Predictor:
    checkpoint = load_checkpoint(demonstration_checkpoint())
    torch.manual_seed(5)
    fresh = tuple(RestNetwork(checkpoint.card).state_dict() for _ in checkpoint.members)
    return Predictor(replace(checkpoint, members=fresh), device="cpu")


def contrast(values: np.ndarray) -> float:
    """Mean size within 10 mm of a default mode node, over that in the rest of the brain."""
    cube = brain_cube(values.shape[0])
    voxels_mm = cube.brain_voxels @ cube.affine[:3, :3].T + cube.affine[:3, 3]
    nodes_mm = NODE_MM[NETWORKS.index("default_mode") == NODE_NETWORK]
    distances = np.linalg.norm(voxels_mm[:, None] - nodes_mm, axis=2).min(axis=1)
    size = np.abs(values[cube.mask])
    return float(size[distances <= 10].mean() / size[distances > 10].mean())


if __name__ == "__main__":
    main()
