"""Who is let in, how often, and from which pages; and what every answer tells a browser that it may do with it."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from flask import Flask, Response, g, request

from gateway.addresses import client_address, household
from gateway.budget import Baton
from gateway.errors import ProblemError
from gateway.keys import KeyRing, Scope
from gateway.limits import limit_requests
from gateway.metrics import Metrics
from gateway.settings import Settings

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' blob: data:",
        "connect-src 'self'",
        "form-action 'none'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)
"""Of a page: its own scripts, styles and images, images that it made itself, and requests to where it came from."""
_UNUSED_FEATURES = (
    "accelerometer", "camera", "display-capture", "geolocation", "gyroscope", "hid", "magnetometer", "microphone",
    "midi", "payment", "publickey-credentials-get", "screen-wake-lock", "serial", "usb", "xr-spatial-tracking",
)  # fmt: skip
_OF_EVERY_ANSWER = [
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "no-referrer"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
]
_OF_DATA = [*_OF_EVERY_ANSWER, ("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")]
_OF_A_PAGE = [
    *_OF_EVERY_ANSWER,
    ("Content-Security-Policy", CONTENT_SECURITY_POLICY),
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("Cross-Origin-Embedder-Policy", "require-corp"),
    ("Permissions-Policy", ", ".join(f"{name}=()" for name in _UNUSED_FEATURES)),  # a file input that takes a photo needs none
    ("X-Frame-Options", "DENY"),  # for browsers that do not know frame-ancestors
]

_API = ("/v1/", "/v2")
_PREFLIGHT = {
    "Access-Control-Allow-Methods": "GET, POST",
    "Access-Control-Allow-Headers": "Authorization, Content-Type, X-API-Key, X-Request-ID, X-Request-Timeout",
    "Access-Control-Max-Age": "600",
}
_EXPOSED = "RateLimit, RateLimit-Policy, Retry-After, Server-Timing, X-Model-Version, X-Request-ID"


def protect(app: Flask, settings: Settings, baton: Baton, metrics: Metrics) -> None:
    """Lets in whom the settings let in. Comes after the hooks that give a request its id, for a refusal has one too."""
    if settings.allowed_origins:
        _let_pages_ask(app, settings.allowed_origins)
    ring = KeyRing(Path(settings.keys_file)) if settings.keys_file else None
    if ring:
        _identify(app, ring)
    if settings.rate_limit:
        trusted = settings.trusted_networks

        def whose() -> str:
            if key := g.get("key"):
                return f"key {key.name}"
            address = client_address(request.remote_addr or "", request.headers.get("X-Forwarded-For", ""), trusted)
            return f"address {household(address)}"

        def is_exempt() -> bool:
            return not (request.url_rule and is_limited(request.url_rule.rule))

        limit_requests(app, settings.rate_limit, settings.rate_limit_storage, whose, is_exempt, baton, metrics)
    if ring:
        app.before_request(_authorize)


def scope_of(rule: str) -> Scope | None:
    """What a key must be good for to ask there, None where everybody may."""
    if rule == "/v1/feedback":
        return "feedback"
    if rule == "/metrics":
        return "operate"
    return "predict" if rule.startswith(_API) else None


def is_limited(rule: str) -> bool:
    """Whether what is asked there counts against a rate limit."""
    return scope_of(rule) in ("predict", "feedback")


def scope_of_request() -> Scope | None:
    """As `scope_of`, of the request; a path that is not there needs no key."""
    return scope_of(request.url_rule.rule) if request.url_rule else None


def _identify(app: Flask, ring: KeyRing) -> None:
    """Looks whose key the request carries, and notes its name for the log."""

    @app.before_request
    def identify() -> None:
        ring.refresh()
        presented = _presented_key()
        g.key = ring.find(presented) if presented else None
        if g.key:
            g.log_fields["key"] = g.key.name


def _presented_key() -> str:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else request.headers.get("X-API-Key", "")


def _authorize() -> None:
    """Raises ProblemError where the request's key is not good for what it asks (RFC 6750, section 3)."""
    scope = scope_of_request()
    if scope is None or (g.key and scope in g.key.scopes):
        return
    if g.key:
        told = {"WWW-Authenticate": f'Bearer error="insufficient_scope", scope="{scope}"'}
        raise ProblemError(403, "forbidden", f"The key {g.key.name} lacks the scope {scope}.", told)
    came = "The key is not known." if _presented_key() else "There is no key."
    told = {"WWW-Authenticate": 'Bearer error="invalid_token"' if _presented_key() else "Bearer"}
    raise ProblemError(401, "unauthorized", f"{came} Send one as `Authorization: Bearer …` or `X-API-Key: …`.", told)


def _let_pages_ask(app: Flask, origins: frozenset[str]) -> None:
    """Lets pages of these origins ask the API and read the answers (CORS); never with cookies, of which there are none."""

    @app.before_request
    def preflight() -> Response | None:
        is_asked = request.method == "OPTIONS" and "Access-Control-Request-Method" in request.headers
        if not is_asked or not request.path.startswith(_API) or request.headers.get("Origin") not in origins:
            return None
        return Response(status=204, headers=_PREFLIGHT)

    @app.after_request
    def tell(response: Response) -> Response:
        if request.path.startswith(_API):
            response.vary.add("Origin")
            if (origin := request.headers.get("Origin")) in origins:
                response.headers["Access-Control-Allow-Origin"] = str(origin)
                response.headers["Access-Control-Expose-Headers"] = _EXPOSED
        return response


def with_security_headers(app: "WSGIApplication") -> "WSGIApplication":
    """The application, each of its answers with the headers of a page or of data.

    Around the application instead of in it: so nothing that answers can leave them out, and it costs no parsing.
    """

    def answer(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        def start(status: str, headers: list[tuple[str, str]], *exc_info: object) -> Callable[[bytes], object]:
            headers.extend(_OF_A_PAGE if _is_page(headers) else _OF_DATA)
            return start_response(status, headers, *exc_info)  # type: ignore[arg-type]

        return app(environ, start)

    return answer


def _is_page(headers: list[tuple[str, str]]) -> bool:
    return any(name == "Content-Type" and value.startswith("text/html") for name, value in headers)
