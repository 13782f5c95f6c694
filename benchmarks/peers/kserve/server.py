"""KServe's Python server with a worker per core, as it advises; the Open Inference Protocol is its own.

https://kserve.github.io/website/docs/model-serving/predictive-inference/frameworks/custom-predictor (workers)
https://kserve.github.io/website/docs/model-serving/predictive-inference/batcher: its batching is done by a sidecar of the
Kubernetes pod, in front of this server and for the older protocol only; the Python server itself has none to turn on.
"""

import json
from functools import cached_property

import kserve
from kserve.protocol.infer_type import InferOutput
from kserve.utils.utils import generate_uuid

from benchmarks.peers.recognition import CORES, PORT, Model, hypotheses_of, lines_of, tensors_of


class Characters(kserve.Model):
    """Input `image`: BYTES (N), base64. Outputs `label` BYTES (N), `probabilities` FP32 (N, K)."""

    def load(self) -> bool:
        self.ready = True
        return self.ready

    @cached_property
    def model(self) -> Model:
        """Loaded in each worker by its first request: the server ends workers that take more than 5 s to start."""
        return Model()

    async def predict(self, payload: kserve.InferRequest, *_: object) -> kserve.InferResponse:
        scores = self.model.scores(tensors_of(payload.inputs[0].data))
        labels = InferOutput("label", [len(scores)], "BYTES", [self.model.labels[index] for index in scores.argmax(1)])
        probabilities = InferOutput("probabilities", list(scores.shape), "FP32", scores.ravel().tolist())
        return kserve.InferResponse(generate_uuid(), self.name, [labels, probabilities])


class Fields(Characters):
    """Input `image`: BYTES (N), base64. Output `reading` BYTES (N), JSON."""

    async def predict(self, payload: kserve.InferRequest, *_: object) -> kserve.InferResponse:
        readings = []
        for field in payload.inputs[0].data:
            lines = lines_of(field)
            readings.append(json.dumps(self.model.text(lines, self.model.scores(hypotheses_of(lines)))))
        return kserve.InferResponse(generate_uuid(), self.name, [InferOutput("reading", [len(readings)], "BYTES", readings)])


if __name__ == "__main__":
    models = [Characters("characters"), Fields("fields")]
    for model in models:
        model.load()
    kserve.ModelServer(http_port=PORT, workers=CORES, enable_grpc=False, enable_latency_logging=False).start(models)
