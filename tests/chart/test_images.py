"""The images, as far as their files tell: what they are made from, and that nothing of the builder stays in them."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCKERFILES = sorted(ROOT.glob("*/Dockerfile"))


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.parent.name)
def test_an_image_runs_as_a_numeric_user_from_hash_locked_packages(path: Path) -> None:
    text = path.read_text()
    users = re.findall(r"^USER (.*)$", text, re.MULTILINE)

    assert users
    assert set(users) == {"10001:10001"}
    assert "uv pip sync" in text
    assert all("--require-hashes" in line for line in re.split(r"\n(?=[A-Z])", text) if "pip install --quiet" in line)
    assert "HEALTHCHECK" not in text


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.parent.name)
def test_no_index_is_written_down(path: Path) -> None:
    assert re.findall(r"https?://\S+", path.read_text()) == []


def test_only_what_images_are_built_from_is_sent_to_the_builder() -> None:
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    sent = {line[1:] for line in lines if line.startswith("!")}
    copied = {
        source
        for path in DOCKERFILES
        for line in re.findall(r"^COPY (?!--from)(.*)$", path.read_text(), re.MULTILINE)
        for source in line.split()[:-1]
    }

    assert "*" in lines
    assert {source.partition("/")[0] for source in copied} == sent
