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
        [FILE, "--rest_api_port=http"],
        [FILE, "--grpc_channel_arguments=grpc.max_connection_age_ms=soon"],
        [FILE, "--model_conf=abbreviated"],
    ],
)
def test_a_mistake_is_named_and_ends_with_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parse_flags(arguments)

    assert ended.value.code == 2
    assert arguments == [] or arguments[-1].partition("=")[0] in capsys.readouterr().err


def test_channel_arguments_are_written_as_tensorflow_serving_has_them() -> None:
    flags = parse_flags([FILE, "--grpc_channel_arguments=grpc.max_connection_age_ms=10000,grpc.max_concurrent_streams=9"])

    assert flags.grpc_channel_arguments == (("grpc.max_connection_age_ms", 10000), ("grpc.max_concurrent_streams", 9))


@pytest.mark.parametrize("argument", ["--monitoring_config_file=/m.config", "--batching_parameters_file=/b.config"])
def test_a_file_without_the_flag_that_reads_it_is_a_mistake(argument: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse_flags([FILE, argument])

    assert f"{argument.partition('=')[0]} needs " in capsys.readouterr().err
