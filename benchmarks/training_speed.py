"""How long the same epochs take: a plain loop, MONAI's cache and loader, and ours; and how far ours could go.

A cohort is simulated as files. Then every candidate of `training_loops.py` gets a process of its own and all
take turns, round after round, so that the machine's moods hit them all; a ratio is taken within a round. The
plain loop, by far the slowest, takes part in the first round only.
What only has to happen once (filling MONAI's cache, ingesting the cohort) is timed apart from the epochs.
At last each candidate trains on a third of the subjects, but a whole batch, in a new process, to see how
memory grows with the cohort.

On a machine that does other work too, wall time says little: `--threads 1` and the ratios of processor time
are then what holds, because threads that wait for each other spin. Both are always given.

Precision: fp32 for the plain loop and MONAI; ours takes bfloat16 where the processor multiplies it natively
and fp32 elsewhere, and the result says which.

`training_on_a_gpu.py` measures what a GPU makes of it.

Usage::

    python -m pip install --constraint constraints.txt --group benchmark
    python benchmarks/training_speed.py [--subjects 24] [--epochs 2] [--rounds 3] [--widths 16 4]
        [--threads N] [--out results.json]
"""

import argparse
import json
import os
import platform
import statistics
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager, suppress
from importlib.metadata import version
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from time import perf_counter
from typing import Any

from training.fitting.settings import TrainingSettings

TRAININGS = ("plain", "monai", "ours")
FLOORS = ("floor_eager", "floor_ours", "arithmetic")
BUSY_LOAD = 3
SPAWN = get_context("spawn")


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    arguments.add_argument("--subjects", type=int, default=24)
    arguments.add_argument("--epochs", type=int, default=2)
    arguments.add_argument("--rounds", type=int, default=3)
    arguments.add_argument("--batch", type=int, default=8)
    arguments.add_argument("--widths", type=int, nargs="+", default=[16, 4])
    arguments.add_argument("--threads", type=int, help="of torch, in each process")
    arguments.add_argument("--out", type=Path)
    options = arguments.parse_args()
    load_before = os.getloadavg()[0]
    with tempfile.TemporaryDirectory(prefix="restnet-benchmark-") as scratch:
        facts = in_a_process(make_cohort, Path(scratch), options.subjects)
        result: dict[str, Any] = {
            "machine": machine(),
            "load_average": {"before": load_before},
            "subjects": options.subjects,
            "epochs": options.epochs,
            "batch": options.batch,
            "rounds": options.rounds,
            "threads": options.threads or "torch's own choice",
            "ingest_s": facts["ingest_s"],
            "networks": [],
        }
        for width in options.widths:
            settings = TrainingSettings(
                width=width, protocol="paper", epochs=options.epochs, batch_size=options.batch
            )
            work = {
                "files": facts["files"],
                "cohort": facts["cohort"],
                "n_subjects": options.subjects,
                "settings": settings,
                "threads": options.threads,
            }
            row = measure(work, rounds=options.rounds)
            result["networks"].append({"network": f"C, Bi-LSTM, width {width}", **row})
            show(result["networks"][-1])
    result["load_average"]["after"] = os.getloadavg()[0]
    if max(result["load_average"].values()) >= BUSY_LOAD:
        result["note"] = "the machine did other work at the same time: read the ratios, not the seconds"
    print(f"{result['machine']}, load average {load_before:.1f}, then {result['load_average']['after']:.1f}")
    if options.out:
        options.out.write_text(json.dumps(result, indent=2) + "\n")


def make_cohort(scratch: Path, n_subjects: int) -> dict[str, Any]:
    """Simulate the files, and ingest them."""
    from imaging import PreprocessingSpec  # noqa: PLC0415 - the parent stays small: its peak is inherited
    from training.cohort.ingest import ingest  # noqa: PLC0415
    from training.cohort.phenotypes.table import read_phenotypes  # noqa: PLC0415
    from training.cohort.sources.athena import AthenaSource  # noqa: PLC0415
    from training.simulation.phenotypes import TABLE_NAME  # noqa: PLC0415
    from training.simulation.simulator import simulate_cohort  # noqa: PLC0415

    files = scratch / "files"
    profiles = simulate_cohort(files, n_subjects=n_subjects, seed=1)
    began = perf_counter()
    # Each at its own repetition time: the plain loop and MONAI then find the same frames without resampling.
    spec = PreprocessingSpec(tr_s=None)
    source = AthenaSource(files, ignored=[files / TABLE_NAME])
    ingest(source, read_phenotypes(files / TABLE_NAME), scratch / "cohort", spec=spec, processes=2)
    return {
        "ingest_s": perf_counter() - began,
        "files": {profile.scan_dir_id: files / profile.file_path for profile in profiles},
        "cohort": scratch / "cohort",
    }


def measure(work: dict[str, Any], *, rounds: int) -> dict[str, Any]:
    """Let all candidates take turns."""
    kinds = (*TRAININGS, *FLOORS)
    answers: dict[str, list[dict[str, Any]]] = {kind: [] for kind in kinds}
    with candidates(kinds, work) as started:
        for number in range(rounds):
            for kind, candidate in started.items():
                # Reading every file again is so slow that once is enough.
                if kind != "plain" or number == 0:
                    answers[kind].append(candidate.train())
        prepare_s = {kind: started[kind].prepare_s for kind in TRAININGS}
        memory = {kind: started[kind].peak_mb() for kind in TRAININGS}
    # A batch must be as full as before, so that the cohort alone is smaller.
    fewer = max(work["settings"].batch_size, work["n_subjects"] // 3)
    memory_of_fewer = {kind: peak_alone(kind, {**work, "n_subjects": fewer}) for kind in TRAININGS}

    seconds = {kind: [answer["seconds"] for answer in answers[kind]] for kind in TRAININGS}
    seconds["floor_eager"] = [answer["steps_s"] for answer in answers["floor_eager"]]
    seconds["floor_ours"] = [answer["steps_s"] + answer["read_s"] for answer in answers["floor_ours"]]
    cpu_seconds = {kind: [answer["cpu_s"] for answer in answers[kind]] for kind in TRAININGS}
    for kind in ("floor_eager", "floor_ours"):
        cpu_seconds[kind] = [answer["steps_cpu_s"] for answer in answers[kind]]
    last = {kind: answers[kind][-1] for kind in kinds}
    windows = work["n_subjects"] * work["settings"].epochs
    arithmetic = answers["arithmetic"]
    flop_s = [arithmetic[0]["flop_a_window"] * windows / value for value in seconds["ours"]]
    matmul_flop_s = [answer["matmul_flop_s"] for answer in arithmetic]
    return {
        "precision": {"plain": "float32", "monai": "float32", "ours": last["ours"]["precision"]},
        "prepare_s": prepare_s,
        "seconds": seconds,
        "cpu_seconds": cpu_seconds,
        "median_s": {kind: statistics.median(values) for kind, values in seconds.items()},
        "plain_over_ours": ratio(seconds["plain"], seconds["ours"]),
        "monai_over_ours": ratio(seconds["monai"], seconds["ours"]),
        "monai_over_its_floor": ratio(seconds["monai"], seconds["floor_eager"]),
        "ours_over_its_floor": ratio(seconds["ours"], seconds["floor_ours"]),
        "ours_over_eager_floor": ratio(seconds["ours"], seconds["floor_eager"]),
        "in_processor_time": {
            "plain_over_ours": ratio(cpu_seconds["plain"], cpu_seconds["ours"]),
            "monai_over_ours": ratio(cpu_seconds["monai"], cpu_seconds["ours"]),
            "ours_over_its_floor": ratio(cpu_seconds["ours"], cpu_seconds["floor_ours"]),
            "ours_over_eager_floor": ratio(cpu_seconds["ours"], cpu_seconds["floor_eager"]),
        },
        "outside_the_epochs_s": last["ours"]["seconds"] - last["ours"]["in_epochs_s"],
        "waiting_for_data_s": {kind: last[kind]["waiting_for_data_s"] for kind in ("plain", "monai")},
        "read": {key: last["floor_ours"][key] for key in ("read_s", "read_bytes")},
        "ours_windows_a_second": windows / statistics.median(seconds["ours"]),
        "ours_share_of_matmul_rate": ratio(flop_s, matmul_flop_s),
        "matmul_gflop_s": statistics.median(matmul_flop_s) / 1e9,
        "gflop_a_window": arithmetic[0]["flop_a_window"] / 1e9,
        "loss": {kind: last[kind]["loss"] for kind in TRAININGS},
        "peak_memory_mb": {"all subjects": memory, f"{fewer} subjects": memory_of_fewer},
    }


@contextmanager
def candidates(kinds: Sequence[str], work: dict[str, Any]) -> Iterator[dict[str, "Candidate"]]:
    """Start a process for each, one after the other, so that none is disturbed while it prepares."""
    started: dict[str, Candidate] = {}
    try:
        for kind in kinds:
            started[kind] = Candidate(kind, work)
        yield started
    finally:
        for candidate in started.values():
            candidate.end()


class Candidate:
    """A process that `training_loops.serve` runs in, ready to train."""

    def __init__(self, kind: str, work: dict[str, Any]) -> None:
        self._kind = kind
        self._pipe, theirs = SPAWN.Pipe()
        self._process = SPAWN.Process(target=serve_candidate, args=(kind, work, theirs), daemon=True)
        self._process.start()
        theirs.close()
        self.prepare_s = self._answer()["seconds"]

    def train(self) -> dict[str, Any]:
        """Let it train all epochs once, and wait."""
        self._pipe.send("train")
        return self._answer()

    def peak_mb(self) -> dict[str, float]:
        """Ask for the most memory it ever held, which ends it."""
        self._pipe.send("end")
        return {name.replace("_bytes", ""): value / 1e6 for name, value in self._answer().items()}

    def end(self) -> None:
        """Hang up and wait until it is gone."""
        self._pipe.close()
        self._process.join(timeout=20)
        self._process.kill()

    def _answer(self) -> dict[str, Any]:
        try:
            return dict(self._pipe.recv())
        except EOFError:
            raise SystemExit(f"{self._kind}: the process ended, see above") from None


def serve_candidate(kind: str, work: dict[str, Any], pipe: Connection) -> None:
    import training_floors  # noqa: PLC0415 - the parent stays small
    import training_loops  # noqa: PLC0415

    kinds = training_loops.TRAININGS | training_floors.FLOORS
    # The parent hangs up on those that it asks nothing more.
    with suppress(EOFError):
        training_loops.serve(kinds[kind], training_loops.Work(**work), pipe)


def peak_alone(kind: str, work: dict[str, Any]) -> dict[str, float]:
    with candidates([kind], work) as started:
        started[kind].train()
        return started[kind].peak_mb()


def in_a_process(function: Callable[..., dict[str, Any]], *arguments: object) -> dict[str, Any]:
    with ProcessPoolExecutor(1, mp_context=SPAWN) as pool:
        return pool.submit(function, *arguments).result()


def ratio(numerator: list[float], denominator: list[float]) -> dict[str, float]:
    """Ratio round by round, of as many as both took part in: its median, least and greatest."""
    ratios = [above / below for above, below in zip(numerator, denominator, strict=False)]
    return {"median": statistics.median(ratios), "min": min(ratios), "max": max(ratios)}


def machine() -> str:
    """Describe in a line what this ran on."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    packages = ", ".join(f"{name} {version(name)}" for name in ("torch", "monai", "nilearn"))
    return f"{(names or [platform.processor()])[0]}, {os.cpu_count()} cores, {packages}"


def show(row: dict[str, Any]) -> None:
    precision, cached_s = row["precision"]["ours"], row["prepare_s"]["monai"]
    print(f"{row['network']}, ours in {precision}, MONAI's cache filled in {cached_s:.1f} s")
    for kind, value in row["median_s"].items():
        memory = row["peak_memory_mb"]["all subjects"].get(kind, {}).get("peak")
        print(f"  {kind:<12} {value:8.2f} s" + (f" {memory:8.0f} MB at most" if memory else ""))
    in_processor_time = {f"{name} (cpu)": value for name, value in row["in_processor_time"].items()}
    for name, value in (row | in_processor_time).items():
        if isinstance(value, dict) and "median" in value:
            print(f"  {name:<28} {value['median']:.2f} ({value['min']:.2f} to {value['max']:.2f})")
    print(f"  loss {row['loss']}")


if __name__ == "__main__":
    main()
