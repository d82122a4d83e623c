"""The pages of the models: what they show to whom, and the two things that can be done there."""

import re
from html import unescape
from typing import Any

import pytest

from service.identity.roles import Role
from tests.service.api.serving import CARD, Serving
from tests.service.evaluated import let_pass
from tests.service.web.prediction.test_page import described_card

HTML = {"Accept": "text/html"}


def main_of(html: str) -> str:
    text = re.sub(r"<[^>]+>", " ", html.split("<main")[1].split("</main", maxsplit=1)[0])
    return " ".join(unescape(text).replace("\u202f", " ").replace("\u00a0", " ").split())


def shown(served: Serving, path: str) -> str:
    answer = served.client.get(path, headers=HTML)
    assert answer.status_code == 200
    return main_of(answer.text)


@pytest.fixture
def models(served: Serving) -> dict[str, str]:
    """One that answers, one that may, and one whose card says little."""
    card = described_card()
    made = {version: served.add_model(version, card) for version in ("11", "12")}
    made["13"] = served.add_model("13", CARD)
    promote = {"reason": "it is there"}
    address = f"/api/v1/admin/models/{made['11']}/promote"
    answer = served.client.post(address, headers=served.key("chief", Role.ADMINISTRATOR), json=promote)
    assert answer.status_code == 200
    with served.sessions.begin() as session:
        for version in ("12", "13"):
            let_pass(session, made[version])
    return made


def send(served: Serving, path: str, token: str, **fields: Any) -> Any:
    return served.client.post(path, data={"csrf_token": token} | fields, headers=HTML)


def test_the_list_says_which_one_answers_and_how_well_each_did(
    served: Serving, models: dict[str, str]
) -> None:
    served.log_in("chief")
    text = shown(served, "/models")
    assert "RestNet demonstration 11" in text
    assert text.count("0.92 95 % interval 0.89 to 0.94") == 2
    assert text.count("not given") == 1
    assert re.findall(r"RestNet demonstration (\d+) (?:(?!RestNet).)* now since \d+ \w+ \d{4}", text) == [
        "11"
    ]
    # With one deployment there is no way back.
    assert "Roll back" not in text


def test_a_model_is_shown_as_a_reader_wants_it(served: Serving, models: dict[str, str]) -> None:
    served.log_in("chief")
    text = shown(served, f"/models/{models['12']}")
    for words in (
        "Does not answer",
        "Intended use demonstration",
        "C with Bi-LSTM, 4 members",
        "AUC 0.92",
        "Sensitivity 88",
        "Brier score 0.109 95",
        "Calibration error 0.037 how far",
        "Measured on 400 simulated subjects",
        "146 with the condition, 254 controls",
        "7 to 23 years, half of them under 12",
        "1.5 s, 1.96 s, 2 s, 2.5 s",
        "File intact passed",
        "Preprocessing unchanged passed",
    ):
        assert words in text, words
    assert "Why the failed rules" not in text
    assert "failed" not in text
    bare = shown(served, f"/models/{models['13']}")
    assert "Its card gives no figures." in bare
    assert "Sound protocol failed measured by nested" in bare
    assert "Why the failed rules shall not matter" in bare


def test_it_is_promoted_with_a_reason_and_brought_back_with_one_click(
    served: Serving, models: dict[str, str]
) -> None:
    token = served.log_in("chief")
    page = f"/models/{models['12']}"
    form = served.client.get(page, headers=HTML).text
    seen = form.partition('name="expected_active" value="')[2].partition('"')[0]
    assert seen == models["11"]
    done = send(served, f"{page}/promote", token, reason="better\r\nby far", expected_active=seen)
    assert (done.status_code, done.headers["location"]) == (303, f"{page}?done=promoted")
    text = shown(served, done.headers["location"])
    assert "This model answers from now on." in text
    assert "promoted · chief better by far" in text
    listed = shown(served, "/models")
    # Two that follow each other are told apart: when the one ends and the other begins.
    assert len(re.findall(r"\d\d:\d\d:\d\d UTC", listed.partition("What answered when")[2])) == 3
    assert "Before the model that answers, RestNet demonstration 11 did." in listed
    silent = send(served, "/models/rollback", token, expected_active=models["12"], reason=" ")
    assert silent.status_code == 422
    assert "say why in plain text" in main_of(silent.text)
    back = send(served, "/models/rollback", token, expected_active=models["12"], reason="worse")
    assert (back.status_code, back.headers["location"]) == (303, "/models?done=rolled-back")
    assert "The model before answers again." in shown(served, back.headers["location"])
    assert "rolled back · chief worse" in shown(served, f"/models/{models['11']}")


def test_what_is_refused_is_said_and_what_was_typed_stays(served: Serving, models: dict[str, str]) -> None:
    token = served.log_in("chief")
    page = f"/models/{models['13']}/promote"
    for fields, status, words in (
        ({"reason": "it is newer"}, 409, "rules of the gate failed"),
        ({"reason": "it is newer", "override_reason": "short"}, 422, "say why in plain text"),
        ({"reason": " "}, 422, "say why in plain text"),
        ({"reason": "x", "expected_active": models["12"]}, 409, "Another model answers meanwhile"),
    ):
        answer = send(served, page, token, **fields)
        assert answer.status_code == status
        assert words in main_of(answer.text)
        assert unescape(answer.text).count(fields["reason"].strip() + "</textarea>") >= 1
    assert "Answers since" in shown(served, f"/models/{models['11']}")
    served.lose_model(models["12"])
    answer = send(served, f"/models/{models['12']}/promote", token, reason="x")
    assert answer.status_code == 409
    assert "gone from storage" in main_of(answer.text)
    assert "This model cannot answer" in main_of(answer.text)
    nothing = send(served, "/models/rollback", token, reason="worse")
    assert nothing.status_code == 409
    assert "There is no earlier model" in main_of(nothing.text)


def test_only_whoever_runs_the_installation_sees_the_buttons(served: Serving, models: dict[str, str]) -> None:
    north = served.organisation("north")
    readers = (
        served.user("reader", Role.RESEARCHER),
        served.user("north-chief", Role.ADMINISTRATOR, north),
    )
    page = f"/models/{models['12']}"
    for name in readers:
        token = served.log_in(name)
        # Who has more to administer finds it among the rest of that.
        start = "/" if name == "reader" else "/users"
        assert 'href="/models"' in served.client.get(start, headers=HTML).text
        text = shown(served, page)
        assert "Let it answer" not in text
        assert "File intact passed" in text
        refused = send(served, f"{page}/promote", token, reason="x")
        assert refused.status_code == 403
        # Who put it there is known to their own organisation.
        assert ("chief" in shown(served, "/models")) == (name == "reader")
    served.log_in(served.user("doctor", Role.CLINICIAN))
    assert 'href="/models"' not in served.client.get("/", headers=HTML).text


def test_without_a_model_the_list_says_what_to_do(served: Serving) -> None:
    served.log_in(served.user("chief", Role.ADMINISTRATOR))
    assert "No model is registered yet." in shown(served, "/models")
    assert served.client.get("/models/no-such", headers=HTML).status_code == 404
