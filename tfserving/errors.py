"""What can go wrong with a model server or a repository.

ServingError
├── ModelUnavailable     worth trying again: no server answers, it is full, or it is loading
├── DeadlineExceeded     no answer in time
├── UnknownModel         no such model, or it has no version at all
├── UnknownVersion       the model has no such version or label
├── ContractMismatch     the model does not speak the signature that was asked for
├── InvalidResponse      an answer that cannot be believed
└── ServerFault          the server itself is broken, or the call was

RepositoryError          the repository on disk refuses: see tfserving.repository
"""

import grpc


class ServingError(Exception):
    """A call to a model server failed; `status` is its gRPC status where there was one."""

    def __init__(self, message: str, status: grpc.StatusCode | None = None) -> None:
        super().__init__(message)
        self.status = status


class ModelUnavailable(ServingError):
    """No server answers, it is full, or it has no such version loaded yet: worth trying again."""


class DeadlineExceeded(ServingError):
    """The model server did not answer in time."""


class UnknownModel(ServingError):
    """The server knows no such model."""


class UnknownVersion(ServingError):
    """The model has no such version or label."""


class ContractMismatch(ServingError):
    """The model was made for another contract: it lacks the signature."""


class InvalidResponse(ServingError):
    """The answer cannot be believed: wrong shape, not a number, undecodable."""


class ServerFault(ServingError):
    """The server, or our call of it, is broken: trying again does not help."""


class RepositoryError(Exception):
    """The repository refuses what was asked of it; the message says why."""


STATUS_ERRORS: dict[grpc.StatusCode, type[ServingError]] = {
    grpc.StatusCode.OK: InvalidResponse,  # an error that claims success
    grpc.StatusCode.CANCELLED: ModelUnavailable,  # the server went away under the call
    grpc.StatusCode.UNKNOWN: ServerFault,
    grpc.StatusCode.INVALID_ARGUMENT: ServerFault,
    grpc.StatusCode.DEADLINE_EXCEEDED: DeadlineExceeded,
    grpc.StatusCode.NOT_FOUND: UnknownModel,
    grpc.StatusCode.ALREADY_EXISTS: ServerFault,
    grpc.StatusCode.PERMISSION_DENIED: ServerFault,
    grpc.StatusCode.RESOURCE_EXHAUSTED: ModelUnavailable,  # "Server Threadpool Exhausted"
    grpc.StatusCode.FAILED_PRECONDITION: ContractMismatch,  # "Serving signature key … not found."
    grpc.StatusCode.ABORTED: ModelUnavailable,
    grpc.StatusCode.OUT_OF_RANGE: ServerFault,
    grpc.StatusCode.UNIMPLEMENTED: ServerFault,
    grpc.StatusCode.INTERNAL: ServerFault,
    grpc.StatusCode.UNAVAILABLE: ModelUnavailable,
    grpc.StatusCode.DATA_LOSS: ServerFault,
    grpc.StatusCode.UNAUTHENTICATED: ServerFault,
}
"""The one place where a gRPC status gets its meaning."""


def from_rpc_error(error: grpc.RpcError, model: str, version: int | str | None) -> ServingError:
    """The failed call as one of our errors. `version` is the number or label that was asked for, if any."""
    status = error.code()
    details = error.details() or ""
    kind = STATUS_ERRORS[status]
    if kind is UnknownModel and isinstance(version, int):
        return UnknownVersion(f"model {model} has no version {version} that is loaded", status)
    if kind is ServerFault and "version label" in details:
        return UnknownVersion(f"model {model} has no version with the label {version}", status)
    if kind is UnknownModel:
        return UnknownModel(f"no model {model} is served", status)
    return kind(f"model server: {status.name}{': ' + details if details else ''}", status)
