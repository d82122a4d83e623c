"""Settings of the look at drift: how often, and whom an alarm is told; part of ``service.settings``."""

from ipaddress import ip_address
from typing import ClassVar, Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict


class DriftSettings(BaseSettings):
    """What an operator may set about drift; :class:`service.settings.Settings` has these and all others."""

    model_config: ClassVar[SettingsConfigDict] = SettingsConfigDict(extra="forbid", frozen=True)

    drift_evaluation_s: int = Field(
        default=3600, ge=60, le=7 * 86400, description="How often the scans of late are compared anew."
    )
    drift_webhook_url: SecretStr | None = Field(
        default=None,
        description="Gets a POST for every drift alarm: https, or http on this machine; not set: none.",
    )
    drift_webhook_secret: SecretStr | None = Field(
        default=None,
        description="Signs these with HMAC-SHA256, so that the receiver can tell them from others.",
    )
    drift_webhook_timeout_s: float = Field(
        default=5, ge=0.1, le=60, description="The receiver may take this long."
    )

    @field_validator("drift_webhook_url")
    @classmethod
    def _safe_receiver(cls, url: SecretStr | None) -> SecretStr | None:
        # What was found may hold a token.
        if url is not None and not _is_safe(url.get_secret_value()):
            message = "expected an https address, or http on this machine, found something else"
            raise ValueError(message)
        return url

    @model_validator(mode="after")
    def _secret_has_a_receiver(self) -> Self:
        if self.drift_webhook_secret is not None and self.drift_webhook_url is None:
            message = "expected RESTNET_DRIFT_WEBHOOK_URL beside RESTNET_DRIFT_WEBHOOK_SECRET, found none"
            raise ValueError(message)
        return self


def _is_safe(url: str) -> bool:
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError:
        return False
    return bool(host) and (parts.scheme == "https" or (parts.scheme == "http" and _is_loopback(host)))


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
