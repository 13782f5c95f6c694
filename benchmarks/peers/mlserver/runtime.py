"""MLServer with adaptive batching and inference workers, as it advises; the Open Inference Protocol is its own.

https://docs.seldon.ai/mlserver/user-guide/adaptive-batching (model-settings.json)
https://docs.seldon.ai/mlserver/user-guide/parallel-inference (settings.json)
https://docs.seldon.ai/mlserver/user-guide/custom
"""

import json

from mlserver import MLModel
from mlserver.codecs import NumpyCodec, StringCodec
from mlserver.types import InferenceRequest, InferenceResponse

from benchmarks.peers.recognition import Model, hypotheses_of, lines_of, tensors_of


class Characters(MLModel):
    """Input `image`: BYTES (N), base64. Outputs `label` BYTES (N), `probabilities` FP32 (N, K)."""

    async def load(self) -> bool:
        self._model = Model()
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        scores = self._model.scores(tensors_of(StringCodec.decode_input(payload.inputs[0])))
        labels = [self._model.labels[index] for index in scores.argmax(1)]
        outputs = [StringCodec.encode_output("label", labels), NumpyCodec.encode_output("probabilities", scores)]
        return InferenceResponse(model_name=self.name, outputs=outputs)


class Fields(Characters):
    """Input `image`: BYTES (N), base64. Output `reading` BYTES (N), JSON."""

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        readings = []
        for field in StringCodec.decode_input(payload.inputs[0]):
            lines = lines_of(field)
            readings.append(json.dumps(self._model.text(lines, self._model.scores(hypotheses_of(lines)))))
        return InferenceResponse(model_name=self.name, outputs=[StringCodec.encode_output("reading", readings)])
