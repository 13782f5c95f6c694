"""TensorFlow Serving's gRPC API in Python, for development: where the real binary is not installed.

    python -m tfserving.dev_server --port=8500 --model_config_file=/path/models.config --model_config_file_poll_wait_seconds=1

It answers Predict, GetModelMetadata, GetModelStatus and HandleReloadConfigRequest with the official messages, status codes
and texts, and loads, switches and unloads versions as the real server does. It is ready when its log says `listening on
HOST:PORT`. The files, from the outside in:

    __main__ → flags → server → services → library → servable → savedmodel
                       faults   messages   versions  warmup
                       config              errors    tensors

What differs from TensorFlow Serving, on purpose:

- It listens on 127.0.0.1 unless `--host` says otherwise, and on gRPC only: no REST, no batching, no monitoring.
- Classify, Regress, MultiInference and SessionRun are UNIMPLEMENTED; tensors are limited to `tensors.KINDS`.
- An empty base path does not keep the port closed, and a model of which no version lies on disk does not block later
  reloads, nor does a failing version at the start end the process: it is logged, and is END in GetModelStatus.
- A version whose load failed is tried again when the files in its directory change, not after a time: a directory that was
  seen half copied is loaded once it is whole. The other versions of its model move on meanwhile.
- A base path that cannot be read holds up its own model only.
- The file of `--model_config_file` is applied when its text changes, and again until it succeeds; the real server applies
  it at each poll, and so takes back what HandleReloadConfigRequest brought.
- Calls beyond `--grpc_max_threads` wait for a thread; the real server refuses them with RESOURCE_EXHAUSTED.
- A tensor of another rank than the signature's is refused where the graph has a convolution: with oneDNN, which is on as in
  TensorFlow Serving, the convolution would abort the process (TF 2.21), as it aborts TensorFlow Serving.
- SIGTERM and SIGINT let the calls that are under way finish, for up to two seconds.
"""
