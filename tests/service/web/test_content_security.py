"""No page holds code or style of its own, so the content security policy needs no exception."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import select

from service.db.rows import CohortRow, EvaluationState, ModelVersionRow, PredictionState, ResultRow
from service.drift.evaluating import evaluate_version
from service.identity.accounts import require_user
from service.identity.actor import program
from service.identity.roles import Role
from service.web.rendering import FOLDER, environment
from tests.service.answering import let_answer
from tests.service.api.scoring_rows import begin_batch, put_in_shadow, score
from tests.service.api.serving import (
    PASSWORD,
    Serving,
    make_settings,
    sample_result,
    sample_summary,
    scan_bytes,
    serving,
)
from tests.service.api.training_rows import add_runs
from tests.service.drift.drift_rows import add_answers, add_reference
from tests.service.drift.people import draw
from tests.service.evaluated import add_set, evaluate, outcome
from tests.service.web.test_login import log_in
from tests.service.web.test_second_factor import code_of

HTML = {"Accept": "text/html"}


class InlineCode(HTMLParser):
    """Collects whatever the policy would refuse to run or to apply."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.tags = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags += 1
        given = dict(attrs)
        if tag == "style" or (tag == "script" and not (given.get("src") or "").startswith("/static/")):
            self.found.append(tag)
        for name, value in given.items():
            if name == "style" or name.startswith(("on", "hx-on")):
                self.found.append(f"{tag} {name}")
            if (value or "").strip().lower().startswith(("javascript:", "data:")):
                self.found.append(f"{tag} {name}={value}")
            if name in {"src", "href", "action", "hx-get", "hx-post"} and "//" in (value or "")[:8]:
                self.found.append(f"{tag} {name}={value}")


def inline_code(text: str) -> list[str]:
    parser = InlineCode()
    parser.feed(text)
    parser.close()
    assert parser.tags > 0
    return parser.found


@pytest.mark.parametrize(
    "text",
    [
        "<p style='x'>",
        "<a onclick='x'>",
        "<a hx-on:click='x'>",
        "<script>x</script>",
        "<style>x</style>",
        "<a href='JavaScript:x'>",
        "<script src='https://elsewhere/x.js'></script>",
    ],
)
def test_the_search_finds_what_it_is_for(text: str) -> None:
    assert inline_code(text)


@pytest.fixture
def templates_drawn(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    drawn: set[str] = set()
    loader = environment().loader
    assert loader is not None
    get_source = loader.get_source

    def noted(made: Any, name: str) -> Any:
        drawn.add(name)
        return get_source(made, name)

    environment().cache.clear()
    monkeypatch.setattr(loader, "get_source", noted)
    return drawn


@contextmanager
def another_browser(served: Serving) -> Iterator[None]:
    """Ask without the cookies, which are there again afterwards."""
    kept = dict(served.client.cookies)
    served.client.cookies.clear()
    yield
    served.client.cookies.clear()
    served.client.cookies.update(kept)


def pages(served: Serving) -> Iterator[str]:
    yield served.client.get("/login", headers=HTML).text
    yield served.client.post("/login", data={"username": "<b>", "password": "x"}, headers=HTML).text
    token = log_in(served)
    model_version_id = served.register_model()
    yield served.client.get("/account?done=password", headers=HTML).text
    begun = served.client.post("/account/second-factor", data={"csrf_token": token, "password": PASSWORD})
    yield begun.text
    code = code_of(begun.text.partition('class="secret">')[2][:32])
    confirmed = {"csrf_token": token, "code": code}
    yield served.client.post("/account/second-factor/confirm", data=confirmed, headers=HTML).text
    yield served.client.get("/account", headers=HTML).text
    with another_browser(served):
        served.client.post("/login", data={"username": "doctor", "password": PASSWORD})
        yield served.client.get("/login/code", headers=HTML).text
        yield served.client.post("/login/code", data={"code": "<b>"}, headers=HTML).text
    wrong = {"csrf_token": token, "current": "x", "new": "<b>", "again": "<b>"}
    yield served.client.post("/account/password", data=wrong, headers=HTML).text
    yield served.client.get("/", headers=HTML).text
    yield served.client.get("/no/such/page", headers=HTML).text
    yield served.client.get("/api/docs", headers=HTML).text
    refused = {"scan": ("<b>.nii", b"not a scan")}
    yield served.client.post("/scans", data={"csrf_token": token}, files=refused, headers=HTML).text
    accepted = served.upload({"X-CSRF-Token": token}, scan_bytes(), subject_id="P-1")
    page = accepted["links"]["page"]
    yield served.client.get(page, headers=HTML).text
    for state in PredictionState:
        failure = {"error_code": "gzip_corrupt", "error_message": "m"} if state == "failed" else {}
        if state == PredictionState.SUCCEEDED:
            result = sample_result() | {"space": "native", "normalisation": sample_summary()}
            served.finish(accepted["prediction_id"], result, model_version_id=model_version_id)
        served.set_state(accepted["prediction_id"], state, **failure)
        yield served.client.get(page, headers=HTML).text
        if state == PredictionState.SUCCEEDED:
            said = {"csrf_token": token, "answer": "adhd", "reason": "<script>x</script>"}
            yield served.client.post(f"{page}/review", data=said | {"diagnosis": "<b>"}, headers=HTML).text
            assert served.client.post(f"{page}/review", data=said, headers=HTML).status_code == 303
            yield served.client.get(page, headers=HTML).text
    yield served.client.get("/predictions", headers=HTML).text
    yield served.client.get("/predictions?status=%3Cb%3E", headers=HTML).text
    with another_browser(served):
        served.log_in(served.user("chief", Role.ADMINISTRATOR))
        yield served.client.get("/reviews", headers=HTML).text
        yield from _models(served, model_version_id)
        yield from _evaluations(served)
        yield from _training(served, model_version_id)
        yield from _drift(served, model_version_id)
        yield from administration(served)


def _training(served: Serving, model_version_id: str) -> Iterator[str]:
    """A run in each state, of a cohort with an odd name."""
    yield served.client.get("/training", headers=HTML).text
    cohort_id = served.register_cohort("<b>tiny</b>")
    with served.sessions.begin() as session:
        cohort = session.get_one(CohortRow, cohort_id)
        runs = add_runs(session, cohort, model_version_id=model_version_id)
    yield served.client.get("/training", headers=HTML).text
    yield served.client.get("/training/new", headers=HTML).text
    for run_id in runs.values():
        yield served.client.get(f"/training/{run_id}", headers=HTML).text


def _evaluations(served: Serving) -> Iterator[str]:
    """Sets, evaluations that wait, failed and are over, and one that no longer counts."""
    one, two, three, four = (served.add_model(str(number)) for number in range(90, 94))
    with served.sessions.begin() as session:
        let_answer(session, session.get_one(ModelVersionRow, one))
        add_set(session, "<b>test</b>")
        evaluate(session, champion=one, challenger=two, found=outcome("auc_not_worse"))
        evaluate(session, champion=one, challenger=three, state=EvaluationState.EVALUATING)
        failed = evaluate(session, champion=one, challenger=four, state=EvaluationState.FAILED)
        failed.error_code, failed.error_message = "evaluation_set_changed", "<script>x</script>"
        failed.error_details = {"name": "<b>tiny</b>"}
    served.register_cohort("<i>test</i>")
    page = served.client.get("/evaluation", headers=HTML).text
    yield page
    token = page.partition('name="csrf_token" value="')[2].partition('"')[0]
    form = {"csrf_token": token, "name": "<script>x</script>", "cohort": "nobody"}
    yield served.client.post("/evaluation", data=form, headers=HTML).text
    for model in (one, two, three, four):
        yield served.client.get(f"/models/{model}", headers=HTML).text
    yield served.client.get(f"/models/{three}/comparison", headers=HTML | {"HX-Request": "true"}).text
    with served.sessions.begin() as session:
        let_answer(session, session.get_one(ModelVersionRow, four))
    yield served.client.get(f"/models/{two}", headers=HTML).text


def _drift(served: Serving, model: str) -> Iterator[str]:
    empty = served.client.get(f"/drift?model={model}", headers=HTML).text
    yield empty
    token = empty.partition('name="csrf_token" value="')[2].partition('"')[0]
    form = {"csrf_token": token, "model": model, "cohort": "no such cohort"}
    yield served.client.post("/drift/references", data=form, headers=HTML).text
    served.register_cohort()
    served.client.post("/drift/references", data=form | {"cohort": "tiny"}, headers=HTML)
    waiting = served.client.get(f"/drift?model={model}", headers=HTML).text
    assert "/cancel" in waiting
    yield waiting
    with served.sessions.begin() as session:
        add_reference(session, model)
        scans = draw(np.random.default_rng(1), 15)
        add_answers(session, model, scans + draw(np.random.default_rng(2), 15, tr_s=1.0), site="<b>")
        add_answers(session, model, scans, site="nyu")
    evaluate_version(served.sessions, model, actor=program("sweeper"))
    judged = served.client.get(f"/drift?model={model}", headers=HTML).text
    assert 'class="alarming"' in judged
    yield judged
    yield served.client.get(f"/drift?model={model}&site=%3Cb%3E", headers=HTML).text


def _models(served: Serving, answering: str) -> Iterator[str]:
    """Models with and without a file, one refused and promoted, and the way back past one that is gone."""
    two, three, four = (served.add_model(version) for version in ("2", "3", "4"))
    listed = served.client.get("/models", headers=HTML).text
    yield listed
    token = listed.partition('name="csrf_token" value="')[2].partition('"')[0]
    form = {"csrf_token": token, "reason": "<b>", "expected_active": answering}
    back = {"csrf_token": token, "reason": "<script>x</script>"}
    for model in (answering, two):
        yield served.client.get(f"/models/{model}", headers=HTML).text
    refused = served.client.post(f"/models/{two}/promote", data=form, headers=HTML)
    assert refused.status_code == 409
    yield refused.text
    yield served.client.post(f"/models/{two}/promote", data=form | {"reason": " "}, headers=HTML).text
    for model in (two, three, four):
        form = {"csrf_token": token, "reason": "<b>", "override_reason": "<script>x</script>"}
        done = served.client.post(f"/models/{model}/promote", data=form, headers=HTML)
        yield served.client.get(done.headers["location"], headers=HTML).text
    yield served.client.get("/models", headers=HTML).text
    yield from _scores(served, two, token)
    served.lose_model(three)
    past = served.client.post("/models/rollback", data=back, headers=HTML)
    assert past.status_code == 200
    yield past.text
    # The file of the first one was never there.
    nowhere = served.client.post("/models/rollback", data=back, headers=HTML)
    assert nowhere.status_code == 409
    yield nowhere.text


def _scores(served: Serving, model: str, token: str) -> Iterator[str]:
    """A model in shadow with a score, and a batch at work and cancelled."""
    with served.sessions() as session:
        prediction_id = session.scalars(select(ResultRow.prediction_id)).first()
    assert prediction_id is not None
    served.set_state(prediction_id, PredictionState.SUCCEEDED)
    yield served.client.get(f"/models/{model}/scores?count=1&since=%3Cb%3E", headers=HTML).text
    form = {"csrf_token": token, "reason": "<script>x</script>"}
    yield served.client.post(
        f"/models/{model}/shadow", data=form | {"reason": " <b>" * 400}, headers=HTML
    ).text
    shadow, batch = put_in_shadow(served, model, "<b>"), begin_batch(served, model, "<script>x</script>")
    for cause in (shadow, batch):
        score(served, prediction_id, cause)
    yield served.client.get(f"/models/{model}/scores?count=1", headers=HTML).text
    page = f"/models/{model}/rescores/{batch.id}"
    yield served.client.get(page, headers=HTML).text
    assert served.client.post(f"{page}/cancel", data=form, headers=HTML).status_code == 303
    yield served.client.get(page, headers=HTML).text


def administration(served: Serving) -> Iterator[str]:
    """The pages of the administrator who is logged in, and of whom they invite."""
    token = csrf_token_on(served.client.get("/users", headers=HTML).text)

    def sent(path: str, **data: Any) -> str:
        return served.client.post(path, data={"csrf_token": token} | data, headers=HTML).text

    for wrong in ("<b>", "doctor"):
        yield sent("/users/invitations", username=wrong, role="clinician")
    invited = sent("/users/invitations", username="child", role="clinician")
    yield invited
    link = re.findall(r"/invitation/[\w-]+", invited)[0]
    yield served.client.get("/users?done=withdrawn", headers=HTML).text
    yield sent("/keys", name="<b>", username="nobody", scope="admin")
    yield sent("/keys", name="test", username="doctor", scope=["scans:write", "scans:read"], days="90")
    yield served.client.get("/keys?done=revoked", headers=HTML).text
    for name in ("doctor", "chief"):
        with served.sessions() as session:
            user_id = require_user(session, username=name).id
        for told in ("", "?done=role", "?refused=own_account"):
            yield served.client.get(f"/users/{user_id}{told}", headers=HTML).text
        sent(f"/users/{user_id}/disable")
        yield served.client.get(f"/users/{user_id}", headers=HTML).text
    yield served.client.get("/audit", headers=HTML).text
    yield served.client.get("/audit?action=audit.export", headers=HTML).text
    yield served.client.get("/audit?actor=%3Cb%3E", headers=HTML).text
    yield sent("/audit/verify")
    with another_browser(served):
        yield served.client.get(link, headers=HTML).text
        yield served.client.post(link, data={"new": "<b>", "again": "x"}, headers=HTML).text
        yield served.client.get("/invitation/unknown", headers=HTML).text


def csrf_token_on(page: str) -> str:
    [token] = set(re.findall(r'name="csrf_token" value="([^"]+)"', page))
    return token


def test_no_page_holds_code_or_style_of_its_own(served: Serving, templates_drawn: set[str]) -> None:
    for text in pages(served):
        assert inline_code(text) == []
    folder = FOLDER / "templates"
    assert templates_drawn == {path.relative_to(folder).as_posix() for path in folder.rglob("*.html")}


def every_kind_of_answer(served: Serving) -> Iterator[tuple[str, Any]]:
    """Answers of every route, and of everything that refuses before or after one."""
    client, key = served.client, served.key()
    document = client.get("/api/openapi.json").json()
    for path, operations in document["paths"].items():
        for method in operations:
            concrete = path.replace("{", "").replace("}", "")
            yield f"{method} {path}", client.request(method.upper(), concrete)
            yield f"{method} {path} with a key", client.request(method.upper(), concrete, headers=key)
    for path in ("/", "/login", "/predictions", "/predictions/x", "/api/docs", "/api/openapi.json"):
        yield path, client.get(path)
        yield f"{path} as a page", client.get(path, headers=HTML)
    yield "404", client.get("/nothing", headers=HTML)
    yield "404 of a file", client.get("/static/nothing.css")
    yield "a file", client.get("/static/restnet.css")
    yield (
        "a file not changed",
        client.get(
            "/static/restnet.css",
            headers={"If-None-Match": client.get("/static/restnet.css").headers["etag"]},
        ),
    )
    yield "405", client.delete("/login", headers=HTML)
    yield "405 of a file", client.post("/static/restnet.css")
    yield "401", client.get("/api/v1/predictions")
    yield "403", client.get("/api/v1/admin/users", headers=key)
    yield "413 of a small body", client.post("/login", content=bytes(100_000))
    yield (
        "413 of an upload",
        client.post("/api/v1/scans", headers=key | {"X-Filename": "s.nii"}, content=bytes(300_000)),
    )
    yield "415", client.post("/api/v1/scans", headers=key | {"Content-Type": "text/x"}, content=b"x")
    yield "422", client.get("/api/v1/predictions?limit=0", headers=key)
    yield "a method that there is not", client.request("BREW", "/login")
    for _ in range(10):
        refused = client.post("/login", data={"username": "a", "password": "b"})
    yield "429", refused


@pytest.mark.parametrize("public_url", [None, "https://restnet.example"])
def test_every_answer_is_protected(tmp_path: Path, database_template: Path, public_url: str | None) -> None:
    settings = make_settings(
        tmp_path / "data", database_template, public_url=public_url, max_upload_bytes=200_000
    )
    statuses = set()
    with serving(settings) as served:
        for what, answer in every_kind_of_answer(served):
            statuses.add(answer.status_code)
            policy = answer.headers["content-security-policy"]
            assert "unsafe" not in policy, what
            assert "default-src 'none'" in policy, what
            assert "frame-ancestors 'none'" in policy, what
            assert answer.headers["x-content-type-options"] == "nosniff", what
            assert answer.headers["referrer-policy"] == "same-origin", what
            kept = "no-cache" if what in {"a file", "a file not changed"} else "no-store"
            assert answer.headers["cache-control"] == kept, what
            assert ("strict-transport-security" in answer.headers) == (public_url is not None), what
            assert "server" not in answer.headers, what
    assert statuses >= {200, 303, 304, 401, 403, 404, 405, 413, 415, 422, 429}
