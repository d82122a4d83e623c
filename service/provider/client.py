"""The identity provider as this service sees it: where to send people, and who they are when they return."""

import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx2
from authlib.common.errors import AuthlibBaseError
from authlib.integrations.base_client import OAuthError
from authlib.integrations.starlette_client import OAuth, StarletteOAuth2App
from fastapi import Request
from joserfc.errors import JoseError

from service.provider.errors import ProviderAnswerError, ProviderRefusedError, ProviderUnavailableError
from service.settings import Settings

ANSWER_S = 5.0
# How far the provider's clock may be off.
LEEWAY_S = 30
CALLBACK = "/login/provider/callback"
DISCOVERY = "/.well-known/openid-configuration"

# What signs an ID token, whatever else a provider says that it can: keys that it alone has (RFC 7518, 8037).
ALGORITHMS = frozenset(
    {"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519"}
)
_STATED = "id_token_signing_alg_values_supported"
# OpenID Connect Discovery 1.0, 3: every provider can, so one that says nothing means this.
_UNSAID = ("RS256",)

Claims = Mapping[str, Any]


@dataclass(frozen=True)
class Departure:
    """A login that is being sent to the provider.

    Attributes
    ----------
    url : str
        Where the browser goes.
    state : dict
        What its answer will be compared with: state, nonce and the PKCE code verifier.
    """

    url: str
    state: dict[str, Any] = field(repr=False)


@dataclass(frozen=True)
class IdentityProvider:
    """An OpenID Connect provider: authorization code flow with PKCE, state and nonce.

    Attributes
    ----------
    name : str
        As people know it.
    issuer, client_id : str
    callback : str
        This service's own address for answers, as registered with the provider.
    needed_claims : frozenset of str
        Asked for at the provider's userinfo endpoint when its token lacks one of them.
    """

    name: str
    issuer: str
    client_id: str
    callback: str
    needed_claims: frozenset[str]
    _app: StarletteOAuth2App = field(repr=False)

    async def depart(self, request: Request) -> Departure:
        """Begin a login.

        Raises
        ------
        ProviderUnavailableError
            If the provider does not say where to go.
        """
        request.scope["session"] = {}
        try:
            await self._metadata()
            redirect = await self._app.authorize_redirect(request, self.callback)
        except (httpx2.HTTPError, RuntimeError, TypeError, ValueError) as error:
            raise ProviderUnavailableError from error
        return Departure(url=redirect.headers["location"], state=dict(request.session))

    async def arrive(self, request: Request, state: dict[str, Any]) -> Claims:
        """Read the provider's answer, fetch its token with the code and return what it says about the person.

        Parameters
        ----------
        request : Request
            To :data:`CALLBACK`.
        state : dict
            Of the departure of this browser.

        Raises
        ------
        ProviderAnswerError
            If state, nonce, code, signature, issuer, audience or time is not as it should be.
        ProviderRefusedError
            If the provider says no.
        ProviderUnavailableError
            If it does not answer.
        """
        if request.query_params.get("iss", self.issuer) != self.issuer:
            # RFC 9207: another provider's answer.
            raise ProviderAnswerError
        if "error" in request.query_params:
            raise ProviderRefusedError
        request.scope["session"] = state
        try:
            await self._metadata()
            token = await self._app.authorize_access_token(
                request,
                leeway=LEEWAY_S,
                claims_options={
                    "iss": {"essential": True, "values": [self.issuer]},
                    "aud": {"essential": True, "values": [self.client_id]},
                },
            )
            return await self._complete(token)
        except (httpx2.HTTPError, RuntimeError) as error:
            raise ProviderUnavailableError from error
        except (OAuthError, AuthlibBaseError, JoseError, KeyError, TypeError, ValueError) as error:
            raise ProviderAnswerError from error

    async def farewell(self, *, back: str) -> str | None:
        """Return where somebody ends their login at the provider itself; None if it has no such place."""
        try:
            metadata = await self._metadata()
        except (httpx2.HTTPError, TypeError, ValueError) as error:
            raise ProviderUnavailableError from error
        if "end_session_endpoint" not in metadata:
            return None
        made = await self._app.create_logout_url(post_logout_redirect_uri=back, client_id=self.client_id)
        return str(made["url"])

    async def _metadata(self) -> dict[str, Any]:
        """Load what the provider says of itself, once, and hold it to what it may say.

        Raises
        ------
        ProviderUnavailableError
            If it is another issuer's (OpenID Connect Discovery 1.0, 4.3).
        """
        metadata: dict[str, Any] = await self._app.load_server_metadata()
        if metadata.get("issuer") != self.issuer:
            # Not kept: it may be mended.
            metadata.clear()
            raise ProviderUnavailableError
        metadata[_STATED] = [name for name in metadata.get(_STATED) or _UNSAID if name in ALGORITHMS]
        return metadata

    async def _complete(self, token: dict[str, Any]) -> Claims:
        claims: Claims = token["userinfo"]
        if self.needed_claims.issubset(claims):
            return claims
        metadata = await self._metadata()
        if "userinfo_endpoint" not in metadata:
            return claims
        more = await self._app.userinfo(token=token)
        if more["sub"] != claims["sub"]:
            # OpenID Connect Core 5.3.2: an answer about somebody else must not be used.
            raise ProviderAnswerError
        return {**more, **claims}


def open_provider(settings: Settings) -> IdentityProvider:
    """Build the provider that the settings name; nothing is reached yet.

    Raises
    ------
    ValueError
        If they name none: the settings themselves see to the rest.
    """
    if settings.oidc_issuer is None or settings.oidc_client_secret is None or settings.public_url is None:
        message = "expected settings that name an identity provider, found none in them"
        raise ValueError(message)
    app = OAuth().register(
        "provider",
        client_id=settings.oidc_client_id,
        client_secret=settings.oidc_client_secret.get_secret_value(),
        server_metadata_url=settings.oidc_issuer.rstrip("/") + DISCOVERY,
        client_kwargs={
            "scope": settings.oidc_scopes,
            "code_challenge_method": "S256",
            "timeout": ANSWER_S,
            # Authlib would not use a token in its last minute, and some providers' live for no longer.
            "leeway": 0,
            # The system's own certificates: a hospital's authority is installed there.
            "verify": ssl.create_default_context(),
            "trust_env": False,
        },
    )
    claims = {settings.oidc_role_claim, settings.oidc_organisation_claim} - {""}
    return IdentityProvider(
        name=settings.oidc_name,
        issuer=settings.oidc_issuer,
        client_id=str(settings.oidc_client_id),
        callback=settings.public_url.rstrip("/") + CALLBACK,
        needed_claims=frozenset(claim.partition(".")[0] for claim in claims),
        _app=app,
    )
