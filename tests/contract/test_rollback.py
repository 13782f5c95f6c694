"""How soon a rollback is served: the development server with the polling that `hcr up` and the chart give it."""

import time
from pathlib import Path

from click.testing import CliRunner

from hcr.main import cli
from tests.contract.servers import NAME, Caller, DevServer, blank, eventually
from tfserving.repository import Repository

CEILING_SECONDS = 10  # on a busy machine; docs/releasing.md has what was measured


def test_a_rollback_is_served_within_seconds_of_the_command(tiny_repository: Path, tmp_path: Path) -> None:
    repository = Repository(tmp_path / "repository")
    repository.open()
    for version in ("1", "2"):
        repository.publish(NAME, tiny_repository / NAME / version)
    flags = (f"--model_config_file={repository.config_path}", "--allow_version_labels_for_unavailable_models=true")
    polling = "--model_config_file_poll_wait_seconds=1"

    with DevServer(tmp_path / "log", *flags, polling) as server, Caller(server.address) as caller:
        where = ["--repository", str(repository.root), "--model-server", server.address]
        eventually(lambda: caller.states() == {1: "AVAILABLE", 2: "AVAILABLE"}, seconds=60)
        promoted = CliRunner().invoke(cli, ["promote", NAME, "2", *where], catch_exceptions=False)
        assert promoted.exit_code == 0, promoted.output
        assert caller.scores(blank(), "stable")[0] == 2

        begun = time.monotonic()
        result = CliRunner().invoke(cli, ["rollback", NAME, *where], catch_exceptions=False)
        seconds = time.monotonic() - begun

        assert result.output == f"stable of {NAME} is version 1 again\n"
        assert caller.scores(blank(), "stable")[0] == 1
        print(f"rollback served after {seconds:.2f} s")
        assert seconds < CEILING_SECONDS
