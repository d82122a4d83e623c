"""Settings of the way in: who gets in, from where, how often and how slowly; part of ``service.settings``."""

from typing import ClassVar, Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from service.identity.roles import Role
from service.networks import parse_networks

DAY_S = 86400


class AccessSettings(BaseSettings):
    """What an operator may set about access; :class:`service.settings.Settings` has these and all others."""

    model_config: ClassVar[SettingsConfigDict] = SettingsConfigDict(extra="forbid", frozen=True)

    public_url: str | None = Field(
        default=None,
        description="Address that people type; with https the session cookie is `__Host-` and secure.",
    )
    api_key_lifetime_s: int = Field(
        default=365 * DAY_S,
        ge=DAY_S,
        le=3650 * DAY_S,
        description="A new API key is valid for this long unless it is asked for otherwise.",
    )

    first_password_lifetime_s: int = Field(
        default=7 * DAY_S,
        ge=3600,
        le=90 * DAY_S,
        description="A password that somebody else has set ends after this, unless its owner changes it.",
    )

    require_second_factor: bool = Field(
        default=False,
        description="Whether whoever logs in with a password has to set up an authenticator first.",
    )

    trusted_proxies: str = Field(
        default="",
        description="Addresses and networks, with commas, whose `X-Forwarded-For` and `-Proto` are believed.",
    )
    metrics_networks: str = Field(
        default="127.0.0.0/8, ::1/128, 10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16, fc00::/7",
        description="Addresses and networks that may read `/metrics`; loopback and private ones by default.",
    )
    metrics_token: SecretStr | None = Field(
        default=None, min_length=16, description="`/metrics` also wants this as a bearer token."
    )

    requests_per_minute: int = Field(
        default=3000, ge=0, le=10**6, description="Requests with one API key or login; 0 sets no limit."
    )
    requests_per_minute_per_address: int = Field(
        default=6000, ge=0, le=10**6, description="Requests from one address; 0 sets no limit."
    )
    uploads_per_minute: int = Field(
        default=600, ge=0, le=10**6, description="Uploads with one API key or login; 0 sets no limit."
    )
    uploads_per_minute_per_address: int = Field(
        default=1200, ge=0, le=10**6, description="Uploads from one address; 0 sets no limit."
    )
    uploads_at_once: int = Field(
        default=400, ge=1, le=10**5, description="Uploads that one web process receives at the same time."
    )
    uploads_at_once_per_account: int = Field(
        default=240, ge=1, le=10**5, description="Those of one account; others find the rest free."
    )
    unfinished_uploads_per_account: int = Field(
        default=20,
        ge=1,
        le=10**4,
        description="Uploads in parts that an account may have begun; each is as large as an upload may be.",
    )
    connections_per_address: int = Field(
        default=1000,
        ge=1,
        le=10**5,
        description="Connections of one address to one web process; trusted proxies have no such limit.",
    )
    request_head_s: float = Field(
        default=20,
        ge=0.2,
        le=600,
        description="A connection that sends no whole request head ends after this.",
    )
    body_window_s: float = Field(
        default=30, ge=0.2, le=600, description="How long a slow body is waited for before it is judged."
    )
    body_bytes_per_s: int = Field(
        default=4096, ge=1, le=1 << 30, description="A body that came slower over that time ends with 408."
    )
    response_stall_s: float = Field(
        default=60, ge=0.2, le=3600, description="A client that takes nothing of its answer ends after this."
    )

    oidc_issuer: str | None = Field(
        default=None, description="Issuer of an OpenID Connect provider; people may then log in there."
    )
    oidc_client_id: str | None = Field(default=None, description="As registered with the provider.")
    oidc_client_secret: SecretStr | None = Field(default=None, description="As the provider issued it.")
    oidc_name: str = Field(
        default="single sign-on", max_length=60, description="What the log-in page calls the provider."
    )
    oidc_scopes: str = Field(default="openid profile", description="OpenID Connect scopes asked for.")
    oidc_role_claim: str = Field(
        default="groups", description="Claim that gives a role; a path such as `realm_access.roles` works."
    )
    oidc_roles: str = Field(
        default="",
        description="Which of its values is which role, the first that fits: `admins=administrator, ...`.",
    )
    oidc_organisation_claim: str = Field(
        default="", description="Claim that says which organisation somebody is of; not looked at when empty."
    )
    oidc_organisations: str = Field(
        default="",
        description="Values of that claim that are let in, each with its organisation: `north=North, ...`.",
    )

    @property
    def oidc_role_of(self) -> dict[str, Role]:
        """The role for each value of the role claim, in the order in which they count."""
        pairs = [pair.partition("=") for pair in self.oidc_roles.split(",") if pair.strip()]
        return {value.strip(): Role(role.strip()) for value, _, role in pairs}

    @property
    def oidc_organisation_of(self) -> dict[str, str | None]:
        """The organisation's name for each value of its claim, None for the default one, in their order."""
        pairs = [pair.partition("=") for pair in self.oidc_organisations.split(",") if pair.strip()]
        return {value.strip(): name.strip() or None for value, _, name in pairs}

    @field_validator("oidc_issuer")
    @classmethod
    def _secure_issuer(cls, issuer: str | None) -> str | None:
        if issuer is not None:
            parts = urlsplit(issuer)
            if parts.scheme != "https" and parts.hostname not in {"127.0.0.1", "::1", "localhost"}:
                message = f"expected an issuer with https, found {parts.scheme or 'none'}"
                raise ValueError(message)
        return issuer

    @field_validator("trusted_proxies", "metrics_networks")
    @classmethod
    def _known_networks(cls, text: str) -> str:
        try:
            parse_networks(text)
        except ValueError as error:
            message = f"expected addresses and networks such as 10.0.0.0/8, ::1, found another: {error}"
            raise ValueError(message) from None
        return text

    @model_validator(mode="after")
    def _whole_provider(self) -> Self:
        if self.oidc_issuer is None:
            return self
        needed = ("oidc_client_id", "oidc_client_secret", "oidc_roles", "public_url")
        missing = [name for name in needed if not getattr(self, name)]
        if missing:
            message = f"expected {', '.join(needed)} beside oidc_issuer, found no {', '.join(missing)}"
            raise ValueError(message)
        if "openid" not in self.oidc_scopes.split():
            message = "expected openid among oidc_scopes, found it missing"
            raise ValueError(message)
        try:
            self.oidc_role_of  # noqa: B018  (reading it checks it)
        except ValueError:
            message = (
                f"expected oidc_roles such as doctors=clinician, it=administrator, found {self.oidc_roles!r}"
            )
            raise ValueError(message) from None
        return self

    @model_validator(mode="after")
    def _leave_room_for_others(self) -> Self:
        if self.uploads_at_once_per_account > self.uploads_at_once:
            message = (
                "expected uploads_at_once_per_account at most uploads_at_once, "
                f"found {self.uploads_at_once_per_account} and {self.uploads_at_once}"
            )
            raise ValueError(message)
        return self
