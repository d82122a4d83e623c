"""The pages about training: what they show of each state, and the form that asks for some."""

import re
from typing import Any

import pytest
from sqlalchemy import select

from service.db.rows import CohortRow, RunState, TrainingRunRow
from service.identity.roles import Role
from tests.service.api.serving import Serving, sample_result
from tests.service.api.training_rows import add_runs

HTML = {"Accept": "text/html"}
CHINESE = HTML | {"Accept-Language": "zh-CN"}
FORM = {"networks": ["C"], "rnns": ["lstm"], "seeds": "0", "folds": "5", "epochs": "3"}


def text_of(page: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page.split("<main")[1].split("</main", maxsplit=1)[0]))


@pytest.fixture
def token(served: Serving) -> str:
    return served.log_in(served.user("chief", Role.ADMINISTRATOR))


@pytest.fixture
def runs(served: Serving, token: str) -> dict[RunState, str]:
    cohort_id, model_id = served.register_cohort(), served.register_model()
    with served.sessions.begin() as session:
        return add_runs(session, session.get_one(CohortRow, cohort_id), model_version_id=model_id)


def shown(served: Serving, path: str, headers: dict[str, str] = HTML) -> str:
    answer = served.client.get(path, headers=headers)
    assert answer.status_code == 200, answer.text
    return answer.text


def test_without_a_cohort_the_pages_say_how_there_will_be_one(served: Serving, token: str) -> None:
    assert token
    for path in ("/training", "/training/new"):
        text = text_of(shown(served, path))
        assert "restnet cohort register" in text
        assert "Start the training" not in text


def test_the_list_names_each_run_with_its_state_and_renews_itself_while_one_is_live(
    served: Serving, runs: dict[RunState, str]
) -> None:
    page = shown(served, "/training")
    text = text_of(page)
    for said in (
        "Finished",
        "Failed training_diverged",
        "Cancelled",
        "In training",
        "Being planned",
        "Waiting",
    ):
        assert said in text, said
    assert all(f'href="/training/{run_id}"' in page for run_id in runs.values())
    assert 'hx-trigger="every 3s"' in page
    with served.sessions.begin() as session:
        for row in session.scalars(select(TrainingRunRow)):
            row.state = RunState.CANCELLED
    assert "every 3s" not in shown(served, "/training")


def test_a_run_in_training_shows_its_folds_losses_and_log_and_can_be_stopped(
    served: Serving, runs: dict[RunState, str]
) -> None:
    page = shown(served, f"/training/{runs[RunState.TRAINING]}")
    text = text_of(page)
    assert "5 of at most 20" in text
    assert "9, best 4" in text
    assert "Fold 2. Epoch 4: training loss 0.580, watched loss 0.674, AUC 0.580, 61.5 s." in text
    assert "At most about" in text
    assert 'hx-trigger="every 2s"' in page
    assert len(re.findall(r'<polyline class="of-training" points="[\d., ]+"', page)) == 2
    assert "/cancel" in page
    assert "/resume" not in page


@pytest.mark.parametrize(
    ("state", "said", "act"),
    [
        (RunState.FAILED, "fold 2 of 3: expected a finite loss, found inf.", "resume"),
        (RunState.CANCELLED, "Cancelled.", "resume"),
        (RunState.SUCCEEDED, "It answers nothing until somebody promotes it.", None),
    ],
)
def test_a_run_that_is_over_says_how_and_what_can_be_done(
    served: Serving, runs: dict[RunState, str], state: RunState, said: str, act: str | None
) -> None:
    page = shown(served, f"/training/{runs[state]}")
    assert said in text_of(page).replace("Fold 2 of 3", "fold 2 of 3")
    assert "every 2s" not in page
    assert re.findall(r'action="/training/[^"]+/(\w+)"', page) == ([act] if act else [])


def test_stopping_and_going_on_work_without_scripts(
    served: Serving, runs: dict[RunState, str], token: str
) -> None:
    sent = {"csrf_token": token}
    address = f"/training/{runs[RunState.QUEUED]}"
    for act, state in (("cancel", "Cancelled"), ("resume", "Waiting"), ("resume", "Waiting")):
        answer = served.client.post(f"{address}/{act}", data=sent, headers=HTML)
        assert (answer.status_code, answer.headers["location"]) == (303, address)
        assert state in text_of(shown(served, address))
    refused = served.client.post(f"{address}/cancel", data={"csrf_token": "x"}, headers=HTML)
    assert refused.status_code == 403


def ask(served: Serving, token: str, headers: dict[str, str] = HTML, **fields: Any) -> Any:
    return served.client.post("/training", data=FORM | {"csrf_token": token} | fields, headers=headers)


def test_a_form_makes_a_run_for_each_choice_and_goes_to_it(served: Serving, token: str) -> None:
    cohort_id = served.register_cohort()
    answer = ask(served, token, cohort=cohort_id, learning_rate="0.001", split="stratified")
    assert answer.status_code == 303, answer.text
    with served.sessions() as session:
        [row] = session.scalars(select(TrainingRunRow))
    assert answer.headers["location"] == f"/training/{row.id}"
    assert row.request is not None
    wanted = {"network": "C", "rnn": "lstm", "seed": 0, "epochs": 3, "learning_rate": 0.001}
    assert row.request["settings"] == wanted
    many = ask(served, token, cohort="tiny", networks=["A", "D"], rnns=["lstm", "gru"], seeds="1, 2 3")
    assert (many.status_code, many.headers["location"]) == (303, "/training")
    with served.sessions() as session:
        assert len(session.scalars(select(TrainingRunRow)).all()) == 13
    whole = ask(served, token, cohort="tiny", split="leave_site_out", folds="none")
    assert whole.status_code == 303, "folds are not used there"


def test_the_form_counts_whose_scans_may_be_added_and_a_tick_asks_for_them(
    served: Serving, token: str
) -> None:
    served.register_cohort()
    model = served.register_model()
    for subject, said in (
        ("A", {"training_consent": True, "diagnosis": "adhd"}),
        (None, {"training_consent": True}),
    ):
        about = {} if subject is None else {"subject_id": subject}
        accepted = served.upload({"X-CSRF-Token": token}, **about)
        served.finish(accepted["prediction_id"], sample_result(), model_version_id=model)
        address = f"/api/v1/predictions/{accepted['prediction_id']}/review"
        sent = served.client.post(
            address, json={"verdict": "accepted", **said}, headers={"X-CSRF-Token": token}
        )
        assert sent.status_code == 201, sent.text
    page = shown(served, "/training/new")
    # The same file, so the same person.
    assert "Now: 1 people with 1 scans, 1 with ADHD, 0 controls." in text_of(page)
    assert "1: the diagnosis is not ADHD or control, or not given" in text_of(page)
    assert 'name="reviewed_scans" value="yes" aria-describedby="reviewed-hint">' in page
    assert ask(served, token, cohort="tiny").status_code == 303
    assert ask(served, token, cohort="tiny", reviewed_scans="yes").status_code == 303
    with served.sessions() as session:
        rows = session.scalars(select(TrainingRunRow).order_by(TrainingRunRow.created_at)).all()
    assert [(row.request or {})["reviewed_scans"] for row in rows] == [False, True]
    again = ask(served, token, cohort="tiny", reviewed_scans="yes", epochs="many")
    assert 'aria-describedby="reviewed-hint" checked>' in again.text


def test_a_run_says_how_many_reviewed_people_took_part(served: Serving, runs: dict[RunState, str]) -> None:
    told = {"n_people": 7, "n_cases": 3, "n_scans": 9, "n_left_out": 2, "left_out": {"withdrawn": 2}}
    with served.sessions.begin() as session:
        row = session.get_one(TrainingRunRow, runs[RunState.TRAINING])
        row.plan = (row.plan or {}) | {"reviewed": told}
    text = text_of(shown(served, f"/training/{runs[RunState.TRAINING]}"))
    assert "7 people with 9 scans are trained on and not measured, 3 of them cases" in text
    assert "2 left out: the consent was withdrawn" in text
    assert "同意已撤回" in shown(served, f"/training/{runs[RunState.TRAINING]}", CHINESE)


def test_what_cannot_be_is_said_beside_its_field_and_nothing_is_lost(served: Serving, token: str) -> None:
    served.register_cohort()
    wrong = {"cohort": "tiny", "epochs": "many", "width": "999", "seeds": "1, x", "rnns": [], "folds": "7"}
    answer = ask(served, token, **wrong)
    assert answer.status_code == 422
    page = answer.text
    for name, said in (
        ("epochs", "A whole number from 1 to 100000."),
        ("width", "A whole number from 1 to 256."),
        ("seeds", "Whole numbers from 0 to 4294967295"),
        ("rnns", "Choose at least one."),
    ):
        assert re.search(rf'id="{name}-problem">{re.escape(said)}', page), name
        assert f'aria-describedby="{name}-problem"' in page
    assert 'value="many"' in page
    assert 'name="folds" inputmode="decimal" autocomplete="off" maxlength="255" value="7"' in page
    with served.sessions() as session:
        assert session.scalars(select(TrainingRunRow)).all() == []


def test_a_refusal_is_said_above_the_form_in_the_readers_language(served: Serving, token: str) -> None:
    served.register_cohort()
    small = ask(served, token, cohort="tiny", folds="30")
    assert small.status_code == 422
    assert "expected at least 30 cases and 30 controls" in text_of(small.text).replace("Expected", "expected")
    chinese = ask(served, token, CHINESE, cohort="tiny", folds="30")
    assert "30 折至少需要病例和对照各 30 名，但只有病例 20 名、对照 20 名。" in text_of(chinese.text)
    many = ask(
        served, token, cohort="tiny", networks=["A", "B", "C", "D"], seeds=" ".join(map(str, range(11)))
    )
    assert "That would be 44 runs; at most 40" in text_of(many.text)


def test_the_pages_are_read_in_chinese(served: Serving, runs: dict[RunState, str]) -> None:
    text = text_of(shown(served, f"/training/{runs[RunState.TRAINING]}", CHINESE))
    assert "正在训练" in text
    assert "第 2 折。第 4 轮：训练损失 0.580，监测损失 0.674，AUC 0.580，61.5 秒。" in text


def test_only_administrators_are_led_there(served: Serving) -> None:
    for role in Role:
        served.log_in(served.user(f"a-{role.value}", role))
        administers = role == Role.ADMINISTRATOR
        start = "/users" if administers else "/"
        assert ('href="/training"' in shown(served, start)) == administers
        served.client.cookies.clear()
