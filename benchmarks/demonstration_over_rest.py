"""Is the demonstration model more than noise? Simulated subjects that it never saw, sent over REST as files.

Starts `restnet serve --demo` on a free port with a data directory of its own, simulates a cohort with an
unseen seed, uploads every scan, waits for the answers and prints the area under the ROC curve with its
bootstrap interval: with the simulator's own effect, with the weaker one that the model was trained on, and
for several cohorts with none, each and together, because one in twenty honest intervals misses the truth.
Usage::

    python benchmarks/demonstration_over_rest.py [--subjects 40] [--seed 70001] [--effect-size 1.0 0.5]
        [--null-cohorts 8] [--out results.json]
"""

import argparse
import csv
import json
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
from sklearn.metrics import roc_auc_score

from training.evidence.estimates import area_estimate

START_LIMIT_S = 60
ANSWER_LIMIT_S = 600


@dataclass(frozen=True)
class Cohort:
    """A simulated cohort and what REST answered; `labels` and `results` are in the same order."""

    effect_size: float
    seed: int
    labels: list[int]
    results: list[dict[str, Any]]
    seconds: float


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    arguments.add_argument("--subjects", type=int, default=40)
    arguments.add_argument("--seed", type=int, default=70001)
    arguments.add_argument("--effect-size", type=float, nargs="+", default=[1.0, 0.5])
    arguments.add_argument("--null-cohorts", type=int, default=8)
    arguments.add_argument("--out", type=Path)
    options = arguments.parse_args()
    planted = [(effect, options.seed) for effect in options.effect_size]
    null = [(0.0, options.seed + number) for number in range(options.null_cohorts)]

    with (
        tempfile.TemporaryDirectory(prefix="restnet-demonstration-") as scratch,
        running_service(Path(scratch) / "data") as client,
    ):
        cohorts = [
            score_cohort(client, Path(scratch), n_subjects=options.subjects, effect_size=effect, seed=seed)
            for effect, seed in planted + null
        ]
    rows = [describe([cohort]) for cohort in cohorts]
    if options.null_cohorts > 1:
        rows.append(describe(cohorts[len(planted) :]))
    for row in rows:
        low, high = row["auc_interval_95"]
        print(
            f"effect size {row['effect_size']:g}, seeds {row['seeds']}: "
            f"AUC {row['auc']:.3f} [{low:.3f}, {high:.3f}], "
            f"{row['n_adhd']} ADHD and {row['n_control']} control, decisions {row['decisions']}, "
            f"{row['seconds_a_scan']:.2f} s a scan"
        )
    if options.out:
        options.out.write_text(json.dumps(rows, indent=2) + "\n")


@contextmanager
def running_service(data_dir: Path) -> Iterator[httpx2.Client]:
    """Start the whole service and give a client that is logged in with the demonstration's key."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    restnet = Path(sys.executable).with_name("restnet")
    command = [restnet, "serve", "--demo", "--port", str(port), "--data-dir", str(data_dir)]
    service = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        with httpx2.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
            wait_until_ready(client)
            key = json.loads((data_dir / "demo-credentials.json").read_text())["api_key"]
            client.headers["Authorization"] = f"Bearer {key}"
            yield client
    finally:
        service.terminate()
        service.wait(timeout=60)


def wait_until_ready(client: httpx2.Client) -> None:
    deadline = time.monotonic() + START_LIMIT_S
    while time.monotonic() < deadline:
        try:
            if client.get("/readyz").status_code == httpx2.codes.OK:
                return
        except httpx2.TransportError:
            pass
        time.sleep(0.2)
    raise SystemExit(f"the service was not ready within {START_LIMIT_S} s")


def score_cohort(
    client: httpx2.Client, scratch: Path, *, n_subjects: int, effect_size: float, seed: int
) -> Cohort:
    """Simulate a cohort, send every scan, and set the answers beside the planted labels."""
    folder = scratch / f"cohort-{effect_size}-{seed}"
    restnet = Path(sys.executable).with_name("restnet")
    size, effect = ["--subjects", str(n_subjects)], ["--effect-size", str(effect_size)]
    subprocess.run(
        [restnet, "simulate", folder, *size, *effect, "--seed", str(seed), "--json"],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    labels = labels_by_subject(next(folder.glob("*.tsv")))
    scans = sorted(folder.rglob("*.nii.gz"))
    started = time.monotonic()
    predictions = {subject_of(scan): upload(client, scan) for scan in scans}
    results = {subject: wait_for_result(client, prediction) for subject, prediction in predictions.items()}
    seconds = time.monotonic() - started

    return Cohort(
        effect_size=effect_size,
        seed=seed,
        labels=[labels[subject] for subject in results],
        results=list(results.values()),
        seconds=seconds,
    )


def describe(cohorts: list[Cohort]) -> dict[str, object]:
    """Give the figures of one cohort, or of several with the same effect together."""
    truth = np.array([label for cohort in cohorts for label in cohort.labels])
    results = [result for cohort in cohorts for result in cohort.results]
    probability = np.array([result["adhd_probability"] for result in results])
    decisions = [result["decision"] for result in results]
    return {
        "model": " ".join(results[0]["model"][key] for key in ("name", "version")),
        "effect_size": cohorts[0].effect_size,
        "seeds": [cohort.seed for cohort in cohorts],
        "n_adhd": int(truth.sum()),
        "n_control": int((1 - truth).sum()),
        "auc": float(roc_auc_score(truth, probability)),
        "auc_interval_95": bootstrap_auc(truth, probability),
        "decisions": {name: decisions.count(name) for name in ("adhd", "control", "uncertain")},
        "seconds_a_scan": sum(cohort.seconds for cohort in cohorts) / len(results),
    }


def labels_by_subject(phenotypes: Path) -> dict[int, int]:
    """Diagnosis 0 is a control, 1 to 3 are ADHD of some subtype."""
    with phenotypes.open(newline="") as table:
        return {
            int(row["ScanDir ID"]): int(row["DX"] != "0") for row in csv.DictReader(table, delimiter="\t")
        }


def subject_of(scan: Path) -> int:
    return int(scan.parent.name)


def upload(client: httpx2.Client, scan: Path) -> str:
    with scan.open("rb") as stream:
        answer = client.post("/api/v1/scans", files={"scan": (scan.name, stream, "application/gzip")})
    answer.raise_for_status()
    return str(answer.json()["prediction_id"])


def wait_for_result(client: httpx2.Client, prediction_id: str) -> dict[str, Any]:
    deadline = time.monotonic() + ANSWER_LIMIT_S
    while time.monotonic() < deadline:
        prediction = client.get(f"/api/v1/predictions/{prediction_id}").raise_for_status().json()
        if prediction["status"] == "succeeded":
            return dict(prediction["result"])
        if prediction["status"] in {"failed", "cancelled"}:
            raise SystemExit(f"a simulated scan was not scored: {prediction['error']}")
        time.sleep(0.1)
    raise SystemExit(f"no answer within {ANSWER_LIMIT_S} s")


def bootstrap_auc(truth: np.ndarray, probability: np.ndarray, *, draws: int = 2000) -> list[float]:
    """Percentile interval over subjects, drawn within each class; see `area_estimate` for an AUC of 1."""
    rng = np.random.default_rng(0)
    groups = [np.flatnonzero(truth == label) for label in (0, 1)]
    aucs = []
    for _ in range(draws):
        drawn = np.concatenate([rng.choice(group, group.size) for group in groups])
        aucs.append(roc_auc_score(truth[drawn], probability[drawn]))
    value = float(roc_auc_score(truth, probability))
    found = area_estimate(value, np.array(aucs), n_separate_pairs=min(group.size for group in groups))
    return [found.low, found.high]


if __name__ == "__main__":
    main()
