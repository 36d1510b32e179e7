"""Sign-in with OpenID Connect: authorization code flow with PKCE, and RP-initiated logout.

Specifications: OpenID Connect Core 1.0, Discovery 1.0 and RP-Initiated Logout 1.0; RFC 7636 (PKCE);
RFC 9207 (`iss` in the provider's response). A person who signs in gets a token for this session of
the browser, so all else works as with other tokens. What a sign-in must remember is in the
browser's signed cookie, so any replica can finish it.
"""

import hashlib
import hmac
import json
import secrets
import time
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as TooSlowError
from http import HTTPStatus
from typing import Any, ClassVar
from urllib.parse import quote_plus, urlencode, urlsplit

from flask import (
    Blueprint,
    Flask,
    current_app,
    redirect,
    render_template,
    request,
    session,
    url_for,
)
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
WORKERS = 8  # pages that use the provider at the same time, in each process
ANSWER_LIMIT = 1024 * 1024  # bytes
SKEW = 60  # seconds between the provider's clock and ours
STAY_LIMIT = 600  # seconds that a person can take at the provider
NEXT_LIMIT = 1000  # characters: browsers drop cookies of more than 4 KiB
REASON_LIMIT = 500  # characters in a log line
LOOPBACK = {"127.0.0.1", "localhost", "::1"}
# Only signatures with the provider's private key. With HS256, anybody could sign with its public
# key; with `none`, there is no signature.
ALGORITHMS = [f"{kind}{size}" for kind in ("RS", "PS", "ES") for size in (256, 384, 512)]
SIGNATURES = jws.JWSRegistry(algorithms=[*ALGORITHMS, "Ed25519"], strict_check_header=False)
# What answers can raise that are not as they should be.
UNUSABLE = (JoseError, HTTPError, ArithmeticError, LookupError, TypeError, ValueError)

AWAY = "The sign-in provider can't be reached, or it does not work. Try again."
UNKNOWN = (
    "This sign-in has ended, took too long, or began in another browser or at another address."
)
INVALID = "The provider's answer is not valid: {}."

Json = Mapping[str, Any]
blueprint = Blueprint("oidc", __name__, url_prefix="/sign-in")


class SignInError(HTTPException):
    """Nobody is signed in. The page says why, and the log line has a `reason` too."""

    page = "sign_in_failed.html"

    def __init__(self, detail: str, reason: str = "", code: int = 403) -> None:
        super().__init__(detail)
        self.reason, self.code = reason[:REASON_LIMIT], code


class AwayError(SignInError):
    """The provider can't be reached, or it does not work."""

    data: ClassVar = {"headers": {"Retry-After": str(problems.RETRY_AFTER)}}

    def __init__(self, reason: str) -> None:
        super().__init__(AWAY, reason, 503)


class Provider:
    """The identity provider. Any thread or greenlet may call it; it does not need Flask's context.

    All methods raise SignInError: 503 (AwayError) if the provider is away or unusable, else 403.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings, self.issuer = settings, str(settings.oidc_issuer)
        self.client = {
            "client_id": str(settings.oidc_client_id),
            "client_secret": str(settings.oidc_client_secret),
        }
        self.roles = {
            "admin": set(settings.oidc_admin_roles),
            "write": set(settings.oidc_write_roles),
            "read": set(settings.oidc_read_roles),
        }
        self.metadata: Json = {}
        self._http = PoolManager(timeout=LIMIT, retries=False)
        self._workers = ThreadPoolExecutor(WORKERS)

    def within_limit(self, work: Callable[..., Any], *arguments: Any) -> Any:
        """Return what `work` returns, if it takes at most LIMIT, including the look-up of names."""
        try:
            return self._workers.submit(work, *arguments).result(LIMIT)
        except (TooSlowError, *UNUSABLE) as error:
            raise AwayError(f"{type(error).__name__} {error}") from None

    def discover(self) -> Json:
        """Fetch the provider's metadata, such as the addresses of its endpoints."""
        found = self._fetch(self.issuer.rstrip("/") + "/.well-known/openid-configuration")
        if found.get("issuer") != self.issuer:
            raise AwayError(f"its issuer is {found.get('issuer')!r}")
        self.metadata = found
        return found

    def endpoint(self, name: str) -> str:
        """Return an endpoint's address: HTTPS, or on this machine if the issuer is there too."""
        url = urlsplit(str((self.metadata or self.discover()).get(name)))
        is_here = {url.hostname, urlsplit(self.issuer).hostname} <= LOOPBACK
        if not url.hostname or not (url.scheme == "https" or is_here):
            raise AwayError(f"its {name} is {url.geturl()!r}")
        return url.geturl()

    def claims(self, given: Json, started: Json, redirect_uri: str) -> Json:
        """Return what the provider says about the person, in exchange for the code in `given`."""
        url = self.endpoint("token_endpoint")
        sends_iss = self.metadata.get("authorization_response_iss_parameter_supported")
        if sends_iss and "iss" not in given:
            raise SignInError(INVALID.format("no iss"))
        form = {"grant_type": "authorization_code", "code": given.get("code", "")}
        form |= {"redirect_uri": redirect_uri, "code_verifier": started["verifier"]}
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        methods = self.metadata.get("token_endpoint_auth_methods_supported")
        if methods and "client_secret_basic" not in methods:
            form |= self.client
        else:  # the default, by Discovery 1.0, section 3
            pair = ":".join(map(quote_plus, self.client.values()))
            headers["Authorization"] = f"Basic {b64encode(pair.encode()).decode()}"
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
        return claims

    def verified(self, token: str, keys: Json, nonce: str) -> Json:
        """Return the claims of an ID token (OpenID Connect Core 1.0, section 3.1.3.7)."""
        client_id = self.client["client_id"]
        values = {"iss": self.issuer, "aud": client_id, "nonce": nonce}
        needed = (*values, "sub", "exp", "iat")
        rules: Any = {name: {"essential": True, "value": values.get(name)} for name in needed}

        def keys_for(signed: Any) -> KeySet:
            kid = signed.headers().get("kid")
            found = [key for key in map(dict, keys["keys"]) if kid in {None, key.get("kid")}]
            return KeySet.import_key_set({"keys": found})

        try:
            claims = jwt.decode(token, keys_for, registry=SIGNATURES).claims
            jwt.JWTClaimsRegistry(leeway=SKEW, **rules).validate(claims)
            is_for_others = isinstance(claims["aud"], list) and len(claims["aud"]) > 1
            if claims.get("azp", "" if is_for_others else client_id) != client_id:
                raise ValueError("Invalid claim: 'azp'")
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
        reason = f"{self.settings.oidc_role_claim} is {given!r}"
        raise SignInError("You have no access to this service. Ask its operator.", reason)

    def _fetch(self, url: str, method: str = "GET", **options: Any) -> Json:
        """Return the JSON object at an address, without following redirects."""
        options |= {"redirect": False, "preload_content": False}
        with self._http.request(method, url, **options) as answer:
            body = answer.read(ANSWER_LIMIT)
        if answer.status == HTTPStatus.BAD_REQUEST and b"invalid_grant" in body:
            raise SignInError(UNKNOWN, body.decode(errors="replace"))
        if answer.status != HTTPStatus.OK:
            raise AwayError(f"{url}: {answer.status} {body.decode(errors='replace')}")
        return dict(json.loads(body))


def init_app(app: Flask, settings: Settings) -> None:
    """Let people sign in at the provider of the settings."""
    app.extensions["oidc"] = Provider(settings)
    app.config |= {"SIGN_IN_PAGE": "oidc.start", "AFTER_SIGN_OUT": "oidc.sign_out"}
    app.register_blueprint(blueprint)


blueprint.after_request(sessions.no_store)


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
    onward = sessions.safe_next_path()
    onward = onward if len(onward) <= NEXT_LIMIT else ""
    session["sign_in"] = started | {"next": onward, "until": time.time() + STAY_LIMIT}
    challenge = urlsafe_b64encode(hashlib.sha256(started.pop("verifier").encode()).digest())
    query = started | {
        "response_type": "code",
        "client_id": provider.client["client_id"],
        "redirect_uri": own_url() + url_for("oidc.callback"),
        "scope": provider.settings.oidc_scopes,
        "code_challenge": challenge.decode().rstrip("="),
        "code_challenge_method": "S256",
    }
    return redirect(_with_query(provider.endpoint("authorization_endpoint"), query), 303)


@blueprint.route("/callback")
def callback() -> Any:
    """Sign in the person whom the provider sends back."""
    provider: Provider = current_app.extensions["oidc"]
    started = session.get("sign_in", {})
    try:
        claims = _claims(provider, started)
        scope, name_claim = provider.scope_of(claims), provider.settings.oidc_name_claim
        name = "".join(filter(str.isprintable, str(claims.get(name_claim, "")))).strip()
        if not name:
            raise SignInError(INVALID.format(f"Missing claim: {name_claim!r}"))
    except SignInError as error:
        if not isinstance(error, AwayError):
            tokens.count_failed_attempt()
        raise
    person = f"{provider.issuer} {claims['sub']}".encode("utf-8", "surrogatepass")
    digest = hashlib.sha256(person).hexdigest()
    token = tokens.create_session(database(), digest, name, scope, sessions.LIFETIME)
    sessions.start_session(token)
    return redirect(started["next"] or url_for("hello.hello"), 303)


def _claims(provider: Provider, started: Json) -> Json:
    given = request.args.to_dict()
    state = given.get("state", "").encode()
    if not started or not hmac.compare_digest(state, started["state"].encode()):
        raise SignInError(UNKNOWN, "unknown state")
    del session["sign_in"]
    if started["until"] < time.time():
        raise SignInError(UNKNOWN, "too late")
    if given.get("iss", provider.issuer) != provider.issuer:
        raise SignInError(INVALID.format("wrong iss"))
    if "error" in given:
        reason = f"{given['error']} {given.get('error_description')}"
        raise SignInError("The provider did not let you sign in, or you cancelled.", reason)
    redirect_uri = own_url() + url_for("oidc.callback")
    claims: Json = provider.within_limit(provider.claims, given, started, redirect_uri)
    return claims


@blueprint.route("/sign-out")
def sign_out() -> Any:
    """Send a browser to the provider to end its session there. The one here has ended already.

    This is a page, because Chromium applies `form-action` to the redirects after a form.
    """
    provider: Provider = current_app.extensions["oidc"]
    back = {"post_logout_redirect_uri": own_url() + url_for("sessions.sign_in")}
    query = {"client_id": provider.client["client_id"], **back}
    try:
        url = provider.within_limit(provider.endpoint, "end_session_endpoint")
    except SignInError as error:  # it has no such endpoint, or is away
        add_log_context(reason=error.reason)
        return redirect(url_for("sessions.sign_in"), 303)
    url = _with_query(url, query)
    return render_template("sign_out.html", url=url), {"Refresh": f"0; url={url}"}


def _with_query(url: str, query: Mapping[str, str]) -> str:
    return f"{url}{'&' if '?' in url else '?'}{urlencode(query)}"
