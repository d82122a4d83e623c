"""How exactly a head's movement is found, and how fast, beside ANTs and DIPY in the same run.

Rigid movements that are known are applied to frames by splines of the fifth degree, which none of the three
use; the reference is another frame, so that nothing is found for being the same noise. Drawn frames, and with
`--runs` those of real runs. A head in a scanner moves by itself between the reference and a frame: each
library is asked for the frame before it is moved as well, and what it finds there goes before the known
movement (`beside_unmoved`). Without that, the head's own movement counts as everybody's error. Every library
has one thread.

The two others want environments of their own::

    python3 -m venv /tmp/ants && /tmp/ants/bin/pip install "antspyx==0.6.3" "numpy<2.4" "scipy<1.16"
    python3 -m venv /tmp/dipy && /tmp/dipy/bin/pip install "dipy==1.12.1" nibabel
    python benchmarks/motion_correction.py --ants /tmp/ants/bin/python --dipy /tmp/dipy/bin/python \
        [--runs BOLD.nii.gz ...] [--frames 12] [--out results.json]
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import nibabel as nib
import numpy as np
from scipy.ndimage import map_coordinates

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parent.parent)]

from recording import load_now, machine, report  # noqa: E402

from imaging.native.levels import head_of  # noqa: E402
from imaging.native.motion import estimate_motion  # noqa: E402
from imaging.one_thread import one_blas_thread  # noqa: E402
from tests.imaging.native.heads import GRID, head, moved  # noqa: E402

_ONE_THREAD = dict.fromkeys(
    ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "ITK_GLOBAL_DEFAULT_NUMBER_OF_ITHREADS"), "1"
)
# From what a child who lies still does to what makes a frame useless.
SIZES = {"small": (0.15, 0.15), "medium": (1.0, 1.0), "large": (4.0, 4.0)}


def source(path: Path | None, *, n_frames: int) -> tuple[np.ndarray, np.ndarray, str]:
    """Return frames at rest, the first as the reference; their affine; what they are."""
    if path is None:
        generator = np.random.default_rng(1)
        still = head()
        noisy = [still + generator.normal(0, 12, still.shape) for _ in range(n_frames + 1)]
        return np.stack(noisy, axis=-1).astype(np.float32), GRID, "drawn"
    image = nib.load(path)
    chosen = np.linspace(4, image.shape[3] - 1, n_frames + 1).astype(int)
    frames = np.asarray(image.dataobj, dtype=np.float32)[..., chosen]
    return frames, np.asarray(image.affine), f"measured, {path.name.split('_')[0].split('.')[0]}"


def movements(n_frames: int, centre_mm: np.ndarray) -> list[tuple[str, np.ndarray]]:
    """Draw movements of every size, about the middle of the head."""
    generator = np.random.default_rng(2)
    to_centre, back = np.eye(4), np.eye(4)
    to_centre[:3, 3], back[:3, 3] = -centre_mm, centre_mm
    drawn = []
    for number in range(n_frames):
        name, (degrees, millimetres) = list(SIZES.items())[number % len(SIZES)]
        turn, shift = generator.uniform(-1, 1, (2, 3))
        drawn.append((name, back @ moved(tuple(degrees * turn), tuple(millimetres * shift)) @ to_centre))
    return drawn


def apply(frame: np.ndarray, affine: np.ndarray, movement: np.ndarray) -> np.ndarray:
    """Show a frame as if the head had moved."""
    grid = np.indices(frame.shape, dtype=np.float64).reshape(3, -1)
    to_rest = np.linalg.inv(affine) @ np.linalg.inv(movement) @ affine
    values = map_coordinates(frame, to_rest[:3, :3] @ grid + to_rest[:3, 3:], order=5, mode="nearest")
    return values.reshape(frame.shape).astype(np.float32)


def ours(frames: list[np.ndarray], reference: np.ndarray, affine: np.ndarray) -> list[dict[str, object]]:
    """Find the poses one by one: what a frame learns from the one before is no part of this."""
    found = []
    for frame in frames:
        began = time.perf_counter()
        pose = estimate_motion([frame], reference=reference, affine=affine).transforms()[0]
        found.append({"pose": pose.tolist(), "seconds": time.perf_counter() - began})
    return found


def errors(pose: np.ndarray, true: np.ndarray, points_mm: np.ndarray) -> tuple[float, float]:
    """Return how far off a pose puts the head, root mean square, and its rotation, degrees."""
    change = pose - true
    away = points_mm @ change[:3, :3].T + change[:3, 3]
    turned = np.linalg.inv(true[:3, :3]) @ pose[:3, :3]
    degrees = np.rad2deg(np.arccos(np.clip((np.trace(turned) - 1) / 2, -1, 1)))
    return float(np.sqrt((away**2).sum(axis=1).mean())), float(degrees)


def summary(
    found: list[dict[str, object]], true: list[tuple[str, np.ndarray]], points_mm: np.ndarray
) -> dict[str, object]:
    """Put the errors of one library together; the unmoved frames come after the moved ones."""
    moved_frames, unmoved = found[: len(true)], found[len(true) :]
    seconds = [float(str(one["seconds"])) for one in moved_frames]
    return {
        **_errors_of(moved_frames, true, points_mm),
        "beside_unmoved": _errors_of(
            moved_frames,
            [
                (name, movement @ np.array(own["pose"]))
                for (name, movement), own in zip(true, unmoved, strict=True)
            ],
            points_mm,
        ),
        "median_seconds_a_frame": round(float(np.median(seconds)), 4),
    }


def _errors_of(
    found: list[dict[str, object]], true: list[tuple[str, np.ndarray]], points_mm: np.ndarray
) -> dict[str, object]:
    each = [
        (name, *errors(np.array(one["pose"]), movement, points_mm))
        for one, (name, movement) in zip(found, true, strict=True)
    ]
    return {
        "median_error_mm": {
            size: round(float(np.median([mm for name, mm, _ in each if name == size])), 4) for size in SIZES
        },
        "rms_error_mm": round(float(np.sqrt(np.mean([mm**2 for _, mm, _ in each]))), 4),
        "rms_error_degrees": round(float(np.sqrt(np.mean([turn**2 for _, _, turn in each]))), 4),
        "worst_error_mm": round(max(mm for _, mm, _ in each), 4),
        "worst_error_degrees": round(max(turn for _, _, turn in each), 4),
    }


def compare(run: Path | None, *, n_frames: int, peers: dict[str, Path | None]) -> dict[str, object]:
    """Move frames, and have everybody find by how much."""
    bold, affine, kind = source(run, n_frames=n_frames)
    reference = bold[..., 0]
    points_mm = np.argwhere(head_of(reference))[::50] @ affine[:3, :3].T + affine[:3, 3]
    true = movements(n_frames, points_mm.mean(axis=0))
    frames = [apply(bold[..., number + 1], affine, movement) for number, (_, movement) in enumerate(true)]
    frames += [bold[..., number + 1] for number in range(n_frames)]
    with one_blas_thread():
        found = {"ours": ours(frames, reference, affine)}
    with tempfile.TemporaryDirectory() as folder:
        nib.Nifti1Image(reference, affine).to_filename(Path(folder) / "reference.nii.gz")
        for number, frame in enumerate(frames):
            nib.Nifti1Image(frame, affine).to_filename(Path(folder) / f"frame_{number:03}.nii.gz")
        for name, python in peers.items():
            if python is not None:
                subprocess.run(
                    [python, Path(__file__).with_name("motion_peers.py"), name, folder],
                    env={**os.environ, **_ONE_THREAD},
                    stdout=sys.stderr,
                    check=True,
                )
                found[name] = json.loads((Path(folder) / f"{name}.json").read_text())
    return {
        "frames": kind,
        "shape": list(reference.shape),
        "found": {name: summary(poses, true, points_mm) for name, poses in found.items()},
    }


def main() -> None:
    """Run as a program."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ants", type=Path, help="a Python that has antspyx")
    parser.add_argument("--dipy", type=Path, help="a Python that has dipy and nibabel")
    parser.add_argument("--runs", type=Path, nargs="*", default=[])
    parser.add_argument("--frames", type=int, default=12)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    peers = {"ants": given.ants, "dipy": given.dipy}
    runs = [None, *given.runs]
    report(
        {
            "machine": machine(),
            "load_before": load_now(),
            "n_frames": given.frames,
            "sizes_degrees_mm": SIZES,
            "runs": [compare(run, n_frames=given.frames, peers=peers) for run in runs],
        },
        given.out,
    )


if __name__ == "__main__":
    main()
