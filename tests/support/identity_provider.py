"""An identity provider that says what a test wants, right or wrong. It asks nobody anything."""

import base64
import hashlib
import hmac
import json
import secrets
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qs, parse_qsl, urlencode, urlsplit

import requests
import trustme
from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey

from tests.support.visitor import Visitor

SECRET = "s3cret+/"  # noqa: S105 characters that must be encoded in HTTP Basic


def settings(issuer: str, **more: str) -> dict[str, str]:
    """Return the settings of a service whose people sign in at a provider."""
    return {
        "OIDC_ISSUER": issuer,
        "OIDC_CLIENT_ID": "slipway",
        "OIDC_CLIENT_SECRET": SECRET,
        "OIDC_READ_ROLES": "reader",
        "OIDC_WRITE_ROLES": "editor, author",
        "OIDC_ADMIN_ROLES": "ops",
        **more,
    }


def begin(visitor: Visitor, path: str = "/sign-in/provider") -> str:
    """Begin to sign in, and return the path to which the provider sends the browser back."""
    answer = visitor.get(path)
    assert answer.status_code == 303, answer.text
    back = requests.get(answer.headers["Location"], allow_redirects=False, timeout=30)
    return "/" + back.headers["Location"].split("/", 3)[3]


def sign_in(visitor: Visitor) -> requests.Response:
    """Sign in at the provider, and return the last answer of the service."""
    return visitor.get(begin(visitor))


class Provider(ThreadingHTTPServer):
    """The provider. Tests change its attributes, and `reset` restores them."""

    daemon_threads = True

    def __init__(self, certificate: trustme.LeafCert | None = None) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.issuer = f"http://127.0.0.1:{self.server_port}"
        if certificate:
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            certificate.configure_cert(context)
            self.socket = context.wrap_socket(self.socket, server_side=True)
            self.issuer = self.issuer.replace("http:", "https:")
        self.rotate()
        self.reset()

    @contextmanager
    def running(self) -> Iterator[Self]:
        """Serve requests in a `with` block."""
        with self:
            threading.Thread(target=self.serve_forever, daemon=True).start()
            yield self
            self.shutdown()

    def handle_error(self, *_: object) -> None:
        """Ignore clients that leave before the answer."""

    def reset(self) -> None:
        """Be an honest provider, where Ada is an editor."""
        self.claims: dict[str, Any] = {"sub": "ada", "name": "Ada Lovelace", "roles": ["editor"]}
        self.userinfo: dict[str, Any] = {}  # what only the UserInfo endpoint says
        self.header: dict[str, Any] = {"alg": "RS256", "kid": self.key.kid}
        self.sign_with: Any = self.key
        self.callback: dict[str, str] = {}  # arguments to add to the response, or to replace there
        self.metadata: dict[str, Any] = {}  # the same, of the metadata
        self.answers: dict[str, tuple[int, str]] = {}  # status and body, by path
        self.delay = 0.0  # seconds before each answer
        self.pause = 0.0  # seconds before each byte of it
        self.asked: list[str] = []  # paths of requests
        self.codes: dict[str, dict[str, str]] = {}

    def rotate(self) -> None:
        """Replace the key. The keys from before are gone."""
        self.key = RSAKey.generate_key(2048, {"kid": secrets.token_hex(4), "use": "sig"})
        self.header = {"alg": "RS256", "kid": self.key.kid}
        self.keys: list[Any] = [self.key.as_dict(private=False)]
        self.sign_with = self.key

    def be_forged(self, algorithm: str) -> None:
        """Sign with an unknown key, with HS256 and the public key, or not at all (none)."""
        self.header["alg"] = algorithm
        self.sign_with = None
        if algorithm == "RS256":
            self.sign_with = RSAKey.generate_key(2048)
        elif algorithm == "ES256":
            self.sign_with = ECKey.generate_key("P-256")

    def id_token(self, asked: dict[str, str]) -> str:
        """Return an ID token for a request to the authorization endpoint."""
        now = int(time.time())
        claims = {"iss": self.issuer, "aud": "slipway", "iat": now, "exp": now + 60}
        claims |= {"nonce": asked["nonce"]} | self.claims
        claims = {name: value for name, value in claims.items() if value is not None}
        if self.sign_with:
            return jwt.encode(self.header, claims, self.sign_with, algorithms=["RS256", "ES256"])
        # By hand, because the library refuses to do this.
        parts = [_base64(json.dumps(part).encode()) for part in (self.header, claims)]
        key, signed = self.key.as_pem(private=False), ".".join(parts).encode()
        is_hmac = self.header["alg"] == "HS256"
        signature = _base64(hmac.digest(key, signed, "sha256")) if is_hmac else ""
        return ".".join([*parts, signature])


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


class Handler(BaseHTTPRequestHandler):
    """One request."""

    server: Provider

    def do_GET(self) -> None:
        """Answer a request, as far as the test has not given another answer."""
        provider = self.server
        path, query = urlsplit(self.path)[2:4]
        provider.asked.append(path)
        time.sleep(provider.delay)
        if path in provider.answers:
            self.answer(*provider.answers[path])
        elif path == "/authorize":
            asked = dict(parse_qsl(query))
            code = secrets.token_hex(8)
            provider.codes[code] = asked
            given = {"code": code, "state": asked["state"], "iss": provider.issuer}
            given |= provider.callback
            back = urlencode({name: value for name, value in given.items() if value})
            self.send_response(302)
            self.send_header("Location", f"{asked['redirect_uri']}?{back}")
            self.end_headers()
        else:
            self.answer(200, json.dumps(self.document(path)))

    def document(self, path: str) -> dict[str, Any]:
        """Return the document at a path."""
        provider = self.server
        if path == "/jwks":
            return {"keys": provider.keys}
        if path == "/userinfo":
            assert self.headers["Authorization"] == "Bearer access"
            return {"sub": "ada"} | provider.userinfo
        assert path == "/.well-known/openid-configuration"
        return {
            "issuer": provider.issuer,
            "authorization_endpoint": f"{provider.issuer}/authorize",
            "token_endpoint": f"{provider.issuer}/token",
            "userinfo_endpoint": f"{provider.issuer}/userinfo",
            "jwks_uri": f"{provider.issuer}/jwks",
            "end_session_endpoint": f"{provider.issuer}/logout",
            "authorization_response_iss_parameter_supported": True,
        } | provider.metadata

    def do_POST(self) -> None:
        """Exchange a code for an ID token: once, for its client, which proves it with PKCE."""
        provider = self.server
        provider.asked.append(self.path)
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        time.sleep(provider.delay)
        given = {name: values[0] for name, values in parse_qs(body).items()}
        basic = base64.b64encode(b"slipway:s3cret%2B%2F").decode()
        is_client = self.headers["Authorization"] == f"Basic {basic}"
        asked = provider.codes.pop(given.get("code", ""), None)
        digest = hashlib.sha256(given["code_verifier"].encode()).digest()
        if self.path in provider.answers:
            self.answer(*provider.answers[self.path])
        elif not is_client:
            self.answer(401, '{"error": "invalid_client"}')
        elif (
            not asked
            or asked["code_challenge"] != _base64(digest)
            or asked["redirect_uri"] != given.get("redirect_uri")
        ):
            self.answer(400, '{"error": "invalid_grant", "error_description": "used"}')
        else:
            token = {"id_token": provider.id_token(asked), "access_token": "access"}
            self.answer(200, json.dumps(token | {"token_type": "Bearer"}))

    def answer(self, status: int, body: str) -> None:
        """Send an answer."""
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body.encode())))
        self.end_headers()
        if self.server.pause:
            for number in body.encode():
                time.sleep(self.server.pause)
                self.wfile.write(bytes([number]))
        else:
            self.wfile.write(body.encode())

    def log_message(self, *_: object) -> None:
        """Log nothing."""
