"""Sign-in with OpenID Connect: authorization code flow with PKCE, and RP-initiated logout.

Specifications: OpenID Connect Core, Discovery and RP-Initiated Logout 1.0, RFC 7636 and RFC 9207.
A sign-in ends in a token for this session of the browser. Until then, its state is in a cookie.
"""

import hashlib
import hmac
import json
import secrets
import time
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl, quote_plus, urlencode, urlsplit, urlunsplit

from flask import Blueprint, Flask, current_app, redirect, render_template, request, session
from joserfc import jws, jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet
from urllib3 import PoolManager
from urllib3.exceptions import HTTPError
from werkzeug.exceptions import HTTPException

from app.api import problems
from app.api.own_url import own_url
from app.config import Settings
from app.database import database
from app.identity import sessions, tokens
from app.telemetry.logs import add_log_context

LIMIT = 3  # seconds for all that one page needs from the provider
ANSWER_LIMIT = 1024 * 1024  # bytes
LOOPBACK = {"127.0.0.1", "localhost", "::1"}
# Not HS256, since anybody could sign with the provider's public key, and not `none`.
ALGORITHMS = [f"{kind}{size}" for kind in ("RS", "PS", "ES") for size in (256, 384, 512)]
SIGNATURES = jws.JWSRegistry(algorithms=[*ALGORITHMS, "Ed25519"], strict_check_header=False)
UNUSABLE = (JoseError, HTTPError, ArithmeticError, LookupError, RuntimeError, TypeError, ValueError)
AWAY = "The sign-in provider can't be reached, or it does not work. Try again."
DENIED = "The provider did not let you sign in, or you cancelled."
INVALID = "The provider's answer is not valid: {}."
NO_ROLE = "You have no access to this service. Ask its operator."
UNKNOWN = "This sign-in has ended, or it began in another browser or at another address."
Json = Mapping[str, Any]
blueprint = Blueprint("oidc", __name__, url_prefix="/sign-in")
blueprint.after_request(sessions.no_store)


class SignInError(HTTPException):
    """Nobody is signed in. The page says why, and the log line has a `reason` too."""

    page = "sign_in_failed.html"

    def __init__(self, detail: str, reason: str = "", code: int = HTTPStatus.FORBIDDEN) -> None:
        super().__init__(detail)
        self.reason, self.code = reason[:500], code
        is_away = code == HTTPStatus.SERVICE_UNAVAILABLE
        self.data = {"headers": {"Retry-After": str(problems.RETRY_AFTER)} if is_away else {}}


def _away(reason: str) -> SignInError:
    return SignInError(AWAY, reason, HTTPStatus.SERVICE_UNAVAILABLE)


class Provider:
    """The identity provider. Any thread or greenlet may call it, without Flask's context.

    All methods raise SignInError: 503 if the provider is away or unusable, 403 otherwise.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings, self.issuer = settings, str(settings.oidc_issuer)
        self.client_id, self.secret = str(settings.oidc_client_id), settings.oidc_client_secret
        roles = settings.oidc_admin_roles, settings.oidc_write_roles, settings.oidc_read_roles
        self.roles = dict(zip(reversed(tokens.SCOPES), roles, strict=True))
        self.metadata: Json = {}
        self._http = PoolManager(timeout=LIMIT, retries=False)  # and no redirects
        self._workers = ThreadPoolExecutor(8)  # pages that use the provider at the same time

    def within_limit(self, work: Callable[..., Any], *given: Any, **query: Any) -> Any:
        """Return what `work` returns, if it takes at most LIMIT, including the look-up of names."""
        future = self._workers.submit(work, *given, **query)
        try:
            return future.result(LIMIT)
        except (TimeoutError, *UNUSABLE) as error:
            future.cancel()  # if it still waits for a worker
            raise _away(f"{type(error).__name__} {error}") from None

    def discover(self) -> Json:
        """Fetch the provider's metadata, such as the addresses of its endpoints."""
        found = self._fetch(self.issuer.rstrip("/") + "/.well-known/openid-configuration")
        if found.get("issuer") != self.issuer:
            raise _away(f"its issuer is {found.get('issuer')!r}")
        self.metadata = found
        return found

    def endpoint(self, name: str, **query: str) -> str:
        """Return an endpoint's address: HTTPS, or on this machine if the issuer is there too."""
        url = urlsplit(str((self.metadata or self.discover()).get(name)))
        is_here = {url.hostname, urlsplit(self.issuer).hostname} <= LOOPBACK
        if not url.hostname or not (url.scheme == "https" or is_here):
            raise _away(f"its {name} is {url.geturl()!r}")
        query = dict(parse_qsl(url.query)) | query
        return urlunsplit((url.scheme, url.netloc, url.path, urlencode(query), ""))

    def claims(self, given: Json, started: Json, redirect_uri: str) -> Json:
        """Return what the provider says about the person, in exchange for the code in `given`."""
        url = self.endpoint("token_endpoint")
        must_say = self.metadata.get("authorization_response_iss_parameter_supported")
        if given.get("iss", "" if must_say else self.issuer) != self.issuer:
            raise SignInError(INVALID.format("Invalid iss"))
        form = {"grant_type": "authorization_code", "code": given.get("code", "")}
        form |= {"redirect_uri": redirect_uri, "code_verifier": started["verifier"]}
        # All providers support this way (RFC 6749, section 2.3.1).
        pair = f"{quote_plus(self.client_id)}:{quote_plus(str(self.secret))}".encode()
        headers = {"Authorization": f"Basic {b64encode(pair).decode()}"}
        headers["Content-Type"] = "application/x-www-form-urlencoded"
        answer = self._fetch(url, "POST", body=urlencode(form), headers=headers)
        keys = self._fetch(self.endpoint("jwks_uri"))  # each time, because they can change
        claims = self.verified(str(answer.get("id_token")), keys, started["nonce"])
        needed = {self.settings.oidc_name_claim, self.settings.oidc_role_claim}
        if needed - claims.keys() and "userinfo_endpoint" in self.metadata:
            bearer = {"Authorization": f"Bearer {answer.get('access_token')}"}
            more = self._fetch(self.endpoint("userinfo_endpoint"), headers=bearer)
            if more.get("sub") != claims["sub"]:
                raise SignInError(INVALID.format("UserInfo is about somebody else"))
            claims = {**more, **claims}
        if not claims.get(self.settings.oidc_name_claim):
            raise SignInError(INVALID.format(f"Missing claim: {self.settings.oidc_name_claim!r}"))
        return claims

    def verified(self, token: str, keys: Json, nonce: str) -> Json:
        """Return the claims of an ID token (OpenID Connect Core 1.0, section 3.1.3.7)."""
        values = {"iss": self.issuer, "aud": self.client_id, "nonce": nonce}
        needed = (*values, "sub", "exp", "iat")
        rules: Any = {name: {"essential": True, "value": values.get(name)} for name in needed}

        def keys_for(signed: Any) -> KeySet:
            kid = signed.headers().get("kid")
            found = [key for key in map(dict, keys["keys"]) if kid in {None, key.get("kid")}]
            return KeySet.import_key_set({"keys": found})

        try:
            claims = jwt.decode(token, keys_for, registry=SIGNATURES).claims
            jwt.JWTClaimsRegistry(leeway=60, **rules).validate(claims)  # clocks differ
            for name in ("aud", "azp"):  # no other audience is trusted
                if claims.get(name, self.client_id) not in (self.client_id, [self.client_id]):
                    raise ValueError(f"Invalid claim: {name!r}")
        except UNUSABLE as error:
            raise SignInError(INVALID.format(str(error).rstrip("."))) from None
        return claims

    def scope_of(self, claims: Json) -> str:
        """Return the largest scope that a person's claims give."""
        given = claims.get(self.settings.oidc_role_claim)
        values = [*(given if isinstance(given, list) else [given]), "*"]
        for scope, roles in self.roles.items():
            if any(value in roles for value in values if isinstance(value, str)):
                return scope
        raise SignInError(NO_ROLE, f"{self.settings.oidc_role_claim} is {given!r}")

    def _fetch(self, url: str, method: str = "GET", **options: Any) -> Json:
        """Return the JSON object at an address, without following redirects."""
        end, body = time.monotonic() + 2 * LIMIT, b""  # later than within_limit gives up
        with self._http.request(method, url, preload_content=False, **options) as answer:
            while len(body) < ANSWER_LIMIT and time.monotonic() < end and (part := answer.read1()):
                body += part
        if answer.status == HTTPStatus.BAD_REQUEST and b"invalid_grant" in body:
            raise SignInError(UNKNOWN, body.decode(errors="replace"))
        if answer.status != HTTPStatus.OK:
            raise _away(f"{url}: {answer.status} {body.decode(errors='replace')}")
        return dict(json.loads(body))


def init_app(app: Flask, settings: Settings) -> None:
    """Let people sign in at the provider of the settings."""
    app.extensions["oidc"] = Provider(settings)
    app.config |= {"SIGN_IN_PAGE": "oidc.start", "AFTER_SIGN_OUT": "oidc.sign_out"}
    app.register_blueprint(blueprint)


@blueprint.errorhandler(SignInError)
def refused(error: SignInError) -> Any:
    """Show why nobody is signed in, and log it."""
    add_log_context(reason=error.reason)
    return problems.http_error(error)


@blueprint.route("/provider")
def start() -> Any:
    """Send the browser to the provider."""
    provider: Provider = current_app.extensions["oidc"]
    provider.within_limit(provider.discover)  # even if known, to say here that it is away
    started = {name: secrets.token_urlsafe() for name in ("state", "nonce", "verifier")}
    session["sign_in"] = started | {"next": sessions.safe_next_path()}
    challenge = urlsafe_b64encode(hashlib.sha256(started.pop("verifier").encode()).digest())
    url = provider.endpoint(
        "authorization_endpoint",
        client_id=provider.client_id,
        response_type="code",
        redirect_uri=f"{own_url()}/sign-in/callback",
        scope=provider.settings.oidc_scopes,
        code_challenge=challenge.decode().rstrip("="),
        code_challenge_method="S256",
        **started,
    )
    return redirect(url, 303)


@blueprint.route("/callback")
def callback() -> Any:
    """Sign in the person whom the provider sends back."""
    provider: Provider = current_app.extensions["oidc"]
    started, given = session.get("sign_in"), request.args.to_dict()
    try:
        state = given.get("state", "").encode()
        if not started or not hmac.compare_digest(state, started["state"].encode()):
            raise SignInError(UNKNOWN, "unknown state")
        del session["sign_in"]
        if "error" in given:
            raise SignInError(DENIED, f"{given['error']} {given.get('error_description')}")
        back = f"{own_url()}/sign-in/callback"
        claims = provider.within_limit(provider.claims, given, started, back)
        scope, name = provider.scope_of(claims), str(claims[provider.settings.oidc_name_claim])
    except SignInError as error:
        add_log_context(reason=error.reason)  # even if the address has too many failed attempts
        if error.code == HTTPStatus.FORBIDDEN:
            tokens.count_failed_attempt()
        raise
    person = hashlib.sha256(json.dumps([provider.issuer, claims["sub"]]).encode()).hexdigest()
    token = tokens.create_session(database(), person, name, scope, sessions.LIFETIME)
    sessions.start_session(token)
    return redirect(started["next"] or "/", 303)


@blueprint.route("/sign-out")
def sign_out() -> Any:
    """Send a browser to the provider to end its session there. The one here has ended already."""
    provider: Provider = current_app.extensions["oidc"]
    query = {"client_id": provider.client_id, "post_logout_redirect_uri": f"{own_url()}/sign-in"}
    try:
        url = provider.within_limit(provider.endpoint, "end_session_endpoint", **query)
    except SignInError as error:  # it has no such endpoint, or is away
        add_log_context(reason=error.reason)
        return redirect("/sign-in", 303)
    # A page and not a redirect: Chromium applies `form-action` to the redirects after a form.
    return render_template("sign_out.html", url=url), {"Refresh": f"0; url={url}"}
