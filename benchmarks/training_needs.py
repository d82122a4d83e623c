"""What a fold and the finishing of a run take of memory, and a run of disk, beside what planning estimates.

Each fold is trained in a process of its own, for two epochs of a few batches, on made-up scans: memory does
not depend on what is in them. Finishing, in a process of its own too, puts the folds of a run together and
registers the checkpoint; its folds were trained on scans of a few frames, which makes no weight smaller. The
estimates are those of ``service/worker/training_needs.py``.

Usage::

    python benchmarks/training_needs.py [--out results.json]
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch

REPOSITORY = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(REPOSITORY))

from recording import load_now, machine, report  # noqa: E402

from imaging import PreprocessingSpec, brain_cube  # noqa: E402
from service.db.engine import make_engine, session_factory  # noqa: E402
from service.db.migrate import upgrade  # noqa: E402
from service.identity.actor import program  # noqa: E402
from service.registry.registering import register  # noqa: E402
from service.settings import Settings  # noqa: E402
from service.storage import open_storage  # noqa: E402
from service.worker.training_needs import needs_of  # noqa: E402
from tests.training.cohort.store.made_up_store import write_store  # noqa: E402
from tests.training.validation.tiny_cohorts import tiny_store, tiny_subjects  # noqa: E402
from training.cohort.store.cohort_store import CohortStore  # noqa: E402
from training.fitting.peak_memory import peak_memory_bytes  # noqa: E402
from training.fitting.settings import read_settings  # noqa: E402
from training.runs import CHECKPOINT_FILE  # noqa: E402
from training.validation.cross_validation import finish_run, plan_run  # noqa: E402
from training.validation.fold import train_fold  # noqa: E402

CASES: list[dict[str, Any]] = [
    {"network": "A", "width": 4, "batch_size": 8},
    {"network": "A", "width": 16, "batch_size": 8},
    {"network": "C", "width": 2, "batch_size": 8},
    {"network": "C", "width": 16, "batch_size": 4},
    {"network": "C", "width": 16, "batch_size": 8},
    {"network": "D", "width": 16, "batch_size": 8},
    {"network": "C", "width": 16, "batch_size": 8, "encoder": "frozen"},
]
N_SUBJECTS = 24
# Networks whose ensemble is put together, and of how many folds.
FINISHED: list[tuple[dict[str, Any], int]] = [
    ({"network": "C", "width": 2}, 5),
    ({"network": "C", "width": 16}, 5),
    ({"network": "A", "width": 16}, 5),
    ({"network": "A", "width": 16}, 10),
]


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    arguments.add_argument("--one", help=argparse.SUPPRESS)
    arguments.add_argument("--finish", type=Path, help=argparse.SUPPRESS)
    arguments.add_argument("--cohort", type=Path, help=argparse.SUPPRESS)
    arguments.add_argument("--out", type=Path)
    asked = arguments.parse_args()
    if asked.one is not None:
        case = json.loads(asked.one)
        found = measure(asked.cohort, case) if asked.finish is None else measure_finishing(asked.finish)
        sys.stdout.write(json.dumps(found))
        return
    load = load_now()
    with tempfile.TemporaryDirectory() as name:
        cohort = Path(name) / "cohort"
        made_up(cohort)
        folds = [in_a_process(cohort, case) for case in CASES]
        short = tiny_store(Path(name) / "short", n_subjects=N_SUBJECTS)
        finished = [finish(short, case, n_folds=n_folds) for case, n_folds in FINISHED]
    report(
        {"machine": machine(), "load_at_the_start": load, "folds": folds, "finishing": finished}, asked.out
    )


def made_up(folder: Path) -> None:
    spec = PreprocessingSpec()
    voxels = int(brain_cube(spec.grid_size).mask.sum())
    generator = np.random.default_rng(0)
    subjects = tiny_subjects(N_SUBJECTS)
    shape = (spec.window_frames + 4, voxels)
    series = {
        subject.subject_id: [generator.standard_normal(shape, dtype=np.float32)] for subject in subjects
    }
    write_store(folder, subjects=subjects, series=series, spec=spec)


def in_a_process(cohort: Path, case: dict[str, Any], *more: str) -> dict[str, Any]:
    command = [sys.executable, __file__, "--cohort", str(cohort), "--one", json.dumps(case), *more]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def measure(cohort: Path, case: dict[str, Any]) -> dict[str, Any]:
    given = {"folds": 2, "epochs": 2, "precision": "float32", "inner_stopping": 0.2, **case}
    settings = read_settings(overrides=given | {"inner_calibration": 0.2})
    store = CohortStore.open(cohort)
    with tempfile.TemporaryDirectory() as name:
        run = Path(name) / "run"
        record = plan_run(store, store.subjects, settings=settings, out=run, device="cpu", threads=1)
        needs = needs_of(
            settings,
            n_parameters=record.n_parameters,
            n_folds=2,
            n_frames=sum(scan.n_stored_frames for scan in store.scans),
            window_frames=store.spec.window_frames,
            on_gpu=False,
        )
        largest = [0]

        def look(*_: object) -> None:
            largest[0] = max(
                largest[0], sum(file.stat().st_size for file in run.rglob("*") if file.is_file())
            )

        outcome = train_fold(run, 0, cohort=cohort, device="cpu", progress=look)
        look()
    return {
        **case,
        "n_parameters": record.n_parameters,
        "memory_mib": outcome.peak_memory_bytes >> 20,
        "memory_estimated_mib": needs.memory_bytes >> 20,
        "memory_over_estimate": round(outcome.peak_memory_bytes / needs.memory_bytes, 2),
        "one_folds_disk_mib": round(largest[0] / 2**20, 1),
        "runs_disk_estimated_mib": needs.disk_bytes >> 20,
    }


def finish(store: CohortStore, case: dict[str, Any], *, n_folds: int) -> dict[str, Any]:
    """Train the folds of a run here, and measure in a process of its own what putting them together takes."""
    given = case | {"folds": n_folds, "epochs": 1, "precision": "float32", "batch_size": 8}
    settings = read_settings(overrides=given | {"inner_stopping": 0.2, "inner_calibration": 0.2})
    with tempfile.TemporaryDirectory() as name:
        run = Path(name) / "run"
        record = plan_run(store, store.subjects, settings=settings, out=run, device="cpu", threads=2)
        for fold in range(n_folds):
            train_fold(run, fold, cohort=store.folder, device="cpu")
        needs = needs_of(
            settings,
            n_parameters=record.n_parameters,
            n_folds=n_folds,
            n_frames=0,
            window_frames=store.spec.window_frames,
            on_gpu=False,
        )
        found = in_a_process(store.folder, case, "--finish", str(run))
    memory_bytes = found["memory_bytes"]
    return {
        **case,
        "n_folds": n_folds,
        "n_parameters": record.n_parameters,
        "memory_mib": memory_bytes >> 20,
        "memory_estimated_mib": needs.finishing_bytes >> 20,
        "memory_over_estimate": round(memory_bytes / needs.finishing_bytes, 2),
    }


def measure_finishing(run: Path) -> dict[str, Any]:
    finish_run(run)
    folder = run.parent
    upgrade(f"sqlite:///{folder / 'restnet.db'}")
    sessions = session_factory(make_engine(f"sqlite:///{folder / 'restnet.db'}"))
    storage = open_storage(Settings(data_dir=folder / "data"))
    with sessions.begin() as session:
        register(session, storage, run / CHECKPOINT_FILE, actor=program("worker"))
    return {"memory_bytes": peak_memory_bytes(torch.device("cpu"))}


if __name__ == "__main__":
    main()
