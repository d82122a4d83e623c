"""Explanations over REST: asked for, followed, read, and what is refused."""

import pytest
from sqlalchemy import select, update

from service.audit.verification import verify
from service.db.rows import AuditEventRow, ExplanationRow, ExplanationState, PredictionRow, PredictionState
from service.explanations import pack
from service.storage import explanation_key
from tests.service.api.serving import CARD, SAMPLE_PNG, Serving, sample_facts, sample_result


@pytest.fixture
def key(served: Serving) -> dict[str, str]:
    return served.key("doctor")


@pytest.fixture
def prediction_id(served: Serving, key: dict[str, str]) -> str:
    prediction_id: str = served.upload(key)["prediction_id"]
    served.finish(prediction_id, sample_result(), model_version_id=served.register_model())
    return prediction_id


def address(prediction_id: str, rest: str = "") -> str:
    return f"/api/v1/predictions/{prediction_id}/explanation{rest}"


def set_row(served: Serving, **values: object) -> None:
    with served.sessions.begin() as session:
        session.execute(update(ExplanationRow).values(**values))


def test_one_that_is_asked_for_waits_and_asking_again_changes_nothing(
    served: Serving, key: dict[str, str], prediction_id: str
) -> None:
    missing = served.client.get(address(prediction_id), headers=key)
    assert (missing.status_code, missing.json()["code"]) == (404, "explanation_not_found")
    for _ in range(2):
        asked = served.client.post(address(prediction_id), headers=key)
        assert (asked.status_code, asked.json()["status"]) == (202, "queued")
    followed = served.client.get(address(prediction_id), headers=key).json()
    assert (followed["progress"], followed["facts"], followed["error"]) == (0, None, None)
    early = served.client.get(address(prediction_id, ".nii.gz"), headers=key)
    assert (early.status_code, early.json()["code"]) == (409, "explanation_not_ready")
    assert early.json()["details"] == {"state": "queued"}
    with served.sessions() as session:
        verify(session)
        asked_for = select(AuditEventRow).where(AuditEventRow.action == "explanation.request")
        [event] = session.scalars(asked_for)
    assert event.subject_id == prediction_id


def test_an_answer_of_a_method_without_maps_is_not_explained(served: Serving, key: dict[str, str]) -> None:
    prediction_id = served.upload(key)["prediction_id"]
    card = CARD | {"method": "ridge-connectivity"}
    version = served.register_model(card)
    served.finish(prediction_id, sample_result() | {"model": card}, model_version_id=version)
    with served.sessions.begin() as session:
        session.get_one(PredictionRow, prediction_id).model_version_id = version
    refused = served.client.post(address(prediction_id), headers=key)
    assert (refused.status_code, refused.json()["code"]) == (409, "explanation_not_available")
    assert refused.json()["details"] == {"method": "ridge-connectivity"}
    assert refused.json()["remedy"].startswith("The answer stands without a map.")
    with served.sessions() as session:
        assert session.scalars(select(ExplanationRow)).all() == []


def test_a_finished_one_gives_its_facts_its_map_and_its_pictures(
    served: Serving, key: dict[str, str], prediction_id: str
) -> None:
    served.explain(prediction_id)
    told = served.client.get(address(prediction_id), headers=key).json()
    assert told["status"] == "succeeded"
    assert told["facts"] == sample_facts()
    for rest, name, kind, content in (
        (".nii.gz", "attribution.nii.gz", "application/gzip", b"a map"),
        ("/attribution.nii.gz", "attribution.nii.gz", "application/gzip", b"a map"),
        ("/carpet.png", "carpet.png", "image/png", SAMPLE_PNG),
    ):
        answer = served.client.get(address(prediction_id, rest), headers=key)
        assert (answer.status_code, answer.content) == (200, content)
        assert answer.headers["content-type"] == kind
        assert answer.headers["content-disposition"] == f'inline; filename="restnet-{prediction_id}-{name}"'
        assert answer.headers["cache-control"] == "no-store"
    assert served.client.post(address(prediction_id), headers=key).json()["status"] == "succeeded"


def test_a_file_that_it_has_not_and_one_that_no_explanation_has(
    served: Serving, key: dict[str, str], prediction_id: str
) -> None:
    served.explain(prediction_id)
    lacking = served.client.get(address(prediction_id, "/tsnr.png"), headers=key)
    assert (lacking.status_code, lacking.json()["code"]) == (404, "explanation_file_not_found")
    for name in ("passwd", "..%2F..%2Fetc%2Fpasswd", "attribution.nii"):
        assert served.client.get(address(prediction_id, f"/{name}"), headers=key).status_code in {404, 422}


def test_one_that_failed_says_why_and_can_be_asked_for_again(
    served: Serving, key: dict[str, str], prediction_id: str
) -> None:
    served.explain(prediction_id)
    set_row(served, state=ExplanationState.FAILED, error_code="worker_lost", error_message="expected one")
    told = served.client.get(address(prediction_id), headers=key).json()
    assert (told["status"], told["facts"]) == ("failed", None)
    assert (told["error"]["code"], told["error"]["retryable"]) == ("worker_lost", True)
    assert served.client.post(address(prediction_id), headers=key).json()["status"] == "queued"


def test_only_an_answer_is_explained(served: Serving, key: dict[str, str]) -> None:
    prediction_id = served.upload(key)["prediction_id"]
    served.set_state(prediction_id, PredictionState.CANCELLED)
    refused = served.client.post(address(prediction_id), headers=key)
    assert (refused.status_code, refused.json()["code"]) == (409, "prediction_not_finished")


def test_what_storage_lost_or_changed_is_said(
    served: Serving, key: dict[str, str], prediction_id: str
) -> None:
    served.explain(prediction_id)
    storage = served.resources.storage
    with storage.receive(max_bytes=10) as upload:
        upload.write(b"no archive")
        storage.promote(upload, explanation_key(prediction_id))
    damaged = served.client.get(address(prediction_id, "/carpet.png"), headers=key)
    assert (damaged.status_code, damaged.json()["code"]) == (500, "internal_error")
    # Asking again makes it anew, and once only.
    assert served.client.post(address(prediction_id), headers=key).json()["status"] == "queued"
    set_row(served, state=ExplanationState.SUCCEEDED)
    storage.delete(explanation_key(prediction_id))
    gone = served.client.get(address(prediction_id, "/carpet.png"), headers=key)
    assert (gone.status_code, gone.json()["code"]) == (410, "stored_file_missing")


def test_it_goes_with_its_scan(served: Serving, key: dict[str, str]) -> None:
    accepted = served.upload(key)
    prediction_id = accepted["prediction_id"]
    served.finish(prediction_id, sample_result(), model_version_id=served.register_model())
    served.explain(prediction_id)
    stored = [file.key for file in served.resources.storage.stored("explanations")]
    assert stored == [explanation_key(prediction_id)]
    assert served.client.delete(f"/api/v1/scans/{accepted['scan_id']}", headers=key).status_code == 204
    assert list(served.resources.storage.stored("explanations")) == []
    with served.sessions() as session:
        assert session.scalars(select(ExplanationRow.facts)).one() is None


def test_equal_members_give_equal_files() -> None:
    assert pack({"carpet.png": b"a"}) == pack({"carpet.png": b"a"})
