"""Requests that are made to hurt: each is answered or refused at once, and the gateway goes on."""

import json
import socket
import time
from collections.abc import Iterator

import pytest

from handwriting.image import to_base64
from tests.e2e.test_gateway_process import gateway, get, memory, post, stroke
from tests.fakes import FakeModelServer
from tests.hostile import HOSTILE

_JSON = "Content-Type: application/json"
_PNG = "Content-Type: image/png"


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with FakeModelServer() as server, gateway(server) as (_, address):
        post(address, stroke())
        yield address


def sent(url: str, data: bytes, is_all: bool) -> tuple[int, str, float]:
    """The status, the problem's code and the seconds until the answer; status 0 where the connection ends without one.

    With `is_all` the client says that nothing more will come, which for Granian means that it has gone.
    """
    host, _, port = url.removeprefix("http://").partition(":")
    start = time.perf_counter()
    answer = b""
    with socket.create_connection((host, int(port)), timeout=20) as connection:
        try:
            connection.sendall(data)
            if is_all:
                connection.shutdown(socket.SHUT_WR)
            while part := connection.recv(65536):
                answer += part
        except (BrokenPipeError, ConnectionResetError):
            pass  # refused while it was still being sent
    seconds = time.perf_counter() - start
    head, _, body = answer.partition(b"\r\n\r\n")
    status = int(head.split(b" ")[1]) if head else 0
    is_problem = b"application/problem+json" in head
    return status, json.loads(body.partition(b"HTTP/1.1 ")[0])["code"] if is_problem else "", seconds


def request(*headers: str, body: bytes = b"", path: str = "/v1/predict", length: int | None = None) -> bytes:
    """A POST whose length is the body's unless another is given."""
    lines = [
        f"POST {path} HTTP/1.1",
        "Host: x",
        "Connection: close",
        *headers,
        f"Content-Length: {len(body) if length is None else length}",
    ]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


def chunked(*chunks: bytes, end: bytes = b"0\r\n\r\n") -> bytes:
    head = request(_PNG, "Transfer-Encoding: chunked").replace(b"Content-Length: 0\r\n", b"")
    return head + b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in chunks) + end


def as_json(value: object) -> bytes:
    return request(_JSON, body=json.dumps(value).encode())


IMAGE = to_base64(stroke())
INVALID = {(400, "invalid_request"), (400, "invalid_json")}
FORM = "Content-Type: multipart/form-data; boundary=x"
FIELD = b"--x\r\nContent-Disposition: form-data; name="
PARAMETERS = "&".join(f"a{number}=1" for number in range(10_000))
BROKEN_CHUNKS = {(400, ""), (400, "invalid_request"), (415, "unsupported_image")}

CASES: dict[str, tuple[bytes, set[tuple[int, str]]]] = {
    "JSON 100,000 deep": (request(_JSON, body=b"[" * 100_000), {(400, "invalid_json")}),
    "an object 100,000 deep": (request(_JSON, body=b'{"image":' * 100_000), {(400, "invalid_json")}),
    "a number of a million digits": (request(_JSON, body=b'{"image":' + b"9" * 1_000_000 + b"}"), INVALID),
    "a huge version": (as_json({"image": IMAGE, "version": 10**300}), INVALID),
    "an infinite number": (request(_JSON, body=b'{"image":"","top_k":1e999}'), INVALID),
    "not a number": (request(_JSON, body=b'{"image":NaN}'), {(400, "invalid_json")}),
    "a negative count": (as_json({"image": IMAGE, "top_k": -1}), {(400, "invalid_request")}),
    "NUL in a string": (as_json({"image": IMAGE, "model": "a\0b"}), {(400, "invalid_request"), (404, "unknown_model")}),
    "NUL in the image": (as_json({"image": "\0" + IMAGE}), {(400, "invalid_base64")}),
    "NUL in JSON": (request(_JSON, body=b'{"image":"\0"}'), {(400, "invalid_json")}),
    "a lone surrogate": (request(_JSON, body=b'{"image":"\\ud800"}'), {(400, "invalid_base64"), (400, "invalid_json")}),
    "a lone surrogate as a name": (request(_JSON, body=b'{"image":"","model":"\\udfff"}'), INVALID),
    "surrogates in UTF-8": (request(_JSON, body=b'{"image":"\xed\xa0\x80"}'), {(400, "invalid_json")}),
    "UTF-16": (request(_JSON, body='{"image":""}'.encode("utf-16")), {(400, "invalid_json")}),
    "a member twice": (request(_JSON, body=b'{"image":"a","image":"b"}'), INVALID),
    "100,000 members": (as_json({str(number): 0 for number in range(100_000)}), {(400, "invalid_request")}),
    "a member of a megabyte": (as_json({"x" * 1_000_000: 0}), {(400, "invalid_request")}),
    "a body in chunks": (chunked(stroke()), {(200, "")}),
    "a body in chunks of one byte": (chunked(*(stroke()[index : index + 1] for index in range(len(stroke())))), {(200, "")}),
    "chunks without an end": (chunked(stroke(), end=b""), {(400, ""), (400, "invalid_request"), (200, ""), (0, "")}),
    "a chunk of a wrong length": (chunked(end=b"fffffffffffffffff\r\nabc\r\n0\r\n\r\n"), BROKEN_CHUNKS),
    "a chunk's length that is none": (chunked(end=b"xyz\r\nabc\r\n0\r\n\r\n"), BROKEN_CHUNKS),
    "a body shorter than its length": (request(_PNG, body=stroke(), length=100_000), {(400, "invalid_request")}),
    "a body longer than its length": (request(_PNG, body=stroke(), length=10), {(415, "unsupported_image")}),
    "a length of 10 GB": (request(_PNG, body=stroke(), length=10 << 30), {(413, "payload_too_large")}),
    "a length beyond all": (request(_PNG, body=stroke(), length=1 << 70), {(400, "")}),
    "a negative length": (request(_PNG, body=stroke(), length=-1), {(400, "")}),
    "two lengths": (request(_PNG, "Content-Length: 5", body=stroke()), {(400, "")}),
    "a length and chunks": (
        request(_PNG, "Transfer-Encoding: chunked", body=b"0\r\n\r\n"),
        {(400, ""), (415, "unsupported_image")},
    ),
    "no length and no chunks": (request(_PNG).replace(b"Content-Length: 0\r\n", b""), {(415, "unsupported_image")}),
    "a header of 300 kB": (request(_PNG, "X-Long: " + "x" * 300_000, body=stroke()), {(200, "")}),
    "a header of 1 MB": (request(_PNG, "X-Long: " + "x" * 1_000_000, body=stroke()), {(431, ""), (0, "")}),
    "1,000 headers": (request(_PNG, *(f"X-{number}: x" for number in range(1000)), body=stroke()), {(431, ""), (0, "")}),
    "a path of 100 kB": (request(_PNG, path="/" + "x" * 100_000, body=stroke()), {(404, "not_found"), (414, ""), (0, "")}),
    "a path that climbs": (
        request(_PNG, path="/v1/models/..%2f..%2fetc%2fpasswd"),
        {(404, "not_found"), (405, "method_not_allowed")},
    ),
    "a path with NUL": (request(_PNG, path="/v1/%00"), {(404, "not_found")}),
    "a path that is no UTF-8": (request(_PNG, path="/v1/%ff%fe"), {(404, "not_found")}),
    "10,000 query parameters": (
        request(_PNG, path="/v1/predict?" + PARAMETERS, body=stroke()),
        {(400, "invalid_request"), (414, ""), (0, "")},
    ),
    "a header that is no text": (request(_PNG, "X-Request-ID: \xff\x80", body=stroke()), {(200, "")}),
    "a key that is no text": (request(_PNG, "Authorization: Bearer \xff\x80", body=stroke()), {(200, "")}),
    "a line break in a header": (request(_PNG, "X-Request-ID: a%0d%0aSet-Cookie: b", body=stroke()), {(200, "")}),
    "a form without an end": (request(FORM, body=FIELD + b"image\r\n\r\nabc"), {(400, "invalid_request")}),
    "a form without a boundary": (request("Content-Type: multipart/form-data", body=b"abc"), {(400, "invalid_request")}),
    "a form of 100,000 fields": (
        request(FORM, body=(FIELD + b"a\r\n\r\n\r\n") * 100_000 + b"--x--"),
        {(400, "invalid_request"), (413, "payload_too_large")},
    ),
    "a pattern that explodes": (as_json({"image": IMAGE, "pattern": "(" * 5000}), {(400, "invalid_request")}),
    "not HTTP": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500), {(400, ""), (0, "")}),
    "HTTP/0.9": (b"GET /healthz\r\n\r\n", {(400, ""), (0, "")}),
    "HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(100), {(400, ""), (0, "")}),
}


ENDED = ("chunks without an end", "a body shorter than its length", "a length of 10 GB", "not HTTP", "HTTP/2")
"""After which the gateway would wait for more; tests/e2e/test_slow_clients.py has what it does then."""


@pytest.mark.parametrize("name", CASES)
def test_a_hostile_request_is_answered_at_once(url: str, name: str) -> None:
    data, expected = CASES[name]

    status, code, seconds = sent(url, data, is_all=name in ENDED)

    assert (status, code) in expected
    assert seconds < 2
    assert get(f"{url}/healthz")[0] == 200


def test_hostile_images_are_answered_without_a_failure_in_bounded_memory() -> None:
    with FakeModelServer() as server, gateway(server, GATEWAY_REQUEST_TIMEOUT_SECONDS="30") as (process, address):
        post(address, stroke())
        before = memory(process)
        answers = {name: post(address, hostile.make()) for name, hostile in HOSTILE.items()}
        grown = memory(process) - before
        last = post(address, stroke())

    codes = {name: body.get("code", "read") for name, (_, body) in answers.items()}
    assert set(codes.values()) <= {"read", "image_too_large", "unsupported_image", "no_ink"}
    assert last[0] == 200
    assert grown < 150  # MB
