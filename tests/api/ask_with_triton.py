"""Asks a gateway with Triton's HTTP client as it comes: `python ask_with_triton.py HOST:PORT IMAGE`. Prints JSON."""

import json
import sys
from base64 import b64encode
from pathlib import Path

import numpy as np
from tritonclient.http import InferenceServerClient, InferInput, InferRequestedOutput
from tritonclient.utils import InferenceServerException

address, path = sys.argv[1:]
image = Path(path).read_bytes()
client = InferenceServerClient(address)


def infer(*items: bytes, binary: bool, ask: bool, version: str = "") -> dict[str, object]:
    tensor = InferInput("image", [len(items)], "BYTES")
    tensor.set_data_from_numpy(np.array(items, np.object_), binary_data=binary)
    outputs = [InferRequestedOutput(name, binary_data=binary) for name in ("label", "probabilities")] if ask else None
    result = client.infer("digits", [tensor], version, outputs, request_id="mine")
    labels, probabilities = result.as_numpy("label"), result.as_numpy("probabilities")
    return {
        "id": result.get_response()["id"],
        "version": result.get_response()["model_version"],
        "labels": [label.decode() if isinstance(label, bytes) else label for label in labels.tolist()],
        "probabilities": probabilities.round(6).tolist(),
        "shape": list(probabilities.shape),
        "dtype": str(probabilities.dtype),
    }


def refusal(*items: bytes) -> list[str]:
    try:
        infer(*items, binary=True, ask=False)
    except InferenceServerException as error:
        return [error.status(), error.message()]
    raise AssertionError("it was not refused")


base64 = b64encode(image)
print(
    json.dumps(
        {
            "live": client.is_server_live(),
            "ready": client.is_server_ready(),
            "model_ready": client.is_model_ready("digits"),
            "version_ready": client.is_model_ready("digits", "2"),
            "missing_ready": client.is_model_ready("nope"),
            "server": client.get_server_metadata(),
            "model": client.get_model_metadata("digits"),
            "default": infer(base64, base64, binary=True, ask=False),
            "files": infer(image, image, binary=True, ask=True),
            "json": infer(base64, base64, binary=False, ask=True),
            "canary": infer(base64, binary=True, ask=True, version="2"),
            "refusal": refusal(b"%%%"),
        }
    )
)
