"""The clients: what is asked, sent over httpx."""

import asyncio
import time
from collections.abc import Iterable
from types import TracebackType
from typing import Self, Unpack

import httpx

from handwriting_client import calls
from handwriting_client.calls import Call, CharacterOptions, ModelChoice, PredictOptions, ReadOptions, Result
from handwriting_client.exchange import Outcome, Send, exchange
from handwriting_client.images import Image
from handwriting_client.results import Batch, Model, Models, Prediction, Reading, Receipt

DEFAULT_URL = "http://127.0.0.1:8080"


class _Settings:
    """What both clients are told."""

    def __init__(self, key: str | None, timeout_seconds: float, retries: int) -> None:
        if not timeout_seconds > 0:
            raise ValueError(f"timeout_seconds is {timeout_seconds!r}; a number above 0 is expected")
        if retries < 0:
            raise ValueError(f"retries is {retries!r}; a number not below 0 is expected")
        self.headers = {"Authorization": f"Bearer {key}"} if key else {}
        self.timeout_seconds = timeout_seconds
        self.retries = retries


class Client:
    """Asks the gateway at `url`. Thread-safe; keeps connections until it is closed.

    `key` is the API key, where the gateway wants one. `timeout_seconds` is the time of a whole call, with all that is tried
    again, `retries` times at most; the gateway is told what is left of it. `transport` is httpx's, for tests and proxies.
    Each method raises ClientError, of the kinds that errors.py lists; each takes another `timeout` in seconds.
    """

    def __init__(
        self,
        url: str = DEFAULT_URL,
        *,
        key: str | None = None,
        timeout_seconds: float = 5.0,
        retries: int = 3,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._settings = _Settings(key, timeout_seconds, retries)
        self._http = httpx.Client(base_url=url, headers=self._settings.headers, transport=transport)

    def predict(self, image: Image, *, timeout: float | None = None, **options: Unpack[PredictOptions]) -> Prediction:
        """The one character on the image."""
        return self._answer(calls.predict(image, options), timeout)

    def predict_many(
        self, images: Iterable[Image], *, timeout: float | None = None, **options: Unpack[CharacterOptions]
    ) -> Batch:
        """The character on each image, in one request; an image that cannot be recognised fails alone."""
        return self._answer(calls.predict_many(images, options), timeout)

    def read(self, image: Image, *, timeout: float | None = None, **options: Unpack[ReadOptions]) -> Reading:
        """The text of a line or field."""
        return self._answer(calls.read(image, options), timeout)

    def feedback(self, image: Image, label: str, *, timeout: float | None = None, **options: Unpack[ModelChoice]) -> Receipt:
        """Says which class the image shows, for training."""
        return self._answer(calls.feedback(image, label, options), timeout)

    def models(self, *, timeout: float | None = None) -> Models:
        """The models that there are."""
        return self._answer(calls.models(), timeout)

    def model(self, name: str, *, timeout: float | None = None) -> Model:
        """One model."""
        return self._answer(calls.model(name), timeout)

    def close(self) -> None:
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _answer(self, call: Call[Result], timeout: float | None) -> Result:
        steps = exchange(call, self._settings.timeout_seconds if timeout is None else timeout, self._settings.retries)
        outcome: Outcome = None
        while True:
            try:
                step = steps.send(outcome)
            except StopIteration as done:
                result: Result = done.value
                return result
            if isinstance(step, Send):
                outcome = self._sent(step)
            else:
                time.sleep(step.seconds)

    def _sent(self, step: Send) -> Outcome:
        try:
            return self._http.request(
                step.method, step.path, content=step.body, headers=step.headers, timeout=step.timeout_seconds
            )
        except httpx.TransportError as error:
            return error


class AsyncClient:
    """As Client, with `await` before each call and `async with`; for asyncio."""

    def __init__(
        self,
        url: str = DEFAULT_URL,
        *,
        key: str | None = None,
        timeout_seconds: float = 5.0,
        retries: int = 3,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._settings = _Settings(key, timeout_seconds, retries)
        self._http = httpx.AsyncClient(base_url=url, headers=self._settings.headers, transport=transport)

    async def predict(self, image: Image, *, timeout: float | None = None, **options: Unpack[PredictOptions]) -> Prediction:
        """The one character on the image."""
        return await self._answer(calls.predict(image, options), timeout)

    async def predict_many(
        self, images: Iterable[Image], *, timeout: float | None = None, **options: Unpack[CharacterOptions]
    ) -> Batch:
        """The character on each image, in one request; an image that cannot be recognised fails alone."""
        return await self._answer(calls.predict_many(images, options), timeout)

    async def read(self, image: Image, *, timeout: float | None = None, **options: Unpack[ReadOptions]) -> Reading:
        """The text of a line or field."""
        return await self._answer(calls.read(image, options), timeout)

    async def feedback(
        self, image: Image, label: str, *, timeout: float | None = None, **options: Unpack[ModelChoice]
    ) -> Receipt:
        """Says which class the image shows, for training."""
        return await self._answer(calls.feedback(image, label, options), timeout)

    async def models(self, *, timeout: float | None = None) -> Models:
        """The models that there are."""
        return await self._answer(calls.models(), timeout)

    async def model(self, name: str, *, timeout: float | None = None) -> Model:
        """One model."""
        return await self._answer(calls.model(name), timeout)

    async def aclose(self) -> None:
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def _answer(self, call: Call[Result], timeout: float | None) -> Result:
        steps = exchange(call, self._settings.timeout_seconds if timeout is None else timeout, self._settings.retries)
        outcome: Outcome = None
        while True:
            try:
                step = steps.send(outcome)
            except StopIteration as done:
                result: Result = done.value
                return result
            if isinstance(step, Send):
                outcome = await self._sent(step)
            else:
                await asyncio.sleep(step.seconds)

    async def _sent(self, step: Send) -> Outcome:
        try:
            return await self._http.request(
                step.method, step.path, content=step.body, headers=step.headers, timeout=step.timeout_seconds
            )
        except httpx.TransportError as error:
            return error
