"""Every list at its first, middle and last pages, over HTTP, with a million predictions of two organisations.

A PostgreSQL of its own, migrated and filled by SQL: a scan, a prediction and mostly a result for each number,
a million audit events, thousands of accounts and keys. A list is read as people and programs do: the first
page again and again, then onwards from the middle, then up to the last page, so that nearly every page is
looked at for the first time and noted in the audit. Ends with an error where a list's p95 is over the limit.
The events' hashes are made up: nothing here verifies the chain.

Usage::

    python benchmarks/million_predictions.py [--predictions 1000000] [--pages 40] [--lists NAME] [--out FILE]
"""

# ruff: noqa: S608  (every word of the SQL is ours)

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx2
from sqlalchemy import Engine, create_engine, text

REPOSITORY = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(REPOSITORY))

from file_to_probability import simulated_scan  # noqa: E402
from recording import load_now, machine, report, spread  # noqa: E402

from model import demonstration_checkpoint  # noqa: E402
from model.prediction import predict_scan  # noqa: E402
from model.predictor import Predictor  # noqa: E402
from service.api.actions.sorting import Sort  # noqa: E402
from service.api.cursor import encode_number, encode_place  # noqa: E402
from service.settings import Settings  # noqa: E402
from tests.production.servers import postgres  # noqa: E402
from tests.production.stack import RESTNET, answers, api_key, restnet  # noqa: E402
from tests.servers import end, free_port, wait_until  # noqa: E402

LIMIT_MS = 50
# What the orders are measured with: no filter, rare states, and in that of pseudonyms many and few of them.
ORDERED: list[tuple[dict[str, str], str]] = [
    ({}, "true"),
    ({"status": "failed"}, "p.state = 'failed'"),
    ({"status": "cancelled"}, "p.state = 'cancelled'"),
]
BEGINNINGS: list[tuple[dict[str, str], str]] = [
    ({"subject_prefix": prefix}, f"s.subject_id LIKE '{prefix}%'")
    for prefix in ("sub-2", "sub-20", "sub-200")
]
PAGE = 50
ADMINISTRATOR, PASSWORD = "million", "nothing that anybody types"
FILL = Path(__file__).with_name("million_predictions.sql")


@dataclass(frozen=True)
class Listed:
    """A list, and how to find a row in the midst of it.

    Attributes
    ----------
    path : str
    query : mapping
        Its filters.
    rows : str
        SQL for the times (or numbers) and ids of its rows, in its order.
    """

    path: str
    rows: str
    query: Mapping[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The path with the names of its filters."""
        return self.path + ("?" + "&".join(f"{name}=" for name in self.query) if self.query else "")


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    arguments.add_argument("--predictions", type=int, default=1_000_000)
    arguments.add_argument("--pages", type=int, default=40)
    arguments.add_argument("--lists", default="", help="measure only lists whose name holds this")
    arguments.add_argument("--out", type=Path)
    options = arguments.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="restnet-million-", ignore_cleanup_errors=True) as scratch,
        served(Path(scratch), options.predictions) as (address, key, engine, size),
    ):
        lists = measure(address, key, engine, named=options.lists, pages=options.pages)
    result = {
        "machine": machine(),
        "predictions": options.predictions,
        "database_gb": size,
        "limit_p95_ms": LIMIT_MS,
        "lists": lists,
        "load_after": load_now(),
    }
    report(result, options.out)
    slow = [
        row["list"]
        for row in lists
        if any(row[part]["p95_ms"] > LIMIT_MS for part in ("first", "middle", "last"))
    ]
    if slow:
        raise SystemExit(f"expected every list within {LIMIT_MS} ms, found slower: {', '.join(slow)}")


@contextmanager
def served(folder: Path, predictions: int) -> Iterator[tuple[str, str, Engine, float]]:
    """Fill a database and start a web process on it; gives its address, a key, the engine and gigabytes."""
    folder.chmod(0o711)
    server, url = postgres(folder / "postgres")
    server.start()
    settings = Settings(
        data_dir=folder / "data", database_url=url, requests_per_minute=0, requests_per_minute_per_address=0
    )
    engine = create_engine(url)
    try:
        restnet(settings, "prepare")
        key = api_key(settings, name=ADMINISTRATOR)
        size = fill(engine, folder, predictions)
        port = free_port()
        web = subprocess.Popen(
            [RESTNET, "web", "--port", str(port)],
            env={**os.environ, **settings.environment()},
            stderr=subprocess.DEVNULL,
        )
        try:
            wait_until(lambda: answers(f"http://127.0.0.1:{port}/healthz"), "the web process to answer")
            yield f"http://127.0.0.1:{port}", key, engine, size
        finally:
            end(web)
    finally:
        engine.dispose()
        server.stop()


def fill(engine: Engine, folder: Path, predictions: int) -> float:
    """Run the SQL, with a real answer as the result of each prediction."""
    predictor = Predictor.load(demonstration_checkpoint(), device="cpu")
    answer = json.dumps(predict_scan(simulated_scan(folder), predictor).to_json())
    # A statement each: PostgreSQL takes no parameters for several at once.
    statements = [part for part in FILL.read_text().split(";\n") if part.strip()]
    with engine.begin() as connection:
        for statement in statements:
            connection.execute(text(statement), {"n": predictions, "result": answer})
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("VACUUM ANALYZE"))
        size = connection.scalar(text("SELECT pg_database_size(current_database())"))
    return round(size / 1e9, 2)


def lists_of(engine: Engine) -> list[Listed]:
    """Name every list with each of its filters; two subjects, one of them nobody's."""
    with engine.connect() as connection:
        middle = connection.scalar(
            text("SELECT percentile_disc(0.5) WITHIN GROUP (ORDER BY created_at) FROM predictions")
        )
    predictions, page = "/api/v1/predictions", "/predictions"
    rows = (
        "SELECT p.created_at, p.id FROM predictions p JOIN scans s ON s.id = p.scan_id WHERE {} "
        "AND p.organisation_id = (SELECT organisation_id FROM users WHERE username = 'million') "
        "ORDER BY p.created_at DESC, p.id DESC"
    )
    states = ("queued", "preprocessing", "classifying", "succeeded", "failed", "cancelled")
    own = "organisation_id = (SELECT organisation_id FROM users WHERE username = 'million')"
    return [
        *(Listed(path, rows.format("true")) for path in (predictions, page)),
        *(
            Listed(path, rows.format(f"p.state = '{state}'"), {"status": state})
            for path in (predictions, page)
            for state in states
        ),
        *(
            Listed(path, rows.format("s.subject_id = 'sub-2'"), {"subject_id": "sub-2"})
            for path in (predictions, page)
        ),
        Listed(predictions, rows.format("s.subject_id = 'nobody'"), {"subject_id": "nobody"}),
        Listed(
            predictions,
            rows.format("s.subject_id = 'sub-2' AND p.state = 'failed'"),
            {"subject_id": "sub-2", "status": "failed"},
        ),
        *_in_other_orders(own, middle),
        Listed(predictions, rows.format(f"p.created_at >= '{middle}'"), {"since": middle.isoformat()}),
        Listed(predictions, rows.format(f"p.created_at < '{middle}'"), {"until": middle.isoformat()}),
        Listed(
            "/api/v1/admin/audit", f"SELECT sequence FROM audit_events WHERE {own} ORDER BY sequence DESC"
        ),
        Listed(
            "/api/v1/admin/audit",
            f"SELECT sequence FROM audit_events WHERE {own} AND subject_id = 'list' ORDER BY sequence DESC",
            {"subject_id": "list"},
        ),
        Listed(
            "/api/v1/admin/users",
            f"SELECT created_at, id FROM users WHERE {own} ORDER BY created_at DESC, id DESC",
        ),
        Listed(
            "/api/v1/admin/api-keys",
            f"SELECT created_at, id FROM api_keys WHERE {own} ORDER BY created_at DESC, id DESC",
        ),
        Listed("/api/v1/admin/models", "SELECT created_at, id FROM model_versions"),
    ]


def _in_other_orders(own: str, middle: datetime) -> list[Listed]:
    found = []
    for sort in Sort:
        direction = "DESC" if sort.descending else "ASC"
        columns, kept = {
            "created_at": ("p.created_at, p.id", "true"),
            "subject_id": ("s.subject_id, s.created_at, s.id, p.id", "s.subject_id IS NOT NULL"),
            "adhd_probability": ("r.adhd_probability, p.id", "r.prediction_id IS NOT NULL"),
        }[sort.by]
        ordered = ", ".join(f"{column} {direction}" for column in columns.split(", "))
        days = [({"since": middle.isoformat()}, f"p.created_at >= '{middle}'")]
        for query, condition in ORDERED + days + (BEGINNINGS if sort.by == "subject_id" else []):
            rows = (
                f"SELECT {columns} FROM predictions p JOIN scans s ON s.id = p.scan_id "
                f"LEFT JOIN results r ON r.prediction_id = p.id "
                f"WHERE {kept} AND {condition} AND p.{own} ORDER BY {ordered}"
            )
            found.append(Listed("/api/v1/predictions", rows, {"sort": sort.value, **query}))
    return found


def measure(address: str, key: str, engine: Engine, *, named: str, pages: int) -> list[dict[str, Any]]:
    programs = httpx2.Client(base_url=address, headers={"Authorization": f"Bearer {key}"}, timeout=60)
    people = httpx2.Client(base_url=address, timeout=60)
    # Whoever asks is logged in, or the page of the login would be measured.
    people.post("/login", data={"username": ADMINISTRATOR, "password": PASSWORD})
    found = []
    with closing(programs), closing(people):
        for listed in lists_of(engine):
            if named not in listed.name:
                continue
            client = programs if listed.path.startswith("/api") else people
            row = {
                "list": listed.name,
                "query": dict(listed.query),
                **pages_of(client, listed, engine, pages=pages),
            }
            print(json.dumps(row), file=sys.stderr)
            found.append(row)
    return found


def pages_of(client: httpx2.Client, listed: Listed, engine: Engine, *, pages: int) -> dict[str, Any]:
    with engine.connect() as connection:
        total = connection.scalar(text(f"SELECT count(*) FROM ({listed.rows}) listed"))
    starts = {"first": None, "middle": total // 2, "last": max(total - pages * PAGE, 0)}
    return {"rows": total} | {
        part: spread(
            walk(client, listed, cursor_at(engine, listed, start), pages=pages, stay=part == "first")
        )
        for part, start in starts.items()
    }


def cursor_at(engine: Engine, listed: Listed, place: int | None) -> str | None:
    """Give the cursor behind this many rows."""
    if not place:
        return None
    with engine.connect() as connection:
        row = connection.execute(text(f"{listed.rows} OFFSET {place - 1} LIMIT 1")).one()
    return encode_place(row) if len(row) > 1 else encode_number(row[0])


def walk(client: httpx2.Client, listed: Listed, cursor: str | None, *, pages: int, stay: bool) -> list[float]:
    """Read pages one after another, or the same again and again; begins anew where the list ends."""
    took, begin = [], cursor
    for _ in range(pages):
        began = time.perf_counter()
        answer = client.get(listed.path, params={**listed.query, **({"cursor": cursor} if cursor else {})})
        took.append(time.perf_counter() - began)
        if answer.status_code != httpx2.codes.OK:
            raise SystemExit(f"expected the list {listed.name}, found {answer.status_code}")
        if not stay:
            cursor = following(answer) or begin
    return took


def following(answer: httpx2.Response) -> str | None:
    """Find the next cursor, in JSON or in the link of a page."""
    if answer.headers["content-type"].startswith("application/json"):
        return answer.json().get("next_cursor")
    _, found, rest = answer.text.partition("cursor=")
    return rest.partition('"')[0] if found else None


if __name__ == "__main__":
    main()
