"""Reviewing on the page, without JavaScript: what is taken, what is shown again, and who sees what."""

import re
from typing import Any

import pytest
from sqlalchemy import select

from service.db.rows import ReviewRow
from service.identity.roles import Role
from service.web.prediction import review_form
from tests.service.api.serving import Serving, sample_result

HTML = {"Accept": "text/html"}
HOSTILE = "<script>alert('x')</script> & \"quoted\""
ESCAPED = "&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt; &amp; &#34;quoted&#34;"


@pytest.fixture
def token(served: Serving) -> str:
    return served.log_in(served.user())


@pytest.fixture
def address(served: Serving, token: str) -> str:
    """The page of a finished prediction, which says ADHD."""
    accepted = served.upload({"X-CSRF-Token": token})
    result = sample_result(0.9, 0.8, 0.95)
    served.finish(accepted["prediction_id"], result, model_version_id=served.register_model())
    page: str = accepted["links"]["page"]
    return page


def send(served: Serving, address: str, token: str, **said: str) -> Any:
    return served.client.post(f"{address}/review", data={"csrf_token": token, **said}, headers=HTML)


def section(text: str) -> str:
    return re.findall(r'<section id="reviews".*?</section>', text, flags=re.DOTALL)[0]


def shown(served: Serving, address: str) -> str:
    answer = served.client.get(address, headers=HTML)
    assert answer.status_code == 200
    return section(answer.text)


def rows(served: Serving) -> list[ReviewRow]:
    with served.sessions() as session:
        return list(session.scalars(select(ReviewRow).order_by(ReviewRow.created_at)))


def test_accepting_takes_one_choice_and_comes_back_to_the_page(
    served: Serving, token: str, address: str
) -> None:
    assert "Nobody has reviewed this answer yet" in shown(served, address)
    answer = send(served, address, token, answer="accepted", reason="", diagnosis="")
    assert (answer.status_code, answer.headers["location"]) == (303, f"{address}#reviews")
    text = shown(served, address)
    assert '<p class="said">Accepted</p>' in text
    assert "doctor · <time" in text
    assert "Nobody has reviewed" not in text
    [row] = rows(served)
    assert (row.verdict, row.decision, row.reason, row.diagnosis) == ("accepted", None, None, None)


def test_every_review_stays_and_the_newest_stands_first(served: Serving, token: str, address: str) -> None:
    send(served, address, token, answer="accepted", diagnosis="adhd")
    send(served, address, token, answer="control", reason="first line\r\nsecond", diagnosis="other")
    text = shown(served, address)
    assert re.findall(r'<p class="said">([^<]+)</p>', text) == ["Overridden: control", "Accepted"]
    assert re.findall(r"final diagnosis: ([^<]+)</p>", text) == ["another disorder, not ADHD", "ADHD"]
    assert '<p class="reason">first line\nsecond</p>' in text
    assert [row.reason for row in rows(served)] == [None, "first line\nsecond"]


def test_consent_to_training_is_said_by_a_choice_and_taken_back_by_another(
    served: Serving, token: str, address: str
) -> None:
    assert '<option value="">Not asked</option>' in shown(served, address)
    for consent in ("yes", "", "no"):
        send(served, address, token, answer="accepted", consent=consent)
    assert [row.training_consent for row in rows(served)] == [True, None, False]
    text = shown(served, address)
    assert re.findall(r"· ((?:no )?consent to training)</p>", text) == [
        "no consent to training",
        "consent to training",
    ]
    assert '<option value="">Not asked</option>' not in text
    refused = send(served, address, token, answer="accepted", consent="perhaps", reason="kept")
    assert refused.status_code == 422
    assert review_form.DIAGNOSIS_UNKNOWN in section(refused.text)
    assert "kept" in refused.text
    assert len(rows(served)) == 3


def test_the_form_offers_what_differs_from_the_model(served: Serving, token: str, address: str) -> None:
    text = shown(served, address)
    assert re.findall(r'type="radio" name="answer" value="(\w+)"', text) == [
        "accepted",
        "control",
        "cannot_tell",
    ]
    refused = send(served, address, token, answer="adhd", reason="kept")
    assert refused.status_code == 409
    assert review_form.ANSWER_AGREES in refused.text
    assert rows(served) == []


@pytest.mark.parametrize(
    ("said", "field", "problem"),
    [
        ({"reason": "typed"}, "answer", review_form.ANSWER_MISSING),
        ({"answer": "maybe", "reason": "typed"}, "answer", review_form.ANSWER_MISSING),
        ({"answer": "control", "diagnosis": "other"}, "reason", review_form.REASON_MISSING),
        ({"answer": "control", "reason": " \r\n "}, "reason", review_form.REASON_MISSING),
        (
            {"answer": "control", "reason": "x" * 2001},
            "reason",
            review_form.REASON_TOO_LONG % {"limit": "2,000"},
        ),
        ({"answer": "accepted", "reason": "a\x00b"}, "reason", review_form.REASON_UNREADABLE),
        ({"answer": "accepted", "diagnosis": "flu"}, "diagnosis", review_form.DIAGNOSIS_UNKNOWN),
    ],
)
def test_what_is_wrong_stands_beside_its_field_and_what_was_typed_stays(
    served: Serving, token: str, address: str, said: dict[str, str], field: str, problem: str
) -> None:
    answer = send(served, address, token, **said)
    assert answer.status_code == 422
    text = section(answer.text)
    assert re.findall(r'<span class="problem" id="([\w-]+)">([^<]+)</span>', text) == [
        (f"{field}-problem", problem)
    ]
    described = re.findall(r'aria-invalid="true" aria-describedby="([^"]+)"', text)
    assert [ids.split()[-1] for ids in described] == [f"{field}-problem"]
    typed = said.get("reason", "").strip()
    assert f">\n{typed}</textarea>" in text
    if said.get("answer") == "control":
        assert 'value="control" required checked' in text
    if said.get("diagnosis") == "other":
        assert '<option value="other" selected>' in text
    assert rows(served) == []


def test_two_thousand_characters_are_counted_as_the_browser_counts_them(
    served: Serving, token: str, address: str
) -> None:
    # The browser sends each end of a line as two.
    reason = "\r\n".join(["x" * 9] * 200)
    assert len(reason.replace("\r\n", "\n")) == 1999
    assert send(served, address, token, answer="control", reason=reason).status_code == 303


def test_everything_typed_is_escaped(served: Serving, token: str, address: str) -> None:
    refused = send(served, address, token, answer='"><script>', reason=HOSTILE, diagnosis='"><script>')
    assert refused.status_code == 422
    assert send(served, address, token, answer="control", reason=HOSTILE).status_code == 303
    for text in (section(refused.text), shown(served, address)):
        assert ESCAPED in text
        assert "<script" not in text
    assert rows(served)[0].reason == HOSTILE


def test_a_review_needs_the_logins_token(served: Serving, token: str, address: str) -> None:
    for wrong in ({}, {"csrf_token": "wrong"}):
        answer = served.client.post(f"{address}/review", data=wrong | {"answer": "accepted"}, headers=HTML)
        assert answer.status_code == 403
    assert rows(served) == []
    assert send(served, address, token, answer="accepted").status_code == 303


def test_who_may_not_review_reads_and_has_no_form(served: Serving, token: str) -> None:
    researcher = served.log_in(served.user("researcher", Role.RESEARCHER))
    accepted = served.upload({"X-CSRF-Token": researcher})
    served.finish(accepted["prediction_id"], sample_result(), model_version_id=served.register_model())
    address = accepted["links"]["page"]
    doctor = served.log_in("doctor")
    assert send(served, address, doctor, answer="adhd", reason="seen").status_code == 303
    token = served.log_in("researcher")
    text = shown(served, address)
    assert "Overridden: ADHD" in text
    assert "<form" not in text
    assert send(served, address, token, answer="accepted").status_code == 403


def test_an_unfinished_prediction_has_no_form_and_takes_no_review(served: Serving, token: str) -> None:
    address = served.upload({"X-CSRF-Token": token})["links"]["page"]
    assert 'id="reviews"' not in served.client.get(address, headers=HTML).text
    answer = send(served, address, token, answer="accepted")
    assert answer.status_code == 409
    assert "Not now" in answer.text
    assert rows(served) == []


def test_who_is_logged_out_comes_back_to_the_prediction(served: Serving, token: str, address: str) -> None:
    served.client.cookies.clear()
    answer = send(served, address, token, answer="accepted")
    assert answer.status_code == 303
    assert answer.headers["location"].startswith("/login?lost=change&next=")
    assert answer.headers["location"].endswith(address.replace("/", "%2F"))
