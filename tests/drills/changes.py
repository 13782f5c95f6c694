"""The changes of a repository, and of kept feedback, that are killed on the way: what lies there before, and what is done.

Each is here because it makes other system calls than the others, or makes them beside something else that must stay.
"""

import json
import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from tfserving import manifest
from tfserving.release import Split
from tfserving.repository import STABLE, Repository

Step = Callable[[Repository], object]

FEEDBACK_PLACE = Path("digits", "7")
IMAGE, OTHER_IMAGE = b"an image" * 200, b"another image" * 200
OLD, NEW = "2026-01-02T03:04:05.678+00:00", "2099-01-02T03:04:05.678+00:00"


@dataclass(frozen=True)
class Change:
    """What is done, step by step, to the repository of `repository_state.make`, once `prepare` has changed it."""

    steps: tuple[Step, ...]
    prepare: Step = lambda repository: None

    @property
    def is_feedback(self) -> bool:
        """Whether it changes feedback, which can be done twice, and not the repository."""
        return self.steps[0] in _FEEDBACK_STEPS


def source(repository: Repository) -> Path:
    """The version that is published."""
    return repository.root.with_name("source")


def feedback_folder(repository: Repository) -> Path:
    return repository.root.with_name("feedback")


def _publish(repository: Repository) -> object:
    return repository.publish("digits", source(repository), "drill")


def _publish_another_model(repository: Repository) -> object:
    return repository.publish("letters", source(repository))


def _publish_as_the_pipeline_does(repository: Repository) -> object:
    from pipelines.steps.publish import publish

    return publish("digits", source(repository), repository.root.parent, repository.root)


def _bless(repository: Repository) -> None:
    from pipelines.steps.evaluate import BLESSING
    from pipelines.steps.validate import VALIDATION

    folder = repository.root.parent
    (folder / BLESSING).write_text(json.dumps({"is_blessed": True, "reasons": []}))
    found = {"digest": manifest.digest(source(repository)), "server": "a model server"}
    (folder / VALIDATION).write_text(json.dumps(found))


def _begin_from_nothing(repository: Repository) -> None:
    shutil.rmtree(repository.root)


def _leave_what_a_crash_leaves(repository: Repository) -> None:
    """A version half copied, files half written, a line of the log half appended."""
    shutil.copytree(source(repository), repository.root / "digits" / ".incoming-1")
    (repository.root / "digits" / ".incoming-1" / "saved_model.pb").write_bytes(b"sav")
    for name in (".models.config-1", ".release.json-1"):
        (repository.root / name).write_text("model_conf")
    _tear_the_log(repository)


def _tear_the_log(repository: Repository) -> None:
    with repository.audit_path.open("a") as log:
        log.write('{"time": "2026-11-25T01:02:03.4')


def _end_canary(repository: Repository) -> object:
    return repository.end_canary("digits", "drill")


def _move(repository: Repository) -> None:
    """The repository comes to lie elsewhere: its base paths are wrong."""
    text = repository.config_path.read_text()
    repository.config_path.write_text(text.replace(str(repository.root), "/elsewhere"))


def _promote(number: int, label: str = STABLE) -> Step:
    return lambda repository: repository.promote("digits", number, label, why="drill")


def _split(split: Split | None) -> Step:
    return lambda repository: repository.split("digits", split, "drill")


def _keep(content: bytes, place: Path = FEEDBACK_PLACE, max_bytes: int = 10**6, time: str = NEW) -> Step:
    def keep(repository: Repository) -> None:
        from gateway.feedback import FeedbackFull, FeedbackStore

        store = FeedbackStore(feedback_folder(repository), max_bytes)
        with suppress(FeedbackFull):
            store.keep(content, ".png", place, {"label": place.name, "time": time})

    return keep


def _confirm(repository: Repository) -> None:
    from hcr.feedback import confirm

    confirm(sorted(feedback_folder(repository).glob("digits/7/*.png")))


def _purge(label: str | None, older_than: timedelta | None) -> Step:
    def take_away(repository: Repository) -> None:
        from hcr.feedback import find, purge, sweep

        folder = feedback_folder(repository)
        purge(find(folder, None, label, older_than))
        sweep(folder, older_than=timedelta(0))

    return take_away


def _keep_some(repository: Repository) -> None:
    """Two images of a seven, of which one is old, and one of another digit."""
    _keep(IMAGE, time=OLD)(repository)
    _keep(OTHER_IMAGE)(repository)
    _keep(IMAGE, Path("digits", "1"))(repository)


_FEEDBACK = {
    "keep the first feedback": Change((_keep(IMAGE),)),
    "keep feedback beside other": Change((_keep(b"a third image" * 200),), _keep_some),
    "keep feedback with another label": Change((_keep(OTHER_IMAGE, Path("digits", "3")),), _keep_some),
    "keep feedback that is there already": Change((_keep(IMAGE),), _keep_some),
    "keep feedback beyond the limit": Change((_keep(IMAGE, Path("digits", "9"), max_bytes=5000),), _keep_some),
    "confirm feedback": Change((_confirm,), _keep_some),
    "purge old feedback": Change((_purge(None, timedelta(days=90)),), _keep_some),
    "purge a label's feedback": Change((_purge("7", None),), _keep_some),
    "purge all feedback": Change((_purge(None, None),), _keep_some),
}
_FEEDBACK_STEPS = {change.steps[0] for change in _FEEDBACK.values()}

CHANGES = {
    "publish the first version": Change((lambda repository: repository.open(), _publish), _begin_from_nothing),
    "publish a candidate": Change((_publish,)),
    "publish another model's first version": Change((_publish_another_model,)),
    "publish what is blessed": Change((_publish_as_the_pipeline_does,), _bless),
    "publish after a crash": Change((_publish,), _leave_what_a_crash_leaves),
    "promote a candidate": Change((_promote(4),)),
    "promote what is not served": Change((_promote(7),)),
    "promote the canary": Change((_promote(3),)),
    "promote to be the first canary": Change((_promote(4, "canary"),), _end_canary),
    "promote to be the next canary": Change((_promote(4, "canary"),)),
    "promote after a crash": Change((_promote(4),), _leave_what_a_crash_leaves),
    "roll back beside a canary": Change((lambda repository: repository.rollback("digits", "drill"),)),
    "roll back without a canary": Change((lambda repository: repository.rollback("digits", "drill"),), _end_canary),
    "roll back a canary that was promoted": Change((lambda repository: repository.rollback("digits", "drill"),), _promote(3)),
    "prune several": Change((lambda repository: repository.prune("digits", 1, "drill"),)),
    "prune one beside labels": Change((lambda repository: repository.prune("digits", 2, "drill"),)),
    "prune after a crash": Change((lambda repository: repository.prune("digits", 1),), _leave_what_a_crash_leaves),
    "split for the first time": Change((_split(Split(canary=0.2, shadow=0.5)),), _split(None)),
    "split otherwise": Change((_split(Split(canary=0.5)),)),
    "split no more": Change((_split(None),)),
    "end the canary": Change((_end_canary,)),
    "refuse the canary": Change((lambda repository: repository.refuse("digits", 3, "drill"),)),
    "refuse a candidate": Change((lambda repository: repository.refuse("digits", 4, "drill"),)),
    "open what was moved": Change((lambda repository: repository.open(),), _move),
    "release with success": Change((_promote(4, "canary"), _split(Split(canary=0.1)), _promote(4)), _end_canary),
    "release without success": Change((_promote(4, "canary"), _split(Split(canary=0.1)), _end_canary), _end_canary),
    **_FEEDBACK,
}
