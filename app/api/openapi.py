"""The parts of the OpenAPI document that all operations share.

A view declares only its own part, by the schemas that also check its requests.
"""

import inspect
from typing import Any

from apispec import APISpec, BasePlugin
from werkzeug.http import HTTP_STATUS_CODES

from app.api.headers import BASE_HEADERS, PAGE_HEADERS
from app.api.problems import MEDIA_TYPE, ProblemSchema, problem_body

ABOUT = """\
Requests and answers are JSON in UTF-8. A field that an operation does not know is refused, not
ignored. Times are RFC 3339; those that the service tells are in UTC. `HEAD` works where `GET`
does, without the body; another method than those listed gets 405 with `Allow`.

Everything under `/api` needs a token, made on the command line: `slipway tokens create NAME`.
How much one token may create in a time is limited, and how many wrong tokens one address may send
(429).

Every error is a problem (RFC 9457) in one shape, also those that say that a request was no HTTP:
400, 414, 417, 431 and 501. Outside `/api`, a browser gets it as a page.

`ETag` names a revision. `If-None-Match` spares the answer that the client has, `If-Match` a
change of what somebody else has changed since. What has no other `Cache-Control` is asked for
again each time.
"""


def _text(description: str, example: str, **schema: Any) -> dict[str, Any]:
    whole = {"type": "string", "examples": [example], **schema}
    return {"description": description, "schema": whole}


REQUEST_ID = _text("The request's id: in the answer and in every line of the log.", "b7e2c1")

PARAMETERS = {
    "Idempotency-Key": _text(
        "The same key and request again gives the first answer again, for 24 hours, and does"
        " nothing else. With another request it is refused (422).",
        "3f2504e0-4f89-11d3-9a0c-0305e82c3301",
        pattern="^[!-~]([ -~]{0,253}[!-~])?$",
    ),
    "If-Match": _text("Do it only to this revision.", '"1-1"'),
    "If-None-Match": _text("Answer 304 where this is the revision still.", '"1-1"'),
    "X-Request-Id": {
        **REQUEST_ID,
        "description": REQUEST_ID["description"]
        + " One is made where it is absent, or is not 1 to 128 of letters, digits, `.`, `_`, `-`.",
    },
}

COMMON_HEADERS = {
    "Cache-Control": _text("How long the answer may be kept.", BASE_HEADERS["Cache-Control"]),
    "X-Content-Type-Options": _text("The media type is right.", "nosniff", const="nosniff"),
    "X-Request-Id": REQUEST_ID,
}
RATE_LIMIT_HEADERS = {
    "RateLimit": _text("What is left (`r`) for how many seconds (`t`).", '"create";r=2999;t=60'),
    "RateLimit-Policy": _text("How many (`q`) in how many seconds (`w`).", '"create";q=3000;w=60'),
}
RESPONSE_HEADERS = {
    **COMMON_HEADERS,
    **RATE_LIMIT_HEADERS,
    "Content-Security-Policy": _text(
        "What the page may load.", PAGE_HEADERS["Content-Security-Policy"]
    ),
    "Content-Disposition": _text("How to show the file.", "inline; filename=page.css"),
    "ETag": _text("The revision.", '"1-1"', pattern='^"[^"]*"$'),
    "Expires": _text("Until when it may be kept.", "Mon, 23 Nov 2026 12:00:00 GMT"),
    "Last-Modified": _text("When the file changed.", "Mon, 23 Nov 2026 12:00:00 GMT"),
    "Link": _text("The next page.", '</api/things?after=x>; rel="next"'),
    "Location": _text("Where it is.", "/api/things/x", format="uri-reference"),
    "Retry-After": {
        "description": "Seconds after which another attempt makes sense.",
        "schema": {"type": "integer", "minimum": 0, "examples": [1]},
    },
    "Referrer-Policy": _text("Who may know of the page.", PAGE_HEADERS["Referrer-Policy"]),
    "Vary": _text("What the answer depends on.", "Accept"),
    "WWW-Authenticate": _text("What is wrong with the token.", 'Bearer realm="slipway"'),
}
# All others are on each response that names them.
OPTIONAL_HEADERS = {*RATE_LIMIT_HEADERS, *PAGE_HEADERS}
OPTIONAL_HEADERS |= {"Last-Modified", "Link", "Retry-After", "Vary"}

PROBLEMS = {
    400: "The request is malformed.",
    401: "A token is needed.",
    403: "The token's scope must be 'write' for this.",
    404: "There is nothing here.",
    409: "Something else is in the way.",
    410: "This has expired.",
    412: "It has changed since.",
    413: "The body is larger than this takes: 64 KiB, if nothing else is said.",
    414: "The URL is too long.",
    415: "The body must be application/json.",
    422: "The request has invalid fields.",
    429: "Too many requests of this kind. Wait.",
    431: "The headers are too large.",
    500: "This is a fault of the service. It has been logged.",
    503: "The database does not answer. Try again.",
}
PROBLEM_HEADERS = dict.fromkeys((401, 403), ("WWW-Authenticate",))
PROBLEM_HEADERS |= dict.fromkeys((409, 429, 503), ("Retry-After",))


def named(*headers: str) -> dict[str, str]:
    """Return the headers of a response, by their names among the components."""
    return {name: name for name in headers}


def problem_responses(*statuses: int) -> dict[int, str]:
    """Return the error responses with these statuses."""
    return {status: HTTP_STATUS_CODES[status].replace(" ", "") for status in statuses}


def not_modified(*headers: str) -> dict[int, Any]:
    """Return the response of an operation that honours If-None-Match."""
    return {304: {"description": "This is the revision still.", "headers": named("ETag", *headers)}}


class CommonParts(BasePlugin):
    """Adds to each operation what all have, or all with a token, a path, a query or a body."""

    def init_spec(self, spec: APISpec) -> None:
        """Define the components that operations refer to."""
        self.schemas = spec.components.schemas
        description = "A token. Its scope is `read` (GET), or `write`: all else too."
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
        """Describe a schema by its docstring, with an example made from those of its fields."""
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
        """Add the parts that follow from an operation's path, method and declaration."""
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
