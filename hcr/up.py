"""`hcr up`: trains if there is no model, starts the model server and the gateway, and keeps them running."""

import ctypes
import os
import shlex
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from types import FrameType
from typing import NoReturn

import click

from hcr import examples_folder, model_server, state
from tfserving.repository import STABLE, Repository

EXAMPLE = examples_folder() / "seven.png"
_STOP_SECONDS = 2.5
_PR_SET_PDEATHSIG = 1  # prctl(2)
_prctl = ctypes.CDLL(None).prctl


class Stopped(Exception):
    """The user, or the system, wants an end."""


class Child:
    """A process that belongs to us: it ends when we do, and its output goes to `log` where one is given."""

    def __init__(self, name: str, command: list[str], environment: Mapping[str, str] | None = None, log: Path | None = None):
        self.name = name
        self.log = log
        self._command = command
        self._environment = {**os.environ, **(environment or {})}
        self._starts: list[float] = []
        self.start()

    def start(self) -> None:
        self._starts.append(time.monotonic())
        output = self.log.open("ab") if self.log else None
        self.process = subprocess.Popen(
            self._command,
            env=self._environment,
            stdout=output,
            stderr=output,
            stdin=subprocess.DEVNULL,
            preexec_fn=_end_with_us,
        )
        if output:
            output.close()

    def restart(self) -> None:
        """Starts it again after it ended.

        Raises:
            ClickException: it has ended three times within half a minute.
        """
        recent = [start for start in self._starts if start > time.monotonic() - 30]
        if len(recent) >= 3:
            raise click.ClickException(f"{self.name} keeps ending{self.last_words()}")
        self.start()

    def last_words(self) -> str:
        if not self.log:
            return ""
        lines = self.log.read_text("utf-8", "replace").splitlines()[-8:]
        return "; its log ends:\n  " + "\n  ".join(lines) + f"\n(all of it: {self.log})"


def up(host: str, port: int, model_server_port: int, repository: Repository, recipe: str) -> None:
    """Runs until Ctrl-C, SIGTERM, or a child that cannot be kept running. `recipe` is a name or a file."""
    model = _model_of(recipe)
    _require_free(host, port)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _stop)
    children: list[Child] = []
    try:
        _run(host, port, model_server_port, repository, recipe, model, children)
    except Stopped:
        click.echo("\nstopping …", err=True)
    finally:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)  # once is enough
        _end(children)
        state.clear_running()


def _run(
    host: str, port: int, server_port: int, repository: Repository, recipe: str, model: str, children: list[Child]
) -> None:
    repository.open()
    server = model_server.find(repository.config_path, model_server.free_port(server_port))
    click.echo(f"model server   {server.name}, {server.address}")
    logs = state.STATE / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    if server.command:
        log = logs / "model-server.log"
        log.unlink(missing_ok=True)
        children.append(Child(server.name, server.command, log=log))
    settings = {
        "GATEWAY_HOST": host,
        "GATEWAY_PORT": str(port),
        "GATEWAY_MODEL_SERVER": server.address,
        "GATEWAY_DEFAULT_MODEL": model,
        "GATEWAY_MODELS_CONFIG": str(repository.config_path),
    }
    children.append(Child("the gateway", [sys.executable, "-m", "gateway.wsgi"], settings))
    url = f"http://{'127.0.0.1' if host in ('0.0.0.0', '::') else host}:{port}"
    state.write_running(state.Running(os.getpid(), url, server.address))
    if not repository.labels(model).get(STABLE):
        _train_first(recipe, repository, children)
    _wait_until_ready(url, children)
    _greet(url, model, repository)
    while True:
        _keep(children)
        time.sleep(0.2)


def _train_first(recipe: str, repository: Repository, children: list[Child]) -> None:
    click.echo(f"first model    there is none of {recipe} yet: training a quick one (make train makes a better one later)\n")
    command = [sys.executable, "-m", "hcr.main", "train", recipe, "--quick", "--repository", str(repository.root)]
    training = Child("training", command)
    children.append(training)
    while training.process.poll() is None:
        _keep([child for child in children if child is not training])
        time.sleep(0.1)
    children.remove(training)
    if training.process.returncode:
        raise click.ClickException("there is no model to serve: training did not publish one (see above)")


def _wait_until_ready(url: str, children: list[Child], timeout_seconds: float = 120.0) -> None:
    deadline = time.monotonic() + timeout_seconds
    why = "it does not answer"
    while time.monotonic() < deadline:
        _keep(children)
        try:
            with urllib.request.urlopen(f"{url}/readyz", timeout=5):
                return
        except urllib.error.HTTPError as error:
            why = error.read().decode("utf-8", "replace")
        except OSError as error:
            why = str(error)
        time.sleep(0.1)
    words = "".join(child.last_words() for child in children)
    raise click.ClickException(f"the gateway was not ready within {timeout_seconds:.0f} s: {why}{words}")


def _keep(children: list[Child]) -> None:
    for child in children:
        if (code := child.process.poll()) is None:
            continue
        if child.name == "the gateway":
            raise click.ClickException(f"{child.name} ended with code {code}")
        click.echo(f"{child.name} ended with code {code}; starting it again", err=True)
        child.restart()


def _model_of(recipe: str) -> str:
    from pipelines.errors import RecipeError
    from pipelines.recipe import load_recipe

    try:
        return load_recipe(recipe).name
    except RecipeError as error:
        raise click.ClickException(str(error)) from None


def _greet(url: str, model: str, repository: Repository) -> None:
    version = repository.labels(model)[STABLE]
    accuracy = next(
        (item.card.get("metrics", {}).get("accuracy") for item in repository.versions(model) if item.number == version), None
    )
    told = f", {accuracy:.2%} right on its test set" if isinstance(accuracy, float) else ""
    image = shlex.quote(str(EXAMPLE))
    click.echo(f"""
Ready: model {model}, version {version}{told}.  {url}

Try it, from another terminal:
  curl -s -H 'Content-Type: image/png' --data-binary @{image} '{url}/v1/predict?top_k=3'

Go on:
  make train                 trains a better version and publishes it, beside the one that serves
  .venv/bin/hcr models       lists the versions; `hcr promote {model} 2` then puts number 2 to use, without a restart
  .venv/bin/hcr predict {shlex.quote(os.path.relpath(EXAMPLE))}
Ctrl-C ends it all.
""")


def _require_free(host: str, port: int) -> None:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            choice = "choose another port: make run PORT=8081, or hcr up --port 8081"
            raise click.ClickException(f"cannot listen on {host}:{port}: {error.strerror}; {choice}") from None


def _end(children: list[Child]) -> None:
    """Ends every child: asks first, and insists after a while."""
    for child in children:
        if child.process.poll() is None:
            child.process.terminate()
    deadline = time.monotonic() + _STOP_SECONDS
    for child in children:
        try:
            child.process.wait(max(0.05, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            child.process.kill()
            child.process.wait()


def _stop(_: int, __: FrameType | None) -> NoReturn:
    raise Stopped


def _end_with_us() -> None:
    """In the child, before it starts: SIGTERM for it when its parent is gone, however that came."""
    _prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
