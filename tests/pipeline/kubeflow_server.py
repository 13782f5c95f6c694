"""A small server that speaks the part of Kubeflow Pipelines' v2beta1 REST API that we use, and refuses what a backend would."""

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from email.parser import BytesParser
from email.policy import HTTP
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import yaml

API = "/apis/v2beta1"


class Refused(Exception):
    """The request is not one that a backend takes."""


class Kubeflow:
    """What the endpoint holds. `answers` replaces the answer to a path; `outcome` is the state that every run comes to."""

    def __init__(self) -> None:
        self.answers: dict[str, tuple[int, str, str]] = {}
        self.experiments: dict[str, str] = {}
        self.pipelines: dict[str, str] = {}
        self.versions: dict[str, dict[str, Any]] = {}
        self.runs: dict[str, dict[str, Any]] = {}
        self.recurring: dict[str, dict[str, Any]] = {}
        self.outcome = "SUCCEEDED"
        self.tokens: list[str] = []

    def get(self, path: str, query: dict[str, str]) -> Any:
        if path == f"{API}/healthz":
            return {"multi_user": False}
        if path == f"{API}/experiments":
            return {"experiments": [self._experiment(name) for name in self._filtered(self.experiments, query)]}
        if path == f"{API}/pipelines":
            return {"pipelines": [{"pipeline_id": self.pipelines[name]} for name in self._filtered(self.pipelines, query)]}
        if path.startswith(f"{API}/pipelines/") and path.endswith("/versions"):
            return {"pipeline_versions": list(self.versions.values())}
        if path == f"{API}/runs":
            if query["experiment_id"] not in self.experiments.values():
                raise Refused("no such experiment")
            return {"runs": list(self.runs.values())}
        if path.startswith(f"{API}/runs/"):
            return self._run(path.rpartition("/")[2])
        raise Refused(f"unknown path {path}")

    def post(self, path: str, query: dict[str, str], body: Any) -> Any:
        if path == f"{API}/experiments":
            self.experiments[body["display_name"]] = f"e-{len(self.experiments) + 1}"
            return self._experiment(body["display_name"])
        if path == f"{API}/pipelines/upload":
            check_pipeline(body)
            self.pipelines[query["name"]] = f"p-{len(self.pipelines) + 1}"
            return {"pipeline_id": self.pipelines[query["name"]], "display_name": query["name"]}
        if path == f"{API}/pipelines/upload_version":
            return self._new_version(query, body)
        if path == f"{API}/runs":
            return self._new_run(body)
        if path == f"{API}/recurringruns":
            self._check_job(body)
            made = {**body, "recurring_run_id": f"rr-{len(self.recurring) + 1}"}
            self.recurring[made["recurring_run_id"]] = made
            return made
        raise Refused(f"unknown path {path}")

    def _experiment(self, name: str) -> dict[str, str]:
        return {"experiment_id": self.experiments[name], "display_name": name}

    @staticmethod
    def _filtered(known: dict[str, str], query: dict[str, str]) -> list[str]:
        predicates = json.loads(query.get("filter", "{}")).get("predicates", [])
        wanted = [item.get("stringValue") or item.get("string_value") for item in predicates]
        return [name for name in known if not wanted or name in wanted]

    def _new_version(self, query: dict[str, str], body: Any) -> dict[str, Any]:
        if query["pipelineid"] not in self.pipelines.values():
            raise Refused("no such pipeline")
        if any(version["display_name"] == query["name"] for version in self.versions.values()):
            raise Refused("a version of that name is there already")
        check_pipeline(body)
        made = {
            "pipeline_id": query["pipelineid"],
            "pipeline_version_id": f"v-{len(self.versions) + 1}",
            "display_name": query["name"],
            "pipeline_spec": {"documents": body},
        }
        self.versions[made["pipeline_version_id"]] = made
        return made

    def _new_run(self, body: Any) -> dict[str, Any]:
        self._check_job(body)
        number = len(self.runs) + 1
        tasks = [
            {
                "display_name": name,
                "state": self.outcome,
                "create_time": f"2026-11-25T00:0{place}:00Z",
                "pod_name": f"driver-{name}",
                "child_tasks": [{"pod_name": f"{name}-pod"}],
            }
            for place, name in enumerate(("prepare", "train"))
        ]
        made = {
            **body,
            "run_id": f"r-{number}",
            "state": "PENDING",
            "created_at": "2026-11-25T00:00:00Z",
            "run_details": {"task_details": tasks},
        }
        self.runs[made["run_id"]] = made
        return made

    def _run(self, run_id: str) -> dict[str, Any]:
        if run_id not in self.runs:
            raise Refused("no such run")
        ended = {
            "state": self.outcome,
            **({"error": {"code": 13, "message": "step train"}} if self.outcome == "FAILED" else {}),
        }
        return {**self.runs[run_id], **ended}

    def _check_job(self, body: Any) -> None:
        reference = body["pipeline_version_reference"]
        version = self.versions.get(reference["pipeline_version_id"])
        if version is None or version["pipeline_id"] != reference["pipeline_id"]:
            raise Refused("no such pipeline version")
        if body["experiment_id"] not in self.experiments.values():
            raise Refused("no such experiment")
        known = version["pipeline_spec"]["documents"][0]["root"]["inputDefinitions"]["parameters"]
        if unknown := set(body["runtime_config"]["parameters"]) - set(known):
            raise Refused(f"unknown parameters {unknown}")


def check_pipeline(documents: Any) -> None:
    """Raises Refused where a backend would not compile it."""
    spec, *platform = documents
    tasks = spec["root"]["dag"]["tasks"]
    executors = spec["deploymentSpec"]["executors"]
    if spec["schemaVersion"] != "2.1.0" or not re.fullmatch(r"[a-z0-9-]+", spec["pipelineInfo"]["name"]):
        raise Refused("schemaVersion or name")
    for task in tasks.values():
        label = spec["components"][task["componentRef"]["name"]]["executorLabel"]
        if not executors[label]["container"]["image"] or set(task.get("dependentTasks", ())) - set(tasks):
            raise Refused(f"task {task['taskInfo']['name']}")
    for document in platform:
        if unknown := set(document["platforms"]["kubernetes"]["deploymentSpec"]["executors"]) - set(executors):
            raise Refused(f"unknown executors {unknown}")


@contextmanager
def kubeflow(host: str = "127.0.0.1", port: int = 0) -> Iterator[tuple[str, Kubeflow]]:
    """The endpoint's URL, and what it holds."""
    state = Kubeflow()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer(lambda path, query: state.get(path, query))

        def do_POST(self) -> None:
            data = self.rfile.read(int(self.headers["Content-Length"]))
            self._answer(lambda path, query: state.post(path, query, self._body(data)))

        def _body(self, data: bytes) -> Any:
            kind = self.headers["Content-Type"]
            if not kind.startswith("multipart/form-data"):
                return json.loads(data)
            message = BytesParser(policy=HTTP).parsebytes(f"Content-Type: {kind}\r\n\r\n".encode() + data)
            (file,) = [
                part for part in message.iter_parts() if part.get_param("name", header="content-disposition") == "uploadfile"
            ]
            return list(yaml.safe_load_all(file.get_content()))

        def _answer(self, make: Any) -> None:
            parts = urlsplit(self.path)
            state.tokens.append(self.headers.get("Authorization", ""))
            query = {name: values[0] for name, values in parse_qs(parts.query).items()}
            try:
                status, kind, content = state.answers.get(parts.path) or (
                    200, "application/json", json.dumps(make(parts.path, query))
                )  # fmt: skip
            except (Refused, KeyError, TypeError) as error:
                status, kind, content = 400, "application/json", json.dumps({"error": f"{type(error).__name__}: {error}"})
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.end_headers()
            self.wfile.write(content.encode())

        def log_message(self, *arguments: object) -> None:
            pass

    with ThreadingHTTPServer((host, port), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield f"http://{host}:{server.server_port}", state
        server.shutdown()
        thread.join()
