"""The official messages, without the import of all of TensorFlow that they would cost.

`import tensorflow.core.framework.tensor_pb2` first runs `tensorflow/__init__.py`, which takes five seconds and more for
Keras, tf.data and much else that a server has no use for. So the package is put in place without running it; its
submodules (generated messages, session) then import as ever, in about one second. TensorFlow's public API is not to be
had in this process, and nobody else's process is touched: import this module from the server alone.
"""

import importlib.util
import sys
from types import ModuleType


def _place_package(name: str) -> None:
    if name in sys.modules:
        return
    spec = importlib.util.find_spec(name)
    if spec is None or spec.submodule_search_locations is None:
        raise ModuleNotFoundError(f"{name} is not installed; the development model server needs it", name=name)
    package = ModuleType(name)
    package.__spec__ = spec
    package.__path__ = list(spec.submodule_search_locations)
    sys.modules[name] = package


_place_package("tensorflow")

from tensorflow.core.framework import tensor_pb2, types_pb2  # noqa: E402
from tensorflow.core.protobuf import config_pb2, saved_model_pb2  # noqa: E402
from tensorflow_serving.apis import (  # noqa: E402
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_management_pb2,
    model_pb2,
    predict_pb2,
    prediction_log_pb2,
)
from tensorflow_serving.config import model_server_config_pb2  # noqa: E402

TensorProto = tensor_pb2.TensorProto
DataType = types_pb2.DataType
CallableOptions = config_pb2.CallableOptions
ConfigProto = config_pb2.ConfigProto
SavedModel = saved_model_pb2.SavedModel
ModelSpec = model_pb2.ModelSpec
PredictRequest = predict_pb2.PredictRequest
PredictResponse = predict_pb2.PredictResponse
PredictionLog = prediction_log_pb2.PredictionLog
GetModelMetadataRequest = get_model_metadata_pb2.GetModelMetadataRequest
GetModelMetadataResponse = get_model_metadata_pb2.GetModelMetadataResponse
SignatureDefMap = get_model_metadata_pb2.SignatureDefMap
GetModelStatusRequest = get_model_status_pb2.GetModelStatusRequest
GetModelStatusResponse = get_model_status_pb2.GetModelStatusResponse
ReloadConfigRequest = model_management_pb2.ReloadConfigRequest
ReloadConfigResponse = model_management_pb2.ReloadConfigResponse
ModelServerConfig = model_server_config_pb2.ModelServerConfig
ModelConfig = model_server_config_pb2.ModelConfig
