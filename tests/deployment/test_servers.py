"""What compose starts beside RestNet, as far as it can be tried here: secrets, Redis, versions that fit."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis

from service.settings import Settings
from tests.deployment.compose import REPOSITORY, SERVICES
from tests.servers import end, free_port, missing, wait_until

MAKE_SECRETS = REPOSITORY / "deploy" / "make-secrets.sh"


@pytest.fixture
def secrets(tmp_path: Path) -> Path:
    folder = tmp_path / "secrets"
    subprocess.run(["sh", MAKE_SECRETS, folder], check=True, capture_output=True)
    return folder


def test_the_secrets_are_settings_and_made_once(secrets: Path) -> None:
    mounted = Path(secrets.parent) / "run"
    mounted.mkdir()
    for name in ("restnet_database_url", "restnet_broker_url"):
        shutil.copy(secrets / name, mounted / name)
    settings = Settings(secrets_dir=mounted)
    password = (secrets / "postgres_password").read_text()
    assert len(password) == 64
    assert (
        settings.database_url.get_secret_value()
        == f"postgresql+psycopg://restnet:{password}@postgres/restnet"
    )
    assert settings.broker_url.get_secret_value().endswith("@redis:6379/0")
    assert secrets.stat().st_mode & 0o777 == 0o700
    before = {path.name: path.read_text() for path in secrets.iterdir()}
    subprocess.run(["sh", MAKE_SECRETS, secrets], check=True, capture_output=True)
    assert {path.name: path.read_text() for path in secrets.iterdir()} == before
    assert {f"{name}" for name in before} - {"redis_password"} == {
        secret for service in SERVICES.values() for secret in service.get("secrets", [])
    }


@contextmanager
def composed_redis(secrets: Path, folder: Path) -> Iterator[int]:
    """Redis with the arguments of the compose file, in a folder and on a port of its own."""
    binary = shutil.which("redis-server")
    if binary is None:
        missing("redis-server", "PATH")
    port = free_port()
    command = [str(binary), *SERVICES["redis"]["command"][1:], f"--port {port}", "--bind 127.0.0.1"]
    moved = [
        part.replace("/run/secrets/", f"{secrets}/").replace("--dir /data", f"--dir {folder}")
        for part in command
    ]
    process = subprocess.Popen(moved, stdout=subprocess.DEVNULL)
    try:
        yield port
    finally:
        end(process)


@pytest.mark.integration
@pytest.mark.enable_socket
def test_redis_keeps_messages_over_a_restart_and_drops_none_for_room(secrets: Path, tmp_path: Path) -> None:
    password = (secrets / "redis_password").read_text()
    for again in (False, True):
        with composed_redis(secrets, tmp_path) as port:
            client = redis.Redis(port=port, password=password)
            wait_until(lambda client=client: _answers(client), "redis to answer", within_s=20)
            if again:
                assert client.lrange("restnet:inference", 0, -1) == [b"message"]
            client.rpush("restnet:inference", "message")
            assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
            assert client.config_get("appendonly") == {"appendonly": "yes"}
            with pytest.raises(redis.AuthenticationError):
                redis.Redis(port=port).ping()
            client.close()


def _answers(client: redis.Redis) -> bool:
    try:
        return bool(client.ping())
    except redis.ConnectionError:
        return False


def test_the_dockerfile_passes_its_linter() -> None:
    # By its name alone: the package is a program and a folder without a module.
    binary = shutil.which("hadolint", path=f"{REPOSITORY}/.venv/bin{os.pathsep}{os.environ['PATH']}")
    if binary is None:
        missing("hadolint", "PATH")
    done = subprocess.run(
        [str(binary), REPOSITORY / "Dockerfile"], check=False, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (0, "")


def test_the_image_runs_without_root_with_the_servers_client_programs() -> None:
    text = (REPOSITORY / "Dockerfile").read_text()
    last = text.split("\nFROM ")[-1]
    assert re.findall(r"^USER (.*)$", last, re.MULTILINE) == ["10001:10001"]
    assert all(SERVICES[name]["user"] == "10001:10001" for name in SERVICES if "build" in SERVICES[name])
    client = re.search(r"postgresql-client-(\d+)", last)
    assert client is not None
    assert f"postgres:{client[1]}-" in SERVICES["postgres"]["image"]
    assert "pip install --group" not in text, "no tool of development goes into the image"
    # Every folder that is copied is let through to the builder, and is there.
    allowed = re.findall(r"^!(\S+)$", (REPOSITORY / ".dockerignore").read_text(), re.MULTILINE)
    copied = {
        source
        for line in re.findall(r"^COPY (?!--from)(.+) \S+$", text, re.MULTILINE)
        for source in line.split()
    }
    for source in copied:
        assert (REPOSITORY / source).exists()
        assert source.split("/")[0] in allowed
