"""A label ⇄ the name of the folder that holds pictures of it: any Unicode text, percent-encoded where a name cannot hold it."""

import unicodedata
from urllib.parse import unquote

NONE_FOLDER = "_none"
"""The folder with pictures of what is none of the labels."""


def label_of(name: str) -> str:
    """The label that a folder's name stands for: percent-decoded, in Unicode's composed form."""
    return unicodedata.normalize("NFC", unquote(name))


def folder_name(label: str) -> str:
    """A name for the label's folder, from which `label_of` has the label: `%`, `/`, control characters, a first `.`, and the
    `_` of `_none` are percent-encoded."""
    name = "".join(f"%{ord(sign):02X}" if sign in "%/" or sign < " " or sign == "\x7f" else sign for sign in label)
    if name.startswith(".") or name == NONE_FOLDER:
        return f"%{ord(name[0]):02X}{name[1:]}"
    return name
