"""The command line: TensorFlow Serving's own names where it has the flag, `--fault_…` for drills."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

DESCRIPTION = """\
The development model server: TensorFlow Serving's gRPC API for development and tests, where the real binary is missing.
Not for production. Flags have TensorFlow Serving's names; booleans may be written --flag, --flag=true or --flag=false.
"""


@dataclass(frozen=True)
class Flags:
    """What the command line said."""

    host: str
    port: int
    model_config_file: Path | None
    model_config_file_poll_wait_seconds: float
    model_name: str
    model_base_path: str
    file_system_poll_wait_seconds: float
    allow_version_labels_for_unavailable_models: bool
    enable_model_warmup: bool
    grpc_max_threads: int
    grpc_channel_arguments: tuple[tuple[str, int], ...]
    rest_api_port: int
    monitoring_config_file: Path | None
    enable_batching: bool
    batching_parameters_file: Path | None
    fault_delay_ms: float
    fault_error_rate: float
    fault_refuse: bool


def parse_flags(arguments: Sequence[str]) -> Flags:
    """The flags in `arguments`; a mistake ends the program with status 2 and says which flag was wrong."""
    parser = _parser()
    found = parser.parse_args(arguments)
    if bool(found.model_config_file) == bool(found.model_base_path):
        parser.error("give either --model_config_file or --model_base_path")
    if found.monitoring_config_file and not found.rest_api_port:
        parser.error("--monitoring_config_file needs --rest_api_port, where the metrics are served")
    if found.batching_parameters_file and not found.enable_batching:
        parser.error("--batching_parameters_file needs --enable_batching")
    return Flags(**{field.name: getattr(found, field.name) for field in fields(Flags)})


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "python -m tfserving.dev_server",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    _add_server_flags(parser.add_argument_group("server"))
    _add_model_flags(parser.add_argument_group("models"))
    _add_fault_flags(parser.add_argument_group("faults, for drills"))
    return parser


def _add_server_flags(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--host", default="127.0.0.1", help="address to listen on (default: 127.0.0.1)")
    group.add_argument("--port", type=_port, default=8500, help="gRPC port; 0 takes a free one, see the log (default: 8500)")
    group.add_argument(
        "--grpc_max_threads", type=_positive, default=64, help="calls answered at the same time; more wait (default: 64)"
    )
    group.add_argument(
        "--grpc_channel_arguments",
        type=_channel_arguments,
        default=(),
        metavar="NAME=NUMBER,…",
        help="such as grpc.max_connection_age_ms=10000",
    )
    group.add_argument(
        "--rest_api_port", type=_port, default=0, help="HTTP port for metrics and status; 0 for none (default: 0)"
    )
    group.add_argument("--monitoring_config_file", type=Path, help="MonitoringConfig that enables Prometheus' metrics")
    _add_switch(
        group, "--enable_batching", default=False, text="accepted and said to be without effect: calls are not joined here"
    )
    group.add_argument("--batching_parameters_file", type=Path, help="accepted with --enable_batching, without effect here")


def _add_model_flags(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--model_config_file", type=Path, help="ModelServerConfig in protobuf's text format")
    group.add_argument(
        "--model_config_file_poll_wait_seconds",
        type=_seconds,
        default=0.0,
        help="look for changes of the file this often; 0 never (default: 0)",
    )
    group.add_argument("--model_name", default="default", help="name of the model in --model_base_path (default: default)")
    group.add_argument("--model_base_path", default="", help="absolute folder of one model's versions, without a config file")
    group.add_argument(
        "--file_system_poll_wait_seconds",
        type=_seconds,
        default=1.0,
        help="look for new versions this often; 0 only when the configuration changes (default: 1)",
    )
    _add_switch(
        group,
        "--allow_version_labels_for_unavailable_models",
        default=False,
        text="accept a label that is new for a version that is not loaded yet (default: false)",
    )
    _add_switch(group, "--enable_model_warmup", default=True, text="replay a version's warm-up requests (default: true)")


def _add_fault_flags(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--fault_delay_ms", type=_seconds, default=0.0, help="wait this long before each answer (default: 0)")
    group.add_argument(
        "--fault_error_rate", type=_share, default=0.0, help="share of calls, 0 to 1, that get UNAVAILABLE (default: 0)"
    )
    _add_switch(group, "--fault_refuse", default=False, text="answer every call, health too, with UNAVAILABLE (default: false)")


def _add_switch(group: argparse._ArgumentGroup, name: str, *, default: bool, text: str) -> None:
    group.add_argument(name, type=_boolean, nargs="?", const=True, default=default, metavar="true|false", help=text)


def _boolean(text: str) -> bool:
    if text.lower() not in ("true", "false", "1", "0"):
        raise argparse.ArgumentTypeError(f"{text!r} is neither true nor false")
    return text.lower() in ("true", "1")


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is no port: 0 to 65535")
    return int(text)


def _channel_arguments(text: str) -> tuple[tuple[str, int], ...]:
    pairs = [item.partition("=") for item in text.split(",") if item]
    for name, _, value in pairs:
        if not name.startswith("grpc.") or not value.removeprefix("-").isdecimal():
            raise argparse.ArgumentTypeError(f"{text!r} is not like grpc.max_connection_age_ms=10000, several with commas")
    return tuple((name, int(value)) for name, _, value in pairs)


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 on")
    return int(text)


def _seconds(text: str) -> float:
    value = _number(text)
    if not 0 <= value < 1e6:
        raise argparse.ArgumentTypeError(f"{text!r} is not between 0 and 1000000")
    return value


def _share(text: str) -> float:
    value = _number(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not between 0 and 1")
    return value


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number") from None
