"""Settings from the environment."""

import pytest

from gateway.settings import Settings, SettingsError


def test_without_variables_the_defaults_hold() -> None:
    settings = Settings.from_environment({"PATH": "/bin"})

    assert settings == Settings()
    assert settings.host == "127.0.0.1"
    assert settings.port == 8080


def test_a_variable_sets_its_setting() -> None:
    settings = Settings.from_environment(
        {"GATEWAY_PORT": "9000", "GATEWAY_DRAIN_SECONDS": "2.5", "GATEWAY_MODELS": "letters, digits"}
    )

    assert settings.port == 9000
    assert settings.drain_seconds == 2.5
    assert settings.model_names == ("digits", "letters")


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("GATEWAY_PORT", "http", "whole number"),
        ("GATEWAY_MAX_REQUESTS", "0", "at least 1"),
        ("GATEWAY_REQUEST_TIMEOUT_SECONDS", "nan", "at least"),
        ("GATEWAY_LOG_FORMAT", "xml", "auto, json, text"),
        ("GATEWAY_MODEL_SERVER", " ", "empty"),
        ("GATEWAY_PROT", "1", "no setting"),
    ],
)
def test_a_wrong_value_stops_the_start_and_names_its_variable(name: str, value: str, told: str) -> None:
    with pytest.raises(SettingsError, match=f"{name}.*{told}"):
        Settings.from_environment({name: value})
