"""Asks a gateway, from Python.

    from handwriting_client import Client

    with Client("http://127.0.0.1:8080") as client:
        print(client.predict("seven.png").prediction)

`AsyncClient` does the same with `await`. Needs httpx and nothing else of this distribution.
"""

from handwriting_client.client import AsyncClient, Client
from handwriting_client.errors import (
    ClientError,
    DeadlineExceeded,
    Failed,
    Forbidden,
    InvalidAnswer,
    NotFound,
    RateLimited,
    Refused,
    TimedOut,
    Unauthorized,
    Unavailable,
    Unreachable,
    UnusableImage,
)
from handwriting_client.images import Image
from handwriting_client.results import (
    Batch,
    Box,
    Candidate,
    Character,
    FieldCharacter,
    FieldError,
    Line,
    Model,
    Models,
    ModelVersion,
    Prediction,
    Problem,
    Reading,
    Receipt,
    Version,
)

__all__ = [
    "AsyncClient",
    "Batch",
    "Box",
    "Candidate",
    "Character",
    "Client",
    "ClientError",
    "DeadlineExceeded",
    "Failed",
    "FieldCharacter",
    "FieldError",
    "Forbidden",
    "Image",
    "InvalidAnswer",
    "Line",
    "Model",
    "ModelVersion",
    "Models",
    "NotFound",
    "Prediction",
    "Problem",
    "RateLimited",
    "Reading",
    "Receipt",
    "Refused",
    "TimedOut",
    "Unauthorized",
    "Unavailable",
    "Unreachable",
    "UnusableImage",
    "Version",
]
