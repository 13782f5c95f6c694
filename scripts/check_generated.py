"""Are the committed files that are made from others current? `--write` makes them so."""

import subprocess
import sys
import tempfile
from dataclasses import fields
from pathlib import Path

import chart
import dashboards

from gateway.settings import Settings, variable

ROOT = Path(__file__).parents[1]
WIRE = ("tfserving/wire_pb2.py", "tfserving/wire_pb2.pyi")
OPERATIONS = ROOT / "docs" / "operations.md"
_START, _END = "<!-- settings: written by scripts/check_generated.py --write -->", "<!-- /settings -->"


def main() -> int:
    """1 if a file is stale and was not written anew."""
    write = "--write" in sys.argv
    expected = {**wire(), OPERATIONS: operations(), compiled_path(): compiled(), **chart.files(), **dashboards.files()}
    stale = [path for path, text in expected.items() if not path.exists() or path.read_text() != text]
    for path in stale:
        if write:
            path.write_text(expected[path])
        print(f"{path.relative_to(ROOT)}: {'written' if write else f'stale; run .venv/bin/python {sys.argv[0]} --write'}")
    return 1 if stale and not write else 0


def wire() -> dict[Path, str]:
    """The compiled wire, as grpcio-tools makes it from wire.proto."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "grpc_tools.protoc", "-I.", f"--python_out={folder}", f"--pyi_out={folder}"]
        subprocess.run([*command, "tfserving/wire.proto"], cwd=ROOT, check=True)
        return {ROOT / name: Path(folder, name).read_text() for name in WIRE}


def operations() -> str:
    """docs/operations.md with the table of the settings that the gateway has."""
    rows = [f"| `{variable(item.name)}` | `{item.default}` | {item.metadata['help']} |" for item in fields(Settings)]
    table = "\n".join(["| variable | default | what |", "|---|---|---|", *rows])
    before, _, rest = OPERATIONS.read_text().partition(_START)
    return f"{before}{_START}\n{table}\n{_END}{rest.partition(_END)[2]}"


def compiled_path() -> Path:
    from pipelines.run import COMPILED

    return COMPILED


def compiled() -> str:
    """The pipeline in Kubeflow's IR."""
    from pipelines.run import compile_pipeline

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "pipeline.yaml")
        compile_pipeline(path)
        return path.read_text()


if __name__ == "__main__":
    sys.exit(main())
