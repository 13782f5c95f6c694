"""ModelServerConfig: read from text, checked, and read again when the file changes."""

import logging
from collections.abc import Callable
from pathlib import Path

from google.protobuf import text_format
from grpc import StatusCode

from tfserving.dev_server.errors import Refused
from tfserving.dev_server.messages import ModelConfig, ModelServerConfig

log = logging.getLogger("model server")

_PLATFORM = "tensorflow"
_TENSORFLOW = 1  # ModelType, deprecated


def parse(text: str) -> ModelServerConfig:
    """The configuration. Raises Refused where the text is none."""
    try:
        return text_format.Parse(text, ModelServerConfig())
    except text_format.ParseError as error:
        raise Refused(StatusCode.INVALID_ARGUMENT, f"not a ModelServerConfig in text format: {error}") from error


def single_model(name: str, base_path: str) -> ModelServerConfig:
    """What --model_name and --model_base_path ask for."""
    config = ModelServerConfig()
    config.model_config_list.config.add(name=name, base_path=base_path, model_platform=_PLATFORM)
    return config


def check(config: ModelServerConfig) -> None:
    """Raises Refused where a model of the configuration cannot be meant."""
    names: set[str] = set()
    for model in config.model_config_list.config:
        _check_model(model)
        if model.name in names:
            raise Refused(StatusCode.INVALID_ARGUMENT, f"Illegal to list model {model.name} multiple times in config list")
        names.add(model.name)


def _check_model(model: ModelConfig) -> None:
    if not model.name:
        raise Refused(StatusCode.INVALID_ARGUMENT, "Expected each model to have a name")
    if not model.base_path.startswith("/"):
        text = f"Expected model {model.name} to have an absolute path or URI; got base_path()={model.base_path}"
        raise Refused(StatusCode.INVALID_ARGUMENT, text)
    if model.model_platform != _PLATFORM and model.model_type != _TENSORFLOW:
        text = f"Expected model {model.name} to have model_platform {_PLATFORM}; got {model.model_platform!r}"
        raise Refused(StatusCode.INVALID_ARGUMENT, text)
    if model.model_version_policy.HasField("specific") and not model.model_version_policy.specific.versions:
        raise Refused(StatusCode.INVALID_ARGUMENT, f"Expected model {model.name} to have versions in its specific policy")


class ConfigFile:
    """The file of --model_config_file; applies it when its text changes, and until it can be applied."""

    def __init__(self, path: Path, apply: Callable[[ModelServerConfig], None]) -> None:
        self._path = path
        self._apply = apply
        self._in_force: str | None = None
        self._complaint: str | None = None

    def load(self) -> None:
        """Applies the file as it is now. Raises Refused."""
        try:
            text = self._path.read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise Refused(StatusCode.NOT_FOUND, f"cannot read {self._path}: {error}") from error
        if text == self._in_force:
            return
        self._apply(parse(text))
        self._in_force = text
        self._complaint = None
        log.info("%s is in force", self._path)

    def poll(self) -> None:
        """Applies the file if it changed; says once what is wrong with it, and leaves the old one in force."""
        try:
            self.load()
        except Refused as error:
            if error.message != self._complaint:
                log.error("%s is ignored, what was in force before stays: %s", self._path, error.line)
                self._complaint = error.message
