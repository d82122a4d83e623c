"""The page of evaluation sets, and what a model's page says of it beside the one that answers."""

import re
from typing import Any

import pytest

from service.db.rows import EvaluationRow, EvaluationState, ModelVersionRow
from service.identity.roles import Role
from tests.service.answering import let_answer
from tests.service.api.serving import Serving
from tests.service.api.test_models import SOUND
from tests.service.evaluated import add_set, evaluate, outcome
from tests.service.web.models.test_pages import HTML, main_of, send, shown

HTMX = HTML | {"HX-Request": "true"}


@pytest.fixture
def token(served: Serving) -> str:
    return served.log_in(served.user("chief", Role.ADMINISTRATOR))


@pytest.fixture
def models(served: Serving) -> tuple[str, str]:
    champion, challenger = served.add_model("1", SOUND), served.add_model("2", SOUND)
    with served.sessions.begin() as session:
        let_answer(session, session.get_one(ModelVersionRow, champion))
    return champion, challenger


def test_a_set_is_added_and_used_on_the_page_and_what_was_typed_stays(served: Serving, token: str) -> None:
    assert "There is no cohort to take people from." in shown(served, "/evaluation")
    cohort = served.register_cohort()
    unknown = served.register_cohort("unreleased", releases=[])
    form = {"name": "held out", "cohort": cohort, "selection": "all", "where": "site=NYU\r\n age<=18 "}
    added = send(served, "/evaluation", token, **form)
    assert (added.status_code, added.headers["location"]) == (303, "/evaluation?done=added")
    text = shown(served, added.headers["location"])
    assert "The set is added." in text
    assert "held out tiny everybody with a diagnosis · site=NYU · age<=18 locked by the first" in text
    for fields, status, words in (
        (form, 409, "another set is called so"),
        (form | {"name": "  "}, 422, "a set needs a name"),
        (form | {"name": "b", "cohort": "nobody"}, 422, "no such cohort"),
        (
            form | {"name": "b", "cohort": unknown, "selection": "test"},
            422,
            "Ingest it again with --test-ids",
        ),
        (form | {"name": "b", "where": "age<=18\nfoo>>1"}, 422, "the filter foo>>1 cannot be read"),
    ):
        answer = send(served, "/evaluation", token, **fields)
        assert answer.status_code == status
        assert words in main_of(answer.text)
        assert "age&lt;=18" in answer.text.split("<textarea")[1]
    [use] = re.findall(r'action="(/evaluation/[^"]+/use)"', served.client.get("/evaluation").text)
    done = send(served, use, token)
    assert done.headers["location"] == "/evaluation?done=used"
    text = shown(served, "/evaluation")
    assert "simulated now" in text
    assert "/use" not in text
    [remove] = re.findall(r'action="(/evaluation/[^"]+/remove)"', served.client.get("/evaluation").text)
    done = send(served, remove, token)
    assert done.headers["location"] == "/evaluation?done=removed"
    text = shown(served, done.headers["location"])
    assert "The set is removed." in text
    assert "held out" not in text


def test_a_set_that_models_were_compared_on_is_not_removed(
    served: Serving, token: str, models: tuple[str, str]
) -> None:
    champion, challenger = models
    with served.sessions.begin() as session:
        row = evaluate(session, champion=champion, challenger=challenger)
        address = f"/evaluation/{row.evaluation_set_id}/remove"
    assert address not in served.client.get("/evaluation").text
    refused = send(served, address, token)
    assert refused.status_code == 409
    assert "Nothing was removed: models were compared on this set" in refused.text


def test_both_models_stand_side_by_side_with_differences_sites_and_people(
    served: Serving, token: str, models: tuple[str, str]
) -> None:
    champion, challenger = models
    with served.sessions.begin() as session:
        evaluate(session, champion=champion, challenger=challenger, found=outcome("auc_not_worse"))
    html = served.client.get(f"/models/{challenger}", headers=HTML).text
    text = main_of(html)
    for words in (
        "Beside RestNet demonstration 1 , on the set held out.",
        "AUC 0.840 (0.790 to 0.890) 0.860 (0.810 to 0.910) +0.020 (\N{MINUS SIGN}0.010 to +0.050)",
        "Calibration error 0.041 0.041",
        "Coverage 91 % (86 % to 96 %)",
        "Uncertain answers 22 % 22 % +0.010 (\N{MINUS SIGN}0.010 to +0.030)",
        "Decides enough passed",
        "all of it below +0.10 what decides_enough found",
        "Time for a scan 0.51 s 0.51 s",
        "The two call 17 of these people differently.",
        "KKI 8 too few people too few people NYU 292 0.840 (0.760 to 0.920)",
        "120 cases, 180 controls · simulated",
        "AUC not worse failed",
        "all of it above -0.05 what auc_not_worse found",
        "No leak passed",
    ):
        assert words in text, words
    assert "Compare it now" not in text
    # Zero stands in the middle, and the edges are the largest limit: 0.1 at least.
    drawn = re.findall(r'class="interval" x1="([\d.]+)%" x2="([\d.]+)%"', html)
    assert tuple(map(float, drawn[0])) == (45.2, 74.0)
    assert len(drawn) == 4
    listed = shown(served, "/evaluation")
    assert "RestNet demonstration 2 RestNet demonstration 1 held out Finished rules failed" in listed
    # What was put right since is measured again by a click, on the page of a model alone that is compared.
    [again] = re.findall(r'action="([^"]+again=true)"', html)
    assert "Compare it again" in text
    assert send(served, again, token).headers["location"] == f"/models/{challenger}"
    assert "Waiting" in shown(served, f"/models/{challenger}")


def test_a_comparison_of_an_earlier_version_is_shown_without_what_it_did_not_judge(
    served: Serving, token: str, models: tuple[str, str]
) -> None:
    champion, challenger = models
    found = outcome()
    found["rules"] = [rule for rule in found["rules"] if rule["name"] != "decides_enough"]
    del found["together"]["differences"]["uncertain_share"]
    with served.sessions.begin() as session:
        evaluate(session, champion=champion, challenger=challenger, found=found)
    text = shown(served, f"/models/{challenger}")
    assert "Uncertain answers 22 % 22 % none \N{EN DASH} Time for a scan" in text
    assert "Decides enough" not in text


def test_a_comparison_of_the_past_is_shown_as_one_and_made_again_with_a_click(
    served: Serving, token: str, models: tuple[str, str]
) -> None:
    champion, challenger = models
    third = served.add_model("3", SOUND)
    with served.sessions.begin() as session:
        evaluate(session, champion=champion, challenger=challenger)
        let_answer(session, session.get_one(ModelVersionRow, third))
    text = shown(served, f"/models/{challenger}")
    assert "This is an earlier comparison." in text
    assert "Rules of that comparison" in text
    assert "compared with another model or on another set: start the evaluation" in text
    started = send(served, f"/models/{challenger}/evaluations", token)
    assert (started.status_code, started.headers["location"]) == (303, f"/models/{challenger}")
    text = shown(served, f"/models/{challenger}")
    assert "Beside RestNet demonstration 3, on held out." in text
    assert "earlier comparison" not in text


def test_one_under_way_renews_itself_is_stopped_and_makes_way_for_the_whole_page(
    served: Serving, token: str, models: tuple[str, str]
) -> None:
    champion, challenger = models
    page = f"/models/{challenger}"
    with served.sessions.begin() as session:
        state = EvaluationState.EVALUATING
        row = evaluate(session, champion=champion, challenger=challenger, state=state).id
    html = served.client.get(page, headers=HTML).text
    assert f'hx-get="{page}/comparison" hx-trigger="every 2s"' in html
    part = served.client.get(f"{page}/comparison", headers=HTMX)
    assert "Being compared" in part.text
    assert 'value="0.3"' in part.text
    assert "<html" not in part.text
    alone = served.client.get(f"{page}/comparison", headers=HTML)
    assert (alone.status_code, alone.headers["location"]) == (303, page)
    [cancel] = re.findall(r'action="([^"]+/cancel)"', html)
    assert send(served, cancel, token).headers["location"] == page
    assert "Stopping" in shown(served, page)
    with served.sessions.begin() as session:
        session.get_one(EvaluationRow, row).state = EvaluationState.CANCELLED
    over = served.client.get(f"{page}/comparison", headers=HTMX)
    assert (over.headers["HX-Refresh"], over.text) == ("true", "")
    text = shown(served, page)
    assert "Compare it now" in text
    assert "the evaluation was cancelled: start it again" in text


def test_what_is_missing_before_a_comparison_is_said(
    served: Serving, token: str, models: tuple[str, str]
) -> None:
    champion, challenger = models
    page = f"/models/{challenger}"
    assert "No evaluation set is in use, so nothing can be compared." in shown(served, page)
    assert send(served, f"{page}/evaluations", token).headers["location"] == page
    with served.sessions.begin() as session:
        add_set(session)
    text = shown(served, page)
    assert "It was not compared with the model that answers. Compare it now" in text
    assert "This model answers. Others are compared with it." in shown(served, f"/models/{champion}")
    chinese: dict[str, Any] = HTML | {"Accept-Language": "zh-CN"}
    assert "尚未与正在使用的模型比较。" in main_of(served.client.get(page, headers=chinese).text)
    served.log_in(served.user("reader", Role.RESEARCHER))
    assert "Compare it now" not in shown(served, page)
    assert "Add a set" not in shown(served, "/evaluation")
