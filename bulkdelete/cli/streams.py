"""stdin, stdout and stderr as this program uses them: open, and with characters escaped that their encoding lacks. Writing to stderr
never waits, and writing to stdout waits only for a complete result.

This module never decides what is written; it replaces settings by options, and removes known keys. No stream changes an exit code:
a result that stdout does not accept is written to stderr.
"""

from __future__ import annotations

import codecs
import errno
import io
import json
import os
import sys
from collections.abc import Mapping
from typing import TextIO, cast

from bulkdelete.cli.flags import flagged
from bulkdelete.cli.secrecy import hidden, hidden_in, know
from bulkdelete.cli.writer import DRAIN_S, BackgroundWriter, write_all

__all__ = [
    "ESCAPING",
    "drain_stderr",
    "dropped_lines",
    "give_back_stderr",
    "prepare",
    "say",
    "why_refused",
    "write_json",
    "write_result",
]

_original: list[TextIO] = []  # stderr, before it was replaced

ESCAPING = "bulkdelete.escaping"
"""How a text file is opened whose encoding may not hold all that is written: `é` becomes `\\u00e9`, inside JSON as well as outside."""


def _escaped(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    text = error.object[error.start : error.end]
    units = (  # of UTF-16, as JSON writes what lies above U+FFFF; a file's name may bring half of such a pair
        int.from_bytes(pair, "big")
        for char in text
        for raw in (char.encode("utf-16-be", "surrogatepass"),)
        for pair in (raw[at : at + 2] for at in range(0, len(raw), 2))
    )
    return "".join(f"\\u{unit:04x}" for unit in units), error.end


codecs.register_error(ESCAPING, _escaped)


def prepare() -> None:
    """Open the streams that the parent process closed, and prevent UnicodeErrors. Undecodable input is kept, so that it is detected.
    A key in the environment is never written, whether or not a command uses it.

    A closed stdout still accepts nothing: what is a result is then written to stderr. Its descriptor is taken, so that no file gets it.
    """
    know(os.environ.get("BULKDELETE_API_KEY", ""))
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            null = os.open(os.devnull, os.O_WRONLY if name == "stderr" else os.O_RDONLY)
            setattr(sys, name, open(null, mode, encoding="utf-8"))  # noqa: SIM115, PTH123 - for good, and by its descriptor
        stream = getattr(sys, name)
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="surrogateescape" if mode == "r" else ESCAPING)
    if (fd := _descriptor(sys.stderr)) is not None:
        _original.append(sys.stderr)
        sys.stderr = cast(TextIO, BackgroundWriter(fd, sys.stderr.encoding, ESCAPING))


def _descriptor(stream: TextIO) -> int | None:
    """The descriptor of a stream; None if a caller has replaced it by an object without one."""
    try:
        return stream.fileno()
    except (AttributeError, OSError, ValueError):
        return None


def give_back_stderr() -> None:
    """Write the waiting text and restore the original stderr, before the process ends."""
    if isinstance(sys.stderr, BackgroundWriter) and sys.stderr.drain():
        sys.stderr = _original.pop()


def drain_stderr(timeout_s: float = DRAIN_S) -> None:
    """Wait a moment for stderr to take the waiting text."""
    if isinstance(sys.stderr, BackgroundWriter):
        sys.stderr.drain(timeout_s)


def dropped_lines() -> int:
    """How many lines stderr has not accepted so far."""
    return sys.stderr.dropped if isinstance(sys.stderr, BackgroundWriter) else 0


def say(text: str) -> None:
    """Write one or more lines for people to stderr."""
    sys.stderr.write(flagged(hidden(text)) + "\n")


def why_refused(error: OSError | ValueError) -> str:
    """Why a stream accepted nothing."""
    if isinstance(error, OSError) and error.errno == errno.EBADF:
        return "it is closed, or not open for writing"
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


def write_json(fields: Mapping[str, object]) -> bool:
    """Write one JSON object to stdout, as `write_result` does."""
    return _written(flagged(json.dumps(hidden_in(fields), ensure_ascii=False)))


def write_result(text: str) -> bool:
    """Write a result to stdout, waiting for its reader, or else to stderr. Returns whether stdout accepted it."""
    return _written(flagged(hidden(text)))


def _written(text: str) -> bool:
    drain_stderr()  # on a terminal the result follows the log
    try:
        sys.stdout.flush()
        if (fd := _descriptor(sys.stdout)) is None:
            sys.stdout.write(text + "\n")
        else:
            write_all(fd, (text + "\n").encode(sys.stdout.encoding, ESCAPING))
    except (OSError, ValueError) as error:
        sys.stderr.write(f"stdout did not accept the result ({why_refused(error)}). Here it is:\n{text}\n")
        return False
    return True
