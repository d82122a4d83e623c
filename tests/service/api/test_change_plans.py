"""The change plan of a training run over REST: three parts, filled in as far as the records go."""

import io
import re
from typing import Any

import pypdf
import pytest

from service import registry
from service.db.rows import RunState, TrainingRunRow
from service.identity.actor import program
from service.identity.roles import Role
from tests.service.api.serving import CARD, Serving
from tests.service.api.training_rows import PLAN
from tests.service.evaluated import evaluate, outcome

FIGURE = {"value": 0.9, "low": 0.85, "high": 0.94}
POPULATION: dict[str, Any] = {
    "subjects": 40,
    "cases": 20,
    "controls": 20,
    "sex": {"female": 18, "male": 22},
    "sites": {"NYU": 30, "OHSU": 10},
    "subjects_at_unnamed_sites": 0,
    "repetition_times": [{"tr_s": 2.0, "subjects": 40}],
    "figures": {},
}
OLD = CARD | {"trained_on": "people of old", "population": POPULATION}
NEW = CARD | {
    "trained_on": "people of late",
    "threshold": 0.417,
    "metrics": {"protocol": "nested"}
    | dict.fromkeys(("auc", "balanced_accuracy", "sensitivity", "specificity"), FIGURE),
    "population": POPULATION | {"sites": {"NYU": 40}},
}


@pytest.fixture
def key(served: Serving) -> dict[str, str]:
    return served.key("chief", Role.ADMINISTRATOR)


@pytest.fixture
def run_id(served: Serving, key: dict[str, str]) -> str:
    served.register_cohort()
    [run] = served.train(key, seeds=[7])
    return str(run["id"])


def plan_of(served: Serving, key: dict[str, str], run_id: str, **asked: str) -> str:
    address = f"/api/v1/admin/training-runs/{run_id}/change-plan.html"
    answer = served.client.get(address, headers=key, params=asked)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-security-policy"].startswith("default-src 'none'")
    return answer.text


def row(html: str, name: str, *, nth: int = 0) -> list[str]:
    """Give the other cells of a table's row."""
    cells = re.findall(rf"<th scope=\"row\"><bdi>{re.escape(name)}</bdi></th>(.*?)</tr>", html, re.DOTALL)
    return re.findall(r"<td><bdi>(.*?)</bdi></td>", cells[nth], re.DOTALL)


def finish(served: Serving, run_id: str, card: dict[str, Any]) -> str:
    model = served.add_model("2", card)
    with served.sessions.begin() as session:
        run = session.get_one(TrainingRunRow, run_id)
        run.state, run.plan, run.model_version_id = RunState.SUCCEEDED, PLAN, model
    return model


def promote(served: Serving, key: dict[str, str], model: str) -> None:
    said = {"reason": "is better", "override_reason": "a reason long enough"}
    answer = served.client.post(f"/api/v1/admin/models/{model}/promote", headers=key, json=said)
    assert answer.status_code == 200, answer.text


def test_of_a_run_that_waits_it_says_what_is_asked_for_and_what_is_not_known(
    served: Serving, key: dict[str, str], run_id: str
) -> None:
    html = plan_of(served, key, run_id)

    assert re.findall(r"<h2 id=\"(.*?)\">", html) == ["modifications", "verification", "impact"]
    assert "State of the run: Waiting." in html
    assert row(html, "Network") == ["none", "C + Bi-LSTM"]
    assert row(html, "Threshold") == ["none", "known when the run has finished"]
    assert row(html, "Seed") == ["7"]
    assert "None answers yet" in html


def test_of_a_finished_run_it_sets_the_model_beside_the_one_that_answers(
    served: Serving, key: dict[str, str], run_id: str
) -> None:
    old = served.add_model("1", OLD)
    promote(served, key, old)
    finish(served, run_id, NEW)

    html = plan_of(served, key, run_id)

    assert row(html, "Trained on") == ["people of old", "people of late"]
    assert row(html, "Threshold")[1] == "0.417"
    assert row(html, "AUC")[1].startswith("0.90")
    assert row(html, "Protocol", nth=0) == ["nested: early stop on an inner part"]
    assert row(html, "Subjects") == ["40 subjects, 20 of them cases"]
    assert row(html, "Sites") == ["NYU 30, OHSU 10", "NYU 40"]
    assert re.search(r"Sites that it no longer learnt from</dt><dd><bdi>OHSU</bdi>", html)
    assert row(html, "Evidence complete")[-1] == "passed"
    assert "As before, field by field" in html
    assert "nobody has set the two side by side" in html


def test_a_model_that_is_no_network_is_called_by_its_method(
    served: Serving, key: dict[str, str], run_id: str
) -> None:
    promote(served, key, served.add_model("1", OLD | {"width": 16}))
    # As every card, it has the defaults of what only networks have.
    finish(served, run_id, NEW | {"method": "ridge-connectivity", "width": 16})

    html = plan_of(served, key, run_id)

    multiplied = " \N{MULTIPLICATION SIGN} 4"
    assert row(html, "Method") == [f"C + Bi-LSTM{multiplied}", f"Ridge on connectivity{multiplied}"]
    assert row(html, "Width") == ["16", "none"]


def test_with_an_evaluation_it_has_the_differences_on_the_same_people(
    served: Serving, key: dict[str, str], run_id: str
) -> None:
    old = served.add_model("1", OLD)
    promote(served, key, old)
    new = finish(served, run_id, NEW)
    with served.sessions.begin() as session:
        evaluate(session, champion=old, challenger=new)

    html = plan_of(served, key, run_id)

    assert "Both on the same 300 simulated people (120 cases) of the locked evaluation set held out" in html
    assert row(html, "AUC", nth=1) == [
        "0.840 [0.790, 0.890]",
        "0.860 [0.810, 0.910]",
        "+0.020 [-0.010, +0.050]",
    ]
    assert row(html, "Uncertain answers") == ["0.220", "0.220", "+0.010 [-0.010, +0.030]"]
    assert row(html, "NYU") == ["0.840 [0.760, 0.920]", "0.860 [0.780, 0.940]"]
    assert "nobody has set the two side by side" not in html


def test_once_promoted_it_is_still_about_the_model_before_and_says_why_it_was(
    served: Serving, key: dict[str, str], run_id: str
) -> None:
    old = served.add_model("1", OLD)
    promote(served, key, old)
    new = finish(served, run_id, NEW | {"preprocessing": {"tr_s": 1.5}})
    with served.sessions.begin() as session:
        evaluate(session, champion=old, challenger=new, found=outcome("calibrated"))
    with served.sessions.begin() as session:
        # Another preprocessing is for who operates the service.
        version = registry.require_version(session, new)
        registry.let_answer(
            session, served.resources.storage, version, actor=program("serve"), reason="is better all in all"
        )

    html = plan_of(served, key, run_id)

    # The gate as it stood beside the model before, not beside itself.
    assert row(html, "No leak")[-1] == "passed"
    assert row(html, "Calibrated") == [
        (
            "its probabilities are no further from the truth than chance allows (a calibration error "
            "of at most 0.090)"
        ),
        "what calibrated found",
        "failed",
    ]

    assert row(html, "Trained on") == ["people of old", "people of late"]
    assert "overruled: " in html
    chinese = plan_of(served, key, run_id, language="zh-Hans")
    assert row(chinese, "已校准")[0] == "其概率与实际的偏差不超过偶然所致 (校准误差不超过 0.090)"
    assert row(chinese, "AUC 不更差")[0].endswith("(整个区间高于 -0.05)")
    assert "is better" in html
    assert "This changes, and is a rule of the gate: tr_s" in html


def test_of_a_model_that_was_rolled_back_it_has_the_comparison_with_the_one_that_answers_now(
    served: Serving, key: dict[str, str], run_id: str
) -> None:
    old = served.add_model("1", OLD)
    promote(served, key, old)
    new = finish(served, run_id, NEW)
    promote(served, key, new)
    back = served.client.post("/api/v1/admin/models/rollback", headers=key, json={"reason": "worse"})
    assert back.status_code == 200, back.text
    now = served.add_model("3", NEW | {"trained_on": "people of now"})
    promote(served, key, now)
    with served.sessions.begin() as session:
        evaluate(session, champion=now, challenger=new)

    html = plan_of(served, key, run_id)

    assert row(html, "Trained on") == ["people of now", "people of late"]
    assert "Both on the same 300 simulated people" in html
    assert "nobody has set the two side by side" not in html

    promote(served, key, new)
    assert row(plan_of(served, key, run_id), "Trained on") == ["people of now", "people of late"]


def test_what_somebody_typed_stays_text(served: Serving, key: dict[str, str], run_id: str) -> None:
    finish(served, run_id, NEW | {"trained_on": "<script>alert(1)</script>#eval(1)$x$"})

    html = plan_of(served, key, run_id)
    pdf = served.client.get(f"/api/v1/admin/training-runs/{run_id}/change-plan.pdf", headers=key)

    assert "<script" not in html
    assert "&lt;script&gt;alert(1)" in html
    text = "".join(page.extract_text() for page in pypdf.PdfReader(io.BytesIO(pdf.content)).pages)
    assert "#eval(1)$x$" in text.replace("\u200b", "").replace("\n", "")


@pytest.mark.parametrize(("language", "said"), [("en", "What may change"), ("zh-Hans", "可能改变")])
def test_the_pdf_is_tagged_in_its_language_and_has_all_three_parts(
    served: Serving, key: dict[str, str], run_id: str, language: str, said: str
) -> None:
    address = f"/api/v1/admin/training-runs/{run_id}/change-plan.pdf"
    answer = served.client.get(address, headers=key, params={"language": language})

    assert answer.headers["content-type"] == "application/pdf"
    assert run_id in answer.headers["content-disposition"]
    reader = pypdf.PdfReader(io.BytesIO(answer.content))
    text = "".join(page.extract_text() for page in reader.pages).replace("\u200b", "")
    assert said in text.replace("\n", "")
    assert [f"{number}." in text for number in (1, 2, 3)] == [True] * 3
    assert str(reader.trailer["/Root"]["/Lang"]).startswith(language[:2])
    assert reader.trailer["/Root"]["/MarkInfo"]["/Marked"]


def test_a_run_that_nobody_knows_has_none(served: Serving, key: dict[str, str]) -> None:
    answer = served.client.get(
        "/api/v1/admin/training-runs/01234567-0123-7123-8123-0123456789ab/change-plan.html",
        headers=key | {"accept": "application/json"},
    )
    assert (answer.status_code, answer.json()["code"]) == (404, "training_run_not_found")
