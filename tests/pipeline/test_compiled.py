"""The compiled pipeline that is committed."""

from pathlib import Path

import yaml

from pipelines.run import COMPILED, compile_pipeline


def test_the_committed_file_is_current(tmp_path: Path) -> None:
    compile_pipeline(tmp_path / "now.yaml")

    assert COMPILED.read_text() == (tmp_path / "now.yaml").read_text(), "run `make render`"


def test_publish_is_never_cached_and_the_others_are() -> None:
    (pipeline,) = (document for document in yaml.safe_load_all(COMPILED.read_text()) if "root" in document)
    caching = {
        name: task["cachingOptions"].get("enableCache", False) for name, task in pipeline["root"]["dag"]["tasks"].items()
    }

    assert caching == {"prepare": True, "train": True, "evaluate": True, "publish": False}
