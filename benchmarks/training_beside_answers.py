"""Whether an answer waits for training: the embedded service alone, and with a fold in training throughout.

Single uploads of a scan of the size that ADHD-200's preprocessed release has for NYU, from the first byte to
the stored result, in turns. Training is asked for over REST and trained by the worker that ``restnet serve``
starts for it, at its own number of threads and priority.

Usage::

    python benchmarks/training_beside_answers.py [--single 20] [--rounds 3] [--out results.json]
"""

import argparse
import json
import sys
import tempfile
import urllib.request
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(REPOSITORY))

from large_scan import large_scan  # noqa: E402
from recording import load_now, machine, report  # noqa: E402
from throughput import Queue, idle, queue_of  # noqa: E402
from training_needs import made_up  # noqa: E402

from tests.production.stack import embedded, restnet  # noqa: E402
from tests.servers import wait_until  # noqa: E402

# More epochs than are waited for.
ASKED = {"cohort": "benchmark", "folds": 2, "epochs": 100_000, "patience": 100_000, "batch_size": 8}


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    arguments.add_argument("--single", type=int, default=20, help="uploads, in each round")
    arguments.add_argument("--rounds", type=int, default=3)
    arguments.add_argument("--out", type=Path)
    asked = arguments.parse_args()
    alone: list[dict[str, float]] = []
    beside: list[dict[str, float]] = []
    epochs: list[int] = []
    load = load_now()
    with tempfile.TemporaryDirectory() as name:
        scan = large_scan(Path(name))
        cohort = Path(name) / "cohort"
        made_up(cohort)
        for number in range(asked.rounds):
            folder = Path(name) / f"round-{number}"
            folder.mkdir()
            with embedded(folder, explanations="on-request") as stack, queue_of(stack, scan) as queue:
                restnet(stack.settings, "cohort", "register", str(cohort), "--name", "benchmark")
                alone.append(idle(queue, scan, number=asked.single))
                run_id = ask(queue, "POST", "", ASKED)["runs"][0]["id"]
                wait_until(lambda: epoch_of(queue, run_id) > 1, "a whole epoch", within_s=600)  # noqa: B023
                before = epoch_of(queue, run_id)
                beside.append(idle(queue, scan, number=asked.single))
                epochs.append(epoch_of(queue, run_id) - before)
                if not epochs[-1]:
                    raise SystemExit("expected the training to go on beside the answers, found it standing")
    report(
        {
            "machine": machine(),
            "load_at_the_start": load,
            "upload_to_result": {"alone": alone, "beside_training": beside},
            "p95_beside_over_alone": [
                round(one["p95_ms"] / other["p95_ms"], 3) for one, other in zip(beside, alone, strict=True)
            ],
            "epochs_meanwhile": epochs,
        },
        asked.out,
    )


def epoch_of(queue: Queue, run_id: str) -> int:
    run = ask(queue, "GET", f"/{run_id}")
    if run["status"] == "failed":
        raise SystemExit(f"expected the run to be trained, found {run['error']}")
    return max((fold["epoch"] or 0 for fold in run["folds"]), default=0)


def ask(queue: Queue, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
    request = urllib.request.Request(  # noqa: S310  (loopback)
        f"{queue.stack.addresses[0]}/api/v1/admin/training-runs{path}",
        method=method,
        data=None if body is None else json.dumps(body).encode(),
        headers={"Authorization": f"Bearer {queue.key}", "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310  (loopback)
        return json.load(answer)


if __name__ == "__main__":
    main()
