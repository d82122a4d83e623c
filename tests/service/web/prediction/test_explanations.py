"""What a prediction's page says of its explanation in each of its states, without JavaScript."""

import re
from typing import Any

import pytest
from sqlalchemy import update

from service.db.rows import ExplanationRow, ExplanationState
from service.web.prediction.scale import signal_trace
from service.web.rendering import signed
from tests.service.api.serving import Serving, sample_result

HTML = {"Accept": "text/html"}


@pytest.fixture
def token(served: Serving) -> str:
    return served.log_in(served.user())


@pytest.fixture
def prediction_id(served: Serving, token: str) -> str:
    prediction_id: str = served.upload({"X-CSRF-Token": token})["prediction_id"]
    served.finish(prediction_id, sample_result(), model_version_id=served.register_model())
    return prediction_id


def shown(served: Serving, prediction_id: str) -> str:
    answer = served.client.get(f"/predictions/{prediction_id}", headers=HTML)
    assert answer.status_code == 200
    return re.findall(r'<div id="explained".*?\n</div>\n', answer.text, flags=re.DOTALL)[0]


def set_row(served: Serving, **values: object) -> None:
    with served.sessions.begin() as session:
        session.execute(update(ExplanationRow).values(**values))


def test_one_that_nobody_asked_for_can_be_asked_for(served: Serving, token: str, prediction_id: str) -> None:
    text = shown(served, prediction_id)
    assert "Make the map and the pictures" in text
    assert "hx-get" not in text
    asked = served.client.post(
        f"/predictions/{prediction_id}/explanation", data={"csrf_token": token}, headers=HTML
    )
    assert (asked.status_code, asked.headers["location"]) == (303, f"/predictions/{prediction_id}#why")
    text = shown(served, prediction_id)
    assert "Waiting for its turn" in text
    assert 'hx-trigger="every 3s"' in text
    assert "Look again" in text
    assert "Make the map" not in text


def test_a_finished_one_shows_the_map_the_places_and_the_pictures(
    served: Serving, prediction_id: str
) -> None:
    served.explain(prediction_id)
    text = shown(served, prediction_id)
    base = f"/api/v1/predictions/{prediction_id}/explanation"
    pictures = re.findall(r'<img src="([^"]+)" width="\d+" height="\d+" alt="[^"]{20,}"', text)
    assert pictures == [f"{base}/{name}" for name in ("attribution.png", "carpet.png", "temporal_sd.png")]
    assert f'href="{base}.nii.gz"' in text
    assert "What a map cannot tell" in text
    assert "does not account" not in text
    row = re.findall(r'<tr data-mm="-4.0 52.0 8.0">.*?</tr>', text)[0]
    assert re.sub(r"<[^>]+>", " ", row).split() == [
        *["for", "ADHD", "+0.012", "-4,", "52,", "8", "vmPFC", "(default),", "3", "mm", "away"]
    ]
    # This scan was band-passed.
    assert "has no mean image" in text
    assert "hx-get" not in text


def test_a_map_that_does_not_account_for_the_answer_says_so(served: Serving, prediction_id: str) -> None:
    served.explain(prediction_id, accounts=False, completeness_error=0.5)
    text = shown(served, prediction_id)
    assert "This map does not account for the answer" in text
    assert "add up to +1.40 where" in re.sub(r"\s+", " ", text)


def test_one_that_failed_says_why_and_can_be_tried_again(served: Serving, prediction_id: str) -> None:
    served.explain(prediction_id)
    said = "expected <b>this</b>, found that"
    set_row(served, state=ExplanationState.FAILED, error_code="worker_lost", error_message=said)
    text = shown(served, prediction_id)
    assert "Expected &lt;b&gt;this&lt;/b&gt;, found that." in text
    assert "Try again" in text
    assert "<img" not in text


def test_words_of_a_file_are_no_markup(served: Serving, prediction_id: str) -> None:
    peak: dict[str, Any] = {
        "mni_mm": [0.0, 0.0, 0.0],
        "value": -0.5,
        "nearest_region": "<script>alert(1)</script>",
        "nearest_network": "default",
        "distance_mm": 1.0,
    }
    served.explain(prediction_id, peaks=[peak])
    text = shown(served, prediction_id)
    assert "<script>" not in text
    assert "against ADHD" in text


def test_a_signal_is_drawn_around_zero_with_a_unit_in_view() -> None:
    quiet, loud = signal_trace([0.0, 0.5, -0.5]), signal_trace([0.0, 4.0, -2.0])
    assert quiet.points == "0.0,50.0 500.0,25.0 1000.0,75.0"
    assert [mark.text for mark in quiet.marks] == ["1", "0", "\u22121"]
    assert loud.points == "0.0,50.0 500.0,0.0 1000.0,75.0"
    assert [mark.text for mark in loud.marks] == ["4", "0", "\u22124"]


def test_a_number_carries_its_sign_unless_it_is_nothing() -> None:
    assert [signed(value) for value in (0.254, -0.254, -0.001)] == ["+0.25", "\u22120.25", "0.00"]
    assert signed(0.0123, 3) == "+0.012"
