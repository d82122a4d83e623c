"""What an identity provider may say: under its own name, signed by keys of its own."""

import asyncio
import hmac
import json
import threading
import time
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from fastapi import Request
from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey
from joserfc.jws import JWSRegistry

from service.provider.client import ALGORITHMS, CALLBACK, IdentityProvider, open_provider
from service.provider.errors import ProviderAnswerError, ProviderUnavailableError
from service.settings import Settings

pytestmark = pytest.mark.enable_socket

CLIENT_SECRET = "a secret of the tests that is long enough"
RSA = RSAKey.generate_key(2048, {"kid": "rsa"})
ELLIPTIC = ECKey.generate_key("P-256", {"kid": "ec"})
STOLEN_NAME = RSAKey.generate_key(2048, {"kid": "rsa"})


def by_hand(header: dict[str, Any], claims: dict[str, Any], secret: bytes) -> str:
    """Sign as no library of today would: with a public key's text for a secret, or with nothing at all."""
    parts = [urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=") for part in (header, claims)]
    signature = hmac.digest(secret, b".".join(parts), "sha256") if secret else b""
    return b".".join([*parts, urlsafe_b64encode(signature).rstrip(b"=")]).decode()


@dataclass
class Provider:
    """A provider of the tests, which signs whatever it is told to."""

    issuer: str = ""
    metadata: dict[str, Any] = field(default_factory=dict)
    claims: dict[str, Any] = field(default_factory=dict)
    header: dict[str, Any] = field(default_factory=lambda: {"alg": "RS256", "kid": "rsa"})
    key: Any = field(default_factory=lambda: RSA)
    token: str | None = None
    nonce: str = ""

    def id_token(self) -> str:
        if self.token is not None:
            return self.token
        now = int(time.time())
        claims = {
            "iss": self.issuer,
            "aud": "restnet",
            "sub": "mina",
            "groups": ["doctors"],
            "nonce": self.nonce,
            "iat": now,
            "exp": now + 60,
        } | self.claims
        if isinstance(self.key, bytes):
            return by_hand(self.header, claims, self.key)
        registry = JWSRegistry(algorithms=list(JWSRegistry.algorithms), strict_check_header=False)
        return jwt.encode(self.header, claims, self.key, registry=registry)

    def answer(self, path: str) -> dict[str, Any]:
        if path.endswith("/openid-configuration"):
            return {
                "issuer": self.issuer,
                "authorization_endpoint": f"{self.issuer}/authorize",
                "token_endpoint": f"{self.issuer}/token",
                "jwks_uri": f"{self.issuer}/jwks",
                "id_token_signing_alg_values_supported": ["RS256", "ES256"],
            } | self.metadata
        if path == "/jwks":
            return {"keys": [key.as_dict(private=False) for key in (RSA, ELLIPTIC)]}
        return {"access_token": "a", "token_type": "Bearer", "id_token": self.id_token()}


@pytest.fixture
def provider() -> Iterator[Provider]:
    made = Provider()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = json.dumps(made.answer(urlsplit(self.path).path)).encode()
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_POST(self) -> None:
            self.do_GET()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    made.issuer = f"http://127.0.0.1:{server.server_address[1]}"
    yield made
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def client(provider: Provider, tmp_path: Any) -> IdentityProvider:
    return open_provider(
        Settings(
            data_dir=tmp_path,
            public_url="https://restnet.test",
            oidc_issuer=provider.issuer,
            oidc_client_id="restnet",
            oidc_client_secret=CLIENT_SECRET,
            oidc_roles="doctors=clinician",
        )
    )


def request(query: str = "") -> Request:
    scope = {"type": "http", "method": "GET", "path": CALLBACK, "headers": [], "query_string": query.encode()}
    return Request(scope)


def log_in(client: IdentityProvider, provider: Provider) -> Any:
    """Go there and come back; returns what the service then believes."""

    async def both_ways() -> Any:
        departure = await client.depart(request())
        sent = {name: found[0] for name, found in parse_qs(urlsplit(departure.url).query).items()}
        provider.nonce = sent["nonce"]
        answer = urlencode({"code": "c", "state": sent["state"]})
        return await client.arrive(request(answer), departure.state)

    return asyncio.run(both_ways())


@pytest.mark.parametrize(("alg", "key"), [("RS256", RSA), ("ES256", ELLIPTIC)])
def test_a_token_of_the_providers_own_keys_is_believed(
    client: IdentityProvider, provider: Provider, alg: str, key: Any
) -> None:
    provider.header, provider.key = {"alg": alg, "kid": key.kid}, key
    assert log_in(client, provider)["sub"] == "mina"


def test_a_bad_signature_is_refused(client: IdentityProvider, provider: Provider) -> None:
    # Another key under the name of the provider's own.
    provider.key = STOLEN_NAME
    with pytest.raises(ProviderAnswerError):
        log_in(client, provider)


def test_a_token_that_was_changed_is_refused(client: IdentityProvider, provider: Provider) -> None:
    signed = provider.id_token().split(".")
    provider.claims = {"groups": ["administrators"]}
    other = provider.id_token().split(".")
    provider.token = f"{signed[0]}.{other[1]}.{signed[2]}"
    with pytest.raises(ProviderAnswerError):
        log_in(client, provider)


# Also where the provider's own metadata name the algorithm: our list decides.
@pytest.mark.parametrize("stated", [None, ["none", "HS256", "RS256"], ["none", "HS256"], []])
@pytest.mark.parametrize(
    ("header", "key"),
    [
        ({"alg": "none"}, b""),
        ({"alg": "HS256"}, CLIENT_SECRET.encode()),
        ({"alg": "HS256", "kid": "rsa"}, RSA.as_pem(private=False)),
    ],
    ids=["none", "shared-secret", "public-key-as-secret"],
)
def test_none_and_shared_secrets_sign_nothing(
    client: IdentityProvider, provider: Provider, header: dict[str, Any], key: Any, stated: Any
) -> None:
    provider.header, provider.key = header, key
    if stated is not None:
        provider.metadata = {"id_token_signing_alg_values_supported": stated}
    with pytest.raises(ProviderAnswerError):
        log_in(client, provider)


def test_the_list_has_no_algorithm_without_a_key_of_the_providers_own() -> None:
    assert not [name for name in ALGORITHMS if name == "none" or name.startswith("HS")]
    assert set(JWSRegistry.algorithms) >= ALGORITHMS


@pytest.mark.parametrize(
    "wrong",
    [
        {"iss": "https://evil.example"},
        {"aud": "another"},
        {"aud": ["another", "third"]},
        {"nonce": "another"},
        {"exp": 1},
        {"iss": None},
    ],
    ids=lambda wrong: "-".join(f"{name}-{value}" for name, value in wrong.items())[:30],
)
def test_a_token_about_another_login_is_refused(
    client: IdentityProvider, provider: Provider, wrong: dict[str, Any]
) -> None:
    provider.claims = wrong
    with pytest.raises(ProviderAnswerError):
        log_in(client, provider)


@pytest.mark.parametrize("issuer", ["https://evil.example", None, "", ["http://127.0.0.1"]])
def test_metadata_of_another_issuer_are_refused_until_they_are_mended(
    client: IdentityProvider, provider: Provider, issuer: Any
) -> None:
    provider.metadata = {"issuer": issuer}
    for _ in range(2):
        with pytest.raises(ProviderUnavailableError):
            log_in(client, provider)
    with pytest.raises(ProviderUnavailableError):
        asyncio.run(client.farewell(back="https://restnet.test/login"))
    provider.metadata = {}
    assert log_in(client, provider)["sub"] == "mina"


def test_what_is_no_document_is_refused(client: IdentityProvider, provider: Provider) -> None:
    provider.answer = lambda _path: ["not", "metadata"]  # type: ignore[method-assign,assignment,return-value]
    with pytest.raises(ProviderUnavailableError):
        log_in(client, provider)
