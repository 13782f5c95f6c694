"""Ray Serve with dynamic request batching, a replica per core and its high-throughput mode, as it advises.

https://docs.ray.io/en/latest/serve/advanced-guides/dyn-req-batch.html
https://docs.ray.io/en/latest/serve/advanced-guides/performance.html
https://docs.ray.io/en/latest/serve/configure-serve-deployment.html
"""

import os
import signal

os.environ |= {"RAY_SERVE_ENABLE_HA_PROXY": "1", "RAY_SERVE_THROUGHPUT_OPTIMIZED": "1", "RAY_USAGE_STATS_ENABLED": "0"}

import ray
from ray import serve
from ray.serve.config import HTTPOptions
from starlette.requests import Request

from benchmarks.peers.recognition import CORES, PORT, Json, Model, Prepared, Scores, Tensors, scores_of_all


@serve.deployment(num_replicas=CORES, max_ongoing_requests=100, ray_actor_options={"num_cpus": 1})
class Recognition:
    def __init__(self) -> None:
        self.model = Model()

    async def __call__(self, request: Request) -> Json:
        prepared = Prepared.of(await request.json())
        return prepared.answer(self.model, await self.scores(prepared.tensors))

    @serve.batch(max_batch_size=32, batch_wait_timeout_s=0.001)
    async def scores(self, requests: list[Tensors]) -> list[Scores]:
        return scores_of_all(self.model, requests)


if __name__ == "__main__":
    ray.init(num_cpus=CORES + 1, include_dashboard=False, log_to_driver=False)
    serve.start(http_options=HTTPOptions(host="127.0.0.1", port=PORT), logging_config={"enable_access_log": False})
    serve.run(Recognition.bind())
    signal.sigwait({signal.SIGTERM, signal.SIGINT})
    serve.shutdown()
    ray.shutdown()
