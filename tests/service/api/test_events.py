"""Event streams: who may keep one open, for how long, and how many there are."""

from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta

import anyio
import pytest
from sqlalchemy import update
from starlette.requests import Request

from service.api.access.principals import identify
from service.api.actions import events
from service.api.actions.events import event_stream
from service.db.rows import ApiKeyRow, PredictionState, SessionRow, UserRow
from service.identity.roles import Role
from tests.service.api.serving import PASSWORD, Serving


@pytest.fixture
def slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses between polls, none of which is waited for."""
    pauses: list[float] = []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)

    monkeypatch.setattr(events.anyio, "sleep", sleep)
    return pauses


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [0.0]
    monkeypatch.setattr(events, "monotonic", lambda: now[0])
    return now


def request_of(served: Serving, headers: dict[str, str]) -> Request:
    raw = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    return Request({"type": "http", "method": "GET", "path": "/", "headers": raw, "app": served.app})


def stream(served: Serving, headers: dict[str, str], prediction_id: str) -> AsyncIterator[str]:
    request = request_of(served, headers)
    principal = identify(request)
    assert principal is not None
    return event_stream(request, principal, prediction_id)


def read(events_of: AsyncIterator[str], each: Callable[[str], None]) -> list[str]:
    """Read a stream to its end, with something done after each piece."""
    seen: list[str] = []

    async def run() -> None:
        with anyio.fail_after(20):
            async for piece in events_of:
                seen.append(piece)
                each(piece)

    anyio.run(run)
    return seen


@pytest.mark.parametrize("how", ["key revoked", "key expired", "account disabled"])
def test_a_stream_ends_with_its_key(
    served: Serving, slept: list[float], clock: list[float], how: str
) -> None:
    key = served.key()
    prediction_id = served.upload(key)["prediction_id"]
    past = datetime.now(UTC) - timedelta(seconds=1)

    def end(piece: str) -> None:
        if piece.startswith("event"):
            row, column = {
                "key revoked": (ApiKeyRow, "revoked_at"),
                "key expired": (ApiKeyRow, "expires_at"),
                "account disabled": (UserRow, "disabled_at"),
            }[how]
            with served.sessions.begin() as session:
                session.execute(update(row).values({column: past}))
            clock[0] += events.IDENTIFY_S

    assert len(read(stream(served, key, prediction_id), end)) == 2


def test_a_stream_ends_with_its_login_and_does_not_keep_it_from_idling(
    served: Serving, clock: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def sleep(_seconds: float) -> None:
        clock[0] += 5

    monkeypatch.setattr(events.anyio, "sleep", sleep)
    served.user()
    served.client.post("/login", data={"username": "doctor", "password": PASSWORD})
    cookie = {"Cookie": f"restnet={served.client.cookies['restnet']}"}
    prediction_id = served.upload(served.key())["prediction_id"]
    following = stream(served, cookie, prediction_id)
    earlier = datetime.now(UTC) - timedelta(minutes=30)
    polls = 0

    async def run() -> None:
        nonlocal polls
        with anyio.fail_after(20):
            async for piece in following:
                polls += 1
                if piece.startswith("event"):
                    with served.sessions.begin() as session:
                        session.execute(update(SessionRow).values(last_seen_at=earlier))
                elif piece.startswith(":"):
                    with served.sessions() as session:
                        [row] = session.query(SessionRow).all()
                        assert row.last_seen_at == earlier
                    with served.sessions.begin() as session:
                        session.execute(update(SessionRow).values(expires_at=earlier))

    anyio.run(run)
    assert polls == 3


def test_a_role_that_changes_counts_at_the_next_look(
    served: Serving, slept: list[float], clock: list[float]
) -> None:
    prediction_id = served.upload(served.key("owner"))["prediction_id"]
    key = served.key("other", Role.CLINICIAN)

    def demote(piece: str) -> None:
        if piece.startswith("event"):
            with served.sessions.begin() as session:
                session.execute(
                    update(UserRow).where(UserRow.username == "other").values(role=Role.INTEGRATOR.value)
                )
            clock[0] += events.IDENTIFY_S

    assert len(read(stream(served, key, prediction_id), demote)) == 2


def test_who_waits_in_line_asks_less_and_less_often(served: Serving, slept: list[float]) -> None:
    key = served.key()
    prediction_id = served.upload(key)["prediction_id"]
    following = stream(served, key, prediction_id)
    looks = 0

    async def run() -> None:
        nonlocal looks
        real = events._look

        def look(*arguments: object) -> object:
            nonlocal looks
            looks += 1
            if looks == 8:
                served.set_state(prediction_id, PredictionState.CLASSIFYING)
            if looks == 11:
                served.set_state(prediction_id, PredictionState.CANCELLED)
            return real(*arguments)

        with pytest.MonkeyPatch.context() as patch, anyio.fail_after(20):
            patch.setattr(events, "_look", look)
            async for _ in following:
                pass

    anyio.run(run)
    waiting, running = slept[:7], slept[7:]
    assert waiting == pytest.approx([0.4, 0.6, 0.9, 1.35, 2.0, 2.0, 2.0])
    assert running == [0.4, 0.4, 0.4]


def test_streams_are_counted_and_one_too_many_is_refused(served: Serving, slept: list[float]) -> None:
    key = served.key()
    accepted = served.upload(key)
    served.set_state(accepted["prediction_id"], PredictionState.CANCELLED)
    streams = served.resources.streams
    streams.limit = 1
    with streams.one():
        answer = served.client.get(accepted["links"]["events"], headers=key)
        assert (answer.status_code, answer.json()["code"]) == (503, "too_many_streams")
        assert answer.headers["retry-after"] == "5"
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["details"] == {"limit": 1}
        # Asking for the state goes on.
        assert served.client.get(accepted["links"]["prediction"], headers=key).status_code == 200
    for _ in range(3):
        assert served.client.get(accepted["links"]["events"], headers=key).status_code == 200
    assert streams.open == 0
