"""stdin, stdout and stderr as this program uses them: open, and without a character that they cannot hold.

It never decides what is said.
"""

from __future__ import annotations

import codecs
import io
import os
import sys
from pathlib import Path

import click

from bulkdelete.errors import UsageError

__all__ = ["ESCAPING", "echo", "prepare", "tell"]

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
    """Open what whoever started us closed, and let no text end in a UnicodeError. Undecodable input is kept, so that it is seen."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open(mode, encoding="utf-8"))  # noqa: SIM115 - for good
        stream = getattr(sys, name)
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="surrogateescape" if mode == "r" else ESCAPING)


def echo(text: str, *, err: bool = False, nl: bool = True) -> None:
    """Write to stdout or stderr, at once. click would take another encoding than a stream that says ASCII. Raises OSError."""
    click.echo(text, file=sys.stderr if err else sys.stdout, nl=nl)


def tell(text: str) -> bool:
    """Write a result to stdout; False if nobody wants it any more. UsageError if it cannot be written."""
    try:
        echo(text)
    except BrokenPipeError:
        return False
    except OSError as error:
        raise UsageError(
            f"stdout cannot be written ({error.strerror}). Free some space, or send it elsewhere"
        ) from None
    return True
