"""The gateway's settings: each is an environment variable, read once, in wsgi.py."""

import re
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import Any

from gateway.addresses import Network, parse_networks
from gateway.keys import KeyRing
from gateway.limits import check_limit, check_storage
from tfserving.release import FILE as RELEASE_FILE

_ORIGIN = re.compile(r"https?://([a-z0-9.-]+|\[[0-9a-f:]+\])(:[0-9]{1,5})?")


class SettingsError(ValueError):
    """A setting's value cannot be used; the message names the variable."""


def _setting(
    default: Any,
    text: str,
    least: float | None = None,
    choices: tuple[str, ...] = (),
    check: Callable[[str], object] | None = None,
) -> Any:
    """`check` raises ValueError where it cannot use a value that is not empty."""
    return field(default=default, metadata={"help": text, "least": least, "choices": choices, "check": check})


def _origins(text: str) -> frozenset[str]:
    """The origins of a text such as `https://a.example, https://b.example:8443`.

    Raises:
        ValueError: one of them is none.
    """
    origins = frozenset(part.strip() for part in text.split(",") if part.strip())
    for origin in origins:
        if not _ORIGIN.fullmatch(origin):
            raise ValueError(
                f"{origin[:80]!r} is no origin; scheme, host and port as browsers send them are accepted: https://forms.example"
            )
    return origins


@dataclass(frozen=True)
class Settings:
    """Field `name` is read from the variable GATEWAY_NAME."""

    host: str = _setting("127.0.0.1", "address to listen on; 0.0.0.0 for all")
    port: int = _setting(8080, "port to listen on", least=0)
    model_server: str = _setting("127.0.0.1:8500", "host:port of the model server's gRPC port; several ip:port with commas")
    default_model: str = _setting("digits", "model that answers a request which names none")
    models: str = _setting("", "models to list beside the default one, with commas")
    models_config: str = _setting(
        "", "the model repository's models.config, where the gateway can read it: its models are listed too, as they come"
    )
    release_file: str = _setting(
        "",
        "the model repository's release.json, which says the canary's share of the requests; without it, beside models.config",
    )
    workers: int = _setting(1, "processes that serve; one for each core that it may use, for the most requests", least=1)
    max_requests: int = _setting(128, "requests at the same time in each worker, at most; one more is answered 503", least=1)
    request_timeout_seconds: float = _setting(5.0, "a request's whole time where it names none, in seconds", least=0.001)
    max_request_timeout_seconds: float = _setting(30.0, "the longest time that a request may ask for, in seconds", least=0.001)
    max_batch_images: int = _setting(256, "images in one batch request, at most", least=1)
    max_call_images: int = _setting(
        64, "images in one call of the model server, at most; with batching on there, not above its max_batch_size", least=1
    )
    max_request_bytes: int = _setting(64 << 20, "bytes of a batch request's body, at most", least=1024)
    receiving_bytes: int = _setting(
        256 << 20, "bytes of all bodies that are in memory at one time, at most, in each worker", least=1024
    )
    body_timeout_seconds: float = _setting(
        60.0, "seconds in which a body must come, and one more for each 16 KiB of it; longer than a request takes", least=0.001
    )
    decoding_pixels: int = _setting(
        80_000_000, "pixels of all images that are being decoded at one time, at most, in each worker", least=1
    )
    feedback_dir: str = _setting("", "folder that POST /v1/feedback stores images in; without one there is no such path")
    feedback_max_bytes: int = _setting(1 << 30, "bytes of feedback that are stored, at most", least=1)
    drain_seconds: float = _setting(
        0.0, "how long to answer 503 on /readyz and still serve, after SIGTERM, in seconds", least=0
    )
    keys_file: str = _setting(
        "", "file of the keys that are let in, see [security](security.md#keys); without it everybody is",
        check=lambda text: KeyRing(Path(text)),
    )  # fmt: skip
    rate_limit: str = _setting(
        "", "requests of one key, or one address, such as 100/second;5000/hour; without it there is no limit", check=check_limit
    )
    rate_limit_storage: str = _setting(
        "memory://", "where they are counted: memory:// in each process for itself, redis://host:6379 together",
        check=check_storage,
    )  # fmt: skip
    trusted_proxies: str = _setting(
        "", "networks whose X-Forwarded-For is believed, with commas, such as 10.0.0.0/8", check=parse_networks
    )
    cors_origins: str = _setting("", "origins whose pages may ask, with commas, such as https://forms.example", check=_origins)
    metrics_port: int = _setting(0, "port of its own for /metrics, without keys; 0: on the port of everything else", least=0)
    log_format: str = _setting("auto", "json, text, or auto: text on a terminal", choices=("auto", "json", "text"))

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "Settings":
        """The settings that the variables give.

        Raises:
            SettingsError: a value is not of its setting's type or range, or a variable is none of ours.
        """
        known = {variable(item.name): item for item in fields(cls)}
        for name in environment:
            if name.startswith("GATEWAY_") and name not in known:
                raise SettingsError(f"{name} is no setting of the gateway; they are {', '.join(known)}")
        return cls(**{item.name: _parse(name, environment[name], item) for name, item in known.items() if name in environment})

    @property
    def release_path(self) -> Path | None:
        """Where release.json is, if anywhere."""
        if self.release_file:
            return Path(self.release_file)
        return Path(self.models_config).with_name(RELEASE_FILE) if self.models_config else None

    @property
    def model_names(self) -> tuple[str, ...]:
        """The default model, and then the others to list, each once."""
        names = [self.default_model, *(name.strip() for name in self.models.split(","))]
        return tuple(dict.fromkeys(name for name in names if name))

    @property
    def trusted_networks(self) -> tuple[Network, ...]:
        """The networks of the proxies that are believed."""
        return parse_networks(self.trusted_proxies)

    @property
    def allowed_origins(self) -> frozenset[str]:
        """The origins of pages elsewhere that may ask."""
        return _origins(self.cors_origins)


def variable(name: str) -> str:
    """The environment variable of a setting."""
    return f"GATEWAY_{name.upper()}"


def _parse(name: str, text: str, item: Any) -> Any:
    kind = type(item.default) if item.default is not MISSING else str
    try:
        value = kind(text)
    except ValueError:
        expected = "a whole number" if kind is int else "a number"
        raise SettingsError(f"{name} is {text!r}; expected {expected}: {item.metadata['help']}") from None
    least, choices = item.metadata["least"], item.metadata["choices"]
    if least is not None and not value >= least:
        raise SettingsError(f"{name} is {text}; at least {least:g} is accepted: {item.metadata['help']}")
    if choices and value not in choices:
        raise SettingsError(f"{name} is {text!r}; accepted are {', '.join(choices)}")
    if value and (check := item.metadata["check"]):
        try:
            check(value)
        except ValueError as error:
            raise SettingsError(f"{name}: {error}") from None
    if kind is str and not value.strip() and item.default:
        raise SettingsError(f"{name} is empty; expected {item.metadata['help']}")
    return value
