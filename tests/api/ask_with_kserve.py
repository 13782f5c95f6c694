"""Asks a gateway with KServe's REST client as it comes: `python ask_with_kserve.py URL IMAGE`. Prints JSON."""

import asyncio
import base64
import json
import sys
from pathlib import Path

import numpy as np
from httpx import HTTPStatusError
from kserve import InferenceRESTClient, InferInput, InferRequest, RESTConfig
from kserve.protocol.infer_type import RequestedOutput

url, path = sys.argv[1:]
image = base64.b64encode(Path(path).read_bytes()).decode()


async def infer(client: InferenceRESTClient, *images: str, binary: bool) -> dict[str, object]:
    tensor = InferInput("image", [len(images)], "BYTES")
    tensor.set_data_from_numpy(np.array(images, np.object_), binary_data=binary)
    outputs = [RequestedOutput(name, {"binary_data": binary}) for name in ("label", "probabilities")]
    request = InferRequest("digits", [tensor], request_id="mine", request_outputs=outputs)
    answer = await client.infer(url, request, "digits")
    labels, probabilities = answer.outputs
    return {
        "id": answer.id,
        "version": answer.model_version,
        "labels": [label.decode() if isinstance(label, bytes) else label for label in labels.as_numpy().tolist()],
        "probabilities": probabilities.as_numpy().round(6).tolist(),
        "shape": list(probabilities.shape),
    }


async def refusal(client: InferenceRESTClient) -> list[object]:
    try:
        await infer(client, "%%%", binary=False)
    except HTTPStatusError as error:
        return [error.response.status_code, error.response.json()["error"]]
    raise AssertionError("it was not refused")


async def main() -> None:
    async with InferenceRESTClient(RESTConfig(protocol="v2")) as client:
        told = {
            "live": await client.is_server_live(url),
            "ready": await client.is_server_ready(url),
            "model_ready": await client.is_model_ready(url, "digits"),
            "missing_ready": await client.is_model_ready(url, "nope"),
            "json": await infer(client, image, image, binary=False),
            "binary": await infer(client, image, image, binary=True),
            "refusal": await refusal(client),
        }
    print(json.dumps(told))


asyncio.run(main())
