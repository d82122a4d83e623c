"""The orders of predictions: each walked page by page, and found by an index however deep the page lies."""

import base64
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from sqlalchemy import NullPool, create_engine, event, make_url, text

from service.db.migrate import upgrade
from service.db.organisations import DEFAULT_ORGANISATION_ID
from service.db.rows import PredictionRow, PredictionState, ScanRow
from service.settings import Settings
from tests.service.api.serving import Serving, sample_result, serving

LISTS = "/api/v1/predictions"
BEGAN = datetime(2026, 3, 1, tzinfo=UTC)
# Pseudonym and probability in the order of the uploads; the ones without are not finished.
ROWS = [
    ("P-2", 0.7),
    ("P-10", None),
    (None, 0.2),
    ("P-1", 0.7),
    ("p-1", 0.0),
    ("P-1", 1.0),
    ("P_1", 0.5),
]


@pytest.fixture
def filled(served: Serving) -> dict[str, str]:
    """Rows as uploads leave them; gives the headers of a key."""
    return fill(served)


def fill(served: Serving) -> dict[str, str]:
    key = served.key()
    version = served.register_model()
    with served.sessions.begin() as session:
        for number, (subject_id, _) in enumerate(ROWS):
            made = BEGAN + timedelta(days=number)
            id_ = str(UUID(int=number + 1))
            session.add(
                ScanRow(
                    id=id_,
                    organisation_id=DEFAULT_ORGANISATION_ID,
                    sha256="a" * 64,
                    size_bytes=1,
                    display_name=f"{number}.nii",
                    storage_key=id_,
                    subject_id=subject_id,
                    created_at=made,
                )
            )
            session.flush()
            # As the database's clock has it: a little later within the same transaction.
            session.add(
                PredictionRow(
                    id=id_,
                    organisation_id=DEFAULT_ORGANISATION_ID,
                    scan_id=id_,
                    created_at=made + timedelta(milliseconds=3),
                    state=PredictionState.CANCELLED,
                )
            )
    for number, (_, probability) in enumerate(ROWS):
        if probability is not None:
            result = sample_result(probability)
            served.finish(str(UUID(int=number + 1)), result, model_version_id=version)
    return key


def walked(served: Serving, key: dict[str, str], *, limit: int = 2, **query: str) -> list[int]:
    """Follow a list to its end and give the numbers of its rows."""
    seen: list[int] = []
    cursor: dict[str, str] = {}
    while True:
        answer = served.client.get(LISTS, headers=key, params={**query, **cursor, "limit": limit})
        assert answer.status_code == 200, answer.text
        page = answer.json()
        assert len(page["items"]) <= limit
        seen += [UUID(item["id"]).int - 1 for item in page["items"]]
        if page["next_cursor"] is None:
            return seen
        cursor = {"cursor": page["next_cursor"]}


ORDERS = {
    "created_at": [0, 1, 2, 3, 4, 5, 6],
    # Characters by their codes; of one pseudonym the earlier scan first.
    "subject_id": [3, 5, 1, 0, 6, 4],
    # What is alike is told apart by the id.
    "adhd_probability": [4, 2, 6, 0, 3, 5],
}
FILTERED: list[tuple[dict[str, str], list[int]]] = [
    ({"subject_prefix": "P"}, [3, 5, 1, 0, 6]),
    ({"subject_prefix": "P-1"}, [3, 5, 1]),
    # No wildcards, and no other case.
    ({"subject_prefix": "P_"}, [6]),
    ({"subject_prefix": "p"}, [4]),
    ({"subject_prefix": "P-10"}, [1]),
    ({"subject_prefix": "Q"}, []),
    ({"subject_prefix": "P-1", "sort": "-subject_id"}, [1, 5, 3]),
    ({"subject_prefix": "P-1", "status": "succeeded"}, [3, 5]),
    ({"subject_prefix": "P", "since": "2026-03-02T00:00:00Z", "until": "2026-03-05"}, [3, 1]),
    ({"sort": "subject_id", "since": "2026-03-06"}, [5, 6]),
    ({"sort": "subject_id", "until": "2026-03-02"}, [0]),
    ({"sort": "subject_id", "since": "0001-01-01"}, [3, 5, 1, 0, 6, 4]),
    ({"sort": "-adhd_probability", "status": "cancelled"}, []),
    ({"sort": "-adhd_probability", "subject_id": "P-1"}, [5, 3]),
    ({"sort": "adhd_probability", "since": "2026-03-06"}, [6, 5]),
]


@pytest.mark.parametrize("limit", [1, 2, 50])
@pytest.mark.parametrize("sort", ORDERS)
def test_an_order_holds_each_once_and_turns_round(
    served: Serving, filled: dict[str, str], sort: str, limit: int
) -> None:
    assert walked(served, filled, sort=sort, limit=limit) == ORDERS[sort]
    assert walked(served, filled, sort=f"-{sort}", limit=limit) == ORDERS[sort][::-1]


@pytest.mark.parametrize(("query", "rows"), FILTERED)
def test_filters_hold_in_every_order(
    served: Serving, filled: dict[str, str], query: dict[str, str], rows: list[int]
) -> None:
    assert walked(served, filled, **query) == rows


@pytest.mark.parametrize("limit", [1, 2, 3])
def test_predictions_of_one_scan_are_told_apart(served: Serving, filled: dict[str, str], limit: int) -> None:
    with served.sessions.begin() as session:
        for number in (8, 9):
            session.add(
                PredictionRow(
                    id=str(UUID(int=number + 1)),
                    organisation_id=DEFAULT_ORGANISATION_ID,
                    scan_id=str(UUID(int=3 + 1)),
                )
            )
    rows = [3, 8, 9, 5, 1]
    assert walked(served, filled, subject_prefix="P-1", limit=limit) == rows
    assert walked(served, filled, subject_prefix="P-1", sort="-subject_id", limit=limit) == rows[::-1]


@pytest.mark.integration
@pytest.mark.enable_socket
def test_postgresql_has_the_same_orders_where_its_locale_has_others(
    tmp_path: Path, postgres_server: str
) -> None:
    """In English P-10 stands before p-1 and P_1 between them, so a prefix would be no range."""
    name = f"english_{uuid4().hex}"
    engine = create_engine(postgres_server, isolation_level="AUTOCOMMIT", poolclass=NullPool)
    locale = "LOCALE_PROVIDER icu ICU_LOCALE 'en' LOCALE 'C' TEMPLATE template0"
    with engine.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name} {locale}"))
    url = make_url(postgres_server).set(database=name).render_as_string(hide_password=False)
    upgrade(url)
    with serving(Settings(data_dir=tmp_path, database_url=url)) as served:
        key = fill(served)
        for sort, rows in ORDERS.items():
            assert walked(served, key, sort=sort) == rows, sort
            assert walked(served, key, sort=f"-{sort}") == rows[::-1], sort
        for query, rows in FILTERED:
            assert walked(served, key, **query) == rows, query
    with engine.connect() as connection:
        connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))


def forged(*values: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(values).encode()).decode().rstrip("=")


ID = str(UUID(int=1))
MOMENT = "2026-01-01T00:00:00+00:00"


@pytest.mark.parametrize(
    ("sort", "cursor"),
    [
        ("adhd_probability", forged(MOMENT, ID)),
        ("adhd_probability", forged(float("nan"), ID)),
        ("adhd_probability", forged(True, ID)),
        ("adhd_probability", forged(2, ID)),
        ("adhd_probability", forged(0.5)),
        ("-created_at", forged(0.5, ID)),
        ("subject_id", forged(MOMENT, ID)),
        ("subject_id", forged("P-1\0", MOMENT, ID, ID)),
        ("subject_id", forged("P" * 300, MOMENT, ID, ID)),
        ("subject_id", forged(7, MOMENT, ID, ID)),
        ("subject_id", forged("P-1", MOMENT, ID, "x")),
    ],
)
def test_a_cursor_of_another_order_is_refused(
    served: Serving, filled: dict[str, str], sort: str, cursor: str
) -> None:
    answer = served.client.get(LISTS, headers=filled, params={"sort": sort, "cursor": cursor})
    assert (answer.status_code, answer.json()["code"]) == (422, "request_not_valid")
    assert answer.json()["details"]["errors"][0]["where"] == "query.cursor"


@pytest.mark.parametrize(
    ("query", "where"),
    [
        ({"sort": "size"}, "query.sort"),
        ({"subject_prefix": "P", "sort": "created_at"}, "query.sort"),
        ({"subject_prefix": "a b"}, "query.subject_prefix"),
    ],
)
def test_an_order_that_cannot_be_is_refused(served: Serving, query: dict[str, str], where: str) -> None:
    answer = served.client.get(LISTS, headers=served.key(), params=query)
    assert (answer.status_code, answer.json()["code"]) == (422, "request_not_valid")
    assert answer.json()["details"]["errors"][0]["where"] == where


@pytest.mark.parametrize(
    ("query", "place", "index"),
    [
        ({"sort": "created_at"}, [MOMENT, ID], "(organisation_id=? AND (created_at,id)>(?,?))"),
        (
            {"sort": "-adhd_probability"},
            [0.5, ID],
            "(organisation_id=? AND (adhd_probability,prediction_id)<(?,?))",
        ),
        (
            {"sort": "subject_id"},
            ["P-1", MOMENT, ID, ID],
            "(organisation_id=? AND (subject_id,created_at,id)>(?,?,?))",
        ),
        ({"subject_prefix": "P"}, None, "(organisation_id=? AND subject_id>? AND subject_id<?)"),
    ],
)
def test_a_page_begins_at_its_place_in_the_index(
    served: Serving, query: dict[str, str], place: list[object] | None, index: str
) -> None:
    """Whatever is not in the index's own condition is read and thrown away, up to the whole table."""
    asked: list[tuple[str, object]] = []
    key = served.key()
    engine = served.resources.engine

    @event.listens_for(engine, "before_cursor_execute")
    def note(_c: object, _u: object, statement: str, parameters: object, *_rest: object) -> None:
        if "ORDER BY" in statement and "LIMIT" in statement:
            asked.append((statement, parameters))

    cursor = {} if place is None else {"cursor": forged(*place)}
    assert served.client.get(LISTS, headers=key, params={**query, **cursor}).status_code == 200
    [(statement, parameters)] = asked
    with engine.connect() as connection:
        plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters).all()
    steps = [step for *_, step in plan]
    assert steps[0].endswith(index), steps
    # What is left to sort is alike in the index.
    assert not any("TEMP B-TREE FOR ORDER BY" in step for step in steps), steps
