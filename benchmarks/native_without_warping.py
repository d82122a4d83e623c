"""What it may cost that a run is laid over the template without a warp.

Athena bends each brain to the template after the affine step; here it is left as it is. Two brains of one
size and place differ by some millimetres after that. So a real run in template space (`athena_like`) is bent
at random and smoothly, by as much as an affine registration leaves (root mean square over the brain), and
compared with itself: the correlation of each voxel's time course, and the demonstration model's logit. A
plain translation by the same distance is beside it.
Usage::

    python benchmarks/native_without_warping.py [--data ../shared/data] [--draws 5] [--out results.json]
"""

import argparse
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
from scipy.ndimage import gaussian_filter, map_coordinates

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(Path(__file__).parent), str(ROOT)]

from recording import report  # noqa: E402

from imaging import BoldScan, open_scan  # noqa: E402
from imaging.pipeline import preprocess  # noqa: E402
from imaging.template import template_brain  # noqa: E402
from model import demonstration_checkpoint  # noqa: E402
from model.predictor import Predictor  # noqa: E402

REFERENCE = "athena_like/sfnwmrda9990002_session_1_rest_1.nii.gz"
# Root mean square of the bending, and over which distance it changes.
BENT_MM, BENDS_MM = (1.5, 3.0, 5.0), 18.0
VOXEL_MM = 4.0


def bend(generator: np.random.Generator, *, mm: float, brain: np.ndarray) -> np.ndarray:
    """Draw a smooth field of displacements, (3, X, Y, Z) mm, with this root mean square over the brain."""
    width = BENDS_MM / 2 / VOXEL_MM
    field = np.stack([gaussian_filter(generator.normal(size=brain.shape), width) for _ in range(3)])
    return field * mm / np.sqrt((field**2).sum(axis=0)[brain].mean())


def moved(frames: np.ndarray, field_mm: np.ndarray) -> np.ndarray:
    """Sample every frame elsewhere, by cubic splines."""
    places = np.indices(frames.shape[:3]) + field_mm / VOXEL_MM
    return np.stack(
        [map_coordinates(frame, places, order=3, mode="nearest") for frame in np.moveaxis(frames, 3, 0)],
        axis=3,
    )


def in_step(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Correlate each voxel in time, of (N, T) and (N, T)."""
    one, other = (values - values.mean(axis=1, keepdims=True) for values in (one, other))
    return (one * other).sum(axis=1) / np.sqrt((one**2).sum(axis=1) * (other**2).sum(axis=1))


def main() -> None:
    """Run as a program."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--draws", type=int, default=5)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    scan = open_scan(options.data / REFERENCE)
    frames = np.concatenate(list(scan.blocks()), axis=3)
    # Its first axis runs the other way than the template's.
    brain = template_brain().mask[::-1] & (frames.std(axis=3) > 0)
    predictor = Predictor.load(demonstration_checkpoint(), device="cpu")

    def logit(values: np.ndarray) -> float:
        placed = BoldScan.from_array(np.asfortranarray(values), affine=scan.affine, tr_s=scan.tr_s)
        answer = predictor.classify(preprocess(replace(placed, warnings=()), predictor.spec), seed=0)
        return float(answer.member_logits.mean())

    unmoved = logit(frames)
    rows = []
    for mm in BENT_MM:
        for kind in ("bent", "translated"):
            quartiles, differences = [], []
            for seed in range(options.draws):
                generator = np.random.default_rng(seed)
                field = bend(generator, mm=mm, brain=brain)
                if kind == "translated":
                    direction = generator.normal(size=3)
                    field = (
                        np.zeros_like(field)
                        + (mm * direction / np.linalg.norm(direction))[:, None, None, None]
                    )
                other = moved(frames, field)
                agreement = in_step(frames[brain].astype(float), other[brain].astype(float))
                quartiles.append(np.percentile(agreement, (5, 25, 50)))
                differences.append(logit(other) - unmoved)
            low, quarter, middle = np.mean(quartiles, axis=0)
            rows.append(
                {
                    "moved": kind,
                    "rms_mm": mm,
                    "correlation": {
                        "5 %": round(low, 2),
                        "25 %": round(quarter, 2),
                        "median": round(middle, 2),
                    },
                    "logit_differences": [round(one, 2) for one in differences],
                }
            )
    report({"mean_logit_unmoved": round(unmoved, 2), "draws": options.draws, "rows": rows}, options.out)


if __name__ == "__main__":
    main()
