"""`hcr`: the command."""

import os
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import click

from gateway.keys import Scope
from hcr import state
from hcr.drawing import columns
from tfserving.errors import RepositoryError
from tfserving.repository import STABLE, Repository

_repository = click.option(
    "--repository",
    default=lambda: os.environ.get("HCR_REPOSITORY", "model_repo"),
    type=click.Path(file_okay=False, path_type=Path),
    help="The model repository [default: ./model_repo, or HCR_REPOSITORY].",
)
_model_server = click.option(
    "--model-server",
    metavar="HOST:PORT",
    help="The model servers to ask [default: those of the running hcr up, or GATEWAY_MODEL_SERVER].",
)
_url = click.option("--url", help="The gateway's URL [default: that of the running hcr up].")
_files = click.argument("files", nargs=-1, required=True, type=click.Path(dir_okay=False, path_type=Path))
_model = click.option("--model", help="The model [default: the gateway's].")
_version = click.option("--version", "model_version", help="A version's number or label [default: stable].")
_polarity = click.option(
    "--polarity", type=click.Choice(["auto", "dark_on_light", "light_on_dark"]), default="auto", show_default=True
)
_as_json = click.option("--json", "as_json", is_flag=True, help="Print the gateway's answers, one line of JSON each.")
_reason = click.option("--reason", default="", help="Why; it is kept in the audit log, with who did it.")
_seed = click.option("--seed", type=int, help="The random seed [default: the recipe's].")


def _endpoint_options(command: Callable[..., None]) -> Callable[..., None]:
    """The options of all that speaks to a Kubeflow endpoint."""
    host = click.option(
        "--host",
        required=True,
        help="URL of the Kubeflow Pipelines endpoint, such as http://127.0.0.1:8888; a token for it in KFP_TOKEN, "
        "or in the file that KF_PIPELINES_SA_TOKEN_PATH names.",
    )
    return host(click.option("--namespace", help="The Kubeflow user's namespace, where the endpoint has several.")(command))


def _job_options(command: Callable[..., None]) -> Callable[..., None]:
    """The options of all that starts runs."""
    presets = click.Choice(["default", "quick", "best"])
    for option in (
        click.option("--claim", help="The PersistentVolumeClaim with the repository [default: handwriting-repository]."),
        click.option("--image", help="The image of the steps, best by digest [default: the compiled pipeline's]."),
        click.option(
            "--repository", default="/models", show_default=True, help="The repository's folder in that volume's mount."
        ),
        _seed,
        click.option("--preset", default="default", show_default=True, type=presets),
        click.option("--experiment", default="handwriting", show_default=True),
        _endpoint_options,
        click.argument("recipe", default="digits"),
    ):
        command = option(command)
    return command


class Cli(click.Group):
    """The command's group, which sends a command to a cluster where `--kube` says so."""

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        name, command, rest = super().resolve_command(ctx, args)
        where = ctx.params.get("kube")
        if where is None or name is None or command is None:
            return name, command, rest
        from hcr import kube

        if name not in kube.COMMANDS:
            raise click.UsageError(f"--kube runs {', '.join(kube.COMMANDS)}, not {name}", ctx)
        command.make_context(name, list(rest), parent=ctx)  # mistakes are told before anything is started
        return name, click.Command(name, callback=lambda: sys.exit(kube.run(where, [name, *rest]))), []


@click.group(cls=Cli, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(version("handwritten-character-recognition"), prog_name="hcr")
@click.option(
    "--kube",
    metavar="NAMESPACE[/RELEASE]",
    help="Run models, history, promote, split, end-canary, rollback or prune beside the repository in kubectl's cluster.",
)
def cli(kube: str | None) -> None:
    """Reads handwritten characters: trains models, releases them, serves them, asks them."""


@cli.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on; 0.0.0.0 for all.")
@click.option(
    "--port",
    default=8080,
    show_default=True,
    type=click.IntRange(1, 65535),
    envvar="PORT",
    show_envvar=True,
    help="Port of the gateway.",
)
@click.option(
    "--model-server-port",
    default=8500,
    show_default=True,
    type=click.IntRange(1, 65535),
    help="Port of the model server; another free one where it is taken.",
)
@click.option("--recipe", default="digits", show_default=True, help="The model to train where there is none yet.")
@_repository
def up(host: str, port: int, model_server_port: int, recipe: str, repository: Path) -> None:
    """Serve on this machine: the model server and the gateway, and first a quick training where there is no model."""
    from hcr.up import up as run

    run(host, port, model_server_port, Repository(repository), recipe)


@cli.command()
@click.argument("recipe", default="digits")
@click.option("--quick", "preset", flag_value="quick", help="Half a minute of training.")
@click.option("--best", "preset", flag_value="best", help="An hour or two; goes on where it was interrupted.")
@click.option("--first-only", is_flag=True, help="Do nothing where the repository has a version already.")
@click.option("--if-changed", is_flag=True, help="Do nothing where a version was made of the same data, recipe, seed and code.")
@click.option("--resume", is_flag=True, help="Go on with the newest run that was killed or failed, as it was started.")
@_seed
@_repository
@click.pass_context
def train(
    context: click.Context, recipe: str, preset: str | None, first_only: bool, if_changed: bool, resume: bool, seed: int | None,
    repository: Path,
) -> None:  # fmt: skip
    """Prepare, train, evaluate and publish RECIPE (a name or a .toml file), on this machine.

    The first version of a model is used at once; a later one waits beside it for `hcr promote`.
    """
    from hcr import train as it

    if not resume:
        it.train(recipe, preset or "default", seed, Repository(repository), first_only, if_changed)
        return
    default = click.core.ParameterSource.DEFAULT
    if given := [name for name in context.params if name != "resume" and context.get_parameter_source(name) is not default]:
        what = {"recipe": "RECIPE", "preset": f"--{preset}"}.get(given[0], f"--{given[0].replace('_', '-')}")
        raise click.UsageError(f"{what} does not go with --resume: the run goes on as it was started")
    it.go_on()


@cli.command("new-recipe")
@click.argument("name")
@click.option(
    "--data",
    required=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="A folder with a folder of pictures per label; what a folder's name cannot hold is percent-encoded: %2F.",
)
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="The file to write [default: ./NAME.toml].")
@click.option("--force", is_flag=True, help="Overwrite the file if it is there.")
def new_recipe(name: str, data: Path, out: Path | None, force: bool) -> None:
    """Write a recipe that trains the model NAME on your own labelled pictures, of any alphabet."""
    from hcr.new_recipe import run
    from pipelines.errors import PipelineError

    try:
        run(name, data, out or Path(f"{name}.toml"), force)
    except PipelineError as error:
        raise click.ClickException(str(error)) from None


@cli.command()
@_job_options
@click.option("--wait", is_flag=True, help="Wait for the run's end, and fail if it fails.")
@click.option("--timeout", default=7200, show_default=True, type=click.IntRange(1), help="Seconds that --wait waits.")
def submit(wait: bool, timeout: int, **options: Any) -> None:
    """Run the pipeline for RECIPE (a name or a .toml file) on a Kubeflow cluster."""
    from hcr.kubeflow import submit as run

    run(options, timeout if wait else None)


@cli.command()
@_job_options
@click.option("--cron", required=True, help="When: six fields, seconds first; '0 0 3 * * 1' is Mondays at three.")
def schedule(cron: str, **options: Any) -> None:
    """Run the pipeline for RECIPE again and again on a Kubeflow cluster."""
    from hcr.kubeflow import schedule as run

    run(options, cron)


@cli.command()
@click.argument("run_id", required=False, metavar="[RUN]")
@_endpoint_options
@click.option("--experiment", default="handwriting", show_default=True)
@click.option("--logs", metavar="STEP", help="Print what the run's step wrote: prepare, train, evaluate, validate or publish.")
def runs(run_id: str | None, experiment: str, logs: str | None, **options: Any) -> None:
    """List the runs on a Kubeflow cluster, or the steps of RUN."""
    from hcr.kubeflow import runs as run

    if logs and not run_id:
        raise click.UsageError("--logs needs a run; hcr runs lists them")
    run(options, experiment, run_id, logs)


@cli.command()
@click.option("--host", help="Address to listen on [default: 127.0.0.1].")
@click.option("--port", type=click.IntRange(1, 65535), envvar="PORT", help="Port to listen on [default: 8080].")
@_model_server
def serve(host: str | None, port: int | None, model_server: str | None) -> None:
    """Serve the gateway alone, in front of model servers that run already. Settings: GATEWAY_… variables."""
    given = {"GATEWAY_HOST": host, "GATEWAY_PORT": port, "GATEWAY_MODEL_SERVER": model_server}
    environment = {**os.environ, **{name: str(value) for name, value in given.items() if value is not None}}
    os.execve(sys.executable, [sys.executable, "-m", "gateway.wsgi"], environment)


@cli.group()
def keys() -> None:
    """Keys for the gateway's users, where GATEWAY_KEYS_FILE asks for them."""


@keys.command("new")
@click.argument("name")
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    default=["predict"],
    show_default=True,
    type=click.Choice(["predict", "feedback", "operate"]),
    help="What the key is good for; may be given several times.",
)
def new_key(name: str, scopes: tuple[Scope, ...]) -> None:
    """Make a key for NAME: prints the key, which is kept nowhere, and the line to put into GATEWAY_KEYS_FILE."""
    from gateway.keys import KeysError, line_for
    from gateway.keys import new_key as make

    key = make()
    try:
        line = line_for(name, tuple(dict.fromkeys(scopes)), key)
    except KeysError as error:
        raise click.ClickException(str(error)) from None
    click.echo(f"the key, for {name} alone; it cannot be shown again:\n{key}\n\nthe line for GATEWAY_KEYS_FILE:\n{line}")


@cli.command()
@_files
@_model
@_version
@_polarity
@_as_json
@_url
def predict(
    files: tuple[Path, ...], model: str | None, model_version: str | None, polarity: str, as_json: bool, url: str | None
) -> None:
    """Recognise the character on each of FILES."""
    wanted = {"model": model, "version": _number_or_label(model_version), "polarity": polarity}
    _ask_about("/v1/predict", files, url, wanted, as_json, lambda file, data, answer: _told(file, data, polarity, answer))


@cli.command()
@_files
@_model
@_version
@_polarity
@click.option("--length", type=click.IntRange(1, 256), help="How many characters the text has.")
@click.option("--pattern", help="What the text is like, such as '[A-Z]{2}\\d{3,4}', or @NAME for one that the model carries.")
@click.option("--charset", help="The characters that may occur, such as 0123456789.")
@click.option("--check", type=click.Choice(["luhn", "mod97", "mod11"]), help="The check digits that the text carries.")
@click.option("--candidates", type=click.IntRange(1, 50), help="How many readings to give [default: 5].")
@click.option(
    "--fields",
    "layout",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Read forms with this layout, a JSON file that says how each field is read; prints CSV, a row for each page.",
)
@_as_json
@_url
@click.pass_context
def read(
    context: click.Context, files: tuple[Path, ...], model: str | None, model_version: str | None, polarity: str,
    length: int | None, pattern: str | None, charset: str | None, check: str | None, candidates: int | None,
    layout: Path | None, as_json: bool, url: str | None,
) -> None:  # fmt: skip
    """Read the line or field of characters on each of FILES; a character in [brackets] is one that the model rejects.

    With --fields, read the forms on FILES, images, PDFs and TIFFs of many pages. A run that was interrupted goes on where it
    was when the same command is given again.
    """
    if layout:
        _read_forms(context, files, layout, url or state.gateway_url())
        return
    wanted = {
        "model": model, "version": _number_or_label(model_version), "polarity": polarity, "length": length,
        "pattern": pattern, "charset": charset, "check": check, "max_candidates": candidates,
    }  # fmt: skip
    _ask_about("/v1/read", files, url, wanted, as_json, lambda file, _, answer: _told_text(file, answer))


@cli.command()
@click.argument("model")
@click.option(
    "--data",
    required=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="A folder with a folder of pictures per label, perhaps below folders per source; or with labels.csv.",
)
@click.option("--version", "model_version", default=STABLE, show_default=True, help="A version's number or label.")
@click.option(
    "--report",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The report to write [default: .hcr/evaluate/MODEL-VERSION.html].",
)
@click.option("--json", "as_json", is_flag=True, help="Print the figures and every error as JSON.")
@_repository
def evaluate(model: str, data: Path, model_version: str, report: Path | None, as_json: bool, repository: Path) -> None:
    """Measure MODEL on your own labelled pictures, by source, and show what it saw where it was wrong.

    Pictures of single characters lie in a folder per label; in folders named _none, pictures of none of the characters.
    Or labels.csv names them, with the columns path, label and, if you like, source and kind: `single`, `strings` (a
    field, with its text), `none`.
    """
    from hcr.evaluate import run
    from pipelines.errors import PipelineError

    version = Repository(repository).find(model, _number_or_label(model_version) or STABLE)
    page = report or state.STATE / "evaluate" / f"{model}-{version.number}.html"
    try:
        click.echo(run(version, data, page, as_json))
    except PipelineError as error:
        raise click.ClickException(str(error)) from None


@cli.command()
@click.argument("model", required=False)
@_repository
def models(model: str | None, repository: Path) -> None:
    """List what lies in the model repository: versions, labels, accuracy."""
    repo = Repository(repository)
    names = [model] if model else repo.models()
    rows = [_row(item) for name in names for item in repo.versions(name)]
    if not rows:
        click.echo(f"{repo.root} holds no version{f' of {model}' if model else ''} yet; hcr train publishes one")
        return
    header = ("MODEL", "VERSION", "LABELS", "SERVED", "ACCURACY", "PRESET", "CREATED")
    click.echo(columns([header, *rows]))


@cli.command()
@click.argument("model", default="digits")
@click.argument("number", type=int, required=False, metavar="[VERSION]")
@click.option("--label", default=STABLE, show_default=True, help="The label to move.")
@click.option("--timeout", default=60.0, show_default=True, help="Seconds to wait for the model servers to load it.")
@click.option("--offline", is_flag=True, help="Do not ask the model servers; for when none runs.")
@_reason
@_model_server
@_repository
def promote(
    model: str, number: int | None, label: str, timeout: float, offline: bool, reason: str, model_server: str | None,
    repository: Path,
) -> None:  # fmt: skip
    """Put VERSION (default: the newest) of MODEL to use: moves a label to it once every model server has it loaded."""
    from hcr.release import wait_until_available, wait_until_labelled

    repo = Repository(repository)
    chosen = number or next((item.number for item in repo.versions(model)), None)
    if chosen is None:
        raise RepositoryError(f"{repo.root} holds no version of {model}")
    address = model_server or state.model_server_address()
    if offline:
        repo.promote(model, chosen, label, why=reason)
    else:
        repo.promote(model, chosen, label, lambda: wait_until_available(address, model, chosen, timeout), reason)
        wait_until_labelled(address, model, chosen, label, timeout)
    click.echo(f"{label} of {model} is version {chosen} now")


@cli.command()
@click.argument("model", default="digits")
@click.option("--timeout", default=60.0, show_default=True, help="Seconds to wait for the model servers to follow.")
@click.option("--offline", is_flag=True, help="Do not ask the model servers; for when none runs.")
@_reason
@_model_server
@_repository
def rollback(model: str, timeout: float, offline: bool, reason: str, model_server: str | None, repository: Path) -> None:
    """Make the version of MODEL that was stable before stable again."""
    from hcr.release import wait_until_labelled

    number = Repository(repository).rollback(model, reason)
    if not offline:
        wait_until_labelled(model_server or state.model_server_address(), model, number, STABLE, timeout)
    click.echo(f"{STABLE} of {model} is version {number} again")


class _Share(click.ParamType[float]):
    """A share such as 10% or 0.1."""

    name = "share"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        text = str(value)
        try:
            share = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
        except ValueError:
            share = -1
        if not 0 <= share <= 1:
            self.fail(f"{text!r} is no share; 0% to 100%, or a number from 0 to 1, is accepted", param, ctx)
        return share


class _Duration(click.ParamType[float]):
    """Seconds, of a time such as 90s, 10m or 1h."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        text = str(value)
        try:
            seconds = float(text.rstrip("smh")) * {"m": 60, "h": 3600}.get(text[-1:], 1)
        except ValueError:
            seconds = -1
        if not 0 < seconds < float("inf"):
            self.fail(f"{text!r} is no time; such as 90s, 10m or 1h is accepted", param, ctx)
        return seconds


def _limits(command: Callable[..., None]) -> Callable[..., None]:
    """The options of what a canary may be worse by, and of where that is read."""
    for option in (
        click.option("--agreement", default="97%", show_default=True, type=_Share(), help="Mirrored images that must agree."),
        click.option("--rejected", default="5%", show_default=True, type=_Share(), help="More or fewer rejected than stable."),
        click.option(
            "--confidence", default=0.15, show_default=True, type=click.FloatRange(0, 1),
            help="Distance of the distributions of confidence.",
        ),
        click.option(
            "--slower", default=2.0, show_default=True, type=click.FloatRange(1), help="Times as long as stable, at most."
        ),
        click.option("--errors", default="1%", show_default=True, type=_Share(), help="More failed requests than stable."),
        click.option(
            "--requests", default=50, show_default=True, type=click.IntRange(1), help="Answers that tell anything, at least."
        ),
        click.option(
            "--metrics", "urls", multiple=True, metavar="URL",
            help="A gateway's metrics; of several gateways, given for each [default: /metrics of the running hcr up].",
        ),
    ):  # fmt: skip
        command = option(command)
    return command


@cli.command()
@click.argument("number", type=int, metavar="VERSION")
@click.option("--model", default="digits", show_default=True, help="The model.")
@click.option("--canary", default="10%", show_default=True, type=_Share(), help="Share of the requests that it answers.")
@click.option("--shadow", default="20%", show_default=True, type=_Share(), help="Share of the others that is mirrored to it.")
@click.option("--for", "seconds", default="10m", show_default=True, type=_Duration(), help="How long it is watched.")
@click.option("--auto", is_flag=True, help="Promote it in the end, or take it back as soon as it is worse.")
@click.option("--timeout", default=60.0, show_default=True, help="Seconds to wait for the model servers to load it.")
@_limits
@_reason
@_model_server
@_repository
def release(
    number: int, model: str, canary: float, shadow: float, seconds: float, auto: bool, timeout: float, reason: str,
    model_server: str | None, repository: Path, urls: tuple[str, ...], **limits: Any,
) -> None:  # fmt: skip
    """Release VERSION as a canary: it answers a share of the requests and is compared with the stable version.

    Fails where it is worse: more errors, slower, other confidence or rejections, other answers for mirrored images; or where
    too little came to tell.
    """
    from hcr.canary import Plan
    from hcr.canary import release as run
    from hcr.comparison import Limits
    from tfserving.release import Split

    plan = Plan(
        model, number, Split(canary, shadow), seconds, Limits(**limits), urls or (f"{state.gateway_url()}/metrics",),
        model_server or state.model_server_address(), timeout, is_automatic=auto, why=reason,
    )  # fmt: skip
    if not run(Repository(repository), plan):
        sys.exit(1)


@cli.command()
@click.argument("model", default="digits")
@click.option("--for", "seconds", default="1m", show_default=True, type=_Duration(), help="How long it is watched.")
@_limits
@_repository
def compare(model: str, seconds: float, repository: Path, urls: tuple[str, ...], **limits: Any) -> None:
    """Compare the canary of MODEL with its stable version by what is counted from now on; changes nothing."""
    from hcr.canary import watch
    from hcr.comparison import Limits

    if not watch(Repository(repository), model, urls or (f"{state.gateway_url()}/metrics",), seconds, Limits(**limits)):
        sys.exit(1)


@cli.command()
@click.argument("model", default="digits")
@click.option("--canary", required=True, type=_Share(), help="Share of the requests that the canary answers.")
@click.option("--shadow", default="0%", show_default=True, type=_Share(), help="Share of the others that is mirrored to it.")
@_reason
@_repository
def split(model: str, canary: float, shadow: float, reason: str, repository: Path) -> None:
    """Set the share of MODEL's requests that the version with the label canary answers; the gateways follow in a second."""
    from tfserving.release import Split

    Repository(repository).split(model, Split(canary, shadow), reason)
    click.echo(f"the canary of {model} answers {canary:.1%} of the requests; {shadow:.1%} of the others are mirrored to it")


@cli.command("end-canary")
@click.argument("model", default="digits")
@_reason
@_repository
def end_canary(model: str, reason: str, repository: Path) -> None:
    """Take all requests and the label from the canary of MODEL."""
    number = Repository(repository).end_canary(model, reason)
    click.echo(f"version {number} of {model} is the canary no more")


@cli.command()
@click.argument("model", default="digits")
@click.option("--keep", default=5, show_default=True, type=click.IntRange(1), help="How many of the newest versions stay.")
@_reason
@_repository
def prune(model: str, keep: int, reason: str, repository: Path) -> None:
    """Delete old versions of MODEL; never one that is served."""
    gone = Repository(repository).prune(model, keep, reason)
    click.echo(f"deleted of {model}: {', '.join(map(str, gone))}" if gone else f"nothing of {model} to delete")


@cli.command()
@click.argument("model", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print the entries as they are in the log, one line of JSON each.")
@_repository
def history(model: str | None, as_json: bool, repository: Path) -> None:
    """Tell who changed what in the repository, when and why: of all models, or of MODEL."""
    import json

    from hcr.history import told

    events = Repository(repository).events(model)
    if as_json:
        for event in events:
            click.echo(json.dumps(event, ensure_ascii=False))
    elif events:
        click.echo(told(events))


@cli.group()
def feedback() -> None:
    """What clients sent back as it should have been: list it, confirm it, copy it, take it away."""


_feedback_folder = click.option(
    "--folder",
    envvar="GATEWAY_FEEDBACK_DIR",
    show_envvar=True,
    required=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="The folder that the gateway stores feedback in.",
)
_of_model = click.option("--model", help="Only of this model.")
_of_label = click.option("--label", help="Only with this label.")


@feedback.command("list")
@_feedback_folder
@_of_model
@_of_label
@click.option("--json", "as_json", is_flag=True, help="Print a line of JSON for each image, with what was noted about it.")
def list_feedback(folder: Path, model: str | None, label: str | None, as_json: bool) -> None:
    """Count the images by model and label."""
    from hcr.feedback import find, listed

    click.echo(listed(find(folder, model, label, None), folder, as_json))


@feedback.command("export")
@click.argument("out", type=click.Path(file_okay=False, path_type=Path))
@_feedback_folder
@_of_model
@_of_label
def export_feedback(out: Path, folder: Path, model: str | None, label: str | None) -> None:
    """Copy images and notes to OUT: a folder per model, in it one per label, as `hcr new-recipe` and `evaluate` take them."""
    from hcr.feedback import export, find

    click.echo(f"copied to {out}: {export(find(folder, model, label, None), out):,} images")


@feedback.command("purge")
@_feedback_folder
@_of_model
@_of_label
@click.option("--older-than", metavar="AGE", help="Only what is older: 90d, 12h, 30m.")
@click.option("--all", "everything", is_flag=True, help="Take everything away; needed where nothing else says what.")
def purge_feedback(folder: Path, model: str | None, label: str | None, older_than: str | None, everything: bool) -> None:
    """Take images and notes away for good, such as what is older than is to be kept."""
    from hcr.feedback import age, find, purge, sweep

    if everything == bool(model or label or older_than):
        raise click.UsageError("say what: --older-than, --model, --label, or else --all")
    count, size = purge(find(folder, model, label, age(older_than) if older_than else None))
    sweep(folder)
    click.echo(f"taken away from {folder}: {count:,} images, {size:,} bytes")


@feedback.command("confirm")
@_files
def confirm_feedback(files: tuple[Path, ...]) -> None:
    """Note that the label of each image in FILES is right, whatever the model says: the next training takes it in."""
    from hcr.feedback import confirm

    click.echo(f"confirmed: {confirm(files):,} images")


def _read_forms(context: click.Context, files: tuple[Path, ...], layout: Path, url: str) -> None:
    """Prints the forms' fields as CSV, and fails in the end if a page could not be read."""
    from hcr.forms import read_forms

    given = [
        name
        for name in ("model", "model_version", "polarity", "length", "pattern", "charset", "check", "candidates", "as_json")
        if context.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE
    ]
    if given:
        option = {"model_version": "version", "as_json": "json"}.get(given[0], given[0])
        raise click.UsageError(f"--{option} does not go with --fields: the layout says how each field is read")
    if not read_forms(files, layout, url):
        sys.exit(1)


def _ask_about(
    path: str,
    files: tuple[Path, ...],
    url: str | None,
    wanted: dict[str, Any],
    as_json: bool,
    told: Callable[[Path, bytes, dict[str, Any]], str],
) -> None:
    """Prints what the gateway says about each file, and fails in the end if it refused one."""
    import json

    from hcr.ask import ask

    options = {name: value for name, value in wanted.items() if value is not None}
    failed = False
    for file in files:
        try:
            data = file.read_bytes()
            answer = ask(url or state.gateway_url(), path, data, options)
        except OSError as error:
            click.echo(f"{file}: {error.strerror}", err=True)
            failed = True
        except click.ClickException as error:
            click.echo(f"{file}: {error.message}", err=True)
            failed = True
        else:
            as_line = json.dumps({"file": str(file), **answer}, ensure_ascii=False) if as_json else told(file, data, answer)
            click.echo(as_line)
    if failed:
        sys.exit(1)


def _number_or_label(text: str | None) -> int | str | None:
    return int(text) if text and text.isdecimal() else text


def _told(file: Path, data: bytes, polarity: str, answer: dict[str, Any]) -> str:
    from handwriting.image import decode
    from handwriting.preprocess import to_tensor
    from hcr.drawing import bars, drawn, side_by_side

    model = answer["model"]
    doubt = "  (rejected: below the model's threshold, probably none of its characters)" if answer["rejected"] else ""
    head = f"{file}: {answer['prediction']}  {answer['confidence']:.2%}  {model['name']} version {model['version']}{doubt}"
    picture = drawn(to_tensor(decode(data), polarity))  # type: ignore[arg-type]
    return f"{head}\n{side_by_side(picture, bars(answer['probabilities'], answer['prediction']))}\n"


def _told_text(file: Path, answer: dict[str, Any]) -> str:
    lines = [
        "".join(f"[{item['prediction']}]" if item["rejected"] else item["prediction"] for item in line["characters"])
        for line in answer["lines"]
    ]
    model = answer["model"]
    doubt = "" if answer.get("satisfies", True) else "  (no reading satisfies what was asked for)"
    others = "  ".join(f"{item['text']!r} {item['probability']:.2%}" for item in answer["candidates"])
    head = f"{file}: {' / '.join(lines)}  {answer['confidence']:.2%}  {model['name']} version {model['version']}{doubt}"
    return f"{head}\n    candidates: {others}"


def _row(item: Any) -> tuple[str, ...]:
    metrics = item.card.get("metrics") or {}
    accuracy = metrics.get("accuracy")
    return (
        item.model,
        str(item.number),
        ",".join(item.labels) or "-",
        "yes" if item.is_served else "no",
        f"{accuracy:.2%}" if isinstance(accuracy, float) else "-",
        str(item.card.get("preset", "-")),
        str(item.card.get("created", "-"))[:19],
    )


def main() -> None:
    """The command's entry: an error that says what is wrong is told in one line, without a traceback."""
    try:
        cli()
    except RepositoryError as error:
        click.echo(f"Error: {error}", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
