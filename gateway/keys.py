"""Who may ask: keys, of which only the hashes are kept.

A key is 256 random bits, so nobody finds one by trying, and a fast hash keeps it as well as a slow one would: slow ones are for
what people choose and others guess. With SHA-256 a request pays a microsecond instead of a tenth of a second.
"""

import hashlib
import hmac
import logging
import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Literal, get_args

log = logging.getLogger("gateway")

Scope = Literal["predict", "feedback", "operate"]
SCOPES: tuple[Scope, ...] = get_args(Scope)

_PREFIX = "hcr_"  # by it a key that was published by mistake is found
_KEY_BYTES = 32
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
_HASH = re.compile(r"sha256:[0-9a-f]{64}")
_LOOK_EVERY_SECONDS = 1.0


class KeysError(ValueError):
    """The file of keys cannot be used; the message says where and why, and holds nothing of a key."""


@dataclass(frozen=True)
class Key:
    """What is known of a key: the name that the log shows, and what it is good for."""

    name: str
    scopes: frozenset[Scope]


def new_key() -> str:
    """A key that nobody has yet."""
    return _PREFIX + secrets.token_urlsafe(_KEY_BYTES)


def line_for(name: str, scopes: tuple[Scope, ...], key: str) -> str:
    """The line that stands for the key in the file.

    Raises:
        KeysError: the name is none.
    """
    if not _NAME.fullmatch(name):
        raise KeysError(f"the name is {name[:80]!r}; up to 63 letters, digits, . _ and - are accepted")
    return f"{name} {','.join(scopes)} sha256:{hashlib.sha256(key.encode()).hexdigest()}"


def parse_keys(text: str) -> dict[bytes, Key]:
    """The keys of a file by their hash: lines of a name, scopes with commas, and `sha256:` with 64 hexadecimal digits.

    A name may occur more than once, so that a key can be replaced while the old one is still good.

    Raises:
        KeysError: a line is none of these, a hash stands there twice, or there is no key at all.
    """
    keys: dict[bytes, Key] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        digest, key = _parse_line(line, number)
        if digest in keys:
            raise KeysError(f"line {number}: the same key stands there twice")
        keys[digest] = key
    if not keys:
        raise KeysError("it holds no key; `hcr keys new NAME` makes one")
    return keys


def _parse_line(line: str, number: int) -> tuple[bytes, Key]:
    parts = line.split()
    if len(parts) != 3:
        raise KeysError(f"line {number}: it has {len(parts)} words; three are expected: name, scopes, sha256:…")
    name, scopes, digest = parts
    if not _NAME.fullmatch(name):
        raise KeysError(f"line {number}: the name is none; up to 63 letters, digits, . _ and - are accepted")
    if unknown := set(scopes.split(",")) - set(SCOPES):
        raise KeysError(f"line {number}: {', '.join(sorted(unknown))[:80]!r} is no scope; they are {', '.join(SCOPES)}")
    if not _HASH.fullmatch(digest):
        raise KeysError(f"line {number}: the hash is not sha256: and 64 hexadecimal digits in lower case")
    chosen = frozenset(scope for scope in SCOPES if scope in scopes.split(","))
    return bytes.fromhex(digest.removeprefix("sha256:")), Key(name, chosen)


class KeyRing:
    """The keys of a file, which may change while they are in use. Thread-safe.

    The file is looked at once a second at most, and read when it is another one: written anew, or another behind the same
    symlink, as Kubernetes replaces a mounted Secret. One that cannot be used changes nothing but the log.
    """

    def __init__(self, path: Path, clock: Callable[[], float] = monotonic) -> None:
        """
        Raises:
            KeysError: the file is missing or cannot be used.
        """
        self._path = path
        self._clock = clock
        self._secret = secrets.token_bytes(32)
        self._look_next = 0.0
        self._seen: tuple[int, ...] | None = None
        self._keys: Mapping[bytes, Key] = {}
        self._load()

    def find(self, presented: str) -> Key | None:
        """The key, None where it is none of ours.

        How long it takes tells nothing: what is looked up is a keyed hash, of which no caller knows the key.
        """
        digest = hashlib.sha256(presented.encode("utf-8", "surrogatepass")).digest()
        return self._keys.get(self._blinded(digest))

    def refresh(self) -> None:
        """Takes over what the file holds now, if it can be used; else says so in the log, once."""
        now = self._clock()
        if now < self._look_next:
            return
        self._look_next = now + _LOOK_EVERY_SECONDS
        if _state_of(self._path) == self._seen:
            return
        try:
            self._load()
        except KeysError as error:
            log.error("the keys that were read before stay in force: %s", error)
        else:
            log.warning("keys read anew: %s", ", ".join(sorted({key.name for key in self._keys.values()})))

    def _load(self) -> None:
        self._seen = _state_of(self._path)  # before reading: what is written meanwhile is another state
        try:
            keys = parse_keys(self._path.read_text("ascii"))
        except (OSError, UnicodeDecodeError, KeysError) as error:
            reason = "it is not ASCII" if isinstance(error, UnicodeDecodeError) else getattr(error, "strerror", None) or error
            raise KeysError(f"{self._path}: {reason}") from None
        self._keys = {self._blinded(digest): key for digest, key in keys.items()}

    def _blinded(self, digest: bytes) -> bytes:
        return hmac.digest(self._secret, digest, "sha256")


def _state_of(path: Path) -> tuple[int, ...] | None:
    """What differs when the file is another one, None where it is missing."""
    try:
        status = path.stat()
    except OSError:
        return None
    return (status.st_dev, status.st_ino, status.st_mtime_ns, status.st_size)
