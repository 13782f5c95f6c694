"""What every answer says to a browser: headers that keep it from doing more with the answer than it is for."""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

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
    "accelerometer", "bluetooth", "camera", "display-capture", "geolocation", "gyroscope", "hid", "magnetometer", "microphone",
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
