"""What answers: its name and version."""

from importlib.metadata import PackageNotFoundError, version

NAME = "handwritten-character-recognition"


def installed_version() -> str:
    """The distribution's version, "0" where it runs from a checkout without being installed."""
    try:
        return version(NAME)
    except PackageNotFoundError:
        return "0"
