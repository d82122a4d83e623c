"""Refusals on a Chinese page: a sentence by the code, with the refusal's own figures, whatever is refused."""

import importlib
import inspect
import pkgutil
import re
from pathlib import Path

import pytest

import imaging
from imaging.dimensions import NotFourDimensionalError, TooFewFramesError
from imaging.errors import ScanError
from imaging.file_format import NotNiftiError
from imaging.sample_type import BadScalingError
from imaging.timing import ImplausibleRepetitionTimeError
from model.errors import ModelError
from service.api.problems.handlers import STATUSES
from service.api.problems.remedies import REMEDIES
from service.errors import ServiceError
from service.jobs import JobFailure
from service.web.language import Language, spoken
from service.web.refusal_wording import CONTEXT, PLACE, refusal_template, told
from tests.service.api.serving import Serving, scan_bytes
from tests.service.web.language.marked_words import translated_words

CHINESE = {"Accept-Language": "zh-CN"}
CJK = re.compile(r"[\u4e00-\u9fff]")


def kinds() -> list[type[Exception]]:
    """Every refusal that a page can meet."""
    for module in pkgutil.walk_packages(imaging.__path__, "imaging."):
        importlib.import_module(module.name)
    found: list[type[Exception]] = []
    waiting: list[type[Exception]] = [ScanError, ModelError, *STATUSES]
    while waiting:
        kind = waiting.pop()
        waiting += kind.__subclasses__()
        ours = kind.__module__.startswith(("imaging.", "model.", "service."))
        if ours and "code" in vars(kind) and kind not in {ScanError, ModelError, ServiceError}:
            found.append(kind)
    return found


KINDS = kinds()


def carried(kind: type[Exception]) -> set[str]:
    """What a refusal's details hold: the attributes that it is given."""
    source = inspect.getsource(kind.__init__)
    return set(re.findall(r"self\.([a-z]\w*) = ", source))


def test_every_code_that_a_page_can_meet_has_a_chinese_sentence() -> None:
    codes = {kind.code for kind in KINDS} | set(JobFailure) | set(REMEDIES)  # type: ignore[attr-defined]
    assert len(codes) > 100
    with spoken(Language.CHINESE):
        assert {code for code in codes if refusal_template(code) is None} == set()
        assert all(CJK.search(refusal_template(code) or "") for code in codes)


def test_no_sentence_is_of_a_code_that_does_not_exist() -> None:
    listed = Path("docs/errors.md").read_text()
    codes = [key for context, key in translated_words() if context == CONTEXT]
    assert codes
    assert [code for code in codes if f"| `{code}` |" not in listed] == []


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.code)
def test_a_sentence_names_only_what_the_refusal_carries(kind: type[Exception]) -> None:
    with spoken(Language.CHINESE):
        template = refusal_template(kind.code)  # type: ignore[attr-defined]
    assert template is not None
    assert set(PLACE.findall(template)) <= carried(kind)


def test_figures_stand_in_the_sentence_and_the_english_only_where_it_says_more() -> None:
    few, scaling = TooFewFramesError(found=7), BadScalingError(expected="a slope", found="inf and 0")
    with spoken(Language.CHINESE):
        said = told(few.code, str(few), few.details())
        assert said.said == "至少需要 20 帧，但文件只有 7 帧。"
        assert said.technical == ""
        assert said.remedy == "请上传整次扫描，而不是其中一部分。"
        assert told(scaling.code, str(scaling), scaling.details()).technical == str(scaling)


@pytest.mark.parametrize(
    ("refusal", "part"),
    [
        (NotNiftiError(found="a DICOM file"), "但读到的是：DICOM 文件"),
        (NotFourDimensionalError(found=[64, 64, 30]), "64 × 64 × 30"),
        (ImplausibleRepetitionTimeError(value=2000.0, unit="no unit"), "数值 2,000，单位 （未写明）"),
    ],
)
def test_values_are_written_as_a_reader_reads_them(refusal: ScanError, part: str) -> None:
    with spoken(Language.CHINESE):
        assert part in told(refusal.code, str(refusal), refusal.details()).said


def test_what_has_no_figures_or_no_sentence_is_said_in_english() -> None:
    with spoken(Language.CHINESE):
        assert told("too_few_frames", "expected more", None).said == "expected more"
        assert told("from_tomorrow", "expected this", {"a": 1}) == told("from_tomorrow", "expected this")
    english = told("too_few_frames", "expected more", {"found": 7, "expected": 20})
    assert english.said == "expected more"
    assert english.remedy == REMEDIES["too_few_frames"]


def test_a_refused_form_says_it_in_the_language_of_the_browser_and_rest_in_english(served: Serving) -> None:
    client = served.client
    file = {"scan": ("scan.nii.gz", scan_bytes(shape=(12, 12, 10, 7)))}
    answer = client.post("/api/v1/scans", headers=served.key() | CHINESE, files=file).json()
    assert answer["detail"] == "expected at least 20 frames, found 7"
    assert answer["remedy"] == REMEDIES["too_few_frames"]
    served.user("doctor")
    csrf = served.log_in("doctor")
    page = client.post(
        "/scans", data={"csrf_token": csrf}, files=file, headers=CHINESE | {"Accept": "text/html"}
    )
    assert page.status_code == 422
    assert "至少需要 20 帧，但文件只有 7 帧。" in page.text
    assert "expected at least 20 frames" not in page.text.lower()
