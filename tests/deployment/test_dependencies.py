"""What continuous integration says of the dependencies: an audit that did not happen is no all-clear."""

import importlib.util
import subprocess
from types import ModuleType
from typing import Any

import pytest

from tests.deployment.compose import REPOSITORY


def script(name: str) -> ModuleType:
    found = importlib.util.spec_from_file_location(name, REPOSITORY / ".ci" / f"{name}.py")
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


SOUND = {"name": "numpy", "version": "2.4.6", "vulns": []}
UNKNOWN = {"name": "torch", "skip_reason": "Dependency not found on PyPI"}
VULNERABLE = {
    "name": "jinja2",
    "version": "2.0",
    "vulns": [{"id": "PYSEC-1", "fix_versions": ["3.1.6"]}],
}


@pytest.mark.parametrize(
    ("packages", "status", "said"),
    [
        ([SOUND], 0, "1 packages audited, 0 of them vulnerable"),
        ([SOUND, UNKNOWN], 0, "not audited, unknown to the service: torch"),
        ([SOUND, VULNERABLE], 1, "jinja2 2.0: PYSEC-1, fixed in 3.1.6"),
        ([UNKNOWN], 0, "NOTHING WAS AUDITED: the service knew none of 1 packages"),
    ],
)
def test_what_an_audit_comes_to(
    packages: list[dict[str, Any]], status: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert script("audit").judge(packages) == status
    assert said in capsys.readouterr().out


def test_a_service_out_of_reach_is_said_and_fails_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    audit = script("audit")
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setattr(
        audit.subprocess,
        "run",
        lambda *_, **__: subprocess.CompletedProcess([], 1, stdout="", stderr="x\nConnectionError: no host"),
    )
    assert audit.main() == 0
    assert (
        "::warning title=audit::NOTHING WAS AUDITED: pip-audit could not ask: Conn" in capsys.readouterr().out
    )


def test_the_bill_of_materials_holds_what_runs_and_no_tool() -> None:
    sbom = script("sbom")
    needed = sbom.needed_by("restnet")
    assert {"torch", "fastapi", "psycopg-binary", "opentelemetry-sdk", "redis"} <= needed
    assert not {"pytest", "mypy", "ruff", "monai"} & needed
    document = {
        "metadata": {"component": {"bom-ref": "root"}},
        "components": [{"bom-ref": "t", "name": "Torch"}, {"bom-ref": "p", "name": "pytest"}],
        "dependencies": [{"ref": "root", "dependsOn": ["t", "p"]}, {"ref": "t"}, {"ref": "p"}],
    }
    kept = sbom.only_parts(document, needed)
    assert [part["name"] for part in kept["components"]] == ["Torch"]
    assert kept["dependencies"] == [{"ref": "root", "dependsOn": ["t"]}, {"ref": "t", "dependsOn": []}]
