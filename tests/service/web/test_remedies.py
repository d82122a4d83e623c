"""Every refusal that a person can meet on a page says what to do about it, with and without JavaScript."""

import importlib
import pkgutil

import pytest

import imaging
from imaging.errors import ScanError
from model.errors import ModelError
from service.api.problems.remedies import REMEDIES, may_pass_next_time
from service.jobs import JobFailure
from tests.service.api.serving import Serving, scan_bytes

# The answer of a method without a map has none tomorrow either.
NEVER_PASSES = "explanation_not_available"


def codes(family: type[Exception]) -> set[str]:
    """Every code of a family of refusals, but not those that tests make up."""
    found = set()
    for kind in family.__subclasses__():
        if kind.__module__.startswith(("imaging.", "model.")):
            found |= {kind.code} if "code" in vars(kind) else set()  # type: ignore[attr-defined]
        found |= codes(kind)
    return found


@pytest.fixture(scope="module")
def scan_codes() -> set[str]:
    for module in pkgutil.walk_packages(imaging.__path__, "imaging."):
        importlib.import_module(module.name)
    return codes(ScanError)


def test_every_refusal_of_a_scan_has_a_remedy_of_its_own(scan_codes: set[str]) -> None:
    assert len(scan_codes) >= 30
    assert scan_codes - set(REMEDIES) == set()


def test_whatever_ends_a_prediction_has_a_remedy() -> None:
    met = codes(ModelError) | set(JobFailure) | {"stored_file_missing", "stored_file_damaged"}
    assert len(met) >= 13
    assert met - set(REMEDIES) == set()


def test_a_remedy_is_a_sentence_and_not_a_repetition() -> None:
    for code, words in REMEDIES.items():
        assert words[0].isupper(), code
        assert words.endswith("."), code


def test_a_refused_scan_never_passes_next_time_and_a_passing_fault_may(scan_codes: set[str]) -> None:
    assert not [code for code in scan_codes if may_pass_next_time(code)]
    assert all(may_pass_next_time(code) for code in {*JobFailure, *codes(ModelError)} - {NEVER_PASSES})
    assert not may_pass_next_time(NEVER_PASSES)
    assert not may_pass_next_time("stored_file_missing")


def test_rest_gives_the_same_words_to_the_script(served: Serving) -> None:
    file = {"scan": ("scan.nii.gz", scan_bytes(tr_s=0.0))}
    answer = served.client.post("/api/v1/scans", headers=served.key(), files=file)
    assert answer.status_code == 422
    assert answer.json()["code"] == "missing_repetition_time"
    assert answer.json()["remedy"] == REMEDIES["missing_repetition_time"]
