"""How long from a scan file to a probability, against what a researcher would write and against the floor.

Four things are timed in turn, round after round, in one run, so that the machine's moods hit them all:

- ours: `model.prediction.predict_scan`, everything from the file (with its sha256) to the answer;
- enclosed: what a worker does, `service.worker.runtime.Runtime.predict` on a stored scan: the same, but the
  file is read in a limited child of its own;
- reference: nibabel `get_fdata`, nilearn `resample_img` (linear) to the same grid, the same standardisation,
  windows and weights, each network eager in fp32 on each window;
- floor: inflating the file into one buffer, and the forward pass alone on prepared frames. Nobody can be
  faster than the two together without overlapping them.

Usage::

    python benchmarks/file_to_probability.py [--rounds 7] [--scan FILE] [--out results.json]

Without `--scan` an Athena-sized scan is simulated (49 x 58 x 47 voxels, 172 frames, TR 2 s, as NYU's).
"""

import argparse
import hashlib
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import torch
from isal import igzip
from nilearn.image import resample_img
from recording import machine

from imaging import open_scan, preprocess
from imaging.cube import brain_cube
from model import demonstration_checkpoint
from model.checkpoint import load_checkpoint
from model.methods.scan_view import ScanView
from model.networks import RestNetwork
from model.prediction import predict_scan
from model.predictor import Predictor
from service.db.rows import ScanRow
from service.settings import Settings
from service.worker.runtime import open_runtime
from training.simulation.simulator import simulate_subject, subject_profile

KEY = "scans/simulated.nii.gz"


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    arguments.add_argument("--rounds", type=int, default=7)
    arguments.add_argument("--scan", type=Path)
    arguments.add_argument("--out", type=Path)
    options = arguments.parse_args()
    with tempfile.TemporaryDirectory(prefix="restnet-benchmark-") as scratch:
        scan = options.scan or simulated_scan(Path(scratch))
        result = measure(scan, scratch=Path(scratch), rounds=options.rounds)
    show(result)
    if options.out:
        options.out.write_text(json.dumps(result, indent=2) + "\n")


def simulated_scan(folder: Path) -> Path:
    """Write one scan of the size and repetition time of NYU's."""
    nyu = next(index for index in range(100) if subject_profile(index, seed=1).site.name == "NYU")
    scan = simulate_subject(nyu, seed=1)
    # Not through training.simulation.scan_files, which rounds to save disk: real files carry every bit.
    image = nib.Nifti1Image(np.concatenate(list(scan.blocks()), axis=3), scan.affine)
    image.header["pixdim"][4] = scan.tr_s
    image.header.set_xyzt_units("mm", "sec")
    path = folder / "simulated.nii.gz"
    nib.save(image, path)
    return path


def measure(scan: Path, *, scratch: Path, rounds: int) -> dict[str, object]:
    """Time them in turn; returns milliseconds and ratios, each as the median over rounds."""
    predictor = Predictor.load(demonstration_checkpoint(), device="cpu")
    checkpoint = load_checkpoint(demonstration_checkpoint())
    networks = checkpoint.networks()
    prepared = preprocess(open_scan(scan), predictor.spec)
    starts, _ = prepared.windows()
    inflated_bytes = inflate(scan)
    with worker(scan, predictor, scratch) as enclosed:
        candidates: dict[str, Callable[[], object]] = {
            "decode": lambda: inflate(scan),
            "forward": lambda: predictor.member_logits(ScanView.of(prepared)),
            "ours": lambda: predict_scan(scan, predictor),
            "enclosed": enclosed,
            "reference": lambda: reference(scan, networks, starts, predictor),
        }
        answers = {name: candidate() for name, candidate in candidates.items()}
        times_ms: dict[str, list[float]] = {name: [] for name in candidates}
        for _ in range(rounds):
            for name, candidate in candidates.items():
                began = time.perf_counter()
                candidate()
                times_ms[name].append(1000 * (time.perf_counter() - began))
    floor = [
        decode + forward for decode, forward in zip(times_ms["decode"], times_ms["forward"], strict=True)
    ]
    return {
        "machine": machine(),
        "scan": {"shape": list(open_scan(scan).shape), "file_bytes": scan.stat().st_size},
        "inflated_bytes": inflated_bytes,
        "windows": len(starts),
        "members": predictor.card.members,
        "rounds": rounds,
        "median_ms": {name: statistics.median(values) for name, values in times_ms.items()},
        "ours_over_floor": ratio(times_ms["ours"], floor),
        "enclosed_over_floor": ratio(times_ms["enclosed"], floor),
        "reference_over_ours": ratio(times_ms["reference"], times_ms["ours"]),
        "reference_over_enclosed": ratio(times_ms["reference"], times_ms["enclosed"]),
        "probability": {
            "ours": answers["ours"].classification.adhd_probability,
            "enclosed": answers["enclosed"]["adhd_probability"],
            "reference": answers["reference"],
        },
    }


@contextmanager
def worker(scan: Path, predictor: Predictor, scratch: Path) -> Iterator[Callable[[], dict[str, Any]]]:
    """Store a scan as the service does, and yield what a worker calls to predict it."""
    runtime = open_runtime(Settings(data_dir=scratch))
    content = scan.read_bytes()
    with runtime.storage.receive(max_bytes=len(content)) as upload:
        upload.write(content)
        upload.seal()
        runtime.storage.promote(upload, KEY)
    row = ScanRow(display_name=scan.name, sha256=hashlib.sha256(content).hexdigest())

    def predict() -> dict[str, Any]:
        with runtime.storage.open_local(KEY) as path:
            return runtime.predict(
                path, predictor, scan=row, progress=lambda _stage, _done: None, check=lambda: None
            ).result

    try:
        yield predict
    finally:
        runtime.enclosure.close()


def inflate(scan: Path) -> int:
    """Decompress the whole file into one reused buffer and throw it away."""
    buffer = memoryview(bytearray(256 * 1024))
    total = 0
    with igzip.open(scan, "rb") as stream:
        while count := stream.readinto(buffer):
            total += count
    return total


def reference(scan: Path, networks: list[RestNetwork], starts: np.ndarray, predictor: Predictor) -> float:
    """Do what a researcher would write with the field's own tools.

    The scan is already filtered and at the network's repetition time, so neither pipeline filters or
    resamples it in time: the reference is spared that work.
    """
    image = nib.load(scan)
    image = nib.Nifti1Image(image.get_fdata(), image.affine, image.header)
    cube = brain_cube(34)
    resampled = resample_img(
        image,
        target_affine=cube.affine,
        target_shape=(34, 34, 34),
        interpolation="linear",
        force_resample=True,
        copy_header=True,
    )
    frames = np.moveaxis(resampled.get_fdata(), -1, 0)
    frames = (frames - frames.mean(axis=0)) * cube.mask
    frames = (frames / frames[:, cube.mask].std()).astype(np.float32)
    windows = np.stack([frames[start : start + 20] for start in starts])
    with torch.inference_mode():
        batch = torch.from_numpy(windows)
        logits = torch.stack([network(batch) for network in networks])
    return float(torch.sigmoid(logits.mean() / predictor.card.temperature))


def ratio(numerator: list[float], denominator: list[float]) -> dict[str, float]:
    """Ratio round by round: its median, least and greatest."""
    ratios = [above / below for above, below in zip(numerator, denominator, strict=True)]
    return {"median": statistics.median(ratios), "min": min(ratios), "max": max(ratios)}


def show(result: dict) -> None:
    print(f"{result['machine']}\n{result['scan']}, {result['windows']} windows, {result['members']} members")
    for name, value in result["median_ms"].items():
        print(f"  {name:<10} {value:8.1f} ms")
    for name in ("ours_over_floor", "enclosed_over_floor", "reference_over_ours", "reference_over_enclosed"):
        row = result[name]
        print(f"  {name:<24} {row['median']:.2f} ({row['min']:.2f} to {row['max']:.2f})")
    print(f"  probability {result['probability']}")


if __name__ == "__main__":
    main()
