"""A version that is not what was published is refused."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tfserving import manifest
from tfserving.errors import RepositoryError
from tfserving.repository import Repository


def changed(version: Path) -> None:
    path = version / "saved_model.pb"
    path.write_bytes(b"x" + path.read_bytes()[1:])


def removed(version: Path) -> None:
    (version / "variables" / "variables.index").unlink()


def added(version: Path) -> None:
    (version / "assets.extra" / "more").write_text("more")


def given_another_manifest(version: Path) -> None:
    changed(version)
    manifest.write(version)


def left_without_a_manifest(version: Path) -> None:
    (version / manifest.FILE).unlink()


def given_a_manifest_that_is_none(version: Path) -> None:
    (version / manifest.FILE).write_text("[]")


TAMPERINGS = [
    changed, removed, added, given_another_manifest, left_without_a_manifest, given_a_manifest_that_is_none,
]  # fmt: skip


@pytest.mark.parametrize("tamper", TAMPERINGS)
def test_a_tampered_version_is_not_promoted(repo: Repository, source: Path, tamper: Callable[[Path], None]) -> None:
    for _ in range(2):
        repo.publish("digits", source)
    tamper(repo.root / "digits" / "2")

    with pytest.raises(RepositoryError, match=r"is not what was published|no manifest that can be read"):
        repo.promote("digits", 2)

    assert repo.labels("digits") == {"stable": 1}


@pytest.mark.parametrize("tamper", TAMPERINGS)
def test_nothing_goes_back_to_a_tampered_version(repo: Repository, source: Path, tamper: Callable[[Path], None]) -> None:
    for _ in range(2):
        repo.publish("digits", source)
    repo.promote("digits", 2)
    tamper(repo.root / "digits" / "1")

    with pytest.raises(RepositoryError, match=r"is not what was published|no manifest that can be read"):
        repo.rollback("digits")

    assert repo.labels("digits") == {"stable": 2, "previous": 1}


def test_what_was_changed_is_named(repo: Repository, source: Path) -> None:
    repo.publish("digits", source)
    changed(repo.root / "digits" / "1")

    with pytest.raises(RepositoryError, match=r"changed, added or missing are saved_model\.pb$"):
        repo.verify("digits", 1)


def test_a_source_that_was_changed_since_its_manifest_is_not_published(repo: Repository, source: Path) -> None:
    manifest.write(source)
    changed(source)

    with pytest.raises(RepositoryError, match="is not what was published"):
        repo.publish("digits", source)

    assert repo.models() == []


def test_a_version_from_before_there_were_manifests_passes(repo: Repository, source: Path) -> None:
    repo.publish("digits", source)
    (repo.root / "digits" / "1" / manifest.FILE).unlink()
    repo.audit_path.unlink()

    repo.promote("digits", 1, "canary")

    assert repo.labels("digits") == {"stable": 1, "canary": 1}
