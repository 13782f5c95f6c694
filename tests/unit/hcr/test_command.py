"""The command, as far as it needs no servers."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest
from click.testing import CliRunner

from hcr import release, state
from hcr.drawing import bars, columns, drawn, side_by_side
from hcr.main import cli, main
from hcr.model_server import find, free_port
from tests.fakes import FakeModelServer
from tfserving.errors import RepositoryError
from tfserving.release import Split
from tfserving.repository import Repository

COMMANDS = ["up", "train", "new-recipe", "submit", "schedule", "runs", "serve", "predict", "read", "evaluate"]
COMMANDS += ["models", "promote", "release", "compare", "split", "end-canary", "rollback", "prune"]


@pytest.fixture
def runner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CliRunner:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MODEL_SERVER", raising=False)
    return CliRunner()


@pytest.fixture
def version(tmp_path: Path) -> Path:
    folder = tmp_path / "exported"
    folder.mkdir()
    (folder / "saved_model.pb").write_bytes(b"graph")
    return folder


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_everything_has_its_help(runner: CliRunner, command: str) -> None:
    result = runner.invoke(cli, [*command.split(), "--help"])

    assert result.exit_code == 0
    assert "Usage:" in result.output
    assert all(name in result.output for name in COMMANDS) or command


def test_the_help_needs_neither_tensorflow_nor_kfp() -> None:
    script = "import sys, hcr.main; print([m for m in ('tensorflow', 'keras', 'kfp', 'flask', 'cv2') if m in sys.modules])"

    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"


def test_the_version_is_the_packages(runner: CliRunner) -> None:
    project = (Path(__file__).parents[3] / "pyproject.toml").read_text()

    said = runner.invoke(cli, ["--version"]).output

    assert f'version = "{said.split()[-1]}"' in project


def test_an_empty_repository_is_told_so(runner: CliRunner) -> None:
    assert "hcr train publishes one" in runner.invoke(cli, ["models"]).output


def test_models_are_listed(runner: CliRunner, version: Path) -> None:
    repo = Repository("model_repo")
    repo.open()
    repo.publish("digits", version)
    repo.publish("digits", version)

    lines = runner.invoke(cli, ["models"]).output.splitlines()

    assert lines[0].split() == ["MODEL", "VERSION", "LABELS", "SERVED", "ACCURACY", "PRESET", "CREATED"]
    assert lines[1].split()[:4] == ["digits", "2", "-", "yes"]
    assert lines[2].split()[:4] == ["digits", "1", "stable", "yes"]


def test_offline_promote_and_rollback_move_the_label(runner: CliRunner, version: Path) -> None:
    repo = Repository("model_repo")
    repo.open()
    for _ in range(2):
        repo.publish("digits", version)

    assert runner.invoke(cli, ["promote", "digits", "2", "--offline"]).output == "stable of digits is version 2 now\n"
    assert runner.invoke(cli, ["rollback", "--offline"]).output == "stable of digits is version 1 again\n"
    assert repo.labels("digits") == {"stable": 1}


def test_the_history_tells_who_moved_what_and_why(runner: CliRunner, version: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HCR_ACTOR", "ada")
    repo = Repository("model_repo")
    repo.open()
    for _ in range(2):
        repo.publish("digits", version)
    runner.invoke(cli, ["promote", "digits", "2", "--offline", "--reason", "better at 7"])
    runner.invoke(cli, ["promote", "digits", "1", "--offline", "--label", "canary"])
    repo.split("digits", Split(canary=0.125))
    repo.end_canary("digits")

    lines = runner.invoke(cli, ["history", "digits"]).output.splitlines()

    assert lines[0].split() == ["TIME", "WHO", "MODEL", "WHAT", "WHY"]
    assert [" ".join(line.split("digits")[-1].split()) for line in lines[2:]] == [
        "publish 1",
        "publish 2",
        "promote: stable 1 → 2 better at 7",
        "promote: canary → 1",
        "split: canary 12.5%, shadow 0.0%",
        "split: canary 0.0%, shadow 0.0%",
        "end canary 1",
    ]
    assert {line.split()[2] for line in lines[1:]} == {"ada"}
    as_json = runner.invoke(cli, ["history", "--json"]).output.splitlines()
    assert [json.loads(line)["action"] for line in as_json[:2]] == ["open", "publish"]


def test_an_error_is_told_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Repository("model_repo").open()
    monkeypatch.setattr(sys, "argv", ["hcr", "rollback"])

    with pytest.raises(SystemExit) as caught:
        main()

    assert caught.value.code == 1
    assert capsys.readouterr().err == "Error: model digits has no version that was stable before: nothing to go back to\n"


def test_an_unknown_recipe_is_told_before_anything_starts(runner: CliRunner) -> None:
    for command in ("up", "train"):
        result = runner.invoke(cli, [command, "--recipe", "runes"] if command == "up" else [command, "runes"])

        assert result.exit_code == 1
        assert "runes" in result.output
        assert "digits" in result.output


def test_no_gateway_is_told_with_what_to_do(runner: CliRunner) -> None:
    Path("x.png").write_bytes(b"x")

    result = runner.invoke(cli, ["predict", "x.png", "--url", f"http://127.0.0.1:{free_port(0)}"])

    assert result.exit_code == 1
    assert "no gateway answers at" in result.output
    assert "make run" in result.output


@pytest.mark.parametrize("wanted", [["runes"], ["digits", "--version", "7"], ["digits", "--version", "canary"]])
def test_evaluate_of_what_is_not_there_is_refused(runner: CliRunner, version: Path, wanted: list[str]) -> None:
    repo = Repository("model_repo")
    repo.open()
    repo.publish("digits", version)

    with pytest.raises(RepositoryError, match="digits"):
        runner.invoke(cli, ["evaluate", *wanted, "--data", "."], catch_exceptions=False)


def test_evaluate_of_a_version_without_a_card_is_told_in_one_line(runner: CliRunner, version: Path) -> None:
    repo = Repository("model_repo")
    repo.open()
    repo.publish("digits", version)

    result = runner.invoke(cli, ["evaluate", "digits", "--data", "."])

    assert result.exit_code == 1
    assert "does not hold labels and thresholds" in result.output
    assert len(result.output.splitlines()) == 1


def test_columns_of_wide_characters_stand_below_each_other() -> None:
    assert columns([["木", "1"], ["a", "10"], ["a\u0301", "100"]], numbers_from=1) == "木    1\na    10\na\u0301   100"


class _Gateway(BaseHTTPRequestHandler):
    """Answers each request with `answer`, and keeps what came."""

    answer: ClassVar[dict[str, object]] = {
        "model": {"name": "digits", "version": 3},
        "text": "42",
        "confidence": 0.45,
        "lines": [{"characters": [{"prediction": "4", "rejected": False}, {"prediction": "2", "rejected": True}]}],
        "candidates": [{"text": "42", "probability": 0.8}, {"text": "47", "probability": 0.1}],
        "satisfies": False,
    }
    came: ClassVar[list[tuple[str, dict[str, object]]]] = []

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.came.append((self.path, json.loads(body)))
        told = json.dumps(self.answer).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(told)))
        self.end_headers()
        self.wfile.write(told)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def gateway() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Gateway) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        _Gateway.came.clear()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_read_prints_text_candidates_and_what_is_rejected(runner: CliRunner, gateway: str) -> None:
    Path("x.png").write_bytes(b"x")

    result = runner.invoke(cli, ["read", "x.png", "--url", gateway, "--length", "2", "--pattern", r"\d+", "--candidates", "2"])

    assert result.exit_code == 0, result.output
    assert "x.png: 4[2]  45.00%  digits version 3  (no reading satisfies" in result.output
    assert "'47' 10.00%" in result.output
    path, body = _Gateway.came[0]
    body.pop("image")
    assert path == "/v1/read"
    assert body == {"polarity": "auto", "length": 2, "pattern": r"\d+", "max_candidates": 2}


def test_read_prints_the_gateways_answer_as_json(runner: CliRunner, gateway: str) -> None:
    Path("x.png").write_bytes(b"x")

    result = runner.invoke(cli, ["read", "x.png", "missing.png", "--url", gateway, "--json"])

    assert result.exit_code == 1
    assert json.loads(result.stdout) == {"file": "x.png", **_Gateway.answer}
    assert "missing.png: No such file" in result.stderr


def test_promote_waits_for_a_server_to_have_the_version() -> None:
    with FakeModelServer(versions=(1, 2), version_labels={"stable": 1}) as server:
        release.wait_until_available(server.address, "digits", 2, timeout_seconds=5)

        with pytest.raises(RepositoryError, match="to load version 3"):
            release.wait_until_available(server.address, "digits", 3, timeout_seconds=0.3)


def test_promote_is_told_why_a_server_cannot_load_the_version() -> None:
    with FakeModelServer(versions=(1,)) as server:
        server.break_version(2, text="truncated weights")

        with pytest.raises(RepositoryError, match="cannot load version 2: truncated weights"):
            release.wait_until_available(server.address, "digits", 2, timeout_seconds=5)


def test_promote_waits_for_every_server() -> None:
    with FakeModelServer(versions=(1, 2)) as one, FakeModelServer(versions=(1,)) as other:
        with pytest.raises(RepositoryError, match=other.address):
            release.wait_until_available(f"{one.address},{other.address}", "digits", 2, timeout_seconds=0.3)


def test_a_label_is_waited_for() -> None:
    with FakeModelServer(versions=(1, 2), version_labels={"stable": 1}) as server:
        with pytest.raises(RepositoryError, match="stable is version 1 there"):
            release.wait_until_labelled(server.address, "digits", 2, "stable", timeout_seconds=0.3)
        server.move_label("stable", 2)
        release.wait_until_labelled(server.address, "digits", 2, "stable", timeout_seconds=5)


def test_without_a_server_promote_says_what_to_do() -> None:
    with pytest.raises(RepositoryError, match="--offline"):
        release.wait_until_available(f"127.0.0.1:{free_port(0)}", "digits", 1, timeout_seconds=0.3)


def test_tensorflow_serving_is_used_where_it_is_on_the_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    executable = tmp_path / "tensorflow_model_server"
    executable.write_text("#!/bin/sh\n")
    executable.chmod(0o755)
    monkeypatch.delenv("MODEL_SERVER", raising=False)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")

    server = find(Path("/models/models.config"), 8500)

    assert server.name == "TensorFlow Serving"
    assert server.command is not None
    assert server.command[0] == str(executable)
    assert "--model_config_file=/models/models.config" in server.command


def test_model_server_may_name_one_that_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODEL_SERVER", "10.0.0.7:8500")

    server = find(Path("/models/models.config"), 8500)

    assert server.address == "10.0.0.7:8500"
    assert server.command is None


def test_a_taken_port_is_replaced() -> None:
    with FakeModelServer() as server:
        taken = int(server.address.rpartition(":")[2])

        assert free_port(taken) != taken


def test_what_runs_is_remembered_only_while_it_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PORT", raising=False)
    state.write_running(state.Running(os.getpid(), "http://127.0.0.1:9999", "127.0.0.1:8501"))

    assert state.gateway_url() == "http://127.0.0.1:9999"
    assert state.model_server_address() == "127.0.0.1:8501"
    state.write_running(state.Running(2**22 + 1, "http://127.0.0.1:9999", "127.0.0.1:8501"))
    assert state.gateway_url() == "http://127.0.0.1:8080"


def test_a_character_is_drawn_beside_its_probabilities() -> None:
    import numpy as np

    tensor = np.zeros((28, 28), np.uint8)
    tensor[4:24, 13:15] = 255
    picture = drawn(tensor)

    text = side_by_side(picture, bars({"1": 0.75, "7": 0.25}, "1"))

    assert len(picture) == 14
    assert all(len(line) == 28 for line in picture)
    assert "██" in picture[5]
    assert "→ 1 ██████████████████" in text
    assert "25.00%" in text


def test_wide_and_long_labels_keep_the_bars_in_line() -> None:
    lines = bars({"ㄱ": 0.5, "ch": 0.25, "é": 0.25}, "ch")

    assert [line.index("█") + ("ㄱ" in line) for line in lines] == [5, 5, 5]


def test_a_first_training_is_left_out_where_there_is_a_version(runner: CliRunner, version: Path) -> None:
    repo = Repository("model_repo")
    repo.open()
    repo.publish("digits", version)

    result = runner.invoke(cli, ["train", "digits", "--first-only"])

    assert (result.exit_code, "nothing to do" in result.output) == (0, True)
    assert [item.number for item in Repository("model_repo").versions("digits")] == [1]


@pytest.mark.parametrize(
    ("given", "named"),
    [(["digits"], "RECIPE"), (["--quick"], "--quick"), (["--seed", "2"], "--seed"), (["--if-changed"], "--if-changed")],
)
def test_a_run_is_resumed_as_it_was_started(runner: CliRunner, given: list[str], named: str) -> None:
    result = runner.invoke(cli, ["train", "--resume", *given])

    assert result.exit_code == 2
    assert f"{named} does not go with --resume" in result.output


def test_without_an_unfinished_run_there_is_nothing_to_resume(runner: CliRunner) -> None:
    result = runner.invoke(cli, ["train", "--resume"])

    assert result.exit_code == 1
    assert "nothing to resume: " in result.output
