"""The list of predictions without a browser and without JavaScript: its order, its forms, its address."""

import re
from html import unescape

import pytest

from service.db.rows import PredictionState
from tests.service.api.serving import Serving, sample_result
from tests.service.web.test_login import log_in
from tests.service.web.test_views import HTML, upload

ROW = re.compile(r'href="/predictions/([0-9a-f-]{36})"')

HEADING = re.compile(r'<th scope="col"([^>]*)>\s*<a [^>]*href="([^"]+)">([^<]+)')


@pytest.fixture
def token(served: Serving) -> str:
    return log_in(served)


def listed(served: Serving, **query: str) -> list[str]:
    return ROW.findall(served.client.get("/predictions", params=query).text)


def heading(page: str, words: str) -> tuple[str, str]:
    """Give how a column is sorted and where its heading leads."""
    for attributes, address, text in HEADING.findall(page):
        if text.startswith(words):
            return "".join(re.findall(r'aria-sort="(\w+)"', attributes)), unescape(address)
    raise AssertionError(words)


def test_headings_are_links_that_turn_the_order_round(served: Serving, token: str) -> None:
    first, second = (upload(served, token, subject_id=name) for name in ("P-2", "P-1"))
    version = served.register_model()
    served.finish(first, sample_result(0.9, 0.8, 0.95), model_version_id=version)
    served.finish(second, sample_result(0.2, 0.1, 0.3), model_version_id=version)
    page = served.client.get("/predictions?status=succeeded").text
    assert heading(page, "Uploaded") == ("descending", "/predictions?status=succeeded&sort=created_at")
    for words, rows, turned in (
        ("Probability", [first, second], "descending"),
        ("Scan", [second, first], "ascending"),
    ):
        none, address = heading(page, words)
        assert none == ""
        by = served.client.get(address).text
        assert ROW.findall(by) == rows
        direction, back = heading(by, words)
        assert direction == turned
        assert ROW.findall(served.client.get(back).text) == rows[::-1]
    assert listed(served, sort="created_at") == [first, second]
    # What is not finished has no probability.
    served.set_state(first, PredictionState.QUEUED)
    page = served.client.get("/predictions?sort=-adhd_probability").text
    assert ROW.findall(page) == [second]
    assert "left out of this order" in page


def test_what_is_found_by_its_pseudonym_is_listed_by_it(served: Serving, token: str) -> None:
    made = {name: upload(served, token, subject_id=name) for name in ("P-10", "P-1", "Q-1", "p-1")}
    page = served.client.get("/predictions?subject_id=P-1&sort=-adhd_probability").text
    assert ROW.findall(page) == [made["P-1"], made["P-10"]]
    assert heading(page, "Scan")[0] == "ascending"
    with pytest.raises(AssertionError):
        heading(page, "Uploaded")
    # Without the pseudonym the order that was asked for holds again.
    assert re.search(r'<option value="-adhd_probability" selected>', page)


def test_the_next_page_keeps_the_order(served: Serving, token: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.web.worklist.PAGE_LENGTH", 1)
    made = [upload(served, token, subject_id=name) for name in ("P-2", "P-1")]
    page = served.client.get("/predictions?sort=-subject_id").text
    assert ROW.findall(page) == [made[0]]
    [following] = re.findall(r'href="(/predictions[^"]*cursor=[^"]+)" rel="next"', page)
    assert ROW.findall(served.client.get(unescape(following)).text) == [made[1]]
    assert "cannot be used" in served.client.get("/predictions?sort=size", headers=HTML).text


def forms(page: str) -> list[tuple[str, dict[str, str]]]:
    """Give the forms of the list, each with its hidden fields."""
    found = re.findall(
        r'<form method="post" action="(/predictions/[^"]+)"(.*?)</form>', page, flags=re.DOTALL
    )
    return [
        (action, {name: unescape(value) for name, value in re.findall(r'name="(\w+)" value="([^"]*)"', body)})
        for action, body in found
    ]


def test_a_row_is_cancelled_and_tried_again_and_the_list_is_the_same(served: Serving, token: str) -> None:
    prediction_id = upload(served, token, subject_id="P-1")
    address = "/predictions?subject_id=P-1&from=2020-01-01&sort=-subject_id"
    for what, state in (("cancel", "Cancelled"), ("retry", "Waiting")):
        [(action, fields)] = forms(served.client.get(address).text)
        assert action == f"/predictions/{prediction_id}/{what}"
        answer = served.client.post(action, data=fields)
        assert answer.status_code == 303
        assert answer.headers["location"] == f"{address}#to-{prediction_id}"
        assert state in served.client.get(address).text


@pytest.mark.parametrize(
    ("state", "code", "what"),
    [
        (PredictionState.QUEUED, None, ["cancel"]),
        (PredictionState.CLASSIFYING, None, ["cancel"]),
        (PredictionState.CANCELLED, None, ["retry"]),
        (PredictionState.FAILED, "worker_lost", ["retry"]),
        (PredictionState.FAILED, "gzip_corrupt", []),
    ],
)
def test_a_row_offers_what_can_help(
    served: Serving, token: str, state: PredictionState, code: str | None, what: list[str]
) -> None:
    prediction_id = upload(served, token)
    served.set_state(prediction_id, state, error_code=code, error_message="x")
    offered = [action for action, _ in forms(served.client.get("/predictions").text)]
    assert offered == [f"/predictions/{prediction_id}/{one}" for one in what]


def test_what_stops_already_is_not_stopped_again(served: Serving, token: str) -> None:
    prediction_id = upload(served, token)
    served.set_state(prediction_id, PredictionState.CLASSIFYING, cancel_requested=True)
    assert forms(served.client.get("/predictions").text) == []


@pytest.mark.parametrize(
    "back",
    [
        "",
        "https://elsewhere.example/",
        "//elsewhere.example/predictions",
        "/predictions/../account",
        "/predictionsx",
        "/account",
        "\\\\elsewhere.example",
        "https:/predictions",
    ],
)
def test_a_form_leads_to_the_list_and_nowhere_else(served: Serving, token: str, back: str) -> None:
    prediction_id = upload(served, token)
    fields = {"csrf_token": token, "back": back}
    answer = served.client.post(f"/predictions/{prediction_id}/cancel", data=fields)
    assert (answer.status_code, answer.headers["location"]) == (303, f"/predictions/{prediction_id}")


def test_a_forged_address_adds_no_header(served: Serving, token: str) -> None:
    prediction_id = upload(served, token)
    fields = {"csrf_token": token, "back": "/predictions?a=b\r\nSet-Cookie: x=y#else"}
    answer = served.client.post(f"/predictions/{prediction_id}/cancel", data=fields)
    assert "set-cookie" not in answer.headers
    assert answer.headers["location"] == f"/predictions?a=b%0D%0ASet-Cookie:%20x=y#to-{prediction_id}"


def test_files_are_compressed_and_pages_are_not(served: Serving, token: str) -> None:
    """A page that repeats what a stranger sends, compressed, would tell by its size what else is on it."""
    asked = {"Accept-Encoding": "gzip"}
    sheet = served.client.get("/static/restnet.css", headers=asked)
    assert sheet.headers["content-encoding"] == "gzip"
    assert sheet.headers["vary"] == "Accept-Encoding"
    for path in ("/predictions?subject_id=x", "/account"):
        assert "content-encoding" not in served.client.get(path, headers=asked | HTML).headers


def test_the_theme_is_known_before_the_first_paint(served: Serving, token: str) -> None:
    for path in ("/", "/predictions", "/account", "/nothing", "/api/docs"):
        page = served.client.get(path, headers=HTML).text
        [script] = re.findall(r"<script[^>]*theme\.js[^>]*>", page)
        assert "defer" not in script
        assert "module" not in script
        assert page.index(script) < page.index("stylesheet")
