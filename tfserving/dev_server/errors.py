"""The one error of the server: what a caller is told."""

import grpc

CODES = {code.value[0]: code for code in grpc.StatusCode}
"""google.rpc.Code, a number, → grpc's status code. TensorFlow's error codes are the same numbers."""


class Refused(Exception):
    """A call or a load that ends with a status other than OK."""

    def __init__(self, code: grpc.StatusCode, message: str) -> None:
        super().__init__(f"{code.name}: {message}")
        self.code = code
        self.message = message

    @property
    def number(self) -> int:
        """The google.rpc.Code, as GetModelStatus answers it."""
        return int(self.code.value[0])

    @property
    def line(self) -> str:
        """Code and message on one line, for the log."""
        return " ".join(str(self).split())
