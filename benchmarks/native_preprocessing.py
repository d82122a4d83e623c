"""From a scanner's file to what the network reads: seconds by stage, processor time, greatest memory.

A head that nods is drawn as a run of 80 x 80 x 35 voxels at 2 s in a compressed file, and prepared in a
process of its own, so that the memory is that of this work alone. No data is needed.

Usage::

    python benchmarks/native_preprocessing.py [--frames 156] [--threads 2] [--out results.json]
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import nibabel as nib
import numpy as np

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parent.parent)]

from recording import load_now, machine, report  # noqa: E402

from imaging import PreprocessingSpec, open_scan, preprocess  # noqa: E402
from imaging.native.normalise import normalise  # noqa: E402
from tests.imaging.native.heads import OBLIQUE, head, moved  # noqa: E402

SHAPE, TR_S = (80, 80, 35), 2.0
AFFINE = np.array([[-3.0, 0, 0, 118.5], [0, 3.0, 0, -110.0], [0, 0, 4.0, -72.0], [0, 0, 0, 1.0]])
# A thread a library takes without being asked.
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def write_run(path: Path, *, n_frames: int) -> None:
    """Draw a run and store it as scanners' converters do: int16, compressed."""
    generator = np.random.default_rng(11)
    nods_deg = 0.6 * np.sin(np.arange(n_frames) / 9) + 0.8 * (np.arange(n_frames) > n_frames // 2)
    bold = np.empty((*SHAPE, n_frames), dtype=np.int16)
    for number in range(n_frames):
        pose = moved((nods_deg[number], 0.1 * nods_deg[number], 0), (0, 0.3 * nods_deg[number], 0))
        frame = head(to_scan=pose @ OBLIQUE, shape=SHAPE, affine=AFFINE)
        bold[..., number] = np.rint(np.abs(frame + generator.normal(0, 8, SHAPE)))
    image = nib.Nifti1Image(bold, AFFINE)
    image.header.set_xyzt_units("mm", "sec")
    image.header["pixdim"][4] = TR_S
    image.to_filename(path)


def measure(path: Path) -> dict[str, object]:
    """Prepare a run, in this process."""
    began = {"wall": time.perf_counter(), "processor": time.process_time()}
    marks: dict[str, tuple[float, float]] = {"reading": (began["wall"], began["processor"])}
    memory_mib: dict[str, int] = {}

    def mark(stage: str, _: float) -> None:
        marks.setdefault(stage, (time.perf_counter(), time.process_time()))
        memory_mib[stage] = _greatest_mib()

    slice_times_s = [round(TR_S * number / SHAPE[2], 4) for number in range(SHAPE[2])]
    found = normalise(open_scan(path), slice_times_s=slice_times_s, progress=mark)
    marks["network_input"] = (time.perf_counter(), time.process_time())
    preprocess(found.scan, PreprocessingSpec())
    memory_mib["network_input"] = _greatest_mib()
    end = (time.perf_counter(), time.process_time())
    ends = [*list(marks.values())[1:], end]
    return {
        "stages_s": {
            stage: {
                "wall": round(after[0] - before[0], 2),
                "processor": round(after[1] - before[1], 2),
                "greatest_memory_so_far_mib": memory_mib[stage],
            }
            for (stage, before), after in zip(marks.items(), ends, strict=True)
        },
        "wall_s": round(end[0] - began["wall"], 2),
        "processor_s": round(end[1] - began["processor"], 2),
        "greatest_memory_mib": memory_mib["network_input"],
        "overlap": round(found.quality.overlap, 3),
        "mean_displacement_mm": round(found.quality.mean_displacement_mm, 3),
    }


def _greatest_mib() -> int:
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def main() -> None:
    """Run as a program."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=156)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--only", type=Path, help="measure this file, in this process")
    given = parser.parse_args()
    if given.only is not None:
        print(json.dumps(measure(given.only)))
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "run.nii.gz"
        write_run(path, n_frames=given.frames)
        before = load_now()
        environment = {**os.environ, **dict.fromkeys(_THREADS, str(given.threads))}
        finished = subprocess.run(
            [sys.executable, __file__, "--only", str(path)],
            env=environment,
            stdout=subprocess.PIPE,
            check=True,
        )
        size_mib = path.stat().st_size / 2**20
    report(
        {
            "machine": machine(),
            "load_before": before,
            "threads": given.threads,
            "shape": [*SHAPE, given.frames],
            "file_mib": round(size_mib, 1),
            **json.loads(finished.stdout),
        },
        given.out,
    )


if __name__ == "__main__":
    main()
