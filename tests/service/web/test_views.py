"""What the pages show and do, without a browser and without JavaScript."""

import html
import json
import re
from datetime import UTC, datetime

import pytest

from imaging.native import sources
from imaging.native.normalise import STAGES
from imaging.native.sources.bids import SeveralRunsError
from service.api.problems.remedies import REMEDIES
from service.db.rows import ModelVersionRow, PredictionRow, PredictionState, ScanRow
from service.web.rendering import FOLDER
from service.web.script_words import FIELD_TO_GIVE
from tests.service.api.serving import CARD, PASSWORD, Serving, sample_result, scan_bytes

HTML = {"Accept": "text/html"}


@pytest.fixture
def token(served: Serving) -> str:
    served.user()
    served.client.post("/login", data={"username": "doctor", "password": PASSWORD})
    [found] = set(re.findall(r'name="csrf_token" value="([^"]+)"', served.client.get("/").text))
    return found


def upload(served: Serving, token: str, **fields: str) -> str:
    """Send the plain form and return the prediction's id."""
    answer = served.client.post(
        "/scans", data={"csrf_token": token, **fields}, files={"scan": ("child.nii.gz", scan_bytes())}
    )
    assert answer.status_code == 303, answer.text
    return answer.headers["location"].removeprefix("/predictions/")


def shown(served: Serving, prediction_id: str) -> str:
    answer = served.client.get(f"/predictions/{prediction_id}", headers=HTML)
    assert answer.status_code == 200
    return (
        " ".join(re.sub(r"<[^>]+>", " ", answer.text).split()).replace("\u202f", " ").replace("&#8239;", " ")
    )


def test_the_plain_form_uploads(served: Serving, token: str) -> None:
    prediction_id = upload(served, token, subject_id="P-5", age_years="", sex="", site="")
    text = shown(served, prediction_id)
    assert "P-5" in text
    assert "Waiting, next in line" in text
    assert "No model is registered" in text
    page = served.client.get(f"/predictions/{prediction_id}").text
    assert f'data-events="/api/v1/predictions/{prediction_id}/events"' in page
    assert 'http-equiv="refresh"' in page


@pytest.mark.parametrize("fields", [{}, {"csrf_token": "wrong"}])
def test_the_plain_form_needs_its_token_before_the_file(
    served: Serving, token: str, fields: dict[str, str]
) -> None:
    files = {"scan": ("child.nii.gz", scan_bytes())}
    answer = served.client.post("/scans", data=fields, files=files, headers=HTML)
    assert answer.status_code == 403
    assert "Not allowed" in answer.text
    late = [("scan", ("child.nii.gz", scan_bytes())), ("csrf_token", (None, token))]
    assert served.client.post("/scans", files=late).status_code == 403
    with served.sessions() as session:
        assert session.query(PredictionRow).count() == 0


def test_a_refused_file_shows_the_form_again_with_the_reason(served: Serving, token: str) -> None:
    answer = served.client.post(
        "/scans",
        data={"csrf_token": token},
        files={"scan": ("child.nii.gz", scan_bytes(shape=(12, 12, 10)))},
        headers=HTML,
    )
    assert answer.status_code == 422
    assert "This file was not accepted" in answer.text
    assert "not_four_dimensional" in answer.text
    assert REMEDIES["not_four_dimensional"] in answer.text
    assert 'id="upload"' in answer.text


def test_a_result_is_shown_with_everything_it_takes_to_read_it(served: Serving, token: str) -> None:
    prediction_id = upload(served, token)
    result = sample_result(0.61, 0.44, 0.75)
    served.finish(prediction_id, result, model_version_id=served.register_model())
    text = shown(served, prediction_id)
    for expected in (
        "61 %",
        "90 % interval 44 % to 75 %",
        "threshold 50 %",
        "Uncertain",
        "includes the threshold of 50 %",
        "Demonstration model, trained on simulated scans",
        "Research use only, not a diagnosis",
        "Expected the whole brain, found 97 % of it",
        "coverage_partial",
        "Brain covered",
        "5 min 44 s",
        "C with Bi-LSTM, 4 members",
        "simulated scans",
        "9f" * 32,
    ):
        assert expected in text, expected


def test_the_drawings_have_axes_and_a_warning_has_words(served: Serving, token: str) -> None:
    prediction_id = upload(served, token)
    measured = "expected an asymmetry that tells the sides apart, found none that is clear (evidence +0.01)"
    warnings = [{"code": "left_right_unverified", "message": measured}]
    result = sample_result() | {"warnings": warnings}
    served.finish(prediction_id, result, model_version_id=served.register_model())
    page = served.client.get(f"/predictions/{prediction_id}").text.replace("\u202f", " ")
    dvars, stretches = re.findall(r'<svg class="chart".*?</figure>', page, flags=re.DOTALL)
    # 344 s of rest; the largest DVARS is 1.9.
    assert re.findall(r">([^<>]+)</text>", stretches) == ["100 %", "0 %", "0:00", "2:52", "5:44"]
    assert re.findall(r">([^<>]+)</text>", dvars) == ["0", "1", "1.9", "0:00", "2:52", "5:44"]
    assert "threshold of 50" in stretches
    assert "does not clearly show which side is left" in page
    # The developer's sentence waits until it is asked for.
    details = re.findall(r"<details>.*?</details>", page, flags=re.DOTALL)
    assert page.count("evidence +0.01") == 1
    assert any("evidence +0.01" in part for part in details)
    assert "hatch" not in page


def test_the_page_of_a_simulated_scan_says_that_nobody_was_measured(served: Serving, token: str) -> None:
    prediction_id = upload(served, token)
    result = sample_result() | {"warnings": [{"code": "simulated_scan", "message": "expected a person"}]}
    served.finish(prediction_id, result, model_version_id=served.register_model())
    assert "simulator: nobody was measured" in shown(served, prediction_id)


@pytest.mark.parametrize(
    ("figures", "headline", "caution"),
    [
        ((0.86, 0.71, 0.94), "Leans towards ADHD", "This is not a diagnosis"),
        ((0.12, 0.05, 0.29), "Leans towards control", "This does not rule ADHD out"),
        ((0.5, 0.3, 0.7), "Uncertain", "This is an answer, not an error"),
    ],
)
def test_a_decision_says_what_it_does_not_mean(
    served: Serving, token: str, figures: tuple[float, float, float], headline: str, caution: str
) -> None:
    prediction_id = upload(served, token)
    result = sample_result(*figures)
    served.finish(prediction_id, result, model_version_id=served.register_model())
    text = shown(served, prediction_id)
    assert headline in text
    assert caution in text


def test_nothing_on_a_page_breaks_the_content_policy(served: Serving, token: str) -> None:
    prediction_id = upload(served, token, subject_id="P-5")
    served.finish(prediction_id, sample_result(), model_version_id=served.register_model())
    for path in ("/", "/predictions", f"/predictions/{prediction_id}", "/login", "/nothing"):
        page = served.client.get(path, headers=HTML).text
        assert not re.search(r"<[^>]*\sstyle=", page)
        assert not re.search(r"<[^>]*\son\w+=", page)
        assert "<style" not in page
        assert not re.search(r"<script(?![^>]*\bsrc=)", page)
        assert not re.search(r'(?:src|href|action)="(?!/|#)', page)


def test_a_name_cannot_inject(served: Serving, token: str) -> None:
    evil = '"><img src=x onerror=alert(1)>.nii.gz'
    answer = served.client.post("/scans", data={"csrf_token": token}, files={"scan": (evil, scan_bytes())})
    page = served.client.get(answer.headers["location"]).text
    assert "<img" not in page
    assert "&lt;img src=x" in page
    assert "<img" not in served.client.get("/predictions").text


def test_a_refused_scan_says_what_to_do(served: Serving, token: str) -> None:
    prediction_id = upload(served, token)
    served.set_state(
        prediction_id,
        PredictionState.FAILED,
        error_code="not_in_template_space",
        error_message="expected a scan in template space, found one elsewhere",
    )
    text = shown(served, prediction_id)
    assert "Expected a scan in template space, found one elsewhere." in text
    assert "Compare the orientation" in text
    assert "not_in_template_space" in text


def test_a_failure_that_may_pass_can_be_tried_again(served: Serving, token: str) -> None:
    prediction_id = upload(served, token)
    served.set_state(prediction_id, PredictionState.FAILED, error_code="time_limit", error_message="x")
    page = served.client.get(f"/predictions/{prediction_id}").text
    assert f'action="/predictions/{prediction_id}/retry"' in page
    # A second click changes nothing.
    for _ in range(2):
        answer = served.client.post(f"/predictions/{prediction_id}/retry", data={"csrf_token": token})
        assert (answer.status_code, answer.headers["location"]) == (303, f"/predictions/{prediction_id}")
        assert "Waiting" in shown(served, prediction_id)


@pytest.mark.parametrize(
    ("state", "code", "offered"),
    [
        (PredictionState.FAILED, "gzip_corrupt", False),
        (PredictionState.FAILED, "not_in_template_space", False),
        (PredictionState.FAILED, "stored_file_missing", False),
        (PredictionState.FAILED, "worker_lost", True),
        (PredictionState.FAILED, "checkpoint_corrupt", True),
        (PredictionState.CANCELLED, None, True),
    ],
)
def test_trying_again_is_offered_only_where_it_can_help(
    served: Serving, token: str, state: PredictionState, code: str | None, offered: bool
) -> None:
    prediction_id = upload(served, token)
    served.set_state(prediction_id, state, error_code=code, error_message="x")
    assert (
        "Try again"
        in re.findall(r">([^<]*)</button>", served.client.get(f"/predictions/{prediction_id}").text)
    ) is offered
    error = served.client.get(f"/api/v1/predictions/{prediction_id}").json()["error"]
    assert error is None or error["retryable"] is offered


def test_a_fault_gives_its_reference(served: Serving, token: str) -> None:
    prediction_id = upload(served, token)
    served.set_state(
        prediction_id,
        PredictionState.FAILED,
        error_code="internal_error",
        error_message="expected x, found y",
        error_reference="a1b2c3",
    )
    text = shown(served, prediction_id)
    assert "a1b2c3" in text
    assert "Try again. If it happens again, give the reference" in text


def test_cancelling_and_deleting(served: Serving, token: str) -> None:
    prediction_id = upload(served, token)
    url = f"/predictions/{prediction_id}/cancel"
    assert served.client.post(url, data={"csrf_token": "wrong"}, headers=HTML).status_code == 403
    assert served.client.post(url, data={"csrf_token": token}).status_code == 303
    assert "Cancelled" in shown(served, prediction_id)
    page = served.client.get(f"/predictions/{prediction_id}").text
    [delete] = re.findall(r'action="(/scans/[^"]+/delete)"', page)
    answer = served.client.post(delete, headers={"X-CSRF-Token": token})
    assert (answer.status_code, answer.headers["location"]) == (303, "/predictions")
    gone = served.client.get(f"/predictions/{prediction_id}", headers=HTML)
    assert gone.status_code == 404
    assert "Nothing here" in gone.text


def test_cancelling_what_has_just_finished_shows_it(served: Serving, token: str) -> None:
    prediction_id = upload(served, token)
    served.finish(prediction_id, sample_result(), model_version_id=served.register_model())
    answer = served.client.post(f"/predictions/{prediction_id}/cancel", data={"csrf_token": token})
    assert answer.status_code == 303
    assert "61 %" in shown(served, prediction_id)


def test_the_list_shows_filters_and_pages(
    served: Serving, token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    empty = served.client.get("/predictions").text
    assert "No predictions yet" in empty
    monkeypatch.setattr("service.web.worklist.PAGE_LENGTH", 2)
    made = [upload(served, token, subject_id=f"P-{number}") for number in range(3)]
    served.set_state(made[0], PredictionState.CANCELLED)
    page = served.client.get("/predictions").text
    assert re.findall(r'href="/predictions/([0-9a-f-]{36})"', page) == [made[2], made[1]]
    assert "every 4s" in page
    [older] = re.findall(r'href="(/predictions\?cursor=[^"]+)"', page)
    second = served.client.get(older).text
    assert re.findall(r'href="/predictions/([0-9a-f-]{36})"', second) == [made[0]]
    assert "every 4s" not in second
    chosen = served.client.get("/predictions", params={"status": "cancelled", "subject_id": ""}).text
    assert re.findall(r'href="/predictions/([0-9a-f-]{36})"', chosen) == [made[0]]
    named = served.client.get("/predictions", params={"status": "", "subject_id": "P-1"}).text
    assert re.findall(r'href="/predictions/([0-9a-f-]{36})"', named) == [made[1]]
    assert "No prediction matches" in served.client.get("/predictions?subject_id=P-9").text


def test_the_list_keeps_to_days_that_both_count(served: Serving, token: str) -> None:
    def listed(**query: str) -> list[str]:
        page = served.client.get("/predictions", params=query).text
        return re.findall(r'href="/predictions/([0-9a-f-]{36})"', page)

    old, new = upload(served, token), upload(served, token)
    served.set_state(old, PredictionState.CANCELLED, created_at=datetime(2026, 3, 1, 23, 59, 59, tzinfo=UTC))
    served.set_state(new, PredictionState.CANCELLED, created_at=datetime(2026, 3, 3, 0, 0, tzinfo=UTC))
    assert listed(**{"from": "2026-03-01", "to": "2026-03-03"}) == [new, old]
    assert listed(to="2026-03-01") == [old]
    assert listed(**{"from": "2026-03-02"}) == [new]
    assert listed(**{"from": "2026-03-02", "to": "2026-03-02"}) == []


def test_the_next_page_keeps_the_days(served: Serving, token: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.web.worklist.PAGE_LENGTH", 1)
    for _ in range(2):
        upload(served, token)
    page = served.client.get("/predictions", params={"from": "2026-01-01"}).text
    [older] = re.findall(r'href="(/predictions\?[^"]*cursor=[^"]+)"', page)
    assert "from=2026-01-01" in older


def test_the_list_says_what_its_probabilities_are_worth(served: Serving, token: str) -> None:
    prediction_id = upload(served, token)
    served.finish(prediction_id, sample_result(), model_version_id=served.register_model())
    page = served.client.get("/predictions").text
    assert "Demonstration model, trained on simulated scans" in page
    [row] = re.findall(r"<tr>(?:(?!</tr>).)*61(?:(?!</tr>).)*</tr>", page, flags=re.DOTALL)
    assert "demonstration model" in row


def test_an_old_demonstration_is_not_taken_for_the_new_model(served: Serving, token: str) -> None:
    earlier, later = upload(served, token), upload(served, token)
    version = served.register_model()
    served.finish(earlier, sample_result(), model_version_id=version)
    research = CARD | {"intended_use": "research", "trained_on": "people"}
    served.finish(later, sample_result() | {"model": research}, model_version_id=version)
    with served.sessions.begin() as session:
        session.get_one(ModelVersionRow, version).card = research
    page = served.client.get("/predictions").text
    assert "Research use only. Not a diagnosis." in page
    assert page.count("demonstration model") == 1


def test_a_bad_pseudonym_meets_its_rule(served: Serving, token: str) -> None:
    page = served.client.get("/").text
    for name in ("subject_id", "site"):
        [field] = re.findall(rf'<input name="{name}"[^>]*>', page)
        assert 'title="Letters, digits and . _ - only' in field


def test_the_limit_is_given_as_it_is_set(served: Serving, token: str) -> None:
    assert "up to 195.3 KiB" in served.client.get("/").text


def test_the_reader_of_the_rest_document_has_a_way_back(served: Serving) -> None:
    page = served.client.get("/api/docs").text
    assert re.search(r'<nav[^>]*>.*<a href="/">', page)


def test_a_retry_from_the_page_wakes_a_worker(
    served: Serving, token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    prediction_id = upload(served, token)
    served.set_state(prediction_id, PredictionState.FAILED, error_code="x", error_message="y")
    sent: list[object] = []
    monkeypatch.setattr(
        served.resources.queue, "send_task", lambda name, args, **_: sent.append((name, args))
    )
    url = f"/predictions/{prediction_id.upper()}/retry"
    for _ in range(2):
        answer = served.client.post(url, data={"csrf_token": token})
        assert (answer.status_code, answer.headers["location"]) == (303, f"/predictions/{prediction_id}")
    # The second click finds it queued already.
    assert sent == [("prediction.run", [prediction_id])]
    cancelled = served.client.post(f"/predictions/{prediction_id.upper()}/cancel", data={"csrf_token": token})
    assert cancelled.headers["location"] == f"/predictions/{prediction_id}"
    assert "Cancelled" in shown(served, prediction_id)


def test_a_retry_of_what_is_not_kept_any_more_says_so(served: Serving, token: str) -> None:
    prediction_id = upload(served, token)
    served.set_state(prediction_id, PredictionState.CANCELLED)
    with served.sessions.begin() as session:
        scan_id = session.get_one(PredictionRow, prediction_id).scan_id
        session.get_one(ScanRow, scan_id).given_up_at = datetime.now(UTC)
    answer = served.client.post(f"/predictions/{prediction_id}/retry", data={"csrf_token": token})
    assert answer.status_code == 409
    assert REMEDIES["scan_given_up"] in answer.text


@pytest.mark.parametrize("headers", [{"Sec-Fetch-Site": "cross-site"}, {"Origin": "http://evil.example"}])
@pytest.mark.parametrize("form", ["/predictions/{id}/cancel", "/predictions/{id}/retry", "/logout"])
def test_a_small_form_that_another_site_sent_is_refused_even_with_its_token(
    served: Serving, token: str, headers: dict[str, str], form: str
) -> None:
    prediction_id = upload(served, token)
    url = form.format(id=prediction_id)
    answer = served.client.post(url, data={"csrf_token": token}, headers=HTML | headers)
    assert answer.status_code == 403
    assert "Waiting" in shown(served, prediction_id)


@pytest.mark.parametrize(
    "query",
    [
        "status=lost",
        "subject_id=a%20b",
        "from=yesterday",
        "to=9999-12-31",
        "cursor=x",
        # ["0001-01-01T00:00:00+14:00", a UUID of zeros]
        "cursor=WyIwMDAxLTAxLTAxVDAwOjAwOjAwKzE0OjAwIiwgIjAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwIl0",
    ],
)
def test_filters_that_cannot_be_are_explained(served: Serving, token: str, query: str) -> None:
    answer = served.client.get(f"/predictions?{query}", headers=HTML)
    assert answer.status_code == 200
    assert "cannot be used" in answer.text


@pytest.mark.parametrize(
    "path", ["/nothing", "/predictions/x", "/predictions/00000000-0000-0000-0000-000000000000"]
)
def test_what_is_not_there_is_a_page(served: Serving, token: str, path: str) -> None:
    answer = served.client.get(path, headers=HTML)
    assert answer.status_code == 404
    assert "Nothing here" in answer.text
    assert served.client.get(path).json()["status"] == 404


def test_an_upload_without_a_repetition_time_leads_to_the_field_for_it(served: Serving, token: str) -> None:
    file = {"scan": ("scan.nii.gz", scan_bytes(tr_s=0.0))}
    shown = served.client.post("/scans", data={"csrf_token": token}, files=file, headers=HTML)
    assert shown.status_code == 422
    assert "missing_repetition_time" in shown.text
    assert '<details class="acquisition" open>' in shown.text
    [field] = re.findall(r'<input name="tr_s"[^>]*>', shown.text)
    assert 'aria-invalid="true" autofocus' in field
    assert 'id="tr_s-problem" aria-live="polite">The file names none' in shown.text

    said = {"csrf_token": token, "tr_s": "2.0"}
    taken = served.client.post("/scans", data=said, files=file, headers=HTML)
    assert taken.status_code == 303
    assert taken.headers["location"].startswith("/predictions/")


def test_a_sidecar_is_taken_from_the_plain_form_and_pointed_to_where_it_is_none(
    served: Serving, token: str
) -> None:
    scan = ("scan", ("scan.nii.gz", scan_bytes(tr_s=0.0)))
    said = [("csrf_token", (None, token)), ("sidecar", ("bold.json", b"not JSON"))]
    shown = served.client.post("/scans", files=[*said, scan], headers=HTML)
    assert shown.status_code == 422
    assert "bad_sidecar" in shown.text
    assert '<details class="acquisition" open>' in shown.text
    [field] = re.findall(r'<input name="sidecar"[^>]*>', shown.text)
    assert 'aria-invalid="true" autofocus' in field

    said[1] = ("sidecar", ("bold.json", b'{"RepetitionTime": 2.0, "PatientName": "Zaphod"}'))
    taken = served.client.post("/scans", files=[*said, scan], headers=HTML)
    assert taken.status_code == 303


def test_the_script_and_the_plain_form_point_to_the_same_fields() -> None:
    script = (FOLDER / "static" / "fields.js").read_text()
    [table] = re.findall(r"const FIELD_TO_GIVE = \{(.*?)\};", script, re.DOTALL)
    found = re.findall(r'(\w+): \["(\w+)", "(\w+)"\]', table)
    assert {code: (field, why) for code, field, why in found} == FIELD_TO_GIVE


# In the order of the work, of a zip.
WORDS_OF_STAGES = {
    "en": [
        "looking for its run",
        "unpacking it",
        "converting its images",
        "reading it",
        "slices to one time",
        "movement of the head",
        "laying the template over it",
        "onto the template's grid",
        "taking out noise",
        "smoothing",
    ],
    "zh-Hans": [
        "查找功能像",
        "解压缩",
        "转换图像",
        "读取",
        "层面时间校正",
        "估计头动",
        "与模板配准",
        "重采样到模板网格",
        "去除噪声",
        "平滑",
    ],
}
LINE_OF_STAGES = {
    "en": "Bringing the scan into template space: ",
    "zh-Hans": "正在将扫描配准到模板空间：",
}


@pytest.mark.parametrize("language", ["en", "zh-Hans"])
def test_every_stage_of_a_normalising_prediction_has_its_words(
    served: Serving, token: str, language: str
) -> None:
    prediction_id = upload(served, token)
    stages = (*sources.STAGES, *STAGES)
    assert len(stages) == len(WORDS_OF_STAGES[language])
    for stage, words in zip(stages, WORDS_OF_STAGES[language], strict=True):
        served.set_state(prediction_id, PredictionState.NORMALISING, lane="normalising", stage=stage)
        answer = served.client.get(
            f"/predictions/{prediction_id}", headers=HTML | {"Accept-Language": language}
        )
        page = html.unescape(answer.text)
        [line] = re.findall(r"<h2 [^>]*data-line[^>]*>([^<]+)</h2>", page)
        assert line == LINE_OF_STAGES[language] + words
        # The script that follows it says the same.
        said = json.loads(re.findall(r"<meta name=\"words\" content='([^']*)'>", answer.text)[0])
        assert said[f"stage_{stage}"] == words


@pytest.mark.parametrize(
    ("code", "field"),
    [("missing_repetition_time", "tr_s"), ("several_series", "run"), ("registration_failed", "")],
)
def test_a_prediction_that_failed_for_a_missing_word_leads_to_the_field_for_it(
    served: Serving, token: str, code: str, field: str
) -> None:
    prediction_id = upload(served, token)
    served.set_state(prediction_id, PredictionState.FAILED, error_code=code, error_message="no time")
    failed = served.client.get(f"/predictions/{prediction_id}", headers=HTML).text
    assert re.findall(r'href="/\?give=(\w+)"', failed) == ([field] if field else [])
    form = served.client.get(f"/?give={field}", headers=HTML).text
    assert ('<details class="acquisition" open>' in form) is bool(field)
    assert re.findall(r'<input name="(\w+)"[^>]* autofocus>', form) == ([field] if field else [])
    assert "aria-invalid" not in form


def test_a_zip_of_several_runs_is_to_be_uploaded_again_with_one_of_them_named(
    served: Serving, token: str
) -> None:
    prediction_id = upload(served, token)
    refusal = SeveralRunsError(n_runs=2, differ_in=["<b>", "run"])
    served.set_state(
        prediction_id, PredictionState.FAILED, error_code=refusal.code, error_message=str(refusal)
    )
    page = served.client.get(f"/predictions/{prediction_id}", headers=HTML).text
    # A browser ends a line after a hyphen.
    assert '<span class="unbroken">--run</span> of a command, the field run of an upload.' in page
    assert "&lt;b&gt;" in page
    assert "The file was not kept. Upload it again" in page
    chinese = served.client.get(
        f"/predictions/{prediction_id}", headers=HTML | {"Accept-Language": "zh-CN"}
    ).text
    assert "文件未保留。请重新上传" in chinese


def test_the_form_points_to_no_field_that_it_has_not(served: Serving, token: str) -> None:
    del token
    form = served.client.get('/?give="><b>', headers=HTML).text
    assert '<details class="acquisition">' in form
    assert "<b>" not in form
