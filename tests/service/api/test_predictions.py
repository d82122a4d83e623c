"""Following, listing, stopping and retrying predictions."""

import base64
import json
from datetime import UTC, datetime, timedelta
from io import BytesIO
from zipfile import ZipFile

import pytest

from service import jobs
from service.api.problems.remedies import REMEDIES
from service.db.rows import PredictionRow, PredictionState, ScanRow
from service.identity.roles import Role
from service.presence import say_present
from tests.service.api.serving import Serving, sample_result, scan_bytes


def cursor_of(moment: str) -> str:
    """A cursor as this service encodes them, with a moment of one's own."""
    return base64.urlsafe_b64encode(json.dumps([moment, "0" * 32]).encode()).decode().rstrip("=")


def test_a_result_is_given_as_the_worker_stored_it(served: Serving) -> None:
    key = served.key()
    accepted = served.upload(key, subject_id="P-1")
    result = sample_result()
    served.finish(accepted["prediction_id"], result, model_version_id=served.register_model())
    answer = served.client.get(accepted["links"]["prediction"], headers=key).json()
    assert answer["result"] == result
    assert (answer["status"], answer["progress"], answer["error"]) == ("succeeded", 1.0, None)
    assert (answer["subject_id"], answer["scan_id"], answer["queue_position"]) == (
        "P-1",
        accepted["scan_id"],
        None,
    )
    assert datetime.fromisoformat(answer["finished_at"]).tzinfo is not None


def test_a_failure_says_why(served: Serving) -> None:
    key = served.key()
    accepted = served.upload(key)
    served.set_state(
        accepted["prediction_id"],
        PredictionState.FAILED,
        error_code="not_in_template_space",
        error_message="expected one, found another",
        error_details={"overlap": 0.69},
        error_reference="abc",
    )
    answer = served.client.get(accepted["links"]["prediction"], headers=key).json()
    assert answer["error"] == {
        "code": "not_in_template_space",
        "message": "expected one, found another",
        "details": {"overlap": 0.69},
        "reference": "abc",
        "remedy": REMEDIES["not_in_template_space"],
        "retryable": False,
    }
    assert answer["result"] is None


def test_an_error_that_a_later_attempt_may_overcome_is_not_shown_as_a_failure(served: Serving) -> None:
    key = served.key()
    accepted = served.upload(key)
    served.set_state(accepted["prediction_id"], PredictionState.QUEUED, error_code="x", error_message="y")
    assert served.client.get(accepted["links"]["prediction"], headers=key).json()["error"] is None


def test_the_queue_position_counts_who_came_before(served: Serving) -> None:
    key = served.key()
    first, second = served.upload(key), served.upload(key, scan_bytes(seed=1))
    positions = [
        served.client.get(accepted["links"]["prediction"], headers=key).json()["queue_position"]
        for accepted in (first, second)
    ]
    assert positions == [1, 2]


def test_the_wait_is_told_by_how_long_scans_took_and_how_many_workers_there_are(served: Serving) -> None:
    key = served.key()
    done, first, second = (served.upload(key, scan_bytes(seed=seed)) for seed in range(3))

    def waits() -> list[float | None]:
        told = [served.client.get(one["links"]["prediction"], headers=key).json() for one in (first, second)]
        listed = served.client.get("/api/v1/predictions", headers=key).json()["items"]
        by_id = {item["id"]: item["expected_wait_s"] for item in listed}
        assert [by_id[item["id"]] for item in told] == [item["expected_wait_s"] for item in told]
        assert by_id[done["prediction_id"]] is None
        return [item["expected_wait_s"] for item in told]

    began = datetime(2026, 3, 1, tzinfo=UTC)
    ended = began + timedelta(seconds=12)
    finished = {"started_at": began, "finished_at": ended}
    served.set_state(done["prediction_id"], PredictionState.SUCCEEDED, **finished)
    assert waits() == [None, None], "no worker is there"
    with served.sessions.begin() as session:
        say_present(session, worker="a", queues=["inference"], host="h")
        say_present(session, worker="t", queues=["training"], host="h")
    assert waits() == [12.0, 24.0]
    with served.sessions.begin() as session:
        say_present(session, worker="b", queues=["inference"], host="h")
    assert waits() == [6.0, 12.0]
    served.set_state(done["prediction_id"], PredictionState.FAILED, **finished)
    assert waits() == [None, None], "nothing is known"


@pytest.mark.parametrize("name", ["nope", "00000000-0000-0000-0000-000000000000", "a%00b", "'--"])
@pytest.mark.parametrize(
    ("method", "tail"), [("GET", ""), ("GET", "/events"), ("POST", "/cancel"), ("POST", "/retry")]
)
def test_an_unknown_prediction_is_not_found(served: Serving, method: str, tail: str, name: str) -> None:
    answer = served.client.request(method, f"/api/v1/predictions/{name}{tail}", headers=served.key())
    assert (answer.status_code, answer.json()["code"]) == (404, "prediction_not_found")


@pytest.mark.parametrize("role", [Role.INTEGRATOR, Role.RESEARCHER])
def test_programs_and_researchers_see_their_own_scans_only(served: Serving, role: Role) -> None:
    theirs = served.upload(served.key("somebody", role=Role.CLINICIAN))
    key = served.key("other", role=role)
    own = served.upload(key, scan_bytes(seed=1))
    for link in ("scan", "prediction", "events"):
        assert served.client.get(theirs["links"][link], headers=key).status_code == 404
    assert served.client.post(theirs["links"]["prediction"] + "/cancel", headers=key).status_code == 404
    assert served.client.delete(theirs["links"]["scan"], headers=key).status_code == 404
    listed = served.client.get("/api/v1/predictions", headers=key).json()["items"]
    assert [item["id"] for item in listed] == [own["prediction_id"]]


@pytest.mark.parametrize("role", [Role.CLINICIAN, Role.ADMINISTRATOR])
def test_clinicians_and_administrators_see_every_scan(served: Serving, role: Role) -> None:
    theirs = served.upload(served.key("somebody", role=Role.INTEGRATOR))
    key = served.key("other", role=role)
    for link in ("scan", "prediction"):
        assert served.client.get(theirs["links"][link], headers=key).status_code == 200


def test_pages_of_predictions_hold_each_once_while_rows_are_added(served: Serving) -> None:
    key = served.key()
    made = [served.upload(key, scan_bytes(seed=seed))["prediction_id"] for seed in range(5)]
    # Two with the same moment: the id decides.
    with served.sessions.begin() as session:
        moment = session.get_one(PredictionRow, made[2]).created_at
        session.get_one(PredictionRow, made[3]).created_at = moment
    seen: list[str] = []
    cursor = None
    while True:
        query = {"limit": 2} | ({"cursor": cursor} if cursor else {})
        page = served.client.get("/api/v1/predictions", headers=key, params=query).json()
        assert len(page["items"]) <= 2
        seen += [item["id"] for item in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
        if len(seen) == 2:
            served.upload(key, scan_bytes(seed=9))
    assert sorted(seen) == sorted(made)
    assert seen[:1] == made[-1:]
    assert seen[-2:] == [made[1], made[0]]


def test_filters_choose(served: Serving) -> None:
    key = served.key()
    one = served.upload(key, subject_id="P-1")["prediction_id"]
    two = served.upload(key, scan_bytes(seed=1), subject_id="P-2")["prediction_id"]
    served.set_state(two, PredictionState.CANCELLED)
    long_ago = datetime.now(UTC) - timedelta(days=3)
    with served.sessions.begin() as session:
        session.get_one(PredictionRow, one).created_at = long_ago

    def chosen(**query: str) -> list[str]:
        answer = served.client.get("/api/v1/predictions", headers=key, params=query)
        assert answer.status_code == 200, answer.text
        return [item["id"] for item in answer.json()["items"]]

    yesterday = (datetime.now(UTC) - timedelta(days=1)).isoformat()
    assert chosen(status="cancelled") == [two]
    assert chosen(subject_id="P-1") == [one]
    assert chosen(since=yesterday) == [two]
    assert chosen(until=yesterday) == [one]
    assert chosen(since=long_ago.isoformat(), until=long_ago.isoformat()) == []
    assert chosen(since="2020-01-01") == [two, one]
    assert chosen(status="failed") == []


@pytest.mark.parametrize(
    "query",
    [
        {"status": "lost"},
        {"limit": "0"},
        {"limit": "201"},
        {"cursor": "x"},
        {"cursor": "W10"},
        {"cursor": "bnVsbA"},
        {"since": "then"},
        {"since": "2026"},
        {"until": "0.5"},
        {"since": "0001-01-01T00:00:00+14:00"},
        {"until": "9999-12-31T23:59:59-14:00"},
        {"cursor": cursor_of("0001-01-01T00:00:00+14:00")},
        {"cursor": cursor_of("9999-12-31T23:59:59-14:00")},
        {"cursor": cursor_of("2026-01-01T00:00:00")},
        {"subject_id": "a b"},
    ],
)
def test_a_query_that_cannot_be_is_refused(served: Serving, query: dict[str, str]) -> None:
    answer = served.client.get("/api/v1/predictions", headers=served.key(), params=query)
    assert (answer.status_code, answer.json()["code"]) == (422, "request_not_valid")
    [name] = query
    assert answer.json()["details"]["errors"][0]["where"] == f"query.{name}"


@pytest.mark.parametrize("since", ["0001-01-01T00:00:00Z", "0001-01-01", "2020-01-01T00:00:00+14:00"])
def test_every_moment_of_the_calendar_can_be_asked_for(served: Serving, since: str) -> None:
    query = {"since": since, "until": "9999-12-31T23:59:59Z"}
    key = served.key()
    served.upload(key)
    assert len(served.client.get("/api/v1/predictions", headers=key, params=query).json()["items"]) == 1


def test_an_identifier_in_capitals_is_the_same_everywhere(
    served: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[object] = []
    monkeypatch.setattr(served.resources.queue, "send_task", lambda _name, args, **_: sent.append(args))
    key = served.key(role=Role.ADMINISTRATOR)
    prediction_id = served.upload(key)["prediction_id"]
    sent.clear()
    link = f"/api/v1/predictions/{prediction_id.upper()}"
    assert served.client.get(link, headers=key).json()["id"] == prediction_id
    assert served.client.post(f"{link}/cancel", headers=key).json()["status"] == "cancelled"
    assert served.client.get(f"{link}/events", headers=key).status_code == 200
    assert served.client.post(f"{link}/retry", headers=key).json()["status"] == "queued"
    assert sent == [[prediction_id]]
    [issued] = served.client.get("/api/v1/admin/api-keys", headers=key).json()["items"]
    revoked = served.client.post(f"/api/v1/admin/api-keys/{issued['id'].upper()}/revoke", headers=key)
    assert (revoked.status_code, revoked.json()["id"]) == (200, issued["id"])


def test_a_waiting_prediction_is_cancelled_and_tried_again(served: Serving) -> None:
    key = served.key()
    link = served.upload(key)["links"]["prediction"]
    assert served.client.post(f"{link}/cancel", headers=key).json()["status"] == "cancelled"
    assert served.client.post(f"{link}/cancel", headers=key).status_code == 200
    again = served.client.post(f"{link}/retry", headers=key)
    assert (again.status_code, again.json()["status"], again.json()["cancel_requested"]) == (
        200,
        "queued",
        False,
    )


def test_a_running_prediction_is_asked_to_stop(served: Serving) -> None:
    key = served.key()
    accepted = served.upload(key)
    served.set_state(accepted["prediction_id"], PredictionState.CLASSIFYING)
    answer = served.client.post(accepted["links"]["prediction"] + "/cancel", headers=key).json()
    assert (answer["status"], answer["cancel_requested"]) == ("classifying", True)


def test_what_is_finished_is_neither_cancelled_nor_tried_again(served: Serving) -> None:
    key = served.key()
    accepted = served.upload(key)
    served.finish(accepted["prediction_id"], sample_result(), model_version_id=served.register_model())
    for act, code in (("cancel", "prediction_finished"), ("retry", "prediction_not_retryable")):
        answer = served.client.post(f"{accepted['links']['prediction']}/{act}", headers=key)
        assert (answer.status_code, answer.json()["code"]) == (409, code)


def test_a_zip_that_is_not_kept_any_more_is_not_tried_again(served: Serving) -> None:
    key = served.key()
    packed = BytesIO()
    with ZipFile(packed, "w") as archive:
        archive.writestr("letter.txt", "no scan")
    accepted = served.upload(key, packed.getvalue())
    with served.sessions.begin() as session:
        assert session.get_one(ScanRow, accepted["scan_id"]).packed
        assert jobs.give_up_zip(session, accepted["scan_id"])
    served.set_state(accepted["prediction_id"], PredictionState.CANCELLED)
    answer = served.client.post(f"{accepted['links']['prediction']}/retry", headers=key)
    assert (answer.status_code, answer.json()["code"]) == (409, "scan_given_up")
    assert answer.json()["remedy"] == REMEDIES["scan_given_up"]


def test_a_retry_wakes_a_worker(served: Serving, monkeypatch: pytest.MonkeyPatch) -> None:
    key = served.key()
    accepted = served.upload(key)
    served.set_state(accepted["prediction_id"], PredictionState.FAILED, error_code="x", error_message="y")
    sent: list[object] = []
    monkeypatch.setattr(
        served.resources.queue, "send_task", lambda name, args, **_: sent.append((name, args))
    )
    served.client.post(accepted["links"]["prediction"] + "/retry", headers=key)
    assert sent == [("prediction.run", [accepted["prediction_id"]])]
