"""The whole change of a model in production's parts: trained, compared, put in use under load, taken back.

PostgreSQL, Redis, a web process and workers of their own for each kind of work. Once a program does it over
REST, once an administrator in a real browser; both times scans come in all the while.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import pytest
from playwright.sync_api import Browser, Page, expect
from sqlalchemy import select

from imaging import PreprocessingSpec
from model import demonstration_checkpoint
from model.card import read_card
from service.audit.verification import verify
from service.db.organisations import DEFAULT_ORGANISATION_ID
from service.db.rows import ModelVersionRow, PredictionState, ResultRow, ScoreRow
from service.identity.accounts import create_user
from service.identity.actor import Actor
from service.identity.api_keys import create_api_key
from service.identity.roles import Role
from service.identity.scopes import Scope
from service.registry import active_model, deployments
from service.worker.cohorts import register_cohort
from tests.browser.conftest import browser
from tests.integration.conftest import MakeWorkplace, Workplace
from tests.servers import wait_until
from tests.service.api.serving import PASSWORD, web_process
from tests.training.cohort.store.made_up_store import write_store
from tests.training.validation.tiny_cohorts import N_VOXELS, tiny_subjects
from training.cohort.subjects import Subject

__all__ = ["browser"]

pytestmark = [pytest.mark.integration, pytest.mark.browser, pytest.mark.slow, pytest.mark.enable_socket]

ADMIN = "/api/v1/admin"
ACTOR = Actor("command-line", "test")
# The smallest network on frozen features: what is asked here is the way, not how well it learns.
QUICK: dict[str, Any] = {
    "cohort": "people",
    "networks": ["A"],
    "width": 2,
    "folds": 2,
    "epochs": 3,
    "batch_size": 8,
    "encoder": "frozen",
    "feature_norm": "batch",
    "device": "cpu",
}
WHY = "people of noise: the way is tried, not the model"


def series_of(subject: Subject, *, n_frames: int) -> Any:
    """Give noise that varies more in half of the brain of cases."""
    noise = np.random.default_rng(int(subject.subject_id)).standard_normal(
        (n_frames, N_VOXELS), dtype=np.float32
    )
    noise[:, : N_VOXELS // 2] *= 1.5 if subject.label else 1.0
    return noise


@dataclass
class Installation:
    """A running installation, with a program of the administrator's."""

    place: Workplace
    address: str
    client: httpx2.Client
    uploaded: list[str] = field(default_factory=list)

    def get(self, path: str) -> Any:
        answer = self.client.get(path)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def post(self, path: str, *, expected: int = 200, **body: Any) -> Any:
        answer = self.client.post(path, json=body or None)
        assert answer.status_code == expected, answer.text
        return answer.json()

    def upload(self) -> None:
        answer = self.client.post(
            "/api/v1/scans",
            content=self.place.scan.read_bytes(),
            headers={"X-Filename": self.place.scan.name},
        )
        assert answer.status_code == 202, answer.text
        self.uploaded.append(answer.json()["prediction_id"])

    def active(self) -> str:
        with self.place.sessions() as session:
            found = active_model(session)
            assert found is not None
            return found.id

    @contextmanager
    def live(self) -> Iterator[None]:
        """Keep scans coming in, until what is done meanwhile is done."""
        stop, failures = threading.Event(), []

        def keep_on() -> None:
            try:
                while not stop.wait(0.5):
                    self.upload()
            except Exception as error:  # noqa: BLE001
                failures.append(error)

        thread = threading.Thread(target=keep_on)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()
        assert failures == []

    def answered_by(self, model: str) -> Callable[[], bool]:
        """Ask whether some scan was answered by a model."""

        def asked() -> bool:
            with self.place.sessions() as session:
                of_model = select(ResultRow.prediction_id).where(ResultRow.model_version_id == model)
                return not {*session.scalars(of_model)}.isdisjoint(self.uploaded)

        return asked

    def require_every_answer_whole(self, *models: str) -> None:
        """Every scan is answered at its first attempt, by one of the models, named in its result."""
        for prediction_id in self.uploaded:
            row = self.place.wait_for(prediction_id, PredictionState.SUCCEEDED, within_s=180)
            assert row.attempts == 1
        with self.place.sessions() as session:
            versions = {row.id: row for row in session.scalars(select(ModelVersionRow))}
            results = session.scalars(
                select(ResultRow).where(ResultRow.prediction_id.in_(self.uploaded))
            ).all()
            assert {result.model_version_id for result in results} == set(models)
            for result in results:
                version, said = versions[result.model_version_id], result.result["model"]
                assert (said["name"], said["version"]) == (version.name, version.version)
            # The same scan each time: a model says the same, and no two of them do.
            said_by = {model: set() for model in models}
            for result in results:
                said_by[result.model_version_id].add(round(result.adhd_probability, 6))
            assert {len(found) for found in said_by.values()} == {1}, said_by
            assert len(set.union(*said_by.values())) == len(models)


@pytest.fixture
def installation(make_workplace: MakeWorkplace, tmp_path: Path) -> Iterator[Installation]:
    place = make_workplace(broker="redis", database="postgresql", explanations="on-request")
    spec = PreprocessingSpec.from_json(read_card(demonstration_checkpoint()).preprocessing)
    everybody = tiny_subjects(88)
    with place.sessions.begin() as session:
        for name, subjects in (("people", everybody[:48]), ("held-out", everybody[48:])):
            series = {one.subject_id: [series_of(one, n_frames=2 * spec.window_frames)] for one in subjects}
            store = write_store(
                tmp_path / name, subjects=subjects, series=series, spec=spec, name=name, simulated=True
            )
            register_cohort(session, store.folder, actor=ACTOR)
        chief = create_user(
            session,
            username="chief",
            password=PASSWORD,
            role=Role.ADMINISTRATOR,
            organisation_id=DEFAULT_ORGANISATION_ID,
            by_owner=True,
        )
        scopes = [Scope.ADMIN, Scope.MODELS_READ, Scope.SCANS_WRITE, Scope.PREDICTIONS_READ]
        key = create_api_key(session, user=chief, name="test", scopes=scopes)
    for queues in (
        ["inference"],
        ["inference"],
        ["planning", "evaluation", "scoring"],
        ["training"],
        ["maintenance"],
    ):
        place.worker(*queues)
    with web_process(place.settings) as (address, _process, _seconds):
        headers = {"Authorization": f"Bearer {key}"}
        with httpx2.Client(base_url=address, headers=headers, timeout=60) as client:
            running = Installation(place, address, client)
            people = running.post(
                f"{ADMIN}/evaluation-sets", expected=201, name="held out", cohort="held-out"
            )
            running.post(f"{ADMIN}/evaluation-sets/{people['id']}/use")
            # Everything has started, so that what follows meets scans on their way.
            running.upload()
            place.wait_for(running.uploaded[0], PredictionState.SUCCEEDED, within_s=180)
            yield running


def test_over_rest(installation: Installation) -> None:
    place, champion = installation.place, installation.active()
    [run] = installation.post(f"{ADMIN}/training-runs", expected=202, **QUICK)["runs"]
    seen: list[Any] = []

    def ended() -> bool:
        seen.append(installation.get(f"{ADMIN}/training-runs/{run['id']}"))
        assert seen[-1]["status"] not in {"failed", "cancelled"}, seen[-1]["error"]
        return bool(seen[-1]["status"] == "succeeded")

    wait_until(ended, "a challenger", within_s=240)
    progress = [look["progress"] for look in seen]
    assert progress == sorted(progress)
    assert len({round(share, 3) for share in progress}) >= 3, "nobody could follow it"
    challenger = seen[-1]["model_version_id"]
    assert installation.active() == champion, "a challenger answers nothing"

    # It is compared by itself, on people whom neither has met.
    model = installation.get(f"{ADMIN}/models/{challenger}")
    evaluation = f"{ADMIN}/evaluations/{model['evaluation']['id']}"
    wait_until(lambda: installation.get(evaluation)["status"] == "succeeded", "a comparison", within_s=240)
    outcome = installation.get(evaluation)["outcome"]
    assert outcome["evaluation_set"]["subjects"] == 40
    assert set(outcome["together"]["differences"]) == {
        "auc",
        "sensitivity",
        "specificity",
        "brier",
        "uncertain_share",
    }
    rules = {rule["name"]: rule["passed"] for rule in outcome["rules"]}
    assert rules["no_leak"] is True
    assert rules["backends_agree"] is True

    # In shadow it scores what the champion answers.
    installation.post(f"{ADMIN}/models/{challenger}/shadow", expected=201, reason="to see first")
    installation.upload()

    def scored() -> bool:
        with place.sessions() as session:
            scores = session.scalars(select(ScoreRow).where(ScoreRow.model_version_id == challenger)).all()
            return any(score.state == "succeeded" for score in scores)

    wait_until(scored, "a score beside an answer", within_s=120)

    refused = installation.post(f"{ADMIN}/models/{challenger}/promote", expected=409, reason="because")
    assert refused["code"] == "gate_not_passed"
    with installation.live():
        body = {"reason": "the next one", "override_reason": WHY, "expected_active": champion}
        promoted = installation.post(f"{ADMIN}/models/{challenger}/promote", **body)
        wait_until(installation.answered_by(challenger), "an answer by the challenger", within_s=120)
        assert installation.active() == challenger
        again = installation.post(f"{ADMIN}/models/rollback", reason="only a trial")
        before = len(installation.uploaded)
        wait_until(lambda: len(installation.uploaded) > before + 2, "scans after the rollback", within_s=60)
    assert (promoted["kind"], again["kind"], installation.active()) == ("promotion", "rollback", champion)
    overruled = {rule["name"] for rule in promoted["overridden"]["rules"]}
    assert overruled == {name for name, passed in rules.items() if not passed}
    installation.require_every_answer_whole(champion, challenger)

    plan = installation.client.get(f"{ADMIN}/training-runs/{run['id']}/change-plan.html").text
    assert "Both on the same 40 simulated people" in plan
    assert WHY in plan
    with place.sessions() as session:
        verify(session)
        history = [(row.kind, row.reason) for row in deployments(session)]
    assert history[:2] == [("rollback", "only a trial"), ("promotion", "the next one")]


def test_in_the_browser(installation: Installation, browser: Browser) -> None:
    champion = installation.active()
    page = browser.new_page(base_url=installation.address)
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.set_default_timeout(60_000)
    page.goto("/login")
    page.get_by_label("User name").fill("chief")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    page.wait_for_url(f"{installation.address}/")

    challenger = _train_by_hand(page)
    page.goto(f"/models/{challenger}")
    side_by_side = page.get_by_role("region", name="Beside the model that answers")
    expect(side_by_side.get_by_role("row", name="Sensitivity")).to_be_visible(timeout=240_000)
    with installation.live():
        page.goto(f"/models/{challenger}")
        page.get_by_label("Reason", exact=True).fill("the next one")
        page.get_by_label("Why the failed rules shall not matter").fill(WHY)
        page.get_by_role("button", name="Promote").click()
        expect(page.get_by_role("status").first).to_contain_text("This model answers from now on")
        wait_until(installation.answered_by(challenger), "an answer by the challenger", within_s=120)
        page.goto("/models")
        page.get_by_label("Reason").fill("only a trial")
        page.get_by_role("button", name="Roll back").click()
        expect(page.get_by_text("The model before answers again.")).to_be_visible()
        before = len(installation.uploaded)
        wait_until(lambda: len(installation.uploaded) > before + 2, "scans after the rollback", within_s=60)
    assert installation.active() == champion
    installation.require_every_answer_whole(champion, challenger)
    assert errors == []


def _train_by_hand(page: Page) -> str:
    """Ask for training with the form and follow its page to the challenger; gives its id."""
    page.goto("/training/new")
    page.get_by_label("Cohort").select_option(label="people (24 cases, 24 controls)")
    for box in page.get_by_role("group", name="Residual networks").get_by_role("checkbox").all():
        box.set_checked(box.get_attribute("value") == "A")
    page.get_by_role("textbox", name="Width").fill("2")
    page.get_by_role("textbox", name="Folds").fill("2")
    page.get_by_role("textbox", name="Epochs at most").fill("3")
    page.get_by_role("combobox", name="Residual network").select_option("frozen")
    page.get_by_role("button", name="Start the training").click()
    link = page.get_by_role("link", name="challenger")
    # The page renews itself.
    expect(link).to_be_visible(timeout=240_000)
    address = link.get_attribute("href")
    assert address is not None
    return address.removeprefix("/models/")
