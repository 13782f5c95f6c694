"""A version to publish, and a repository to publish it into."""

import json
from pathlib import Path

import pytest

from tfserving.repository import Repository


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "exported"
    (folder / "variables").mkdir(parents=True)
    (folder / "assets.extra").mkdir()
    (folder / "saved_model.pb").write_bytes(b"graph" * 1000)
    (folder / "variables" / "variables.index").write_bytes(b"weights" * 1000)
    (folder / "assets.extra" / "model_card.json").write_text(json.dumps({"metrics": {"accuracy": 0.99}}))
    return folder


@pytest.fixture
def repo(tmp_path: Path) -> Repository:
    made = Repository(tmp_path / "repo")
    made.open()
    return made
