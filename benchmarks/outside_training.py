"""How often the result page calls a scan unlike the training scans: sound ones, and ones that are damaged.

New simulated people of the kind that the demonstration model was trained on, as they are and with one damage
each. Counted is where the page says "Read it with care", and which figures lie outside the central 98 % of
the training scans, on the side that is worse.

Usage::

    python benchmarks/outside_training.py [--sound 100] [--damaged 30] [--out results.json]
"""

import argparse
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from recording import machine, report

from imaging import PreprocessingSpec, ScanError, preprocess
from imaging.scan import BoldScan
from model import demonstration_checkpoint, read_card
from service.api.population_payloads import ComparisonResponse, MiddleRange, PopulationResponse
from service.population import Place, compare
from service.web.prediction.verdict import quality_verdict
from training.simulation.simulator import simulate_subject

SEED = 20_111  # of the people on whom the demonstration's own card is measured
EFFECT_SIZE = 0.5

Bold = np.ndarray


def sound(bold: Bold) -> Bold:
    return bold


def one_movement(bold: Bold) -> Bold:
    """Three frames in which the head lies a voxel, 4 mm, farther back."""
    middle = bold.shape[-1] // 2
    bold[..., middle : middle + 3] = np.roll(bold[..., middle : middle + 3], -1, axis=1)
    return bold


def restless(bold: Bold) -> Bold:
    """Every tenth frame half a voxel off."""
    bold[..., ::10] = 0.5 * (bold[..., ::10] + np.roll(bold[..., ::10], -1, axis=1))
    return bold


def cut_field_of_view(bold: Bold) -> Bold:
    """Cut off what lies in the topmost 20 mm of the brain."""
    filled = np.flatnonzero(bold.std(axis=-1).any(axis=(0, 1)))
    bold[:, :, filled[-5] :] = 0
    return bold


def first_two_minutes(bold: Bold) -> Bold:
    return bold[..., :48]


def noisy(bold: Bold) -> Bold:
    """White noise half as strong as the signal: an unfiltered recording."""
    noise = np.random.default_rng(0).standard_normal(bold.shape, dtype=np.float32)
    return bold + 0.5 * bold.std(axis=-1, keepdims=True) * noise


DAMAGES: dict[str, Callable[[Bold], Bold]] = {
    damage.__name__: damage
    for damage in (sound, one_movement, restless, cut_field_of_view, first_two_minutes, noisy)
}


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    arguments.add_argument("--sound", type=int, default=100)
    arguments.add_argument("--damaged", type=int, default=30)
    arguments.add_argument("--out", type=Path)
    options = arguments.parse_args()
    found = {}
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        for name in DAMAGES:
            n_people = options.sound if name == "sound" else options.damaged
            found[name] = counted(list(pool.map(partial(look, name), range(n_people), chunksize=5)))
    report({"machine": machine(), "model": read_card(demonstration_checkpoint()).name, **found}, options.out)


def look(damage: str, index: int) -> dict[str, Any]:
    """Simulate one person, damage the scan, and say what the page would."""
    scan = simulate_subject(index, seed=SEED, effect_size=EFFECT_SIZE)
    bold = DAMAGES[damage](np.array(next(scan.blocks(frames_per_block=scan.n_frames))))
    try:
        prepared = preprocess(
            BoldScan.from_array(bold, affine=scan.affine, tr_s=scan.tr_s), PreprocessingSpec()
        )
    except ScanError as refusal:
        return {"refused": refusal.code}
    warnings = [{"code": one.code, "message": one.message} for one in prepared.warnings]
    said = beside_training(prepared.quality.to_json())
    return {
        "grade": quality_verdict(warnings, said).grade,
        "outside": [one.name for one in said.comparisons if one.place == Place.OUTSIDE],
        "warnings": [one["code"] for one in warnings],
    }


def beside_training(quality: dict[str, Any]) -> PopulationResponse:
    population = read_card(demonstration_checkpoint()).model_dump(mode="json")["population"]
    compared = compare(population, age_years=None, sex=None, site=None, quality=quality)
    return PopulationResponse(
        subjects=population["subjects"],
        cases=population["cases"],
        controls=population["controls"],
        comparisons=[
            ComparisonResponse(
                name=one.name,
                value=one.value,
                place=one.place,
                middle_90=one.middle_90 and MiddleRange(low=one.middle_90[0], high=one.middle_90[1]),
                percentile=one.percentile,
                subjects=one.subjects,
            )
            for one in compared
        ],
    )


def counted(answers: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "scans": len(answers),
        "grades": dict(Counter(one["grade"] for one in answers if "grade" in one)),
        "refused": dict(Counter(one["refused"] for one in answers if "refused" in one)),
        "outside": dict(Counter(name for one in answers for name in one.get("outside", []))),
        "warnings": dict(Counter(code for one in answers for code in one.get("warnings", []))),
    }


if __name__ == "__main__":
    main()
