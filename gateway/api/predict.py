"""POST /v1/predict and /v1/predict:batch."""

from flask import Blueprint, Response, g, request
from flask.globals import request_ctx
from msgspec import UNSET

from gateway.api.requests import deadline_of, many_images, one_image
from gateway.api.responses import json_response, model_of, result_of
from gateway.api.schemas import BatchAnswer, Prediction
from gateway.recognizer import Answer, Recognizer
from gateway.settings import Settings
from handwriting.image import to_base64, to_png


def blueprint(recognizer: Recognizer, settings: Settings) -> Blueprint:
    """The routes that recognise single characters."""
    routes = Blueprint("predict", __name__)

    @routes.post("/v1/predict")
    def predict() -> Response:
        here = request_ctx.request
        deadline = deadline_of(here, settings)
        asked = one_image(here, settings)
        answer = recognizer.recognize(asked.file, asked.options, deadline, g.stages)
        _note(answer)
        seen = to_base64(to_png(answer.seen[0])) if asked.wants_input else UNSET
        return json_response(Prediction(id=g.id, model=model_of(answer), **vars(answer.results[0]), input=seen))

    @routes.post("/v1/predict:batch")
    def predict_batch() -> Response:
        deadline = deadline_of(request, settings)
        files, options = many_images(request, settings)
        answer = recognizer.recognize_batch(files, options, deadline, g.stages)
        _note(answer)
        return json_response(BatchAnswer(id=g.id, model=model_of(answer), results=[result_of(one) for one in answer.results]))

    return routes


def _note(answer: Answer) -> None:
    """For the log line."""
    g.log_fields["model"] = answer.model
    g.log_fields["version"] = answer.version
    g.log_fields["images"] = len(answer.results)
