"""Where the command keeps what it needs, all below the current directory."""

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

STATE = Path(".hcr")
RUNNING_FILE = STATE / "up.json"


@dataclass(frozen=True)
class Running:
    """What `hcr up` has started."""

    pid: int
    gateway: str
    model_server: str


def write_running(running: Running) -> None:
    STATE.mkdir(exist_ok=True)
    RUNNING_FILE.write_text(json.dumps(asdict(running)))


def read_running() -> Running | None:
    """What runs now, None where nothing does."""
    try:
        running = Running(**json.loads(RUNNING_FILE.read_text()))
        os.kill(running.pid, 0)
    except (OSError, ValueError, TypeError):
        return None
    return running


def clear_running() -> None:
    RUNNING_FILE.unlink(missing_ok=True)


def gateway_url() -> str:
    """The URL to send images to, where the user names none."""
    running = read_running()
    return running.gateway if running else f"http://127.0.0.1:{os.environ.get('PORT', '8080')}"


def model_server_address() -> str:
    """The model servers to ask, where the user names none."""
    running = read_running()
    return running.model_server if running else os.environ.get("GATEWAY_MODEL_SERVER", "127.0.0.1:8500")
