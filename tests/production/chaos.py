"""Uploads through all that goes wrong, and the count at the end: none lost, none twice."""

import gzip
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.exc import DBAPIError

from model import demonstration_checkpoint
from model.prediction import predict_scan
from model.predictor import Predictor
from service.db.engine import make_engine, session_factory
from service.db.job import TERMINAL
from service.db.rows import AuditEventRow, PredictionRow, ResultRow, ScanRow
from service.storage import SCANS, open_storage
from tests.production.stack import Stack, api_key
from tests.production.trouble import trouble
from tests.production.uploads import Accepted, Clients
from tests.servers import wait_until

# Leases and sweeps as short as a test needs them; an upload may be retried as often as its worker is killed.
QUICK = {"lease_s": 6, "heartbeat_s": 1, "sweep_s": 1, "republish_s": 5, "backoff_s": 0.5, "max_attempts": 10}

# What a scan that is damaged far behind its header may be told, and one that is whole when its luck is bad.
DAMAGED = {"data_incomplete", "gzip_corrupt"}
BAD_LUCK = {"worker_lost", "database_unavailable", "storage_unavailable"}


@dataclass(frozen=True)
class Tally:
    """What came of a run.

    Attributes
    ----------
    accepted : int
        Uploads that were answered with 202.
    outcomes : dict of str to int
        Predictions by their end: ``succeeded``, or the code of their error.
    attempts : dict of int to int
        Predictions by how often a worker began them.
    trouble : dict of str to int
    refusals : dict of str to int
        What clients met before they were accepted.
    seconds : float
        From the first upload to the last result.
    """

    accepted: int
    outcomes: dict[str, int]
    attempts: dict[int, int]
    trouble: dict[str, int]
    refusals: dict[str, int]
    seconds: float

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def run(
    stack: Stack,
    scan: Path,
    *,
    n_uploads: int,
    every_s: tuple[float, float] = (2.0, 5.0),
    least_trouble: int = 1,
    at_once: int = 6,
    seed: int = 1,
) -> Tally:
    """Upload while everything fails in turn, wait for the last outcome, and count.

    Parameters
    ----------
    stack : Stack
    scan : Path
    n_uploads : int
    every_s : tuple of float
        As :func:`tests.production.trouble.trouble` takes it.
    least_trouble : int
        It goes on until so much has gone wrong, where a quick machine is through with the uploads before.
    at_once, seed : int

    Raises
    ------
    AssertionError
        If an accepted upload is lost, was done twice, or ended in an outcome that is not its own.
    """
    content = scan.read_bytes()
    middle = len(content) // 2
    scans = {
        "whole": content,
        "damaged": content[:middle] + bytes(16) + content[middle + 16 :],
        "whole-again": gzip.compress(gzip.decompress(content), 1),
    }
    began = time.monotonic()
    clients = Clients(stack.addresses, api_key(stack.settings, name="chaos"), scans, seed=seed)
    engine = make_engine(stack.settings.database_url.get_secret_value())
    sessions = session_factory(engine)

    def unfinished() -> int:
        """Count them; all of them while the database is away."""
        left = select(func.count()).select_from(PredictionRow).where(PredictionRow.state.not_in(TERMINAL))
        try:
            with sessions() as session:
                return session.execute(left).scalar_one()
        except DBAPIError:
            return n_uploads

    with trouble(stack, seed=seed, every_s=every_s) as done:
        accepted = clients.upload_all(n_uploads, at_once=at_once)
        # It goes on while most of them are worked on, and the rest is finished in peace.
        wait_until(lambda: unfinished() <= n_uploads // 4, "most predictions to end", within_s=30 * n_uploads)
        wait_until(
            lambda: sum(done.values()) >= least_trouble,
            "enough to fail",
            within_s=4 * every_s[1] + 15 * least_trouble,
        )
    stack.wait_until_ready()
    wait_until(lambda: unfinished() == 0, "every prediction to end", within_s=120 + 5 * n_uploads)
    seconds = time.monotonic() - began
    try:
        with sessions() as session:
            rows = session.scalars(select(PredictionRow)).all()
            results = {row.prediction_id: row for row in session.scalars(select(ResultRow))}
            uploads = session.scalars(
                select(AuditEventRow.subject_id).where(AuditEventRow.action == "scan.upload")
            ).all()
            keys = set(session.scalars(select(ScanRow.storage_key)))
    finally:
        engine.dispose()
    _verify(accepted, rows, results, expected=_expected(scan))
    assert sorted(uploads) == sorted(row.scan_id for row in rows), (
        "an upload is not in the audit exactly once"
    )
    stored = {file.key for file in open_storage(stack.settings).stored(SCANS)}
    assert keys <= stored, f"{len(keys - stored)} scans have no file"
    return Tally(
        accepted=len(accepted),
        outcomes=dict(Counter(row.error_code if row.state == "failed" else str(row.state) for row in rows)),
        attempts=dict(sorted(Counter(row.attempts for row in rows).items())),
        trouble=dict(done),
        refusals=dict(clients.refusals),
        seconds=round(seconds, 1),
    )


def _verify(
    accepted: Sequence[Accepted],
    rows: Sequence[PredictionRow],
    results: Mapping[str, ResultRow],
    *,
    expected: float,
) -> None:
    named = Counter(prediction for upload in accepted for prediction in upload.prediction_ids)
    assert all(len(upload.prediction_ids) == 1 for upload in accepted), "one key led to two predictions"
    assert all(times == 1 for times in named.values()), "two uploads share a prediction"
    by_id = {row.id: row for row in rows}
    assert not named.keys() - by_id.keys(), "an accepted upload is lost"
    assert not by_id.keys() - named.keys(), "a prediction that no client asked for"
    for upload in accepted:
        (prediction,) = upload.prediction_ids
        row, result = by_id[prediction], results.get(prediction)
        if upload.kind == "damaged":
            assert row.state == "failed", row.state
            assert row.error_code in DAMAGED | BAD_LUCK, row.error_code
            assert result is None
        elif row.state == "succeeded":
            assert result is not None, "a success without its result"
            assert abs(result.adhd_probability - expected) < 1e-4, "another scan's result"
        else:
            assert row.error_code in BAD_LUCK, (row.state, row.error_code, row.error_message)
            assert result is None


def _expected(scan: Path) -> float:
    predictor = Predictor.load(demonstration_checkpoint(), device="cpu")
    return predict_scan(scan, predictor).classification.adhd_probability
