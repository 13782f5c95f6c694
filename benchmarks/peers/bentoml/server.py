"""BentoML with adaptive batching, as it advises.

https://docs.bentoml.com/en/latest/get-started/adaptive-batching.html
https://docs.bentoml.com/en/latest/build-with-bentoml/parallelize-requests.html (workers: as many as cores)
"""

import bentoml

from benchmarks.peers.recognition import CORES, Json, Model, hypotheses_of, lines_of, tensors_of


@bentoml.service(workers=CORES, logging={"access": {"enabled": False}}, metrics={"enabled": False})
class Recognition:
    def __init__(self) -> None:
        self.model = Model()

    @bentoml.api(batchable=True, max_batch_size=128, max_latency_ms=1000)
    def predict(self, images: list[str]) -> list[Json]:
        return [self.model.character(row) for row in self.model.scores(tensors_of(images))]

    @bentoml.api
    def read(self, field: str) -> Json:
        lines = lines_of(field)
        return self.model.text(lines, self.model.scores(hypotheses_of(lines)))
