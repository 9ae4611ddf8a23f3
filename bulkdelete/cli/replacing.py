"""Whether a file that exists may be replaced, if --overwrite says so: never a key, and never an input that a ledger confirmed.

A command that reads a ledger is not told the names of its inputs and of its key, so the files say it themselves. Nothing is changed.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path

from bulkdelete.ledger import InputRow
from bulkdelete.ledger.open import open_ledger

__all__ = ["needed"]

_KEY_BYTES = 4096  # a longer word is none
_KEY = re.compile(  # one word; each output of ours has delimiters or markup
    rb"(?:\xef\xbb\xbf)?[^\s,;|\"'<>{}]{8,%d}\s*" % _KEY_BYTES
)
_PAGE = 1000  # inputs that are read at once


def needed(path: Path, ledger: Path | None) -> str | None:
    """What the file is, if it must not be replaced by any command. Raises OSError, LedgerRefused."""
    with path.open("rb") as file:
        if _KEY.fullmatch(file.read(_KEY_BYTES + 1)):
            return "a file with one word in it, which may be an API key"
        file.seek(0)
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if any(each.sha256 == digest or _is_named(each, path) for each in _inputs(ledger)):
        return "an input of this ledger"
    return None


def _inputs(ledger: Path | None) -> Iterator[InputRow]:
    if ledger is None or not open_ledger(ledger).exists():
        return
    with open_ledger(ledger).read() as reader:
        last = 0
        while page := reader.inputs(last, _PAGE):
            yield from page
            last = page[-1].input_id


def _is_named(each: InputRow, path: Path) -> bool:
    """Whether the input had this name: it may have grown since it was read."""
    try:
        return path.samefile(each.path)
    except (OSError, ValueError):  # it was stdin, or it was read in another folder
        return False
