"""What the tests of several folders share."""

from collections.abc import Iterator

import pytest

from tests.e2e.conftest import House, free_port, start, stop, wait_until_ready, write_small_recipe


@pytest.fixture(scope="session")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """`hcr up` with a model that it has trained on MNIST first; for tests/e2e and tests/web."""
    folder = tmp_path_factory.mktemp("house")
    write_small_recipe(folder / "digits.toml")
    running = start(folder, free_port(), "--recipe", "digits.toml")
    try:
        wait_until_ready(running)
        yield running
    finally:
        stop(running)
