"""The options for reading an input, as one frozen and validated value. It opens nothing."""

from __future__ import annotations

import codecs
from dataclasses import dataclass

from bulkdelete.errors import UsageError

__all__ = ["NO_OPTIONS", "ReadOptions"]

_NAMED_DELIMITERS = {"tab": "\t", "\\t": "\t", "comma": ",", "semicolon": ";", "pipe": "|"}


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """What the user says about the input; None: detect it, or refuse the file.

    `column` is a header's name or a number from 1, and so is `sheet`; `thousands` is "." or ",". `ignored` are columns, given
    like `column`, that are not used whatever their names are.
    Raises UsageError, naming the option.
    """

    column: str | None = None
    sheet: str | None = None
    encoding: str | None = None
    delimiter: str | None = None
    thousands: str | None = None
    ignored: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        ignored = [("`settings.ignored`", name) for name in self.ignored]
        for option, text in [("`settings.column`", self.column), ("`settings.sheet`", self.sheet), *ignored]:
            if text is not None and not text.strip():
                raise UsageError(f"{option} is empty: give a name, or a number from 1")
        if self.thousands not in (None, ".", ","):
            raise UsageError(
                f"`settings.thousands` {self.thousands!r}: write . or , as it stands between the groups of digits"
            )
        object.__setattr__(self, "delimiter", _delimiter(self.delimiter))
        object.__setattr__(self, "encoding", _encoding(self.encoding))


def _delimiter(text: str | None) -> str | None:
    if text is None:
        return None
    mark = _NAMED_DELIMITERS.get(text.lower(), text)
    if len(mark) != 1 or mark.isalnum() or mark in "\"'\r\n" or not (mark == "\t" or mark.isprintable()):
        raise UsageError(f"`settings.delimiter` {text!r}: write one character such as , ; | or the word tab")
    return mark


def _encoding(name: str | None) -> str | None:
    """The codec's canonical name. Only text encodings are accepted, not codecs such as base64."""
    if name is None:
        return None
    try:
        "0".encode(name)
        return codecs.lookup(name).name
    except (LookupError, ValueError, UnicodeError):
        raise UsageError(
            f"`settings.encoding` {name!r} is not known: write utf-8, cp1252, latin-1 or utf-16, say"
        ) from None


NO_OPTIONS = ReadOptions()
