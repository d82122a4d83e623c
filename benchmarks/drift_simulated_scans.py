"""Whether simulated scans raise a drift alarm, by the way that a worker measures them.

A reference, scans of the same population (other people, the same sites), and scans with another repetition
time and added noise: each is drawn, preprocessed and classified by the demonstration model as a worker does,
and judged against the reference as a week of scans. What the embedding costs beside the classification is
measured on the way. How often the same population alarms is counted by parting its people again, at random,
into a reference and a week of scans.

    python benchmarks/drift_simulated_scans.py --scans 300 --reference 300 \
        --out benchmarks/results/drift_simulated_scans.json
"""

import argparse
import json
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import torch

from imaging import BoldScan, preprocess
from model import demonstration_checkpoint
from model.embedding import Projection
from model.predictor import Predictor
from service.drift.judging import Rule, judge
from service.drift.outcomes import described_share
from service.drift.reference import build_reference
from service.drift.scans import SeenScan
from service.drift.variables import figures_of, grid_of
from training.simulation.simulator import simulate_subject, subject_profile

SEED = 77
# The end of a scan is cut off: the network reads windows, and half as many frames take half as long.
FRAMES = 80
OTHER_TR_SHARE = 0.75
NOISE_SHARE = 1.0


def measure_all(indices: range, *, changed: bool, processes: int) -> list[SeenScan]:
    """Measure some people's scans, several at once, each on one thread."""
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn"), initializer=_load) as pool:
        return list(pool.map(partial(_measure, changed=changed), indices, chunksize=4))


_predictor: list[Predictor] = []


def _load() -> None:
    torch.set_num_threads(1)
    _predictor.append(Predictor.load(demonstration_checkpoint(), device="cpu"))


def _measure(index: int, *, changed: bool) -> SeenScan:
    return measure(_predictor[0], index, changed=changed)


def measure(predictor: Predictor, index: int, *, changed: bool) -> SeenScan:
    scan = simulate_subject(index, seed=SEED)
    data = next(scan.blocks(frames_per_block=FRAMES))[..., :FRAMES]
    tr_s = scan.tr_s
    if changed:
        generator = np.random.default_rng([SEED, index])
        inside = data.std(axis=-1, keepdims=True)
        data = data + NOISE_SHARE * inside * generator.standard_normal(data.shape, dtype=np.float32)
        tr_s = round(OTHER_TR_SHARE * tr_s, 3)
    scan = BoldScan.from_array(data.astype(np.float32), affine=scan.affine, tr_s=tr_s)
    prepared = preprocess(scan, predictor.spec)
    answer = predictor.classify(prepared, seed=index)
    figures = figures_of(prepared.quality.to_json()) | {"grid": grid_of(scan.shape, scan.zooms_mm)}
    return SeenScan(
        week="2026-W48",
        site=subject_profile(index, seed=SEED).site.name,
        figures=figures,
        embedding=answer.embedding,
        probability=answer.adhd_probability,
        decision=answer.decision,
    )


def what_it_costs(predictor: Predictor) -> dict[str, float]:
    """Time the embedding alone beside a whole classification, medians of ten."""
    prepared = preprocess(simulate_subject(0, seed=SEED), predictor.spec)
    features = np.random.default_rng(SEED).standard_normal(predictor.members[0].n_features)
    projection = Projection("0" * 64)
    whole, alone = [], []
    for _ in range(10):
        began = perf_counter()
        predictor.classify(prepared, seed=0)
        whole.append(perf_counter() - began)
        began = perf_counter()
        projection.of(features)
        alone.append(perf_counter() - began)
    classify_ms, embed_ms = 1000 * float(np.median(whole)), 1000 * float(np.median(alone))
    return {"classify_ms": classify_ms, "embed_ms": embed_ms, "share": embed_ms / classify_ms}


def judged(name: str, scans: list[SeenScan], reference: Any) -> dict[str, Any]:
    findings = judge(scans, reference)
    alarms = [finding for finding in findings if finding.alarm]
    print(f"{name}: {len(scans)} scans, {len(findings)} comparisons, {len(alarms)} alarms", flush=True)
    return {
        "scans": len(scans),
        "comparisons": len(findings),
        "alarm": bool(alarms),
        "alarming_variables": sorted({finding.variable for finding in alarms}),
        "alarming_sites": sorted({finding.site for finding in alarms}),
        "all_sites": {
            finding.variable: {"statistic": finding.statistic, "corrected_p": finding.corrected_p}
            for finding in findings
            if not finding.site
        },
    }


def drawn_again(scans: list[SeenScan], *, n_reference: int, draws: int) -> dict[str, Any]:
    """Count the alarms where the same people are parted at random into a reference and scans of a week."""
    generator = np.random.default_rng(SEED)
    alarms = 0
    for _ in range(draws):
        order = generator.permutation(len(scans))
        reference = build_reference([scans[place] for place in order[:n_reference]], fitted=False)
        findings = judge([scans[place] for place in order[n_reference:]], reference)
        alarms += any(finding.alarm for finding in findings)
    print(f"drawn again: {alarms} alarms in {draws}", flush=True)
    return {"alarm": described_share(alarms, draws)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scans", type=int, default=40)
    parser.add_argument("--reference", type=int, default=40)
    parser.add_argument("--draws", type=int, default=300)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--out", type=Path, required=True)
    asked = parser.parse_args()
    _load()
    cost = what_it_costs(_predictor[0])
    people = measure_all(range(asked.reference), changed=False, processes=asked.processes)
    reference = build_reference(people, fitted=False)
    print("reference measured", flush=True)
    first, last = asked.reference, asked.reference + asked.scans
    results: dict[str, Any] = {
        "command": f"python benchmarks/drift_simulated_scans.py --scans {asked.scans} "
        f"--reference {asked.reference} --out {asked.out}",
        "seed": SEED,
        "frames": FRAMES,
        "change": {"repetition_time": f"x {OTHER_TR_SHARE}", "noise": f"{NOISE_SHARE} of a voxel's own SD"},
        "rule": vars(Rule()),
        "reference_people": asked.reference,
        "embedding": cost,
    }
    changed = measure_all(range(first, last), changed=True, processes=asked.processes)
    results["changed"] = judged("changed", changed, reference)
    same = measure_all(range(first, last), changed=False, processes=asked.processes)
    results["same"] = judged("same", same, reference)
    results["same_drawn_again"] = drawn_again(people + same, n_reference=asked.reference, draws=asked.draws)
    asked.out.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
