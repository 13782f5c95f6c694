"""Each peer has all that it needs to be installed, started and judged."""

import re
from pathlib import Path

import pytest

from benchmarks.systems import PEERS, ROOT, Peer

SHARED = ("numpy", "opencv-python-headless", "pillow", "tensorflow-cpu")


def versions(lock: Path) -> dict[str, str]:
    return dict(re.findall(r"^([a-z0-9.-]+)==(\S+)", lock.read_text(), re.MULTILINE))


def test_each_folder_is_that_of_a_peer() -> None:
    folders = {lock.parent.name for lock in (ROOT / "benchmarks" / "peers").glob("*/requirements.in")}

    assert folders == {peer.name for peer in PEERS} == {"bentoml", "kserve", "litserve", "mlserver", "ray_serve"}


@pytest.mark.parametrize("peer", PEERS, ids=lambda peer: peer.name)
def test_a_peer_is_locked_with_hashes_and_without_an_index(peer: Peer) -> None:
    text = (peer.folder / "requirements.txt").read_text()
    entries = re.split(r"^(?=[a-z0-9])", text, flags=re.MULTILINE)[1:]

    assert peer.version
    assert len(entries) > 40
    assert all("--hash=sha256:" in entry for entry in entries)
    assert "://" not in text


@pytest.mark.parametrize("peer", PEERS, ids=lambda peer: peer.name)
def test_a_peer_runs_the_model_and_the_preprocessing_on_our_versions(peer: Peer) -> None:
    ours, theirs = versions(ROOT / "requirements" / "dev.txt"), versions(peer.folder / "requirements.txt")

    assert {name: theirs[name] for name in SHARED} == {name: ours[name] for name in SHARED}


@pytest.mark.parametrize("peer", PEERS, ids=lambda peer: peer.name)
def test_a_peers_configuration_names_the_documentation_that_advises_it(peer: Peer) -> None:
    (server,) = [*peer.folder.glob("server.py"), *peer.folder.glob("runtime.py")]
    source = server.read_text()

    assert re.match(r'"""[^"]*https://', source)
    assert "benchmarks.peers.recognition" in source
