"""Rules that every refusal keeps, whoever wrote it."""

import importlib
import inspect
import pickle
import pkgutil
import re

import pytest

import imaging
from imaging import ScanError

for module in pkgutil.walk_packages(imaging.__path__, "imaging."):
    importlib.import_module(module.name)


def every(kind: type[ScanError]) -> list[type[ScanError]]:
    return [found for child in kind.__subclasses__() for found in (child, *every(child))]


REFUSALS = [refusal for refusal in every(ScanError) if refusal.__module__.startswith("imaging.")]

EXAMPLES = {
    "str": "x",
    "int": 3,
    "float": 2.5,
    "list[int]": [4, 0],
    "list[float]": [1.0, 2.0],
    "list[str]": ["run", "ses"],
    "int | None": 3,
    "float | None": 2.5,
    "list[dict[str, typing.Any]]": [{"number": 3, "n_frames": 20}],
}


def example(refusal: type[ScanError]) -> ScanError:
    wanted = inspect.signature(refusal).parameters.values()
    return refusal(
        **{parameter.name: EXAMPLES[inspect.formatannotation(parameter.annotation)] for parameter in wanted}
    )


def test_there_are_as_many_as_there_are_defects():
    assert len(REFUSALS) >= 25


def test_codes_are_stable_names_and_all_different():
    codes = [refusal.code for refusal in REFUSALS]
    assert len(set(codes)) == len(codes)
    assert all(re.fullmatch(r"[a-z0-9]+(_[a-z0-9]+)*", code) for code in codes)


@pytest.mark.parametrize("refusal", REFUSALS, ids=lambda refusal: refusal.__name__)
def test_a_refusal_says_what_was_expected_and_found_and_survives_another_process(refusal):
    error = example(refusal)
    assert "expected" in str(error)
    assert "found" in str(error)
    again = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own bytes
    assert type(again) is refusal
    assert str(again) == str(error)
    assert again.details() == error.details()
    assert set(error.details()) == set(inspect.signature(refusal).parameters)
