"""The pipeline on a Kubeflow endpoint."""

import socket
import urllib.error
import urllib.request
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.errors import SubmitError
from pipelines.recipe import load_recipe

_HEALTH = "/apis/v2beta1/healthz"
_TIMEOUT_SECONDS = 20.0


@dataclass(frozen=True)
class Submission:
    """A run that the endpoint has accepted."""

    run_id: str
    url: str


def submit(
    host: str,
    recipe: str | Path = "digits",
    preset: str = "default",
    seed: int | None = None,
    experiment: str = "handwriting",
    repository: str = "/models",
    namespace: str | None = None,
    token: str | None = None,
    compiled: Path | None = None,
) -> Submission:
    """Starts a run of the compiled pipeline on the endpoint, without waiting for its end.

    `host` is the endpoint's URL; `repository` the model repository as the cluster's steps see it.

    Raises:
        RecipeError: the recipe or the preset is wrong; nothing has been sent.
        SubmitError: the endpoint cannot be reached, is no Kubeflow endpoint, or refuses.
    """
    from pipelines.run import COMPILED

    checked = load_recipe(recipe)
    checked.preset(preset)
    address = (host if "://" in host else f"http://{host}").rstrip("/")
    arguments = {"recipe": checked.text, "preset": preset, "seed": -1 if seed is None else seed, "repository": repository}
    _probe(address, token)
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(_TIMEOUT_SECONDS)  # kfp's client has no timeout of its own
    try:
        return _create_run(address, arguments, f"{checked.name} {preset}", experiment, namespace, token, compiled or COMPILED)
    finally:
        socket.setdefaulttimeout(before)


def _probe(address: str, token: str | None) -> None:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    try:
        request = urllib.request.Request(address + _HEALTH, headers=headers)
        with urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS) as response:
            kind = response.headers.get_content_type()
    except urllib.error.HTTPError as error:
        raise SubmitError(f"{address}{_HEALTH} answered HTTP {error.code}{_hint(error.code)}") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        raise SubmitError(f"{address} cannot be reached: {reason}. Is it the URL of the Kubeflow Pipelines API?") from None
    if kind != "application/json":
        raise SubmitError(
            f"{address}{_HEALTH} answered with {kind}, not JSON: no Kubeflow Pipelines API, or a login page before it"
        )


def _create_run(
    address: str,
    arguments: dict[str, Any],
    name: str,
    experiment: str,
    namespace: str | None,
    token: str | None,
    compiled: Path,
) -> Submission:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import kfp
        import kfp_server_api
        import urllib3

        try:
            client = kfp.Client(host=address, namespace=namespace or "kubeflow", existing_token=token)
            kept = client.create_experiment(experiment, namespace=namespace)
            run = client.run_pipeline(kept.experiment_id, name, pipeline_package_path=str(compiled), params=arguments)
        except kfp_server_api.ApiException as error:
            raise SubmitError(
                f"{address} refuses the run: HTTP {error.status} {error.reason}{_hint(error.status)} {_message(error)}"
            ) from None
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise SubmitError(f"{address} stopped answering: {error}") from None
        except (RuntimeError, ValueError, TypeError) as error:  # what kfp's client raises where it does not like the answer
            raise SubmitError(f"{address} gave an answer that is not understood: {error}") from None
    return Submission(run.run_id, f"{address}/#/runs/details/{run.run_id}")


def _hint(status: int | None) -> str:
    hints = {401: " (a token is needed)", 403: " (the token has no right to this)", 404: " (is the path right?)"}
    return hints.get(status or 0, "")


def _message(error: Any) -> str:
    text = error.body.decode("utf-8", "replace") if isinstance(error.body, bytes) else str(error.body or "")
    return " ".join(text.split())[:500]
