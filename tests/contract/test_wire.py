"""wire.proto against the official descriptors, field by field, both in one process."""

from collections.abc import Iterator
from typing import Any

import pytest
from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor
from tensorflow.core.framework import tensor_pb2, tensor_shape_pb2, types_pb2
from tensorflow.core.protobuf import meta_graph_pb2
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_management_pb2,
    model_pb2,
    model_service_pb2,
    predict_pb2,
    prediction_log_pb2,
    prediction_service_pb2,
    status_pb2,
)
from tensorflow_serving.config import file_system_storage_path_source_pb2, model_server_config_pb2

from tfserving import wire_pb2

_POLICY = file_system_storage_path_source_pb2.FileSystemStoragePathSourceConfig.ServableVersionPolicy

OFFICIAL: dict[str, Any] = {
    "DataType": types_pb2.DataType,
    "TensorShape": tensor_shape_pb2.TensorShapeProto,
    "TensorShape.Dim": tensor_shape_pb2.TensorShapeProto.Dim,
    "Tensor": tensor_pb2.TensorProto,
    "ModelSpec": model_pb2.ModelSpec,
    "PredictRequest": predict_pb2.PredictRequest,
    "PredictResponse": predict_pb2.PredictResponse,
    "PredictionLog": prediction_log_pb2.PredictionLog,
    "PredictLog": prediction_log_pb2.PredictLog,
    "GetModelMetadataRequest": get_model_metadata_pb2.GetModelMetadataRequest,
    "GetModelMetadataResponse": get_model_metadata_pb2.GetModelMetadataResponse,
    "SignatureDefMap": get_model_metadata_pb2.SignatureDefMap,
    "SignatureDef": meta_graph_pb2.SignatureDef,
    "TensorInfo": meta_graph_pb2.TensorInfo,
    "GetModelStatusRequest": get_model_status_pb2.GetModelStatusRequest,
    "Status": status_pb2.StatusProto,
    "ModelVersionStatus": get_model_status_pb2.ModelVersionStatus,
    "ModelVersionStatus.State": get_model_status_pb2.ModelVersionStatus.State,
    "GetModelStatusResponse": get_model_status_pb2.GetModelStatusResponse,
    "ReloadConfigRequest": model_management_pb2.ReloadConfigRequest,
    "ReloadConfigResponse": model_management_pb2.ReloadConfigResponse,
    "ModelServerConfig": model_server_config_pb2.ModelServerConfig,
    "ModelConfigList": model_server_config_pb2.ModelConfigList,
    "ModelConfig": model_server_config_pb2.ModelConfig,
    "ServableVersionPolicy": _POLICY,
    "ServableVersionPolicy.Latest": _POLICY.Latest,
    "ServableVersionPolicy.All": _POLICY.All,
    "ServableVersionPolicy.Specific": _POLICY.Specific,
}
"""Our name → the official message or enum."""

SAME_ON_THE_WIRE = {("Status", "error_code")}
"""int32 with us, an enum there: the same varint."""

LONE_MEMBERS = {("TensorInfo", "name")}
"""In a oneof there, whose other members (sparse and composite tensors) no signature of ours has."""

PACKAGE = wire_pb2.DESCRIPTOR.package + "."


def messages(parent: Any = None) -> Iterator[Descriptor]:
    nested = wire_pb2.DESCRIPTOR.message_types_by_name if parent is None else parent.nested_types_by_name
    for message in nested.values():
        if not message.GetOptions().map_entry:
            yield message
            yield from messages(message)


def enums() -> Iterator[EnumDescriptor]:
    yield from wire_pb2.DESCRIPTOR.enum_types_by_name.values()
    for message in messages():
        yield from message.enum_types_by_name.values()


def our_name(descriptor: Any) -> str:
    return str(descriptor.full_name).removeprefix(PACKAGE)


def kind(field: FieldDescriptor) -> tuple[object, ...]:
    """What of the field is on the wire, but for its type."""
    return field.number, field.is_repeated, is_map(field), bool(field.is_packed)


def presence(field: FieldDescriptor) -> tuple[object, ...]:
    """What of the field is in its meaning."""
    return field.containing_oneof.name if field.containing_oneof else None, field.has_presence


def is_map(field: FieldDescriptor) -> bool:
    return bool(field.message_type and field.message_type.GetOptions().map_entry)


def assert_same_type(ours: FieldDescriptor, theirs: FieldDescriptor) -> None:
    if (our_name(ours.containing_type), ours.name) in SAME_ON_THE_WIRE:
        assert (ours.type, theirs.type) == (FieldDescriptor.TYPE_INT32, FieldDescriptor.TYPE_ENUM)
        return
    assert ours.type == theirs.type
    if is_map(ours):
        for part in ("key", "value"):
            assert_same_type(ours.message_type.fields_by_name[part], theirs.message_type.fields_by_name[part])
        return
    for mine, other in ((ours.message_type, theirs.message_type), (ours.enum_type, theirs.enum_type)):
        if mine is not None:
            expected = OFFICIAL[our_name(mine)].DESCRIPTOR if mine.full_name.startswith(PACKAGE) else mine
            assert expected.full_name == other.full_name


FIELDS = [field for message in messages() for field in message.fields]
VALUES = [value for enum in enums() for value in enum.values]


def test_every_message_and_enum_has_an_official_one() -> None:
    assert {our_name(descriptor) for descriptor in (*messages(), *enums())} == set(OFFICIAL)


@pytest.mark.parametrize("field", FIELDS, ids=lambda field: str(field.full_name).removeprefix(PACKAGE))
def test_a_field_is_the_official_one(field: FieldDescriptor) -> None:
    theirs = OFFICIAL[our_name(field.containing_type)].DESCRIPTOR.fields_by_name[field.name]

    assert kind(field) == kind(theirs)
    if (our_name(field.containing_type), field.name) not in LONE_MEMBERS:
        assert presence(field) == presence(theirs)
    assert_same_type(field, theirs)


@pytest.mark.parametrize("value", VALUES, ids=lambda value: f"{value.type.name}.{value.name}")
def test_an_enum_s_value_is_the_official_one(value: Any) -> None:
    theirs = OFFICIAL[our_name(value.type)].DESCRIPTOR.values_by_name[value.name]

    assert value.number == theirs.number


@pytest.mark.parametrize(
    ("service", "method", "request_name", "response_name"),
    [
        (prediction_service_pb2, "PredictionService.Predict", "PredictRequest", "PredictResponse"),
        (
            prediction_service_pb2,
            "PredictionService.GetModelMetadata",
            "GetModelMetadataRequest",
            "GetModelMetadataResponse",
        ),
        (model_service_pb2, "ModelService.GetModelStatus", "GetModelStatusRequest", "GetModelStatusResponse"),
        (model_service_pb2, "ModelService.HandleReloadConfigRequest", "ReloadConfigRequest", "ReloadConfigResponse"),
    ],
)
def test_a_method_takes_and_gives_what_we_send_and_read(
    service: Any, method: str, request_name: str, response_name: str
) -> None:
    service_name, method_name = method.split(".")
    theirs = service.DESCRIPTOR.services_by_name[service_name].methods_by_name[method_name]

    assert theirs.full_name == f"tensorflow.serving.{method}"
    assert theirs.input_type is OFFICIAL[request_name].DESCRIPTOR
    assert theirs.output_type is OFFICIAL[response_name].DESCRIPTOR
    assert not theirs.client_streaming
    assert not theirs.server_streaming


def test_the_signatures_inside_any_are_under_the_official_name() -> None:
    assert get_model_metadata_pb2.SignatureDefMap.DESCRIPTOR.full_name == "tensorflow.serving.SignatureDefMap"
