"""What the documents say holds."""

import re
from pathlib import Path

import pytest

from gateway.errors import TITLES
from hcr.main import cli

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted(
    [ROOT / "README.md", ROOT / "CHANGELOG.md", ROOT / "model_repo" / "README.md", *(ROOT / "docs").glob("*.md")]
)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_to_a_file_leads_somewhere(document: Path) -> None:
    targets = re.findall(r"\]\((?!https?:|#)([^)#]+)", document.read_text())

    assert [target for target in targets if not (document.parent / target).exists()] == []


def test_the_api_document_names_every_error_code_and_no_other() -> None:
    table = (ROOT / "docs" / "api.md").read_text().partition("| status | code | when |")[2]

    assert set(re.findall(r"`([a-z0-9_]+)`", "".join(re.findall(r"^\| [\d, ]+ \|([^|]*)\|", table, re.MULTILINE)))) == set(
        TITLES
    )


def test_the_architecture_names_every_room_and_module() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text()
    modules = [path.name for room in ("handwriting", "tfserving", "gateway") for path in (ROOT / room).glob("[a-z]*.py")]

    assert [name for name in modules if name not in text and not name.startswith("wire_pb2")] == []


def test_the_documents_name_every_command() -> None:
    readme = "".join(path.read_text() for path in DOCUMENTS)

    assert [name for name in cli.commands if f"hcr {name}" not in readme and f"| {name}" not in readme] == []


def test_make_lists_its_targets_and_the_readme_names_real_ones() -> None:
    makefile = (ROOT / "Makefile").read_text()
    named = set(re.findall(r"`make ([a-z]+)", (ROOT / "README.md").read_text()))

    assert {"run", "test"} <= named
    assert [target for target in named if not re.search(rf"^{target}:.*## ", makefile, re.MULTILINE)] == []
