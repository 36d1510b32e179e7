"""The parts of the OpenAPI document that all operations share.

A view declares only its own part, with the schemas that also validate its requests.
"""

import inspect
from typing import Any

from apispec import APISpec, BasePlugin
from werkzeug.http import HTTP_STATUS_CODES

from app.api.headers import BASE_HEADERS, PAGE_HEADERS
from app.api.problems import DETAILS, MEDIA_TYPE, ProblemSchema, problem_body

ABOUT = """\
## Authorization

Everything under `/api` needs a token. Create one on the command line with
`slipway tokens create NAME`, and send it with each request as
`Authorization: Bearer TOKEN`.

Without a valid token you get 401. A token with scope `read` gets 403 for every method that can
change something.

## Requests and responses

Requests and responses are JSON in UTF-8. A body with an unknown field is rejected (422). Unknown
query parameters are ignored. Times are RFC 3339; in responses they are in UTC. Every `GET`
operation also supports `HEAD`. Methods that are not listed get 405 with `Allow`.

A body can have 64 KiB, if the operation does not say otherwise. A JSON body can have up to 50,000
values, and each object in it up to 100 fields (422).

## Errors

Every error is a problem document (RFC 9457), even if the request is not valid HTTP (400, 414, 417,
431, 501). `detail` explains the error, and `errors` names the invalid fields. Of more than 100
errors, it has the first 100, and `more_errors` is the number of the others. Outside `/api`,
browsers get an HTML page instead.

## Rate limits

A token can create a limited number of resources in a time window, and an address can send a limited
number of invalid tokens. A write with an invalid body (400, 413, 422) counts as one resource for
each 16 KiB of its body; without `Content-Length`, its body counts as the largest that is allowed.
Above the limit you get 429. Wait for the seconds in `Retry-After`, then retry. The `RateLimit`
headers show how much is left.

## Retries

Operations with the header `Idempotency-Key` can be retried safely, for example after a lost
connection. Generate a key for each new request, and send the same key when you retry. You get the
first response again, and the change is made only once.

## Pages of a list

Lists use cursor pagination. To get the next page, send `next` of this page as `after`. On the last
page, `next` is null.

## Conditional requests

`ETag` identifies a resource's revision. Send `If-None-Match` with a stored ETag to get 304 instead
of a body you already have. Send `If-Match` to make a change only if nobody else has changed the
resource (optimistic locking); otherwise you get 412. Unless `Cache-Control` says otherwise, caches
must ask the service again each time.
"""


def _text(description: str, example: str, **schema: Any) -> dict[str, Any]:
    whole = {"type": "string", "examples": [example], **schema}
    return {"description": description, "schema": whole}


REQUEST_ID = _text("The request's id, in the response and in its log lines.", "b7e2c1")

PARAMETERS = {
    "Idempotency-Key": _text(
        "A unique string that you generate, for example a UUID. For 24 hours, a retry with the"
        " same key and body returns the first response and changes nothing. Only successful"
        " responses are stored. A different request with the same key gets 422. While the first"
        " request is still running, a retry waits, or gets 409. Each token has its own keys.",
        "3f2504e0-4f89-11d3-9a0c-0305e82c3301",
        pattern="^[!-~]([ -~]{0,253}[!-~])?$",
    ),
    "If-Match": _text(
        "Make the change only if the resource still has this ETag; otherwise return 412.", '"1-1"'
    ),
    "If-None-Match": _text(
        "Return 304 without a body if the resource still has this ETag.", '"1-1"'
    ),
    "X-Request-Id": {
        **REQUEST_ID,
        "description": REQUEST_ID["description"]
        + " Send 1 to 128 letters, digits, `.`, `_` or `-`; otherwise, the service generates one.",
    },
}

COMMON_HEADERS = {
    "Cache-Control": _text(
        "Who can cache the response, and for how long.", BASE_HEADERS["Cache-Control"]
    ),
    "X-Content-Type-Options": _text(
        "Browsers must not guess the media type.", "nosniff", const="nosniff"
    ),
    "X-Request-Id": REQUEST_ID,
}
RATE_LIMIT_HEADERS = {
    "RateLimit": _text(
        "How much of the limit is left (`r`), and the seconds until its window ends (`t`).",
        '"create";r=2999;t=60',
    ),
    "RateLimit-Policy": _text(
        "The limit (`q`) for each window of `w` seconds.", '"create";q=3000;w=60'
    ),
}
RESPONSE_HEADERS = {
    **COMMON_HEADERS,
    **RATE_LIMIT_HEADERS,
    "Content-Security-Policy": _text(
        "The sources that the page can load content from.", PAGE_HEADERS["Content-Security-Policy"]
    ),
    "Content-Disposition": _text(
        "Whether browsers show or save the file, and its name.", "inline; filename=page.css"
    ),
    "Content-Encoding": _text("How the file is compressed, if the client accepts it.", "gzip"),
    "ETag": _text(
        "The current revision, for `If-None-Match` and `If-Match`.", '"1-1"', pattern='^"[^"]*"$'
    ),
    "Expires": _text(
        "Until then, caches can use the file without asking again.", "Mon, 23 Nov 2026 12:00:00 GMT"
    ),
    "Last-Modified": _text("When the file was changed.", "Mon, 23 Nov 2026 12:00:00 GMT"),
    "Link": _text("The URL of the next page.", '</api/things?after=x>; rel="next"'),
    "Location": _text(
        "The URL of the new resource, or the target of the redirect.",
        "/api/things/x",
        format="uri-reference",
    ),
    "Retry-After": {
        "description": "Seconds to wait before you retry.",
        "schema": {"type": "integer", "minimum": 0, "examples": [1]},
    },
    "Referrer-Policy": _text(
        "When browsers send the page's URL as `Referer`.", PAGE_HEADERS["Referrer-Policy"]
    ),
    "Vary": _text("The request headers that the response depends on.", "Accept"),
    "WWW-Authenticate": _text("The error of the token (RFC 6750).", 'Bearer realm="slipway"'),
}
# These can be missing from a response that lists them. All others are always present.
OPTIONAL_HEADERS = {*RATE_LIMIT_HEADERS, *PAGE_HEADERS}
OPTIONAL_HEADERS |= {"Content-Encoding", "Last-Modified", "Link", "Retry-After", "Vary"}

PROBLEMS = {
    400: "The request is malformed.",
    401: "The token is missing or not valid.",
    403: "This request needs a token with scope 'write'.",
    404: DETAILS[404],
    409: "The request conflicts with existing data, or with another request.",
    410: "The resource has expired.",
    412: "The resource has changed since you read it. Read it again, then retry.",
    413: "The body is too large. The default limit is 64 KiB.",
    414: "The URL is too long.",
    415: "The body must be JSON (Content-Type: application/json), not compressed.",
    422: "The request has invalid fields, or reuses an Idempotency-Key for another request.",
    429: "The rate limit is exceeded. Wait for the seconds in Retry-After, then try again.",
    431: "The headers are too large.",
    500: "The service failed. The error is logged under the request's id (X-Request-Id).",
    503: "The service is overloaded, not ready, or its database is not available. Try again.",
}
PROBLEM_HEADERS = dict.fromkeys((401, 403), ("WWW-Authenticate",))
PROBLEM_HEADERS |= dict.fromkeys((409, 429, 503), ("Retry-After",))


def named(*headers: str) -> dict[str, str]:
    """Return the headers of a response, as references to the document's components."""
    return {name: name for name in headers}


def problem_responses(*statuses: int) -> dict[int, str]:
    """Return error responses, as references to the document's components."""
    return {status: HTTP_STATUS_CODES[status].replace(" ", "") for status in statuses}


def not_modified(*headers: str) -> dict[int, Any]:
    """Return the 304 response of an operation that supports `If-None-Match`."""
    return {304: {"description": "Not changed.", "headers": named("ETag", *headers)}}


class CommonParts(BasePlugin):
    """An apispec plugin that adds the shared parameters, headers and errors to each operation."""

    def init_spec(self, spec: APISpec) -> None:
        """Define the components that operations refer to."""
        self.schemas = spec.components.schemas
        description = "A token with scope `read` (`GET`, `HEAD`), `write` or `admin` (all methods)."
        bearer = {"type": "http", "scheme": "bearer", "description": description}
        spec.components.security_scheme("bearer", bearer)
        for name, parameter in PARAMETERS.items():
            spec.components.parameter(name, "header", {"name": name, **parameter})
        for name, header in RESPONSE_HEADERS.items():
            spec.components.header(name, {**header, "required": name not in OPTIONAL_HEADERS})
        spec.components.schema("Problem", schema=ProblemSchema)
        for status, name in problem_responses(*PROBLEMS).items():
            detail = PROBLEMS[status]
            content = {"schema": "Problem", "example": problem_body(status, detail, "/api/me")}
            own = PROBLEM_HEADERS.get(status, ())
            response = {
                "description": detail,
                "content": {MEDIA_TYPE: content},
                "headers": named(*COMMON_HEADERS, *RATE_LIMIT_HEADERS, "Vary", *own),
            }
            spec.components.response(name, response)

    def schema_helper(self, name: str, definition: dict[str, Any], **kwargs: Any) -> dict[str, Any]:  # noqa: ARG002
        """Return a schema's docstring as its description, and an example made from its fields."""
        example = {
            field: self._example(schema) for field, schema in definition["properties"].items()
        }
        return {"description": inspect.getdoc(kwargs["schema"]), "examples": [example]}

    def _example(self, schema: dict[str, Any]) -> Any:
        if "$ref" in schema:
            schema = self.schemas[schema["$ref"].rpartition("/")[2]]
        if "items" in schema:
            return [self._example(schema["items"])]
        return schema.get("examples", [None])[0]

    def operation_helper(
        self, path: str | None = None, operations: dict[str, Any] | None = None, **kwargs: Any
    ) -> None:
        """Add the parts that follow from an operation's path, method, parameters and body."""
        for method, operation in (operations or {}).items():
            statuses = {400, 414, 431, 500, 503}
            parameters = operation.setdefault("parameters", [])
            if any(p["in"] == "query" for p in parameters if isinstance(p, dict)):
                statuses |= {422}
            if "requestBody" in operation:
                statuses |= {413, 415, 422}
            if "{" in str(path):
                statuses |= {404}
            if str(path).startswith("/api/"):
                scope = "read" if method == "get" else "write"
                operation["security"] = [{"bearer": [scope]}]
                statuses |= {401, 429} if scope == "read" else {401, 403, 429}
            parameters.append("X-Request-Id")
            operation["operationId"] = kwargs["rule"].endpoint
            for response in operation["responses"].values():
                if isinstance(response, dict):
                    page = "text/html" in response.get("content", {})
                    shared = named(*COMMON_HEADERS, *((*PAGE_HEADERS, "Vary") if page else ()))
                    response["headers"] = response.get("headers", {}) | shared
            responses = operation["responses"] | problem_responses(*statuses)
            operation["responses"] = dict(sorted(responses.items()))
