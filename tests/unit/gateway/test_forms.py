"""POST /v1/forms:read."""

import io
from typing import Any

import numpy as np
import pytest
from flask.testing import FlaskClient
from PIL import Image

from handwriting.image import to_base64
from handwriting.registration import corners
from tests.unit.handwriting.test_registration import form, scanned

BOX = [420, 1000, 320, 60]
TWICE = [{"name": "code", "box": BOX}] * 2


def png(pixels: Any) -> str:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", compress_level=1)
    return to_base64(buffer.getvalue())


def ask(client: FlaskClient, image: str, fields: list[dict[str, Any]], reference: str | None = None) -> Any:
    layout = {"reference": reference or png(form()), "fields": fields}
    return client.post("/v1/forms:read", json={"image": image, "layout": layout}, headers={"X-Request-Timeout": "30"})


def test_a_form_is_found_and_its_fields_are_read(client: FlaskClient) -> None:
    page = form()
    filled = page.copy()
    filled[1012:1050, 450:455] = 0
    scan, matrix = scanned(filled, 2, 1.02, (0.02, 0.01))
    empty = {"name": "empty", "box": [60, 1070, 200, 40]}

    response = ask(client, png(scan), [{"name": "code", "box": BOX, "charset": "0123456789"}, empty])

    assert response.status_code == 200
    code, blank = response.get_json()["fields"]
    assert (code["name"], code["blank"], code["text"].isdecimal()) == ("code", False, True)
    assert code["model"] == {"name": "digits", "version": 1}
    assert code["candidates"][0]["text"] == code["text"]
    assert set(code) >= {"confidence", "rejected", "satisfies"}
    assert np.abs(np.array(code["corners"]) - np.array(corners(matrix, (420, 1000, 320, 60)))).max() <= 6
    assert (blank["text"], blank["blank"], "confidence" in blank) == ("", True, False)


def test_what_is_not_the_form_is_told(client: FlaskClient) -> None:
    scan, _ = scanned(np.ascontiguousarray(form(2)[::-1, ::-1]), 0, 1, (0, 0))

    response = ask(client, png(scan), [{"name": "code", "box": BOX}])

    assert (response.status_code, response.get_json()["code"]) == (422, "form_not_found")


@pytest.mark.parametrize(
    "fields",
    [[], [{"name": "code"}], [{"name": "code", "box": [1, 2, 3]}], [{"name": "", "box": BOX}], [{"box": BOX}], "x", TWICE],
)
def test_a_layout_that_is_none_is_refused(client: FlaskClient, fields: Any) -> None:
    response = ask(client, png(form()), fields)

    assert (response.status_code, response.get_json()["code"]) == (400, "invalid_request")
    assert response.get_json()["errors"][0]["pointer"].startswith("/layout")
