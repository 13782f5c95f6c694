"""What can go wrong while a model is built.

PipelineError
├── RecipeError      a recipe that cannot be read, or holds a wrong value
├── DataError        labelled images that are missing, damaged or do not fit the recipe
├── VersionError     a version that cannot be run, or does not say what its classes are
├── PipelineFailed   a step of a run ended without its result
└── SubmitError      a Kubeflow endpoint that cannot be reached, or refuses
"""


class PipelineError(Exception):
    """A model cannot be built; the message says what came and what is accepted."""


class RecipeError(PipelineError):
    """The recipe cannot be read, or one of its values is wrong."""


class DataError(PipelineError):
    """The labelled images are missing, damaged, or do not fit the recipe."""


class VersionError(PipelineError):
    """The version cannot be run, or does not say what its classes are."""


class PipelineFailed(PipelineError):
    """A step of a run ended without its result."""

    def __init__(self, step: str, reason: str) -> None:
        super().__init__(f"step {step} failed: {reason}")
        self.step = step
        self.reason = reason


class SubmitError(PipelineError):
    """The Kubeflow endpoint cannot be reached, or refuses the pipeline."""
