"""LitServe with batching, as it advises.

https://lightning.ai/docs/litserve/features/batching
https://lightning.ai/docs/litserve/api-reference/litserver (workers_per_device: on processors, as many as cores; fast_queue
for many requests a second)
"""

import litserve

from benchmarks.peers.recognition import CORES, PORT, Json, Model, Prepared, Scores, scores_of_all

Answered = tuple[Prepared, Scores]


class Recognition(litserve.LitAPI):
    def setup(self, device: str) -> None:
        self.model = Model()

    def decode_request(self, request: Json) -> Prepared:
        return Prepared.of(request)

    def batch(self, inputs: list[Prepared]) -> list[Prepared]:
        return inputs

    def predict(self, batch: list[Prepared]) -> list[Answered]:
        return list(zip(batch, scores_of_all(self.model, [prepared.tensors for prepared in batch]), strict=True))

    def unbatch(self, output: list[Answered]) -> list[Answered]:
        return output

    def encode_response(self, output: Answered) -> Json:
        prepared, scores = output
        return prepared.answer(self.model, scores)


if __name__ == "__main__":
    server = litserve.LitServer(
        Recognition(max_batch_size=32, batch_timeout=0.001), accelerator="cpu", workers_per_device=CORES, fast_queue=True
    )
    server.run(host="127.0.0.1", port=PORT, generate_client_file=False, log_level="error", access_log=False)
