"""The development server over time: versions come, go and fail, configurations change, processes end."""

import json
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import grpc
import numpy as np
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from handwriting import contract
from tests.contract.make_tiny_model import models_config
from tests.contract.servers import FAST_POLLING, NAME, ROOT, Caller, DevServer, blank, eventually, refused
from tests.fakes import TinyModel
from tfserving import tensors, wire_pb2

ALLOW_LABELS = "--allow_version_labels_for_unavailable_models=true"


class Served:
    """A model of one test on the server that all tests share: its folder, its configuration, its state."""

    def __init__(self, name: str, folder: Path, tiny: Path, config: Path, server: DevServer, caller: Caller) -> None:
        self.base_path = folder / name
        self.base_path.mkdir()
        self.server = server
        self.caller = caller
        self._name, self._tiny, self._config = name, tiny, config

    def publish(self, version: int, source: int = 1, spoil: Path | None = None) -> None:
        """Puts a whole version in place at once; `spoil` is a file in it that is cut in half first."""
        staged = Path(shutil.copytree(self._tiny / NAME / str(source), self.base_path / f"staged-{version}"))
        if spoil is not None:
            (staged / spoil).write_bytes((staged / spoil).read_bytes()[: (staged / spoil).stat().st_size // 2])
        staged.rename(self.base_path / str(version))

    def configure(self, *versions: int, **labels: int) -> None:
        """Lets the file say that these versions are served under these labels."""
        self.write(models_config(self.base_path, labels, versions, self._name))

    def write(self, text: str) -> None:
        """Replaces the configuration file."""
        written = self._config.with_suffix(".new")
        written.write_text(text, "utf-8")
        written.rename(self._config)

    def eventually_is(self, **states: str) -> None:
        """Waits until GetModelStatus says so: `v1="AVAILABLE"`."""
        expected = {int(version[1:]): state for version, state in states.items()}
        eventually(lambda: self.caller.states() == expected)

    def eventually_logs(self, text: str) -> None:
        eventually(lambda: text in self.server.log)


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("config") / "models.config"
    file.write_text("model_config_list { }\n", "utf-8")
    return file


@pytest.fixture(scope="module")
def shared_server(config: Path) -> Iterator[DevServer]:
    """Started with an empty list, looking for changes twenty times a second."""
    with DevServer(config.parent / "log", f"--model_config_file={config}", ALLOW_LABELS, *FAST_POLLING) as server:
        yield server


@pytest.fixture
def model(
    request: pytest.FixtureRequest, tmp_path: Path, tiny_repository: Path, config: Path, shared_server: DevServer
) -> Iterator[Served]:
    name = re.sub(r"\W", "_", request.node.name)  # TensorFlow reads a path with brackets as a pattern
    with Caller(shared_server.address, name) as caller:
        yield Served(name, tmp_path, tiny_repository, config, shared_server, caller)


def test_a_model_that_the_file_adds_is_served(model: Served) -> None:
    model.publish(1)
    model.configure(1, stable=1)

    model.eventually_is(v1="AVAILABLE")
    assert model.caller.scores(blank(), "stable")[0] == 1


def test_a_model_that_the_file_drops_is_unloaded(model: Served) -> None:
    model.publish(1)
    model.configure(1)
    model.eventually_is(v1="AVAILABLE")

    model.write("model_config_list { }\n")

    model.eventually_is(v1="END")
    with refused("NOT_FOUND"):
        model.caller.scores(blank())


def test_the_newest_version_takes_over_where_no_policy_says_otherwise(model: Served) -> None:
    model.write(models_config(model.base_path, {}, (), model.caller.name).replace("model_version_policy { specific {  } }", ""))
    model.publish(1)
    model.eventually_is(v1="AVAILABLE")

    model.publish(2, source=2)

    model.eventually_is(v2="AVAILABLE", v1="END")
    images = np.full((1, 28, 28), 200, np.uint8)
    version, scores = model.caller.scores(images)
    assert version == 2
    np.testing.assert_allclose(scores, TinyModel(2)(images), atol=1e-5)


@pytest.mark.parametrize(("policy", "served"), [("latest { num_versions: 2 }", {2, 3}), ("all { }", {1, 2, 3})])
def test_a_policy_chooses_versions(model: Served, policy: str, served: set[int]) -> None:
    for version in (1, 2, 3):
        model.publish(version)
    text = models_config(model.base_path, {}, (), model.caller.name)
    model.write(text.replace("specific {  }", policy))

    eventually(lambda: {version for version, state in model.caller.states().items() if state == "AVAILABLE"} == served)


def test_policy_specific_leaves_other_versions_on_the_disk(model: Served) -> None:
    for version in (1, 2, 3):
        model.publish(version)
    model.configure(2)

    model.eventually_is(v2="AVAILABLE")


def test_a_label_moves_forward_and_back(model: Served) -> None:
    model.publish(1)
    model.publish(2, source=2)
    model.configure(1, 2, stable=1)
    model.eventually_is(v1="AVAILABLE", v2="AVAILABLE")

    for version in (2, 1):
        model.configure(1, 2, stable=version)
        eventually(lambda version=version: model.caller.scores(blank(), "stable")[0] == version)


def test_a_label_in_use_waits_for_its_version(model: Served) -> None:
    model.publish(1)
    model.configure(1, stable=1)
    model.eventually_is(v1="AVAILABLE")

    model.configure(1, 2, stable=2)

    model.eventually_logs(f"assign label to version 2 of model {model.caller.name}, which is not currently available")
    assert model.caller.scores(blank(), "stable")[0] == 1


def test_a_broken_file_leaves_the_old_one_in_force(model: Served) -> None:
    model.publish(1)
    model.configure(1, stable=1)
    model.eventually_is(v1="AVAILABLE")

    model.write("model_config_list { this is broken")

    model.eventually_logs("not a ModelServerConfig in text format")
    assert model.caller.scores(blank(), "stable")[0] == 1


def test_a_version_with_truncated_weights_ends_and_the_old_one_serves(model: Served) -> None:
    model.publish(1)
    model.configure(1, 2, stable=1)
    model.eventually_is(v1="AVAILABLE")

    model.publish(2, spoil=Path("variables/variables.data-00000-of-00001"))

    model.eventually_is(v1="AVAILABLE", v2="END")
    broken = model.caller.status(model.caller.spec(2))[0]
    assert broken.status.error_code == grpc.StatusCode.OUT_OF_RANGE.value[0]
    assert broken.status.error_message
    assert model.caller.scores(blank())[0] == 1


def test_a_version_whose_warmup_fails_ends(model: Served) -> None:
    model.publish(1)
    model.publish(2, spoil=Path(contract.WARMUP_FILE))
    model.configure(1, 2)

    model.eventually_is(v1="AVAILABLE", v2="END")
    assert model.caller.status(model.caller.spec(2))[0].status.error_code == grpc.StatusCode.DATA_LOSS.value[0]


def test_a_version_that_was_seen_half_copied_is_loaded_once_it_is_whole(model: Served, tiny_repository: Path) -> None:
    folder = model.base_path / "1"
    folder.mkdir()
    model.configure(1)
    model.eventually_is(v1="END")

    shutil.copytree(tiny_repository / NAME / "1", folder, dirs_exist_ok=True)

    model.eventually_is(v1="AVAILABLE")


def test_names_that_are_no_numbers_are_no_versions(model: Served) -> None:
    model.publish(1)
    (model.base_path / ".staging").mkdir()
    (model.base_path / "release.json").touch()
    (model.base_path / "7").touch()
    model.write(models_config(model.base_path, {}, (), model.caller.name).replace("specific {  }", "all { }"))

    model.eventually_is(v1="AVAILABLE")


def test_no_call_fails_while_a_version_replaces_another(model: Served) -> None:
    """Calls by label, and for the newest, from several threads, while 2 is published, promoted, and 1 goes."""
    model.publish(1)
    model.configure(1, stable=1)
    model.eventually_is(v1="AVAILABLE")
    load = [Load(model, asked) for asked in ("stable", None, "stable", None)]

    model.publish(2, source=2)
    model.configure(1, 2, stable=1)
    model.eventually_is(v1="AVAILABLE", v2="AVAILABLE")
    model.configure(2, stable=2)
    model.eventually_is(v1="END", v2="AVAILABLE")

    for thread in load:
        assert thread.finish() == {1, 2}


class Load:
    """A thread that calls until it is told to finish, and a channel of its own."""

    def __init__(self, model: Served, asked: str | None) -> None:
        self._model, self._asked = model, asked
        self._enough = threading.Event()
        self._versions: set[int] = set()
        self._errors: list[Exception] = []
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        eventually(lambda: self._versions or self._errors)

    def _run(self) -> None:
        images = np.full((1, 28, 28), 100, np.uint8)
        expected = {version: TinyModel(version)(images) for version in (1, 2)}
        with Caller(self._model.server.address, self._model.caller.name) as caller:
            try:
                while not self._enough.is_set():
                    version, scores = caller.scores(images, self._asked)
                    np.testing.assert_allclose(scores, expected[version], atol=1e-5)
                    self._versions.add(version)
            except Exception as error:
                self._errors.append(error)

    def finish(self) -> set[int]:
        """The versions that answered; fails if a call did."""
        if not self._errors:
            eventually(lambda: self._errors or 2 in self._versions)
        self._enough.set()
        self._thread.join(10)
        assert not self._errors
        return self._versions


def test_the_official_client_works_unchanged(model: Served) -> None:
    import tensorflow as tf
    from tensorflow_serving.apis import get_model_status_pb2, model_service_pb2_grpc, predict_pb2, prediction_service_pb2_grpc

    model.publish(1)
    model.configure(1, stable=1)
    model.eventually_is(v1="AVAILABLE")
    request = predict_pb2.PredictRequest()
    request.model_spec.name, request.model_spec.version_label = model.caller.name, "stable"
    request.model_spec.signature_name = contract.SIGNATURE
    request.inputs["images"].CopyFrom(tf.make_tensor_proto(blank(2)))

    answer = prediction_service_pb2_grpc.PredictionServiceStub(model.caller.channel).Predict(request, timeout=10)
    question = get_model_status_pb2.GetModelStatusRequest(model_spec=request.model_spec)
    status = model_service_pb2_grpc.ModelServiceStub(model.caller.channel).GetModelStatus(question, timeout=10)

    np.testing.assert_allclose(tf.make_ndarray(answer.outputs["scores"]), TinyModel(1)(blank(2)), atol=1e-5)
    assert answer.model_spec.version.value == 1
    assert status.model_version_status[0].state == get_model_status_pb2.ModelVersionStatus.AVAILABLE


def test_a_reload_by_call_adds_a_model(model: Served) -> None:
    model.publish(1)
    request = wire_pb2.ReloadConfigRequest()
    request.config.model_config_list.config.add(
        name=model.caller.name, base_path=str(model.base_path), model_platform="tensorflow"
    )

    model.caller.reload(request)

    assert model.caller.states() == {1: "AVAILABLE"}


def test_a_large_batch_is_answered(model: Served) -> None:
    model.publish(1)
    model.configure(1)
    model.eventually_is(v1="AVAILABLE")

    version, scores = model.caller.scores(blank(12_000))  # 9.4 MB, more than gRPC's own limit

    assert (version, scores.shape) == (1, (12_000, 10))


def test_the_health_service_says_serving(shared_server: DevServer) -> None:
    with Caller(shared_server.address) as caller:
        answer = health(caller, "tensorflow.serving.PredictionService")

    assert answer == health_pb2.HealthCheckResponse.SERVING


def health(caller: Caller, service: str = "") -> int:
    request = health_pb2.HealthCheckRequest(service=service)
    return int(health_pb2_grpc.HealthStub(caller.channel).Check(request, timeout=10).status)


def single_model(repository: Path) -> tuple[str, str]:
    return f"--model_name={NAME}", f"--model_base_path={repository / NAME}"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_finishes_the_call_under_way_and_leaves_with_0(number: signal.Signals, repository: Path, tmp_path: Path) -> None:
    flags = (*single_model(repository), "--fault_delay_ms=700")
    with DevServer(tmp_path / "log", *flags) as server, Caller(server.address) as caller:
        request = wire_pb2.PredictRequest(model_spec=caller.spec(None, contract.SIGNATURE))
        request.inputs["images"].CopyFrom(tensors.from_array(blank()))
        call = caller.channel.unary_unary("/tensorflow.serving.PredictionService/Predict").future(request.SerializeToString())
        health(caller)  # answered at once, over the same connection: the call has arrived as well

        server.process.send_signal(number)

        assert wire_pb2.PredictResponse.FromString(call.result(10)).model_spec.version.value == 2
        assert server.wait(5) == 0
        assert "Traceback" not in server.log


def test_faults_strike_the_same_share_in_each_run(repository: Path, tmp_path: Path) -> None:
    seeded = random.Random(0)
    expected = [seeded.random() >= 0.5 for _ in range(40)]

    with DevServer(tmp_path / "log", *single_model(repository), "--fault_error_rate=0.5") as server:
        with Caller(server.address) as caller:
            assert health(caller) == health_pb2.HealthCheckResponse.SERVING
            assert [succeeds(caller) for _ in range(40)] == expected


def succeeds(caller: Caller) -> bool:
    try:
        caller.scores(blank())
    except grpc.RpcError as error:
        if error.code() is grpc.StatusCode.UNAVAILABLE:
            return False
        raise
    return True


def test_every_call_is_refused_where_that_is_wanted(tmp_path: Path, config: Path) -> None:
    flags = (f"--model_config_file={config}", "--fault_refuse")
    with DevServer(tmp_path / "log", *flags) as server, Caller(server.address) as caller:
        for call in (lambda: caller.scores(blank()), lambda: caller.status(caller.spec()), lambda: health(caller)):
            with refused("UNAVAILABLE", "refused on purpose: --fault_refuse"):
                call()


def test_it_comes_back_on_the_same_port_after_a_kill(repository: Path, tmp_path: Path) -> None:
    with DevServer(tmp_path / "first", *single_model(repository)) as server:
        port = server.port
        with Caller(server.address) as caller:
            assert caller.scores(blank())[0] == 2
        server.stop()
    with DevServer(tmp_path / "second", *single_model(repository), port=port) as server, Caller(server.address) as caller:
        assert caller.scores(blank())[0] == 2


def test_a_port_that_is_taken_ends_the_start(tmp_path: Path, config: Path, shared_server: DevServer) -> None:
    with DevServer(tmp_path / "log", f"--model_config_file={config}", port=shared_server.port) as server:
        assert server.wait() == 1
        assert f"cannot listen on 127.0.0.1:{shared_server.port}" in server.log


def test_labels_at_the_start_need_the_flag(repository: Path, tmp_path: Path) -> None:
    with DevServer(tmp_path / "log", f"--model_config_file={repository / 'models.config'}") as server:
        assert server.wait() == 1
        assert "--allow_version_labels_for_unavailable_models=true" in server.log


@pytest.mark.parametrize(
    "text", [None, "this is no configuration", 'model_config_list { config { name: "a" base_path: "b" } }']
)
def test_a_start_without_a_usable_file_ends(text: str | None, tmp_path: Path) -> None:
    file = tmp_path / "models.config"
    if text is not None:
        file.write_text(text, "utf-8")

    with DevServer(tmp_path / "log", f"--model_config_file={file}") as server:
        assert server.wait() == 1
        assert "cannot start: " in server.log
        assert "Traceback" not in server.log


def test_it_has_tensorflow_servings_http_port_with_metrics_and_status(repository: Path, tmp_path: Path) -> None:
    monitoring = tmp_path / "monitoring.config"
    monitoring.write_text('prometheus_config { enable: true path: "/monitoring/prometheus/metrics" }')
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        http = probe.getsockname()[1]
    flags = (f"--rest_api_port={http}", f"--monitoring_config_file={monitoring}", *single_model(repository))
    with DevServer(tmp_path / "log", *flags) as server, Caller(server.address) as caller:
        caller.scores(blank())
        with pytest.raises(grpc.RpcError):
            caller.scores(blank(), 99)
        metrics = fetch(f"http://127.0.0.1:{http}/monitoring/prometheus/metrics")
        status = json.loads(fetch(f"http://127.0.0.1:{http}/v1/models/{NAME}"))

    assert ':tensorflow:serving:request_count{status="OK"} 1' in metrics
    assert ':tensorflow:serving:request_count{status="NOT_FOUND"} 1' in metrics
    assert ':tensorflow:serving:request_latency_bucket{le="+Inf"} 2' in metrics
    assert {entry["state"] for entry in status["model_version_status"]} == {"AVAILABLE"}


def test_a_connection_ends_at_the_age_that_a_flag_says(repository: Path, tmp_path: Path) -> None:
    flags = ("--grpc_channel_arguments=grpc.max_connection_age_ms=200", *single_model(repository))
    with DevServer(tmp_path / "log", *flags) as server, grpc.insecure_channel(server.address) as channel:
        states: list[grpc.ChannelConnectivity] = []
        channel.subscribe(states.append, try_to_connect=True)
        ready, idle = grpc.ChannelConnectivity.READY, grpc.ChannelConnectivity.IDLE

        eventually(lambda: ready in states and idle in states[states.index(ready) :])
        channel.unsubscribe(states.append)


def fetch(url: str) -> str:
    with urllib.request.urlopen(url, timeout=10) as response:
        return str(response.read().decode())


def test_help_says_that_it_is_for_development() -> None:
    command = [sys.executable, "-X", "importtime", "-m", "tfserving.dev_server", "--help"]

    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)

    assert "development" in done.stdout
    assert "--model_config_file" in done.stdout
    assert "tensorflow.python" not in done.stderr
    assert " grpc" not in done.stderr


def test_the_log_says_first_that_it_is_for_development_and_little_of_tensorflow(shared_server: DevServer) -> None:
    """TensorFlow says that oneDNN is on, twice, before it reads how much it may say."""
    assert shared_server.address
    lines = shared_server.log.splitlines()
    others = [line for line in lines if " model server " not in line]

    assert "development" in lines[0]
    assert len(others) <= 4
    assert all("absl::InitializeLog" in line or "oneDNN custom operations are on" in line for line in others)
