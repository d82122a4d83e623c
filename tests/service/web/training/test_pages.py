"""The pages about training: what they show of each state, and the form that asks for some."""

import re
from typing import Any
from urllib.parse import urlencode

import pytest
from sqlalchemy import select, update

from service.db.rows import (
    CohortRow,
    EvaluationSetRow,
    FoldState,
    ModelVersionRow,
    RunState,
    TrainingFoldRow,
    TrainingRunRow,
)
from service.identity.roles import Role
from service.presence import say_present
from service.training_request import shared_settings
from service.web.training import wording
from tests.service.answering import let_answer
from tests.service.api.serving import CARD, Serving, sample_result
from tests.service.api.training_rows import add_runs
from tests.service.evaluated import evaluate

HTML = {"Accept": "text/html"}
CHINESE = HTML | {"Accept-Language": "zh-CN"}
NUMBERS = {
    "seeds": "0",
    "folds": "5",
    "epochs": "3",
    "patience": "5",
    "width": "16",
    "batch_size": "32",
    "windows_per_subject": "1",
    "learning_rate": "0.0001",
}
FORM = {"networks": ["C"], "rnns": ["lstm"], **NUMBERS}


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
    assert re.search(r"\d\d:\d\d:\d\d UTC Fold 2\. Epoch 4", text)
    assert "Fold 2. Epoch 4: training loss 0.580, watched loss 0.674, AUC 0.580, 61.5 s." in text
    assert "Time left, if nothing else is trained: about" in text
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


def test_a_run_whose_reviewed_scans_are_prepared_says_so_and_how_far_it_is(
    served: Serving, runs: dict[RunState, str]
) -> None:
    run_id = runs[RunState.PLANNING]
    assert "Reviewed scans are prepared" not in shown(served, f"/training/{run_id}")
    with served.sessions.begin() as session:
        run = session.get_one(TrainingRunRow, run_id)
        run.progress, run.request = 0.45, (run.request or {}) | {"reviewed_scans": True}
    page = shown(served, f"/training/{run_id}")
    assert "Reviewed scans are prepared for it" in page
    assert '<progress max="1" value="0.045"' in page


def test_the_watched_auc_says_that_it_is_of_a_few_people(served: Serving, runs: dict[RunState, str]) -> None:
    text = text_of(shown(served, f"/training/{runs[RunState.TRAINING]}"))
    assert "AUC of the watched" in text
    # 15 % of those two thirds of 40 people that are not in the reported fold.
    assert "0.580 of about 4 people" in text
    with served.sessions.begin() as session:
        for fold in session.scalars(select(TrainingFoldRow)):
            if fold.outcome:
                fold.outcome = fold.outcome | {"n_stopping": 5}
    assert "of 5 people" in text_of(shown(served, f"/training/{runs[RunState.TRAINING]}"))


def test_the_cohort_of_the_set_in_use_is_never_chosen_by_itself_and_warned_of(
    served: Serving, token: str
) -> None:
    cohort_id = served.register_cohort("aside")
    other_id = served.register_cohort("other")
    assert "is the cohort of the evaluation set" not in shown(served, "/training/new")
    with served.sessions.begin() as session:
        tested = session.get_one(CohortRow, cohort_id)
        session.add(
            EvaluationSetRow(
                name="kept",
                cohort_id=cohort_id,
                cohort_fingerprint=tested.fingerprint,
                simulated=True,
                selection="all",
                where=[],
                in_use=True,
                added_by="test",
            )
        )
    page = shown(served, "/training/new")
    assert re.findall(r'<option value="([^"]*)" selected>', page.split('name="selection"')[0]) == [""]
    assert "aside is the cohort of the evaluation set in use, kept: the gate stops" in text_of(page)
    assert "请选择一个队列" in shown(served, "/training/new", CHINESE)
    assert ask(served, token, cohort="").status_code == 422
    said = "aside is the cohort of the evaluation set in use, kept"
    for chosen, warned in ((cohort_id, True), (other_id, False)):
        run = ask(served, token, cohort=chosen).headers["location"]
        assert (said in text_of(shown(served, run))) is warned


@pytest.mark.parametrize("name", NUMBERS)
def test_an_emptied_number_is_asked_for_and_starts_nothing(served: Serving, token: str, name: str) -> None:
    served.register_cohort()
    answer = ask(served, token, cohort="tiny", **{name: " "})
    assert answer.status_code == 422
    assert f'id="{name}-problem">' in answer.text
    with served.sessions() as session:
        assert session.scalars(select(TrainingRunRow)).all() == []


def test_a_finished_run_leads_to_its_comparison_where_there_is_one(
    served: Serving, runs: dict[RunState, str]
) -> None:
    path = f"/training/{runs[RunState.SUCCEEDED]}"
    assert "#comparison-heading" not in shown(served, path)
    with served.sessions.begin() as session:
        made = session.get_one(TrainingRunRow, runs[RunState.SUCCEEDED]).model_version_id
        champion = ModelVersionRow(
            name="other", version="2", sha256="c" * 64, storage_key="models/c.st", card=CARD
        )
        evaluate(session, challenger=str(made), champion=let_answer(session, champion).id)
    assert f'href="/models/{made}#comparison-heading"' in shown(served, path)
    assert 'id="comparison-heading"' in shown(served, f"/models/{made}")


def test_a_run_that_waits_says_for_what(served: Serving, runs: dict[RunState, str]) -> None:
    def said(state: RunState) -> str:
        return text_of(shown(served, f"/training/{runs[state]}"))

    assert "It waits for a worker that plans runs: none has been seen lately." in said(RunState.QUEUED)
    assert "Its folds wait" not in said(RunState.TRAINING)
    with served.sessions.begin() as session:
        session.get_one(TrainingRunRow, runs[RunState.PLANNING]).state = RunState.QUEUED
        session.execute(
            update(TrainingFoldRow)
            .where(TrainingFoldRow.state == FoldState.TRAINING)
            .values(state=FoldState.QUEUED)
        )
    assert "Its folds wait for a training worker: none has been seen" in said(RunState.TRAINING)
    listed = text_of(shown(served, "/training"))
    assert "Folds wait" in listed
    assert "In training" not in listed
    items = served.client.get("/api/v1/admin/training-runs").json()["items"]
    alone = [served.client.get(f"/api/v1/admin/training-runs/{one['id']}").json() for one in items]
    assert [one["waiting"] for one in items] == [one["waiting"] for one in alone]
    assert any((one["waiting"] or {}).get("queue") == "training" for one in items)
    with served.sessions.begin() as session:
        say_present(session, worker="a-1-b@there", queues=["planning", "training"], host="there")
    places = [said(state).split("runs before it: ")[1][0] for state in (RunState.QUEUED, RunState.PLANNING)]
    assert sorted(places) == ["0", "1"]
    # Those of another run were asked for in the same moment.
    assert re.search(
        r"Its folds wait for a training worker; folds before them: \d\.", said(RunState.TRAINING)
    )


def facts_of(page: str) -> dict[str, str]:
    return dict(re.findall(r"<dt>(.*?)</dt><dd[^>]*>(.*?)</dd>", page))


def test_a_run_says_what_was_asked_for_in_words_also_where_planning_refused_it(
    served: Serving, token: str
) -> None:
    served.register_cohort()
    assert token
    chief = served.key("asking", Role.ADMINISTRATOR)
    settings = {"epochs": 7, "encoder": "frozen", "micro_batch": 4, "learning_rate": 0.001}
    [run] = served.train(
        chief, cohort="tiny", where=["age<=18", "site=NYU"], selection="train", seeds=[3], **settings
    )
    with served.sessions.begin() as session:
        row = session.get_one(TrainingRunRow, run["id"])
        row.state, row.error_code, row.error_message = RunState.FAILED, "selection_needs_release", "none"
    asked = {
        "Who takes part": "the official training release",
        "Filters": "age&lt;=18 · site=NYU",
        "Split": "folds of equal make-up",
        "Device": "a GPU where there is one",
        "Seed": "3",
        "Protocol": "nested: early stop on an inner part",
        "Folds": "5",
        "Epochs at most": "7",
        "Weights of the residual network": "frozen: quick, only the recurrent layer is fitted",
        "Windows at once on the device": "4",
        "Learning rate": "0.001",
    }
    path = f"/training/{run['id']}"
    facts = facts_of(shown(served, path))
    assert facts.pop("Run") == run["id"]
    assert facts == asked
    chinese = facts_of(shown(served, path, CHINESE))
    assert not set(asked) & set(chinese)
    [sites] = served.train(chief, cohort="tiny", split="leave_site_out")
    assert "Folds" not in facts_of(shown(served, f"/training/{sites['id']}"))


def test_every_setting_of_a_request_has_a_name_on_the_page() -> None:
    assert set(wording.SETTINGS) == set(shared_settings())


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
    assert wanted.items() <= row.request["settings"].items()
    many = ask(served, token, cohort="tiny", networks=["A", "D"], rnns=["lstm", "gru"], seeds="1, 2 3")
    assert (many.status_code, many.headers["location"]) == (303, "/training")
    with served.sessions() as session:
        assert len(session.scalars(select(TrainingRunRow)).all()) == 13
    whole = ask(served, token, cohort="tiny", split="leave_site_out", folds="none")
    assert whole.status_code == 303, "folds are not used there"


def test_a_form_that_is_sent_twice_asks_once_and_a_changed_one_again(served: Serving, token: str) -> None:
    served.register_cohort()
    [form_id] = re.findall(r'name="form_id" value="([^"]+)"', shown(served, "/training/new"))
    first, again = (ask(served, token, cohort="tiny", form_id=form_id) for _ in range(2))
    assert (first.status_code, again.headers["location"]) == (303, first.headers["location"])
    changed = ask(served, token, cohort="tiny", form_id=form_id, epochs="4")
    other = ask(served, token, cohort="tiny", form_id="another")
    with served.sessions() as session:
        found = {f"/training/{run_id}" for run_id in session.scalars(select(TrainingRunRow.id))}
    assert {answer.headers["location"] for answer in (first, changed, other)} == found


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


def test_the_form_is_filled_in_as_its_address_says(served: Serving, token: str) -> None:
    assert token
    cohort_id = served.register_cohort()
    asked = {
        "cohort": cohort_id,
        "selection": "all",
        "networks": ["A", "D"],
        "seeds": "3, 4",
        "epochs": "",
        "width": "<b>",
        "encoder": "frozen",
        "reviewed_scans": "yes",
        "patience": "x" * 300,
        "folds": "4\x00",
    }
    page = shown(served, f"/training/new?{urlencode(asked, doseq=True)}")
    assert f'<option value="{cohort_id}" selected>' in page
    assert '<option value="all" selected>' in page
    assert '<option value="frozen" selected>' in page
    assert re.findall(r'name="networks" value="(.)" checked', page) == ["A", "D"]
    assert re.findall(r'name="rnns" value="(.+?)" checked', page) == []
    assert re.search(r'name="reviewed_scans"[^>]* checked', page)
    typed = dict(re.findall(r'<input name="(\w+)"[^>]* value="(.*?)"', page))
    assert (typed["seeds"], typed["epochs"], typed["width"]) == ("3, 4", "", "&lt;b&gt;")
    assert (typed["patience"], typed["folds"]) == ("", "")
    assert 'role="alert"' not in page
    # Whom nobody has chosen is not chosen: a cohort may have gone.
    gone = shown(served, "/training/new?cohort=gone")
    assert f'<option value="{cohort_id}">' in gone
    assert '<option value="" selected>' in gone
    assert re.findall(r'name="networks" value="(.)" checked', gone) == ["C"]


@pytest.mark.parametrize(
    ("headers", "said"), [(HTML, "found it for none of 40"), (CHINESE, "有诊断的 40 名受试者均无此记录")]
)
def test_a_selection_by_release_that_nobody_is_known_for_is_refused_on_the_form(
    served: Serving, token: str, headers: dict[str, str], said: str
) -> None:
    served.register_cohort(releases=[])
    form = FORM | {"csrf_token": token, "cohort": "tiny", "selection": "seed430"}
    answer = served.client.post("/training", data=form, headers=headers)
    assert answer.status_code == 422
    assert said in answer.text
    assert "selection_needs_release" in text_of(answer.text)
    assert '<option value="seed430" selected>' in answer.text
