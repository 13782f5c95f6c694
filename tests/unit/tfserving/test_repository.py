"""The repository on disk: what is published, what is served, and what a crash leaves."""

import multiprocessing
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from google.protobuf import text_format

from tfserving import manifest, wire_pb2
from tfserving import repository as module
from tfserving.errors import RepositoryError
from tfserving.repository import Repository


def config(repo: Repository) -> wire_pb2.ModelServerConfig:
    return text_format.Parse(repo.config_path.read_text(), wire_pb2.ModelServerConfig())


def served(repo: Repository, model: str = "digits") -> list[int]:
    return [version.number for version in reversed(repo.versions(model)) if version.is_served]


def test_a_new_repository_serves_nothing(repo: Repository) -> None:
    assert repo.config_path.read_text() == "model_config_list { }\n"
    assert repo.models() == []


def test_the_first_version_is_stable_at_once(repo: Repository, source: Path) -> None:
    assert repo.publish("digits", source) == 1

    (version,) = repo.versions("digits")
    assert version.labels == ("stable",)
    assert version.is_served
    assert version.card == {"metrics": {"accuracy": 0.99}}
    assert (version.path / "variables" / "variables.index").read_bytes() == b"weights" * 1000


def test_a_later_version_is_served_beside_the_stable_one(repo: Repository, source: Path) -> None:
    for expected in (1, 2, 3):
        assert repo.publish("digits", source) == expected

    assert repo.labels("digits") == {"stable": 1}
    assert served(repo) == [1, 3]


def test_the_configuration_is_what_tensorflow_serving_reads(repo: Repository, source: Path) -> None:
    repo.publish("digits", source)
    repo.publish("letters", source)

    models = {model.name: model for model in config(repo).model_config_list.config}
    assert set(models) == {"digits", "letters"}
    assert models["digits"].base_path == str(repo.root / "digits")
    assert models["digits"].model_platform == "tensorflow"
    assert list(models["digits"].model_version_policy.specific.versions) == [1]


def test_the_servers_may_see_the_repository_elsewhere(tmp_path: Path, source: Path) -> None:
    repo = Repository(tmp_path / "here", served_as="/models")
    repo.open()

    repo.publish("digits", source)

    assert config(repo).model_config_list.config[0].base_path == "/models/digits"


def test_a_repository_that_was_moved_is_corrected_when_it_is_opened(repo: Repository, source: Path) -> None:
    repo.publish("digits", source)
    moved = Repository(repo.root.rename(repo.root.with_name("moved")))

    moved.open()

    assert config(moved).model_config_list.config[0].base_path == str(moved.root / "digits")


def test_promote_moves_the_label_and_keeps_the_way_back(repo: Repository, source: Path) -> None:
    for _ in range(2):
        repo.publish("digits", source)

    repo.promote("digits", 2)

    assert repo.labels("digits") == {"stable": 2, "previous": 1}
    assert served(repo) == [1, 2]


def test_promote_serves_first_then_waits_then_moves(repo: Repository, source: Path) -> None:
    for _ in range(3):
        repo.publish("digits", source)
    seen = []

    def wait() -> None:
        seen.append((served(repo), repo.labels("digits")))

    repo.promote("digits", 2, wait=wait)

    assert seen == [([1, 2, 3], {"stable": 1})]


def test_a_promote_whose_wait_fails_moves_nothing(repo: Repository, source: Path) -> None:
    for _ in range(2):
        repo.publish("digits", source)

    def wait() -> None:
        raise RepositoryError("cannot be loaded")

    with pytest.raises(RepositoryError, match="cannot be loaded"):
        repo.promote("digits", 2, wait=wait)
    assert repo.labels("digits") == {"stable": 1}


def test_a_publish_during_a_promote_does_not_let_a_label_name_what_is_not_loaded(repo: Repository, source: Path) -> None:
    for _ in range(3):
        repo.publish("digits", source)
    waited_for = []

    def wait() -> None:
        waited_for.append(served(repo))
        if len(waited_for) == 1:
            repo.publish("digits", source)  # takes from the servers what has no label and is not the newest
            assert 2 not in served(repo)

    repo.promote("digits", 2, wait=wait)

    assert waited_for == [[1, 2, 3], [1, 2, 4]]
    assert repo.labels("digits") == {"stable": 2, "previous": 1}


def test_what_is_pruned_during_a_promote_is_not_promoted(repo: Repository, source: Path) -> None:
    for _ in range(2):
        repo.publish("digits", source)

    def wait() -> None:
        for _ in range(2):
            repo.publish("digits", source)
        repo.prune("digits", keep=1)

    with pytest.raises(RepositoryError, match=r"no version 2.*present: 1, 4"):
        repo.promote("digits", 2, wait=wait)
    assert repo.labels("digits") == {"stable": 1}


def test_what_is_promoted_beside_a_pruner_stays(repo: Repository, source: Path) -> None:
    for _ in range(4):
        repo.publish("digits", source)

    repo.promote("digits", 2, wait=lambda: repo.prune("digits", keep=1) and None)

    assert repo.labels("digits") == {"stable": 2, "previous": 1}
    assert [version.number for version in repo.versions("digits")] == [4, 2, 1]


def test_rollback_goes_back_once(repo: Repository, source: Path) -> None:
    for _ in range(2):
        repo.publish("digits", source)
    repo.promote("digits", 2)

    assert repo.rollback("digits") == 1
    assert repo.labels("digits") == {"stable": 1}
    assert served(repo) == [1, 2]
    with pytest.raises(RepositoryError, match="nothing to go back to"):
        repo.rollback("digits")


def test_promoting_what_is_stable_keeps_the_way_back(repo: Repository, source: Path) -> None:
    for _ in range(2):
        repo.publish("digits", source)
    repo.promote("digits", 2)

    repo.promote("digits", 2)

    assert repo.labels("digits") == {"stable": 2, "previous": 1}


def test_another_label_leaves_stable_alone(repo: Repository, source: Path) -> None:
    for _ in range(2):
        repo.publish("digits", source)

    repo.promote("digits", 2, "canary")

    assert repo.labels("digits") == {"stable": 1, "canary": 2}


@pytest.mark.parametrize("label", ["previous", "", "Stable", "a b"])
def test_a_label_that_cannot_be_moved_is_refused(repo: Repository, source: Path, label: str) -> None:
    repo.publish("digits", source)

    with pytest.raises(RepositoryError, match="label"):
        repo.promote("digits", 1, label)


def test_what_does_not_exist_is_refused(repo: Repository, source: Path, tmp_path: Path) -> None:
    repo.publish("digits", source)

    with pytest.raises(RepositoryError, match=r"no version 7.*present: 1"):
        repo.promote("digits", 7)
    with pytest.raises(RepositoryError, match=r"saved_model\.pb"):
        repo.publish("digits", tmp_path)
    with pytest.raises(RepositoryError, match="model name"):
        repo.publish("../digits", source)


def test_prune_keeps_the_newest_and_the_served(repo: Repository, source: Path) -> None:
    for _ in range(5):
        repo.publish("digits", source)

    assert repo.prune("digits", keep=2) == [3, 2]
    assert [version.number for version in repo.versions("digits")] == [5, 4, 1]
    assert sorted(path.name for path in (repo.root / "digits").iterdir()) == ["1", "4", "5"]


def test_the_number_of_a_pruned_version_is_not_used_again(repo: Repository, source: Path) -> None:
    for _ in range(3):
        repo.publish("digits", source)
    repo.prune("digits", keep=1)

    assert repo.publish("digits", source) == 4


def test_a_configuration_that_cannot_be_read_is_not_overwritten(repo: Repository, source: Path) -> None:
    repo.config_path.write_text("model_config_list { config { nonsense")

    with pytest.raises(RepositoryError, match=r"models\.config cannot be read"):
        repo.publish("digits", source)
    assert "nonsense" in repo.config_path.read_text()


def test_a_configuration_that_is_gone_loses_no_label(repo: Repository, source: Path) -> None:
    repo.publish("digits", source)
    repo.config_path.unlink()

    for change in (repo.open, lambda: repo.publish("digits", source), lambda: repo.serve("digits", 1)):
        with pytest.raises(RepositoryError, match=r"holds versions of digits but no models\.config"):
            change()
    assert [version.number for version in repo.versions("digits")] == [1]


def test_a_volume_that_is_gone_is_told(repo: Repository, source: Path) -> None:
    repo.publish("digits", source)
    repo.root.rename(repo.root.with_name("elsewhere"))

    with pytest.raises(RepositoryError, match=r"is gone or damaged.*is its volume mounted"):
        repo.publish("digits", source)
    with pytest.raises(RepositoryError, match=r"is gone or damaged.*is its volume mounted"):
        repo.prune("digits", 1)
    assert not repo.root.exists()


def test_a_folder_that_is_new_becomes_a_repository_with_the_first_version(tmp_path: Path, source: Path) -> None:
    repo = Repository(tmp_path)

    assert repo.publish("digits", source) == 1

    assert repo.labels("digits") == {"stable": 1}
    assert [entry["action"] for entry in repo.events()] == ["open", "publish"]


def test_a_source_that_cannot_be_read_leaves_nothing(repo: Repository, source: Path) -> None:
    (source / "variables" / "variables.data").symlink_to("nowhere")

    with pytest.raises(RepositoryError, match=r"variables\.data"):
        repo.publish("digits", source)

    assert list((repo.root / "digits").iterdir()) == []
    assert [entry["action"] for entry in repo.events()] == ["open"]


def test_publishers_at_the_same_time_get_numbers_of_their_own(repo: Repository, source: Path) -> None:
    with multiprocessing.get_context("spawn").Pool(4) as pool:
        numbers = pool.starmap(_publish, [(repo.root, source)] * 8)

    assert sorted(numbers) == list(range(1, 9))
    assert repo.labels("digits") == {"stable": 1}


def _publish(root: Path, source: Path) -> int:
    return Repository(root).publish("digits", source)


_CRASHING = """
import os, signal, sys
from tfserving.repository import Repository

calls, wanted = 0, int(sys.argv[1])
def crash(event, arguments):
    global calls
    if event in ("open", "os.rename", "os.mkdir", "shutil.copyfile", "os.remove", "os.rmdir"):
        text = str(arguments[0])
        if sys.argv[2] not in text:
            return
        calls += 1
        if calls == wanted:
            os.kill(os.getpid(), signal.SIGKILL)
sys.addaudithook(crash)
print(Repository(sys.argv[2]).publish("digits", __import__("pathlib").Path(sys.argv[3])))
"""


def test_a_publish_killed_at_any_step_leaves_the_whole_version_or_none(repo: Repository, source: Path) -> None:
    """Kills it before its first access to the repository, before its second, … until one gets through."""
    repo.publish("digits", source)
    whole = _contents(source)
    crashes = 0
    for step in range(1, 200):
        command = [sys.executable, "-c", _CRASHING, str(step), str(repo.root), str(source)]
        done = subprocess.run(command, capture_output=True, text=True, cwd=Path(module.__file__).parents[1], check=False)

        for version in repo.versions("digits"):
            assert _contents(version.path) == whole, f"version {version.number} is not whole after a crash at step {step}"
        assert repo.labels("digits") == {"stable": 1}
        assert set(served(repo)) <= {version.number for version in repo.versions("digits")}
        if done.returncode == 0:
            break
        assert done.returncode == -signal.SIGKILL, done.stderr
        crashes += 1

    assert crashes > 10
    assert repo.publish("digits", source) == int(done.stdout) + 1
    assert not list((repo.root / "digits").glob(".incoming-*"))
    assert not list(repo.root.glob(".models.config-*"))


def _contents(folder: Path) -> dict[str, bytes]:
    return {
        str(Path(parent, name).relative_to(folder)): Path(parent, name).read_bytes()
        for parent, _, names in os.walk(folder)
        for name in names
        if name != Path(manifest.FILE).name
    }


def test_a_version_is_found_by_its_number_or_its_label(repo: Repository, source: Path) -> None:
    for _ in range(2):
        repo.publish("digits", source)

    assert repo.find("digits").number == 1
    assert repo.find("digits", "stable").number == 1
    assert repo.find("digits", 2).path == repo.root / "digits" / "2"


@pytest.mark.parametrize(
    ("model", "version", "complaint"),
    [
        ("runes", "stable", "holds no version of runes; models there: digits"),
        ("../digits", 1, "holds no version of ../digits"),
        ("digits", 3, "no version 3 in .*; present: 1 stable"),
        ("digits", "canary", "no version canary in"),
    ],
)
def test_a_version_that_is_not_there_is_told_with_those_that_are(
    repo: Repository, source: Path, model: str, version: int | str, complaint: str
) -> None:
    repo.publish("digits", source)

    with pytest.raises(RepositoryError, match=complaint):
        repo.find(model, version)
