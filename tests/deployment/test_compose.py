"""The compose file: by the specification, confined, and naming only what RestNet has."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from service.cli import main
from service.queue import QUEUES
from service.settings import PREFIX, Settings
from tests.deployment.compose import COMPOSE, DOCUMENT, ONE_SHOT, OURS, REPOSITORY, SERVICES

VALIDATE = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec"]
LASTING = sorted(set(SERVICES) - ONE_SHOT)
# The settings of the storage in a bucket, which brings them along.
SETTINGS = {f"{PREFIX}{name}" for name in map(str.upper, Settings.model_fields)}


def test_the_file_is_one_by_the_specification(tmp_path: Path) -> None:
    assert subprocess.run([*VALIDATE, COMPOSE], check=False, capture_output=True).returncode == 0
    wrong = tmp_path / "compose.yml"
    wrong.write_text(COMPOSE.read_text().replace("read_only: true", "readonly: true"))
    assert subprocess.run([*VALIDATE, wrong], check=False, capture_output=True).returncode == 1


@pytest.mark.parametrize("name", SERVICES)
def test_every_container_is_confined(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["mem_limit"]
    assert service["cpus"]
    assert service["pids_limit"]
    assert service["restart"] == ("no" if name in ONE_SHOT else "unless-stopped")
    if name == "s3-volume":
        assert (service["user"], service["cap_add"], service["network_mode"]) == ("0:0", ["CHOWN"], "none")
    else:
        assert int(service["user"].split(":")[0]) > 0
        assert "cap_add" not in service


def test_only_web_can_be_reached_and_only_from_this_machine() -> None:
    assert {name for name, service in SERVICES.items() if "ports" in service} == {"web"}
    assert SERVICES["web"]["ports"] == ["${RESTNET_LISTEN:-127.0.0.1:8000}:8000"]
    assert {name for name, service in SERVICES.items() if "outside" in service.get("networks", [])} == {"web"}
    assert DOCUMENT["networks"]["inside"] == {"internal": True}


@pytest.mark.parametrize("name", LASTING)
def test_what_lasts_has_a_health_of_its_own(name: str) -> None:
    check = SERVICES[name]["healthcheck"]
    assert {"test", "interval", "timeout", "start_period", "retries"} == set(check)


@pytest.mark.parametrize("name", sorted(set(OURS) & set(LASTING)))
def test_nothing_starts_before_the_migrations_are_done(name: str) -> None:
    assert SERVICES[name]["depends_on"]["migrate"] == {"condition": "service_completed_successfully"}
    assert SERVICES["migrate"]["depends_on"]["postgres"] == {"condition": "service_healthy"}


def test_the_services_are_those_of_the_documentation() -> None:
    text = (REPOSITORY / "docs" / "operations.md").read_text()
    assert all(f"`{name}`" in text for name in SERVICES)
    gpu = SERVICES["inference-gpu"]
    assert gpu["profiles"] == ["gpu"]
    assert gpu["deploy"]["resources"]["reservations"]["devices"][0]["capabilities"] == ["gpu"]


@pytest.mark.parametrize("name", OURS)
def test_every_command_is_one_of_restnet(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    check = SERVICES[name]["healthcheck"].get("test", [])
    for command in filter(None, [SERVICES[name]["command"], check[2:]]):
        assert check[:2] in ([], ["CMD", "restnet"])
        monkeypatch.setattr(sys, "argv", ["restnet", *command, "--help"])
        with pytest.raises(SystemExit) as end:
            main()
        assert end.value.code in {0, None}


def test_the_workers_serve_every_queue() -> None:
    queues = {SERVICES[name]["command"][-1] for name in OURS if SERVICES[name]["command"][0] == "worker"}
    assert queues == set(QUEUES)


@pytest.mark.parametrize("name", OURS)
def test_every_setting_exists_and_no_secret_is_in_the_environment(name: str) -> None:
    service = SERVICES[name]
    named = {variable for variable in service["environment"] if variable.startswith(PREFIX)}
    assert named <= SETTINGS
    assert {secret.upper() for secret in service["secrets"]} <= SETTINGS
    assert not {variable for variable in named if re.search("DATABASE|BROKER|KEY|SECRET_|PASSWORD", variable)}


def test_no_password_stands_in_the_file() -> None:
    assert all(set(secret) == {"file"} for secret in DOCUMENT["secrets"].values())
    assert not re.search(r"PASSWORD: |://[^/\s]*:[^/\s]*@", COMPOSE.read_text())
