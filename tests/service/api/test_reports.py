"""Reports over REST and from the page: what they hold, under which names and headers, and who gets none."""

import re
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from sqlalchemy import update

from service.api import reports
from service.api.resources import REPORTING_THREADS
from service.db.rows import AuditEventRow, ModelVersionRow, PredictionState, ScanRow
from service.identity.roles import Role
from service.report import Report
from service.storage import explanation_key
from service.web import wording
from tests.service.api.serving import (
    CARD,
    PASSWORD,
    REPOSITORY,
    Serving,
    make_settings,
    sample_result,
    serving,
)
from tests.service.report.made_up import HOSTILE, pages_of
from tests.service.report.test_page import File

KINDS = pytest.mark.parametrize("kind", ["html", "pdf"])
QUANTILES = {"level": 0.9, "control": 0.54, "adhd": 0.66}
METRICS = {
    "measured_on": "400 simulated subjects",
    "sensitivity": {"value": 0.8767, "low": 0.8219, "high": 0.9315},
    "specificity": {"value": 0.7953, "low": 0.7479, "high": 1},
    "auc": "unknown",
}


@pytest.fixture
def key(served: Serving) -> dict[str, str]:
    return served.key("m.keller")


def finished(served: Serving, key: dict[str, str], **changes: Any) -> str:
    """Upload a scan, answer it by conformal sets, and return the path of its reports without their kind."""
    model_version_id = served.register_model()
    with served.sessions.begin() as session:
        card = CARD | {"metrics": METRICS, "conformal_quantiles": QUANTILES, "decision_rule": "conformal"}
        session.get_one(ModelVersionRow, model_version_id).card = card
    accepted = served.upload(key, subject_id="P-17", age_years="11.5", sex="female", site="NYU")
    result = sample_result() | {"decision_rule": "conformal"} | changes
    served.finish(accepted["prediction_id"], result, model_version_id=model_version_id)
    return f"/api/v1/predictions/{accepted['prediction_id']}/report"


@KINDS
def test_a_report_is_english_unless_another_language_is_asked_for(
    served: Serving, key: dict[str, str], kind: str
) -> None:
    path = finished(served, key)
    browser = key | {"Accept-Language": "zh-CN"}
    assert "Clinical review" in text_of(served, path, kind, browser)
    answer = served.client.get(f"{path}.{kind}?language=zh-Hans", headers=key)
    text = "".join(pages_of(answer.content)) if kind == "pdf" else File(answer.text).text
    assert "临床复核" in text
    assert "Clinical review" not in text
    refused = served.client.get(f"{path}.{kind}?language=fr", headers=key)
    assert refused.status_code == 422
    assert refused.json()["code"] == "request_not_valid"


def text_of(served: Serving, path: str, kind: str, key: dict[str, str]) -> str:
    answer = served.client.get(f"{path}.{kind}", headers=key)
    assert answer.status_code == 200, answer.text
    if kind == "pdf":
        return " ".join(pages_of(answer.content))
    return File(answer.text).text


def squeezed(text: str) -> str:
    """Take all blanks out: where a line ends, the PDF has one within words."""
    return "".join(text.split())


def review(served: Serving, path: str, key: dict[str, str], **said: str) -> None:
    address = path.removesuffix("/report") + "/review"
    assert served.client.post(address, headers=key, json=said).status_code == 201


@KINDS
def test_it_holds_all_that_a_reader_needs(served: Serving, key: dict[str, str], kind: str) -> None:
    path = finished(served, key)
    review(served, path, key, verdict="accepted", diagnosis="adhd", training_consent=True)
    review(served, path, key, verdict="overridden", decision="control", reason="Slept from minute 3 on.")
    text = squeezed(text_of(served, path, kind, key))
    identifier = path.split("/")[4]
    for expected in (
        wording.banner("demonstration"),
        wording.NOTICE,
        "P-17",
        "11.5 years",
        "female",
        "NYU",
        "61 %",
        "90 % interval 44 % to 75 %",
        "Uncertain",
        "rules out neither",
        wording.CAUTIONS["uncertain"],
        "threshold 50 %",
        "the answer is uncertain from 34 % to 54 %",
        "expected the whole brain, found 97 % of it",
        "coverage_partial",
        "Overridden: control",
        "Slept from minute 3 on.",
        "Final diagnosis: ADHD",
        "consent to training",
        "Brain covered",
        "97 %",
        "5 min 44 s",
        "DVARS over the minutes of the run",
        "scan.nii.gz",
        "49 \N{MULTIPLICATION SIGN} 58",
        "SHA-256 " + "9f" * 32,
        "RestNet demonstration, version 1",
        "simulated scans",
        "C with Bi-LSTM, 4 members",
        "conformal sets",
        "0.88 (0.82 to 0.93)",
        "0.80 (0.75 to 1.00)",
        "400 simulated subjects",
        "SHA-256 " + "a" * 64,
        identifier,
        ", by m.keller",
        f"version {served.app.version}",
    ):
        assert squeezed(expected) in text, expected
    assert text.index("Overridden:control") < text.index("Accepted")
    assert "AreaundertheROCcurve" not in text


@KINDS
def test_its_page_is_named_by_its_whole_address_or_not_at_all(
    served: Serving, key: dict[str, str], kind: str, tmp_path: Path, database_template: Path
) -> None:
    path = finished(served, key)
    assert "/predictions/" not in squeezed(text_of(served, path, kind, key))
    settings = make_settings(tmp_path / "known", database_template, public_url="https://restnet.example/")
    with serving(settings) as known:
        other = known.key("m.keller")
        path = finished(known, other)
        page = f"https://restnet.example/predictions/{path.split('/')[4]}"
        assert squeezed(f"Page {page}") in squeezed(text_of(known, path, kind, other))


@KINDS
@pytest.mark.parametrize(
    "browser",
    [{"Sec-Fetch-Mode": "navigate", "Accept": "*/*"}, {"Accept": "text/html,*/*;q=0.8"}],
    ids=["a new browser", "an old browser"],
)
def test_a_browser_without_a_login_is_led_to_it_and_back_to_the_report(
    served: Serving, key: dict[str, str], kind: str, browser: dict[str, str]
) -> None:
    path = f"{finished(served, key)}.{kind}?language=zh-Hans"
    answer = served.client.get(path, headers=browser)
    assert (answer.status_code, answer.headers["location"]) == (303, f"/login?{urlencode({'next': path})}")
    login = {"username": "m.keller", "password": PASSWORD, "next": path}
    back = served.client.post("/login", data=login)
    assert (back.status_code, back.headers["location"]) == (303, path)
    assert served.client.get(path, headers=browser).status_code == 200
    # What is not there is a page, too.
    gone = served.client.get(f"/api/v1/predictions/x/report.{kind}", headers=browser)
    assert gone.status_code == 404
    assert "<h1>Nothing here</h1>" in gone.text


@KINDS
@pytest.mark.parametrize(
    ("program", "code"),
    [
        ({}, "authentication_required"),
        ({"Accept": "text/html", "Sec-Fetch-Mode": "cors"}, "authentication_required"),
        ({"Accept": "text/html", "Authorization": "Bearer rnk_old"}, "api_key_not_valid"),
    ],
    ids=["plain", "a script", "an old key"],
)
def test_a_program_without_a_login_is_told_so(
    served: Serving, key: dict[str, str], kind: str, program: dict[str, str], code: str
) -> None:
    answer = served.client.get(f"{finished(served, key)}.{kind}", headers=program)
    assert (answer.status_code, answer.json()["code"]) == (401, code)
    assert answer.headers["content-type"] == "application/problem+json"


def test_only_reports_lead_a_browser_to_the_login(served: Serving) -> None:
    browser = {"Sec-Fetch-Mode": "navigate", "Accept": "text/html"}
    for path in ("/api/v1/predictions", "/api/v1/predictions/x", "/api/v1/predictions/x/explanation.nii.gz"):
        answer = served.client.get(path, headers=browser)
        assert (answer.status_code, answer.json()["code"]) == (401, "authentication_required")


@KINDS
def test_what_stands_in_the_database_is_text(served: Serving, key: dict[str, str], kind: str) -> None:
    warnings = [{"code": HOSTILE[0], "message": HOSTILE[1]}]
    path = finished(served, key, warnings=warnings)
    review(served, path, key, verdict="accepted", reason=" ".join(HOSTILE))
    hostile = {"subject_id": HOSTILE[0], "site": HOSTILE[1], "display_name": HOSTILE[2], "sex": "<b>"}
    with served.sessions.begin() as session:
        session.execute(update(ScanRow).values(hostile))
    text = squeezed(text_of(served, path, kind, key))
    for one in (*HOSTILE, "<b>"):
        assert squeezed(one) in text, one


@KINDS
def test_its_name_and_headers(served: Serving, key: dict[str, str], kind: str) -> None:
    path = finished(served, key)
    answer = served.client.get(f"{path}.{kind}", headers=key)
    identifier = path.split("/")[4]
    # Shown at once, and saved under a name that tells nothing of the person or of their file.
    assert answer.headers["content-disposition"] == f'inline; filename="restnet-{identifier}.{kind}"'
    expected = {"html": "text/html; charset=utf-8", "pdf": "application/pdf"}[kind]
    assert answer.headers["content-type"] == expected
    assert answer.headers["cache-control"] == "no-store"
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; ")
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    if kind == "html":
        assert "script-src" not in policy
        assert "'self'" not in policy


@KINDS
@pytest.mark.parametrize("state", [state for state in PredictionState if state != PredictionState.SUCCEEDED])
def test_a_prediction_without_an_answer_has_no_report(
    served: Serving, key: dict[str, str], state: PredictionState, kind: str
) -> None:
    accepted = served.upload(key)
    served.set_state(accepted["prediction_id"], state)
    before = len(told(served))
    answer = served.client.get(f"/api/v1/predictions/{accepted['prediction_id']}/report.{kind}", headers=key)
    assert (answer.status_code, answer.json()["code"]) == (409, "report_not_ready")
    assert answer.json()["details"] == {"state": state.value}
    assert "report" in answer.json()["remedy"]
    # Nothing was shown.
    assert len(told(served)) == before


def told(served: Serving) -> list[AuditEventRow]:
    with served.sessions() as session:
        return list(session.query(AuditEventRow).order_by(AuditEventRow.sequence))


def test_the_audit_has_each_kind_once(served: Serving, key: dict[str, str]) -> None:
    path = finished(served, key)
    before = len(told(served))
    for kind in ("html", "pdf", "html", "pdf"):
        assert served.client.get(f"{path}.{kind}", headers=key).status_code == 200
    looks = told(served)[before:]
    assert [(look.action, look.subject_id, look.details) for look in looks] == [
        ("prediction.report", path.split("/")[4], {"format": "html"}),
        ("prediction.report", path.split("/")[4], {"format": "pdf"}),
    ]


@KINDS
def test_whoever_does_not_see_the_prediction_gets_no_report(
    served: Serving, key: dict[str, str], kind: str
) -> None:
    path = finished(served, key)
    stranger = served.key("stranger", Role.RESEARCHER)
    answer = served.client.get(f"{path}.{kind}", headers=stranger)
    assert (answer.status_code, answer.json()["code"]) == (404, "prediction_not_found")
    deleted = served.client.get(path.removesuffix("/report"), headers=key).json()["scan_id"]
    assert served.client.delete(f"/api/v1/scans/{deleted}", headers=key).status_code == 204
    assert served.client.get(f"{path}.{kind}", headers=key).status_code == 404


def test_a_card_without_figures_leaves_a_report(served: Serving, key: dict[str, str]) -> None:
    model_version_id = served.register_model()
    accepted = served.upload(key)
    served.finish(accepted["prediction_id"], sample_result(), model_version_id=model_version_id)
    path = f"/api/v1/predictions/{accepted['prediction_id']}/report"
    for kind in ("html", "pdf"):
        text = text_of(served, path, kind, key)
        assert "Without a pseudonym" in text
        assert text.count("not given") == 3
        assert "The model's card holds no cross-validated figures." in text
        assert "The answer is uncertain where the bar includes the threshold." in text


def test_the_page_of_a_finished_prediction_leads_to_both(served: Serving) -> None:
    token = served.log_in(served.user())
    accepted = served.upload({"X-CSRF-Token": token})
    page = accepted["links"]["page"]
    assert "/report." not in served.client.get(page).text
    served.finish(accepted["prediction_id"], sample_result(), model_version_id=served.register_model())
    links = re.findall(
        r'<a class="button" href="([^"]+/report\.\w+)">(\w+)</a>', served.client.get(page).text
    )
    address = f"/api/v1/predictions/{accepted['prediction_id']}/report"
    assert links == [(f"{address}.html", "Report"), (f"{address}.pdf", "PDF")]
    for link, _ in links:
        assert served.client.get(link, headers={"Accept": "text/html"}).status_code == 200


def test_a_report_takes_less_than_two_seconds(served: Serving, key: dict[str, str]) -> None:
    path = finished(served, key)
    for kind in ("html", "pdf"):
        began = time.perf_counter()
        assert served.client.get(f"{path}.{kind}", headers=key).status_code == 200
        assert time.perf_counter() - began < 2


def test_the_web_process_starts_without_the_compiler() -> None:
    program = "import sys, service.api.app; sys.exit('typst' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], cwd=REPOSITORY, check=False).returncode == 0


def test_only_so_many_pdfs_are_set_at_once(
    served: Serving, key: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = finished(served, key)
    lock, at_once, most = threading.Lock(), 0, 0

    def slow(_report: Report) -> bytes:
        nonlocal at_once, most
        with lock:
            at_once += 1
            most = max(most, at_once)
        time.sleep(0.1)
        with lock:
            at_once -= 1
        return b"%PDF"

    monkeypatch.setattr(reports, "write_pdf", slow)
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: served.client.get(f"{path}.pdf", headers=key), range(8)))
    assert {answer.content for answer in answers} == {b"%PDF"}
    assert most == REPORTING_THREADS


def test_the_pictures_of_an_explanation_are_in_the_report(served: Serving, key: dict[str, str]) -> None:
    path = finished(served, key)
    prediction_id = path.split("/")[-2]
    assert "data:image/png" not in served.client.get(f"{path}.html", headers=key).text
    served.explain(prediction_id, accounts=False, completeness_error=0.5)
    assert served.client.get(f"{path}.html", headers=key).text.count("data:image/png") == 3
    for kind in ("html", "pdf"):
        said = squeezed(text_of(served, path, kind, key))
        assert squeezed("What drove this answer. Integrated") in said
        assert squeezed("Do not rely on it: shares of +1.40 for a change of +0.90.") in said
    assert len(pages_of(served.client.get(f"{path}.pdf", headers=key).content)) <= 2
    # A report is whole without what storage does not give.
    served.resources.storage.delete(explanation_key(prediction_id))
    answer = served.client.get(f"{path}.html", headers=key)
    assert answer.status_code == 200
    assert "data:image/png" not in answer.text
