from pathlib import Path

import pytest
from pydantic import ValidationError

from service.db.migrate import upgrade
from service.queue import make_celery
from service.settings import PREFIX, Settings, misspelt_settings
from service.storage import open_storage

DOCUMENT = Path(__file__).parents[2] / "docs" / "settings.md"


def test_every_setting_is_documented_with_its_own_words() -> None:
    text = DOCUMENT.read_text()
    for name, field in Settings.model_fields.items():
        row = next((line for line in text.splitlines() if f"`{PREFIX}{name.upper()}`" in line), None)
        assert row is not None, f"docs/settings.md lacks {PREFIX}{name.upper()}"
        assert field.description, name
        assert field.description in row, name


def test_the_document_names_no_setting_that_is_gone() -> None:
    known = {f"{PREFIX}{name.upper()}" for name in Settings.model_fields}
    named = {
        line.split("`")[1] for line in DOCUMENT.read_text().splitlines() if line.startswith(f"| `{PREFIX}")
    }
    assert named == known


def test_the_embedded_parts_live_in_the_data_directory(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path)
    assert settings.database_url.get_secret_value() == f"sqlite:///{tmp_path}/restnet.db"
    assert settings.broker_url.get_secret_value() == f"filesystem://{tmp_path}/broker"
    assert settings.storage_url == f"file://{tmp_path}/storage"


@pytest.mark.parametrize("name", ["a#b", "a?b", "a%41b", "a b", "ä", "a:b@c"])
def test_the_embedded_parts_stay_in_a_data_directory_with_an_odd_name(tmp_path: Path, name: str) -> None:
    folder = tmp_path / name
    settings = Settings(data_dir=folder)
    upgrade(settings.database_url.get_secret_value())
    with open_storage(settings).receive(max_bytes=1):
        pass
    make_celery(settings)
    assert list(tmp_path.iterdir()) == [folder]
    assert {path.name for path in folder.iterdir()} == {"restnet.db", "storage", "broker"}


def test_the_environment_of_a_child_makes_the_same_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings(
        data_dir=tmp_path,
        broker_url="redis://:secret@127.0.0.1:1/0",
        lease_s=7.5,
        heartbeat_s=0.25,
        public_url="https://restnet.example",
        log_format="json",
        storage_access_key="a",
        storage_secret_key="hunter2",
        scratch_dir=tmp_path / "memory",
        metrics_token="0123456789abcdef",
        trusted_proxies="10.0.0.0/8, ::1",
        oidc_issuer="https://idp.example",
        oidc_client_id="restnet",
        oidc_client_secret="secret",
        oidc_roles="it=administrator",
    )
    for name, value in settings.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir("/")
    assert Settings() == settings


def test_a_relative_data_directory_is_made_absolute(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    assert Settings(data_dir=Path("here")).data_dir == tmp_path / "here"


def test_passwords_do_not_show() -> None:
    settings = Settings(
        database_url="postgresql+psycopg://me:hunter2@db/restnet", broker_url="redis://:hunter2@broker/0"
    )
    assert "hunter2" not in repr(settings)


@pytest.mark.parametrize(
    "url", ["postgres://me:hunter2@db/restnet", "hunter2", "postgresql://me:hunter2@db:port/restnet"]
)
def test_a_refused_address_keeps_its_password(url: str) -> None:
    with pytest.raises(ValidationError, match="expected a database address") as refusal:
        Settings(database_url=url)
    assert "hunter2" not in str(refusal.value)


PROVIDER = {
    "oidc_issuer": "https://idp.example",
    "oidc_client_id": "restnet",
    "oidc_client_secret": "hunter2",
    "oidc_roles": "staff=clinician",
    "public_url": "https://restnet.example",
}


def test_an_identity_provider_is_named_as_a_whole_and_its_secret_does_not_show() -> None:
    settings = Settings(**PROVIDER | {"oidc_roles": " it = administrator,staff=clinician, "})
    assert list(settings.oidc_role_of.items()) == [("it", "administrator"), ("staff", "clinician")]
    assert "hunter2" not in repr(settings)


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        ({"broker_url": "amqp://localhost"}, "filesystem, redis, rediss"),
        ({"database_url": "postgres://me@db/restnet"}, "sqlite, .*postgresql.*, found 'postgres'"),
        ({"database_url": "mysql://me@db/restnet"}, "sqlite, .*postgresql.*, found 'mysql'"),
        ({"database_url": "postgresql+asyncpg://me@db/restnet"}, "postgresql.psycopg, found"),
        ({"database_url": "/srv/restnet.db"}, "such as sqlite:///FILE"),
        ({"database_url": ""}, "such as sqlite:///FILE"),
        ({"lease_s": 5, "heartbeat_s": 3}, "at most half"),
        ({"soft_time_limit_s": 60, "hard_time_limit_s": 60}, "above RESTNET_SOFT_TIME_LIMIT_S"),
        ({"storage_access_key": "a"}, "together, found one of them"),
        ({"max_attempts": 0}, "greater than or equal to 1"),
        ({"lease_s": 0}, "greater than or equal to 1"),
        ({"unknown": 1}, "Extra inputs"),
        ({"trusted_proxies": "10.0.0.0/8, proxy.example"}, "addresses and networks such as"),
        ({"metrics_networks": "10.0.0.1/8"}, "addresses and networks such as"),
        ({"metrics_token": "short"}, "at least 16"),
        ({"uploads_at_once": 3, "uploads_at_once_per_account": 4}, "at most uploads_at_once"),
        (PROVIDER | {"oidc_issuer": "http://idp.example"}, "an issuer with https, found http"),
        (PROVIDER | {"oidc_client_secret": None}, "found no oidc_client_secret"),
        (PROVIDER | {"public_url": None}, "found no public_url"),
        (PROVIDER | {"oidc_roles": ""}, "found no oidc_roles"),
        (PROVIDER | {"oidc_roles": "staff=king"}, "such as doctors=clinician"),
        (PROVIDER | {"oidc_scopes": "profile"}, "expected openid among oidc_scopes"),
    ],
)
def test_what_cannot_work_is_refused(values: dict[str, object], complaint: str) -> None:
    with pytest.raises(ValidationError, match=complaint):
        Settings(**values)


@pytest.fixture
def secrets(tmp_path: Path) -> Path:
    folder = tmp_path / "secrets"
    folder.mkdir()
    (folder / "restnet_database_url").write_text("postgresql+psycopg://me:hunter2@db/restnet\n")
    return folder


def test_a_secret_is_read_from_its_file_and_a_variable_wins(
    secrets: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RESTNET_SECRETS_DIR", str(secrets))
    assert Settings().database_url.get_secret_value() == "postgresql+psycopg://me:hunter2@db/restnet"
    monkeypatch.setenv("RESTNET_DATABASE_URL", "sqlite:///other.db")
    assert Settings().database_url.get_secret_value() == "sqlite:///other.db"


def test_a_child_reads_the_file_itself(secrets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings(secrets_dir=secrets, broker_url="redis://:other@broker/0")
    variables = settings.environment()
    assert "hunter2" not in str(variables)
    assert variables["RESTNET_BROKER_URL"] == "redis://:other@broker/0"
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert Settings() == settings


def test_a_secret_that_was_set_otherwise_reaches_the_child(secrets: Path) -> None:
    settings = Settings(secrets_dir=secrets, database_url="sqlite:///mine.db")
    assert settings.environment()["RESTNET_DATABASE_URL"] == "sqlite:///mine.db"


def test_a_refused_secret_is_named_and_not_shown(secrets: Path) -> None:
    (secrets / "restnet_database_url").write_text("mysql://me:hunter2@db/restnet")
    with pytest.raises(ValidationError, match="database_url") as refusal:
        Settings(secrets_dir=secrets)
    assert "hunter2" not in str(refusal.value)


def test_a_folder_of_secrets_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match="a folder that this account may read"):
        Settings(secrets_dir=tmp_path / "missing")


def test_a_name_that_is_nearly_a_setting_is_found(secrets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RESTNET_SECRETS_DIR", str(secrets))
    monkeypatch.setenv("RESTNET_ENCRYPTION_KEYFILE", "keys")
    # Set by Kubernetes beside a service that is called restnet, and by the tests themselves.
    for other in ("RESTNET_PORT", "RESTNET_SERVICE_HOST", "RESTNET_PORT_8000_TCP", "RESTNET_TEST_REDIS_URL"):
        monkeypatch.setenv(other, "something")
    (secrets / "restnet_broker_uri").write_text("redis://broker/0")
    assert misspelt_settings() == {
        "RESTNET_ENCRYPTION_KEYFILE": "RESTNET_ENCRYPTION_KEY_FILE",
        "restnet_broker_uri": "RESTNET_BROKER_URL",
    }
