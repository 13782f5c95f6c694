"""The development server's command line."""

import pytest

from tfserving.dev_server.flags import parse_flags

FILE = "--model_config_file=/models/models.config"


def test_the_server_keeps_to_this_machine_unless_told_otherwise() -> None:
    flags = parse_flags([FILE])

    assert (flags.host, flags.port) == ("127.0.0.1", 8500)


@pytest.mark.parametrize(
    ("written", "meant"), [("=true", True), ("=false", False), ("=1", True), ("=0", False), ("=True", True), ("", True)]
)
def test_booleans_are_written_as_tensorflow_serving_has_them(written: str, meant: bool) -> None:
    flags = parse_flags([FILE, f"--allow_version_labels_for_unavailable_models{written}"])

    assert flags.allow_version_labels_for_unavailable_models is meant


def test_warmup_can_be_switched_off() -> None:
    assert parse_flags([FILE]).enable_model_warmup
    assert not parse_flags([FILE, "--enable_model_warmup=false"]).enable_model_warmup


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        [FILE, "--model_base_path=/models/digits"],
        [FILE, "--port=70000"],
        [FILE, "--port=http"],
        [FILE, "--grpc_max_threads=0"],
        [FILE, "--fault_error_rate=1.5"],
        [FILE, "--fault_delay_ms=-1"],
        [FILE, "--file_system_poll_wait_seconds=nan"],
        [FILE, "--enable_model_warmup=maybe"],
        [FILE, "--rest_api_port=8501"],
        [FILE, "--model_conf=abbreviated"],
    ],
)
def test_a_mistake_is_named_and_ends_with_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parse_flags(arguments)

    assert ended.value.code == 2
    assert arguments == [] or arguments[-1].partition("=")[0] in capsys.readouterr().err
