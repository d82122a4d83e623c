"""Every setting of the service, built once from the environment and passed down."""

import os
from difflib import get_close_matches
from pathlib import Path
from typing import Any, ClassVar, Literal, Self
from urllib.parse import quote, urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import (
    BaseSettings,
    InitSettingsSource,
    PydanticBaseSettingsSource,
    SecretsSettingsSource,
    SettingsConfigDict,
)
from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from service.access_settings import AccessSettings
from service.drift_settings import DriftSettings

PREFIX = "RESTNET_"
BROKER_SCHEMES = ("filesystem", "redis", "rediss")
# How alike a name must be to be taken for a misspelt one. Others may be somebody else's: Kubernetes sets
# RESTNET_PORT where a service is called so.
CLOSE = 0.8
DATABASE_DRIVERS = ("sqlite", "sqlite+pysqlite", "postgresql", "postgresql+psycopg")


def _default_database(values: dict[str, Any]) -> SecretStr:
    file = str(values["data_dir"] / "restnet.db")
    return SecretStr(URL.create("sqlite", database=file).render_as_string())


def _default_broker(values: dict[str, Any]) -> SecretStr:
    return SecretStr(f"filesystem://{quote(str(values['data_dir'] / 'broker'))}")


def _default_storage(values: dict[str, Any]) -> str:
    return f"file://{quote(str(values['data_dir'] / 'storage'))}"


def _default_cohorts(values: dict[str, Any]) -> Path:
    return Path(values["data_dir"] / "cohorts")


def _default_runs(values: dict[str, Any]) -> Path:
    return Path(values["data_dir"] / "runs")


def _default_scratch(values: dict[str, Any]) -> Path:
    return Path(values["data_dir"] / "scratch")


def _is_folder(path: object) -> bool:
    return path is not None and os.access(str(path), os.R_OK | os.X_OK) and Path(str(path)).is_dir()


class Settings(AccessSettings, DriftSettings):
    """What an operator may set; names in the environment carry the prefix ``RESTNET_``.

    Nothing else in the project reads the environment. Durations are in seconds and sizes in bytes, as their
    suffixes say. ``docs/settings.md`` lists each one; a test holds the two together.
    """

    model_config: ClassVar[SettingsConfigDict] = SettingsConfigDict(
        env_prefix=PREFIX,
        # As a compose file gives a variable that nobody has set.
        env_ignore_empty=True,
        frozen=True,
        extra="forbid",
        populate_by_name=True,
        # A refused address may hold a password.
        hide_input_in_errors=True,
    )

    secrets_dir: Path | None = Field(
        default=None,
        description="Folder with a file a setting, such as `/run/secrets`; the environment wins over it.",
    )
    data_dir: Path = Field(
        default=Path("data"), description="Folder for everything the embedded parts write; made when missing."
    )
    database_url: SecretStr = Field(
        default_factory=_default_database,
        description="SQLAlchemy address: `sqlite:///FILE` or `postgresql+psycopg://USER@HOST/NAME`.",
    )
    broker_url: SecretStr = Field(
        default_factory=_default_broker,
        description="Message broker: `filesystem://FOLDER` (embedded, one machine) or `redis://HOST:PORT/N`.",
    )
    storage_url: str = Field(
        default_factory=_default_storage,
        description="Where scans and checkpoints are kept: `file://FOLDER` or `s3://BUCKET/PREFIX`.",
    )
    storage_endpoint_url: str | None = Field(
        default=None, description="Address of the S3 server; Amazon's of the region when not set."
    )
    storage_region: str = Field(
        default="us-east-1", description="Region of the bucket; most servers but Amazon's take any."
    )
    storage_access_key: SecretStr | None = Field(
        default=None, description="Access key of the bucket; the machine's own role when not set."
    )
    storage_secret_key: SecretStr | None = Field(
        default=None, description="The secret that belongs to the access key."
    )
    storage_addressing: Literal["path", "virtual"] = Field(
        default="path", description="Whether the bucket stands in the path or in the host name."
    )
    storage_timeout_s: float = Field(
        default=5, ge=0.1, le=300, description="The S3 server may be silent for this long."
    )
    storage_attempts: int = Field(
        default=3,
        ge=1,
        le=20,
        description="How often a request to the S3 server is tried.",
    )
    encryption_key_file: Path | None = Field(
        default=None, description="Keys of stored scans; without it they are not encrypted by the service."
    )
    scratch_dir: Path = Field(
        default_factory=_default_scratch,
        description="Folder for the copies of scans that are being read; best in memory (tmpfs).",
    )
    checkpoint: Path | None = Field(
        default=None, description="Checkpoint to serve; the demonstration model when not set."
    )
    device: Literal["auto", "cpu", "cuda"] = Field(
        default="auto", description="Where the network runs; `auto` takes a GPU when there is one."
    )
    backend: Literal["auto", "openvino", "torch"] = Field(
        default="auto",
        description="What computes the network; `auto` takes the fastest that agrees with the network.",
    )
    inference_threads: int = Field(
        default=0, ge=0, le=256, description="Threads of the network in one worker; 0 takes every core."
    )

    cohorts_dir: Path = Field(
        default_factory=_default_cohorts,
        description="Folder whose cohorts are registered by themselves.",
    )
    runs_dir: Path = Field(
        default_factory=_default_runs,
        description="Folder of the training runs that are asked for; at the same path on every machine that "
        "trains.",
    )
    training_threads: int = Field(
        default=0,
        ge=0,
        le=256,
        description="Threads of a fold of a run that is asked for; 0 takes half of the cores.",
    )

    explanations: Literal["always", "on-request"] = Field(
        default="always",
        description="Whether every prediction is explained and pictured, or those that somebody asks for.",
    )

    max_upload_bytes: int = Field(
        default=1 << 30, ge=1 << 10, le=1 << 36, description="Largest accepted upload."
    )
    reader_memory_bytes: int = Field(
        default=1 << 30,
        ge=1 << 28,
        le=1 << 36,
        description="Memory of the process that reads one scan; a file that needs more is refused.",
    )
    reader_time_s: float = Field(
        default=300,
        ge=1,
        le=86400,
        description="Time that reading one scan may take, of a processor and by the clock.",
    )
    normalising_memory_bytes: int = Field(
        default=1 << 32,
        ge=1 << 28,
        le=1 << 38,
        description="Memory of the process that brings one scan into template space: some three times its "
        "samples in float32; a scan that needs more is refused.",
    )
    normalising_time_s: float = Field(
        default=3600,
        ge=1,
        le=86400,
        description="Time that bringing one scan into template space may take, of a processor and by the "
        "clock.",
    )
    session_idle_s: int = Field(
        default=3600, ge=60, le=7 * 86400, description="A login ends after this long without a request."
    )
    session_lifetime_s: int = Field(
        default=12 * 3600, ge=300, le=30 * 86400, description="A login ends after this long in any case."
    )

    max_attempts: int = Field(
        default=3, ge=1, le=20, description="How often a job may be started before it fails as `worker_lost`."
    )
    lease_s: float = Field(
        default=15, ge=1, le=600, description="A worker that stays silent for this long loses its job."
    )
    heartbeat_s: float = Field(
        default=1,
        ge=0.1,
        le=60,
        description="How often a worker renews its lease and looks for a cancellation.",
    )
    sweep_s: float = Field(
        default=5, ge=0.2, le=600, description="How often lost messages and expired leases are looked for."
    )
    republish_s: float = Field(
        default=30, ge=1, le=3600, description="A queued job that nobody took is announced again after this."
    )
    backoff_s: float = Field(
        default=2, ge=0.1, le=600, description="Wait before a job is tried again; doubles with each attempt."
    )
    soft_time_limit_s: float = Field(
        default=600, ge=1, le=86400, description="A prediction that runs longer fails with `time_limit`."
    )
    hard_time_limit_s: float = Field(
        default=660, ge=2, le=90000, description="A worker that does not react to the soft limit is killed."
    )
    shutdown_s: float = Field(
        default=10, ge=1, le=300, description="How long the processes get to stop before they are killed."
    )

    scan_retention_days: int = Field(
        default=0,
        ge=0,
        le=36500,
        description="Scans are removed with their results this long after their upload; 0 keeps them.",
    )
    idempotency_days: int = Field(
        default=30, ge=1, le=3650, description="An `Idempotency-Key` is forgotten after this long."
    )
    audit_reads_s: float = Field(
        default=300,
        ge=0,
        le=86400,
        description="Looking again at the same thing within this time is one event of the audit.",
    )

    log_format: Literal["console", "json"] = Field(
        default="console", description="Log lines for people or for machines."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="The least severe line that is written."
    )
    otlp_endpoint: str | None = Field(
        default=None,
        description="Where traces go: an OTLP receiver over HTTP, `http://HOST:4318`; not set: no traces.",
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003  (there is no such file)
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003  (ours knows the folder)
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Read what is passed, then the environment, then the files of the secrets' folder."""
        passed = init_settings.init_kwargs if isinstance(init_settings, InitSettingsSource) else {}
        folder = passed.get("secrets_dir") or os.environ.get(f"{PREFIX}SECRETS_DIR")
        # A folder that is not there is refused below, by name.
        files = SecretsSettingsSource(settings_cls, secrets_dir=folder if _is_folder(folder) else None)
        return init_settings, env_settings, files

    @field_validator("secrets_dir")
    @classmethod
    def _readable_secrets(cls, folder: Path | None) -> Path | None:
        if folder is not None and not _is_folder(folder):
            message = "expected a folder that this account may read, found none"
            raise ValueError(message)
        return None if folder is None else folder.absolute()

    @field_validator("otlp_endpoint")
    @classmethod
    def _known_receiver(cls, url: str | None) -> str | None:
        if url is not None and (urlsplit(url).scheme not in {"http", "https"} or not urlsplit(url).hostname):
            message = "expected an address such as http://HOST:4318, found something else"
            raise ValueError(message)
        return url

    @field_validator(
        "data_dir", "checkpoint", "cohorts_dir", "encryption_key_file", "runs_dir", "scratch_dir"
    )
    @classmethod
    def _absolute(cls, path: Path | None) -> Path | None:
        # Child processes get the settings through their environment and may start in another folder.
        return None if path is None else path.expanduser().absolute()

    @field_validator("database_url")
    @classmethod
    def _known_database(cls, url: SecretStr) -> SecretStr:
        try:
            driver = make_url(url.get_secret_value()).drivername
        except (ArgumentError, ValueError):
            # What was found may be a password.
            message = "expected a database address such as sqlite:///FILE, found something else"
            raise ValueError(message) from None
        if driver not in DATABASE_DRIVERS:
            message = (
                f"expected a database address with one of {', '.join(DATABASE_DRIVERS)}, found {driver!r}"
            )
            raise ValueError(message)
        return url

    @field_validator("broker_url")
    @classmethod
    def _known_broker(cls, url: SecretStr) -> SecretStr:
        scheme = urlsplit(url.get_secret_value()).scheme
        if scheme not in BROKER_SCHEMES:
            message = f"expected a broker address with one of {', '.join(BROKER_SCHEMES)}, found {scheme!r}"
            raise ValueError(message)
        return url

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if (self.storage_access_key is None) != (self.storage_secret_key is None):
            message = (
                "expected RESTNET_STORAGE_ACCESS_KEY and RESTNET_STORAGE_SECRET_KEY together, "
                "found one of them"
            )
            raise ValueError(message)
        if self.heartbeat_s * 2 > self.lease_s:
            message = (
                "expected RESTNET_HEARTBEAT_S at most half of RESTNET_LEASE_S, "
                f"found {self.heartbeat_s} and {self.lease_s}"
            )
            raise ValueError(message)
        if self.hard_time_limit_s <= self.soft_time_limit_s:
            message = (
                f"expected RESTNET_HARD_TIME_LIMIT_S above RESTNET_SOFT_TIME_LIMIT_S, "
                f"found {self.hard_time_limit_s} and {self.soft_time_limit_s}"
            )
            raise ValueError(message)
        return self

    def environment(self) -> dict[str, str]:
        """Return the variables that make a child process build these same settings.

        What a child finds in the secrets' folder itself is not among them; any other secret is.
        """
        variables = {}
        in_files = self._in_files()
        for name in type(self).model_fields:
            value = getattr(self, name)
            if value is not None and in_files.get(name) != value:
                text = value.get_secret_value() if isinstance(value, SecretStr) else str(value)
                variables[PREFIX + name.upper()] = text
        return variables

    def _in_files(self) -> dict[str, SecretStr]:
        source = SecretsSettingsSource(type(self), secrets_dir=self.secrets_dir)
        found = source() if self.secrets_dir is not None else {}
        secret = [name for name in type(self).model_fields if isinstance(getattr(self, name), SecretStr)]
        return {name: SecretStr(str(found[name])) for name in secret if name in found}


def misspelt_settings() -> dict[str, str]:
    """Return the variables, and files of the secrets' folder, that nearly name a setting, and which one.

    One that is lost in silence leaves the default: scans that nobody encrypts, another database.
    """
    folder = os.environ.get(f"{PREFIX}SECRETS_DIR")
    files = [file.name for file in Path(folder).iterdir()] if folder and _is_folder(folder) else []
    known = [name.upper() for name in Settings.model_fields]
    near = {}
    for name in sorted({*os.environ, *files}):
        if not name.upper().startswith(PREFIX) or name.upper().removeprefix(PREFIX) in known:
            continue
        meant = get_close_matches(name.upper().removeprefix(PREFIX), known, n=1, cutoff=CLOSE)
        if meant:
            near[name] = PREFIX + meant[0]
    return near
