"""Whether an answer waits for the explanations of earlier ones, and what an explanation takes.

The embedded service, in turns without explanations and with a queue of them that never runs empty: single
uploads of a scan of the size that ADHD-200's preprocessed release has for NYU, from the first byte to the
stored result. The explanation worker runs beside them at the lowest priority, as ``restnet serve`` starts it.

Usage::

    python benchmarks/explaining_beside_answers.py [--single 12] [--rounds 3] [--out results.json]
"""

import argparse
import sys
import tempfile
from pathlib import Path

from sqlalchemy import func, select

REPOSITORY = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(REPOSITORY))

from large_scan import large_scan  # noqa: E402
from recording import load_now, machine, report, spread  # noqa: E402
from throughput import Queue, accepted, idle, queue_of  # noqa: E402

from service.db.job import TERMINAL  # noqa: E402
from service.db.rows import ExplanationRow, ExplanationState  # noqa: E402
from tests.production.stack import embedded  # noqa: E402
from tests.servers import wait_until  # noqa: E402

# Queued before the first answer is timed: each takes longer than several answers.
BACKLOG = 6
# How many explanations are waited for and timed, in each round; the first began beside answers.
TIMED = 3


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    arguments.add_argument("--single", type=int, default=12, help="uploads, in each round")
    arguments.add_argument("--rounds", type=int, default=3)
    arguments.add_argument("--out", type=Path)
    asked = arguments.parse_args()
    without: list[dict[str, float]] = []
    beside: list[dict[str, float]] = []
    took: list[float] = []
    load = load_now()
    with tempfile.TemporaryDirectory() as name:
        scan = large_scan(Path(name))
        for number in range(asked.rounds):
            folder = Path(name) / f"without-{number}"
            folder.mkdir()
            with embedded(folder, explanations="on-request") as stack, queue_of(stack, scan) as queue:
                without.append(idle(queue, scan, number=asked.single))
            folder = Path(name) / f"beside-{number}"
            folder.mkdir()
            with embedded(folder) as stack, queue_of(stack, scan) as queue:
                for _ in range(BACKLOG):
                    accepted(scan, stack, queue.key)
                queue.wait_until_empty()
                beside.append(idle(queue, scan, number=asked.single))
                waiting, _ = explained(queue)
                if not waiting:
                    raise SystemExit("expected explanations to wait to the end, found none: raise BACKLOG")
                # With nothing else to do the service goes on with them.
                wait_until(
                    lambda queue=queue: len(explained(queue)[1]) >= TIMED, "explanations", within_s=300
                )
                took += explained(queue)[1]
    report(
        {
            "machine": machine(),
            "load_at_the_start": load,
            "upload_to_result": {"without_explanations": without, "beside_explanations": beside},
            "median_beside_over_without": [
                round(one["p50_ms"] / other["p50_ms"], 3) for one, other in zip(beside, without, strict=True)
            ],
            "an_explanation": spread(took) if took else None,
        },
        asked.out,
    )


def explained(queue: Queue) -> tuple[int, list[float]]:
    """Count the explanations that still wait or run, and time those that ended."""
    with queue.sessions() as session:
        waiting = session.scalar(
            select(func.count()).select_from(ExplanationRow).where(ExplanationRow.state.not_in(TERMINAL))
        )
        rows = session.scalars(
            select(ExplanationRow).where(ExplanationRow.state == ExplanationState.SUCCEEDED)
        ).all()
    times = [(row.started_at, row.finished_at) for row in rows]
    return int(waiting or 0), [
        (finished - started).total_seconds() for started, finished in times if started and finished
    ]


if __name__ == "__main__":
    main()
