"""The documentation may not fall behind the code: its codes of errors and warnings, the files it names."""

import ast
import importlib
import pkgutil
import re
from pathlib import Path

import pytest

from imaging.errors import ScanError
from model.errors import ModelError
from service.errors import ServiceError
from service.jobs import JobFailure
from training.errors import CohortError

PACKAGES = ("imaging", "model", "training", "service")
FAMILIES = (ScanError, ModelError, CohortError, ServiceError)
# What the service refuses at once by its row of a cohort or a model, and planning or explaining by the cohort
# or the checkpoint itself: one refusal.
SAID_BY_BOTH = {"selection_needs_release", "explanation_not_available"}
REPOSITORY = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def codes() -> dict[type, set[str]]:
    """Each family of errors with the codes of its concrete classes, in every module there is."""
    for package in PACKAGES:
        for module in pkgutil.walk_packages(importlib.import_module(package).__path__, f"{package}."):
            if not module.name.endswith("__main__"):
                importlib.import_module(module.name)
    return {family: {cls.code for cls in concrete(family)} for family in FAMILIES}


def concrete(family: type) -> set[type]:
    """The family's classes with a code of their own; other tests may have made some that are not ours."""
    ours = {cls for cls in below(family) if cls.__module__.split(".")[0] in PACKAGES}
    return {cls for cls in ours if "code" in vars(cls)}


def below(cls: type) -> set[type]:
    return set().union(*({sub} | below(sub) for sub in cls.__subclasses__()))


def documented(heading: str | None = None) -> set[str]:
    text = (REPOSITORY / "docs" / "errors.md").read_text()
    errors, warnings = text.split("\n## Warnings\n")
    return set(re.findall(r"^\| `([a-z0-9_]+)`", warnings if heading == "Warnings" else errors, re.MULTILINE))


def test_every_error_code_is_documented_and_no_other(codes):
    in_code = set(JobFailure).union(*codes.values())
    assert documented() == in_code


@pytest.mark.parametrize("family", FAMILIES)
def test_a_code_belongs_to_one_family(family, codes):
    others = set().union(*(found for other, found in codes.items() if other is not family))
    assert codes[family], "the walk found nothing"
    assert codes[family] & others <= SAID_BY_BOTH


def test_every_warning_is_documented_and_no_other():
    def code_of(call: ast.Call) -> str:
        given = [word.value for word in call.keywords if word.arg == "code"] or call.args[:1]
        return ast.literal_eval(given[0])

    calls = [
        node
        for package in PACKAGES
        for file in (REPOSITORY / package).rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Call)
        and getattr(node.func, "id", "") == "ScanWarning"
        # One that was stored is read back as it was.
        and all(word.arg is not None for word in node.keywords)
    ]
    assert documented("Warnings") == {code_of(call) for call in calls}


def test_every_file_that_is_named_is_there():
    documents = [*REPOSITORY.glob("*.md"), *(REPOSITORY / "docs").glob("*.md")]
    folders = "|".join((*PACKAGES, "benchmarks", "deploy", "docs", "migrations", "tests"))
    named = {
        (document.name, path)
        for document in documents
        for path in re.findall(rf"`((?:{folders})/[\w./-]+)`", document.read_text())
    }
    assert len(named) > 50
    assert {(document, path) for document, path in named if not (REPOSITORY / path).exists()} == set()
