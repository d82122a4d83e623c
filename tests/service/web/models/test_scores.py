"""The pages of shadow mode and of batches."""

from typing import Any

import pytest

from service.db.rows import RescoreRow, ScoreState
from service.identity.roles import Role
from service.web.models import scores
from tests.service.api.scoring_rows import begin_batch, put_in_shadow, score
from tests.service.api.serving import CARD, Serving, sample_result
from tests.service.evaluated import add_set
from tests.service.web.models.test_pages import HTML, send, shown


@pytest.fixture
def models(served: Serving) -> dict[str, str]:
    """A model that answers, another one, and an answer of the first."""
    made = {"champion": served.register_model(), "challenger": served.add_model("2")}
    accepted = served.upload(served.key("doctor"), subject_id="P-17")
    served.finish(accepted["prediction_id"], sample_result(), model_version_id=made["champion"])
    served.user("chief", Role.ADMINISTRATOR)
    return made | {"prediction": accepted["prediction_id"]}


def post(served: Serving, path: str, token: str, **fields: Any) -> Any:
    return served.client.post(path, data={"csrf_token": token} | fields, headers=HTML, follow_redirects=False)


def test_a_model_is_put_in_shadow_on_its_page(served: Serving, models: dict[str, str]) -> None:
    token = served.log_in("chief")
    page = f"/models/{models['challenger']}"
    assert "Shadow mode, and what it says of earlier scans" in shown(served, page)
    assert "Put it in shadow" in shown(served, f"{page}/scores")
    assert "This model answers. Only a model" in shown(served, f"/models/{models['champion']}/scores")
    refused = send(served, f"{page}/shadow", token, reason=" ")
    assert refused.status_code == 422
    assert "say why in plain text" in refused.text
    done = post(served, f"{page}/shadow", token, reason="to see")
    assert (done.status_code, done.headers["location"]) == (303, f"{page}/scores?done=begun")
    text = shown(served, f"{page}/scores")
    assert "In shadow since" in text
    assert "by chief: each scan" in text
    third = served.add_model("3")
    assert "Another model is in shadow: 2 ." in shown(served, f"/models/{third}/scores")
    taken = send(served, f"/models/{third}/shadow", token, reason="me too")
    assert taken.status_code == 409
    assert "A model is in shadow already" in taken.text
    assert post(served, f"{page}/shadow/end", token).status_code == 303
    assert "Put it in shadow" in shown(served, f"{page}/scores")


def test_a_model_that_does_not_run_here_is_refused_with_the_reason(
    served: Serving, models: dict[str, str]
) -> None:
    token = served.log_in("chief")
    with served.sessions.begin() as session:
        add_set(session)
    other = f"/models/{served.add_model('3', CARD | {'preprocessing': {'version': 2}})}"
    cannot = "this version of RestNet cannot prepare scans as the model needs them"
    for act, extent in (("shadow", {}), ("rescores", {"since": "", "until": "", "limit": ""})):
        refused = send(served, f"{other}/{act}", token, reason="to see", **extent)
        assert refused.status_code == 409
        assert cannot in refused.text
    led_to = post(served, f"{other}/evaluations", token).headers["location"]
    assert cannot in shown(served, led_to)
    lost = served.add_model("4")
    served.lose_model(lost)
    led_to = post(served, f"/models/{lost}/evaluations", token).headers["location"]
    assert "file is gone from storage. Nothing was changed" in shown(served, led_to)


def test_failed_scores_name_what_was_wrong(served: Serving, models: dict[str, str]) -> None:
    shadow = put_in_shadow(served, models["challenger"])
    failed = {"state": ScoreState.FAILED, "error_code": "checkpoint_mismatch", "result": None}
    score(served, models["prediction"], shadow, **failed)
    served.log_in("chief")
    text = shown(served, f"/models/{models['challenger']}/scores")
    assert "0 scored, 0 on their way, 1 failed" in text
    assert "checkpoint_mismatch · 1" in text


def test_what_it_would_have_changed_is_shown(served: Serving, models: dict[str, str]) -> None:
    shadow = put_in_shadow(served, models["challenger"])
    score(served, models["prediction"], shadow)
    served.log_in("chief")
    address = f"/models/{models['challenger']}/scores"
    text = shown(served, address)
    for words in (
        "1 scored, 0 on their way, 0 failed",
        "Another decision 100 % (1 of 1; 95 % interval 21 % to 100 %)",
        "Mean difference +0.290",
        "None of these scans has a confirmed diagnosis",
        "P-17",
        "Uncertain 61 % ADHD 90 %",
    ):
        assert words in text, words
    html = served.client.get(address, headers=HTML).text
    assert f'href="/predictions/{models["prediction"]}"' in html
    assert html.count("<rect ") == 1


def test_earlier_scans_are_counted_before_they_are_scored(served: Serving, models: dict[str, str]) -> None:
    token = served.log_in("chief")
    page = f"/models/{models['challenger']}"
    assert "It would score" not in shown(served, f"{page}/scores")
    assert "It would score 1 scan." in shown(served, f"{page}/scores?count=1&since=2020-01-01")
    assert "There are no answered scans" in shown(served, f"{page}/scores?count=1&until=2020-01-01")
    odd = served.client.get(f"{page}/scores?count=1&since=soon", headers=HTML)
    assert odd.status_code == 422
    assert "cannot be read" in odd.text
    for fields in ({"since": "soon"}, {"limit": "-1"}, {"limit": "many"}):
        assert send(served, f"{page}/rescores", token, reason="why", **fields).status_code == 422
    begun = post(served, f"{page}/rescores", token, reason="why", limit="5")
    assert begun.status_code == 303
    batch = begun.headers["location"]
    text = shown(served, batch)
    assert "At work" in text
    assert "Scans asked for 1" in text
    assert "There is no score yet." in text
    assert 'hx-trigger="every 3s"' in served.client.get(batch, headers=HTML).text
    again = send(served, f"{page}/rescores", token, reason="why")
    assert again.status_code == 409
    assert "A batch of this model is at work already" in again.text
    assert post(served, f"{batch}/cancel", token).headers["location"] == f"{batch}?done=cancelled"
    assert "Cancelled" in shown(served, batch)
    assert "Cancelled" in shown(served, f"{page}/scores")
    # A batch has its page below its own model alone.
    other = batch.replace(models["challenger"], models["champion"])
    assert served.client.get(other, headers=HTML).status_code == 404


def test_a_batch_that_has_just_ended_is_shown_and_not_cancelled(
    served: Serving, models: dict[str, str]
) -> None:
    token = served.log_in("chief")
    row = begin_batch(served, models["challenger"])
    with served.sessions.begin() as session:
        session.get_one(RescoreRow, row.id).state = "finished"
    batch = f"/models/{models['challenger']}/rescores/{row.id}"
    assert post(served, f"{batch}/cancel", token).headers["location"] == batch
    assert "Finished" in shown(served, batch)


def test_others_are_not_led_there(served: Serving, models: dict[str, str]) -> None:
    served.log_in(served.user("researcher", Role.RESEARCHER))
    assert "Shadow mode" not in shown(served, f"/models/{models['challenger']}")
    answer = served.client.get(f"/models/{models['challenger']}/scores", headers=HTML)
    assert answer.status_code == 403


def test_a_page_of_a_batch_renews_where_it_stands_and_not_the_figures(
    served: Serving, models: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """They read every score of it; they are shown anew when it is over."""
    served.log_in("chief")
    row = begin_batch(served, models["challenger"])
    batch = f"/models/{models['challenger']}/rescores/{row.id}"
    assert "There is no score yet." in shown(served, batch)

    def never(*_arguments: object, **_options: object) -> None:
        raise AssertionError("the figures were asked for")

    monkeypatch.setattr(scores, "compare_rescore", never)
    monkeypatch.setattr(scores, "list_changed_by_rescore", never)
    renewal = HTML | {"HX-Request": "true"}
    assert 'id="cancel-batch"' in served.client.get(batch, headers=renewal).text
    with served.sessions.begin() as session:
        session.get_one(RescoreRow, row.id).state = "finished"
    assert served.client.get(batch, headers=renewal).headers["hx-refresh"] == "true"
