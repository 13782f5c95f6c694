"""A gateway in this process, in front of a fake model server."""

import io
from collections.abc import Iterator

import numpy as np
import pytest
from flask.testing import FlaskClient
from PIL import Image

from gateway.app import create_app
from gateway.settings import Settings
from tests.fakes import FakeModelServer
from tfserving.client import ModelClient


@pytest.fixture
def server() -> Iterator[FakeModelServer]:
    with FakeModelServer(
        versions=(1, 2), version_labels={"stable": 1, "canary": 2}, card='{"metrics": {"accuracy": 0.995}}'
    ) as fake:
        yield fake


@pytest.fixture
def settings(server: FakeModelServer) -> Settings:
    return Settings(model_server=server.address)


@pytest.fixture
def client(server: FakeModelServer, settings: Settings) -> Iterator[FlaskClient]:
    with ModelClient(server.address) as model_client:
        yield create_app(settings, model_client).test_client()


@pytest.fixture(scope="session")
def png() -> bytes:
    """A stroke on paper."""
    pixels = np.full((60, 50), 255, np.uint8)
    pixels[10:50, 22:28] = 0
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture(scope="session")
def blank_png() -> bytes:
    buffer = io.BytesIO()
    Image.new("L", (40, 40), 255).save(buffer, "PNG")
    return buffer.getvalue()
