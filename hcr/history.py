"""The audit log of a repository, as people read it."""

from collections.abc import Sequence
from typing import Any

from hcr.drawing import columns

_HEADER = ("TIME", "WHO", "MODEL", "WHAT", "WHY")


def told(events: Sequence[dict[str, Any]]) -> str:
    """The entries as a table, oldest first."""
    rows = [
        (
            str(event["time"])[:19].replace("T", " "),
            str(event.get("who", "-")),
            str(event.get("model", "-")),
            _what(event),
            str(event.get("why", "")),
        )
        for event in events
    ]
    return columns([_HEADER, *rows])


def _what(event: dict[str, Any]) -> str:
    """The change in a few words, such as `promote: stable 1 → 2`."""
    action = str(event["action"])
    if "label" in event:
        before = f"{event['instead_of']} " if event.get("instead_of") else ""
        return f"{action}: {event['label']} {before}→ {event['version']}"
    if action == "split":
        return f"split: canary {event['canary']:.1%}, shadow {event['shadow']:.1%}"
    numbers = event.get("versions", [event["version"]] if "version" in event else [])
    return f"{action} {', '.join(map(str, numbers))}".rstrip()
