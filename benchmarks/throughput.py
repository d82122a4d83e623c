"""How many scans a worker answers, and how soon, beside what its computing alone would allow.

All of it with one scan of the size that ADHD-200's preprocessed release has for NYU. The limit is the warm
code of a worker in this process, one scan after another, without queue, database, storage and enclosure.
In turns with it, a worker with a full queue; then single uploads to an idle service, from the first byte to
the stored result; in the production stack (PostgreSQL, Redis, an S3 server, two web processes) and with
everything embedded. Two workers in turns with one. At last, whether several scans in one forward pass would
gain anything on a processor.

Usage::

    python benchmarks/throughput.py [--scans 12] [--single 20] [--rounds 5] [--out results.json]
"""

import argparse
import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from celery import Celery
from sqlalchemy import func, select
from sqlalchemy.orm import Session, sessionmaker

REPOSITORY = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(REPOSITORY))

from large_scan import large_scan  # noqa: E402
from recording import load_now, machine, report, spread  # noqa: E402
from uploading import upload  # noqa: E402

import model.network_members  # noqa: E402
from imaging import PreprocessingSpec, open_scan, preprocess, window_starts  # noqa: E402
from model import demonstration_checkpoint  # noqa: E402
from model.checkpoint import load_checkpoint  # noqa: E402
from model.prediction import predict_scan  # noqa: E402
from model.predictor import Predictor  # noqa: E402
from service import jobs  # noqa: E402
from service.db.engine import make_engine, session_factory  # noqa: E402
from service.db.job import TERMINAL  # noqa: E402
from service.db.rows import PredictionRow, PredictionState  # noqa: E402
from service.queue import announce, make_celery  # noqa: E402
from tests.production.stack import Stack, api_key, embedded, production  # noqa: E402
from tests.servers import wait_until  # noqa: E402

BATCH_ROUNDS = 7
SCANS_A_BATCH = (1, 2, 4, 8)
EVERY_CORE = 0


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    arguments.add_argument("--scans", type=int, default=12, help="in the queue, in each round")
    arguments.add_argument("--single", type=int, default=20)
    arguments.add_argument("--rounds", type=int, default=5)
    arguments.add_argument("--out", type=Path)
    options = arguments.parse_args()
    rounds, scans = options.rounds, options.scans
    result: dict[str, object] = {"machine": machine(), "load_before": load_now()}
    with tempfile.TemporaryDirectory(prefix="restnet-throughput-") as scratch:
        scan = large_scan(Path(scratch))
        result |= {"scan_bytes": scan.stat().st_size, "rounds": rounds, "scans_a_round": scans}
        with production(inference_workers=1) as stack, queue_of(stack, scan) as queue:
            result["production"] = against_limit(queue, scan, rounds=rounds, scans=scans)
            result["production"]["idle"] = idle(queue, scan, number=options.single)
        with embedded(Path(scratch)) as stack, queue_of(stack, scan) as queue:
            result["embedded"] = against_limit(queue, scan, rounds=rounds, scans=scans)
            result["embedded"]["idle"] = idle(queue, scan, number=options.single)
        result["one_thread_a_worker"] = scaling(scan, rounds=rounds, scans=scans)
        result["scans_a_forward_pass"] = batches(scan)
    result["load_after"] = load_now()
    report(result, options.out)


@dataclass(frozen=True)
class Queue:
    """A stack's queue of predictions of one stored scan."""

    stack: Stack
    key: str
    sessions: sessionmaker[Session]
    broker: Celery
    scan_id: str

    def rate(self, number: int) -> float:
        """Queue predictions of the scan, and give how many a second end while others still wait."""
        with self.sessions.begin() as session:
            ids = [jobs.enqueue(session, scan_id=self.scan_id).id for _ in range(number)]
        for prediction_id in ids:
            announce(self.broker, self.sessions, PredictionRow, prediction_id)
        self.wait_until_empty()
        with self.sessions() as session:
            rows = session.scalars(select(PredictionRow).where(PredictionRow.id.in_(ids))).all()
        ended = sorted(finished(row) for row in rows)
        return (number - 1) / (ended[-1] - ended[0])

    def wait_until_empty(self) -> None:
        """Wait for the last prediction to end."""
        left = select(func.count()).select_from(PredictionRow).where(PredictionRow.state.not_in(TERMINAL))

        def is_empty() -> bool:
            with self.sessions() as session:
                return session.execute(left).scalar_one() == 0

        wait_until(is_empty, "the queue to be empty", within_s=600)


@contextmanager
def queue_of(stack: Stack, scan: Path) -> Iterator[Queue]:
    """Hand the scan over once, which loads whatever is loaded with the first."""
    key = api_key(stack.settings, name="benchmark")
    engine = make_engine(stack.settings.database_url.get_secret_value())
    sessions = session_factory(engine)
    with sessions() as session:
        scan_id = session.get_one(PredictionRow, accepted(scan, stack, key)).scan_id
    queue = Queue(stack, key, sessions, make_celery(stack.settings), scan_id)
    queue.wait_until_empty()
    yield queue
    engine.dispose()


def accepted(scan: Path, stack: Stack, key: str) -> str:
    answer = upload([scan], stack.addresses[0], key)
    if answer.status != 202:
        raise SystemExit(f"expected the upload to be accepted, found {answer.status}: {answer.answer}")
    return answer.prediction_id


def finished(row: PredictionRow) -> float:
    if row.state != PredictionState.SUCCEEDED or row.finished_at is None:
        raise SystemExit(f"expected a result, found {row.state} ({row.error_code})")
    return row.finished_at.timestamp()


def against_limit(queue: Queue, scan: Path, *, rounds: int, scans: int) -> dict[str, object]:
    """Measure the limit and the full queue in turns, so that the machine's moods hit both."""
    predictor = load(EVERY_CORE)
    return in_turns(
        {
            "queue_per_s": lambda: queue.rate(scans),
            "limit_per_s": lambda: limit(scan, predictor, number=scans),
        },
        rounds=rounds,
        ratio="of_limit",
    )


def in_turns(rates: dict[str, Callable[[], float]], *, rounds: int, ratio: str) -> dict[str, object]:
    """Take two rates again and again; give the median of each, and of the first over the second."""
    found = np.array([[take() for take in rates.values()] for _ in range(rounds + 1)])
    # The first round is slower than all others.
    found = found[1:]
    ratios = found[:, 0] / found[:, 1]
    medians = np.median(found, axis=0)
    return {
        **{name: round(float(value), 3) for name, value in zip(rates, medians, strict=True)},
        ratio: {
            "median": round(float(np.median(ratios)), 3),
            "min": round(float(ratios.min()), 3),
            "max": round(float(ratios.max()), 3),
        },
    }


def limit(scan: Path, predictor: Predictor, *, number: int) -> float:
    """Answer the scan again and again, as a worker does between its file and its result; scans a second."""
    began = time.perf_counter()
    for _ in range(number):
        predict_scan(scan, predictor)
    return number / (time.perf_counter() - began)


def load(threads: int) -> Predictor:
    torch.set_num_threads(threads or torch.multiprocessing.cpu_count())
    return Predictor.load(demonstration_checkpoint(), device="cpu")


def scaling(scan: Path, *, rounds: int, scans: int) -> dict[str, object]:
    """Compare two workers with one, each with one thread for the network."""
    with (
        production(inference_workers=2, inference_threads=1) as two_workers,
        production(inference_workers=1, inference_threads=1) as one_worker,
        queue_of(two_workers, scan) as two,
        queue_of(one_worker, scan) as one,
    ):
        rates = {"two_per_s": lambda: two.rate(scans), "one_per_s": lambda: one.rate(scans)}
        return in_turns(rates, rounds=rounds, ratio="two_over_one")


def idle(queue: Queue, scan: Path, *, number: int) -> dict[str, float]:
    """Upload one scan at a time; seconds from the first byte to the moment at which its result was stored."""
    chance = random.Random(1)  # noqa: S311  (pauses)
    took = []
    for _ in range(number):
        # So that no two meet a queue that is polled at the same point of its round.
        time.sleep(chance.uniform(0, 1))
        began = time.time()
        prediction_id = accepted(scan, queue.stack, queue.key)
        queue.wait_until_empty()
        with queue.sessions() as session:
            took.append(finished(session.get_one(PredictionRow, prediction_id)) - began)
    return spread(took)


def batches(scan: Path) -> list[dict[str, float]]:
    """Classify 1 to 8 prepared scans in one pass, in turn; the quickest of each, against one scan at a time.

    Chunks of frames are as they are, and as many times larger as there are scans.
    """
    torch.set_num_threads(torch.multiprocessing.cpu_count())
    checkpoint = load_checkpoint(demonstration_checkpoint())
    spec = PreprocessingSpec.from_json(dict(checkpoint.card.preprocessing))
    members = model.network_members.NetworkMembers(
        checkpoint.networks(), spec=spec, device=torch.device("cpu"), backend="auto"
    )
    prepared = preprocess(open_scan(scan), spec)
    starts = window_starts(prepared.n_frames, spec=spec)
    candidates = [(n, chunk) for n in SCANS_A_BATCH for chunk in sorted({1, n})]
    took: dict[tuple[int, int], list[float]] = {candidate: [] for candidate in candidates}
    frames_per_chunk = model.network_members.FRAMES_PER_CHUNK["cpu"]
    for turn in range(BATCH_ROUNDS + 1):
        for n, times in candidates:
            series, all_starts = joined([prepared.series.T] * n, starts)
            model.network_members.FRAMES_PER_CHUNK["cpu"] = times * frames_per_chunk
            began = time.perf_counter()
            members.read_windows(series, all_starts)
            # The first round warms what is compiled for each shape.
            if turn:
                took[n, times].append((time.perf_counter() - began) / n)
    model.network_members.FRAMES_PER_CHUNK["cpu"] = frames_per_chunk
    alone = min(took[1, 1])
    return [
        {
            "scans": n,
            "frames_a_chunk": times * frames_per_chunk,
            "ms_a_scan": round(1000 * min(seconds), 1),
            "gain": round(alone / min(seconds) - 1, 3),
        }
        for (n, times), seconds in took.items()
    ]


def joined(scans: Sequence[np.ndarray], starts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Lay scans behind each other in time, with the windows of each."""
    offsets = np.arange(len(scans)) * len(scans[0])
    return np.concatenate(scans), (offsets[:, None] + starts).ravel()


if __name__ == "__main__":
    main()
