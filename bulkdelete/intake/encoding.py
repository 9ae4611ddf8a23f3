"""Determine the encoding of a text by fixed rules over the whole file, before any row is read. It never guesses.

The rules in order: BOM, NUL parity (UTF-16), strict UTF-8, cp1252 with a notice. A charset detector is not used: it read short
Spanish files as shift_jis. The whole file is checked first, since a later byte could change the meaning of earlier rows.
"""

from __future__ import annotations

import codecs
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, TextIO

from bulkdelete.errors import InputRefused
from bulkdelete.intake.input_file import CHUNK_BYTES

if TYPE_CHECKING:
    from bulkdelete.intake.container import Contents, Stream

__all__ = ["ROW_CHARS", "Encoding", "find_encoding"]

ROW_CHARS = 1024 * 1024  # of one row with all its lines; the csv module limits one cell to 131,072 characters
_PARITY_BYTES = 4096
_SAVE_AS = "Save the file as CSV UTF-8"

_BOMS = (
    (b"\xef\xbb\xbf", "utf-8"),
    (b"\xff\xfe\0\0", "utf-32-le"),  # before UTF-16's, which is its prefix
    (b"\0\0\xfe\xff", "utf-32-be"),
    (b"\xff\xfe", "utf-16-le"),
    (b"\xfe\xff", "utf-16-be"),
)


@dataclass(frozen=True, slots=True)
class Encoding:
    """How bytes are decoded. `bom`: bytes to skip at the start; `notice`: what people should know, if anything."""

    name: str
    bom: int = 0
    notice: str = ""

    @property
    def errors(self) -> str:
        """cp1252 leaves five bytes undefined: each becomes U+FFFD, which no id contains."""
        return "replace" if self.name == "cp1252" else "strict"

    def text(self, stream: io.BufferedReader[Stream], *, kept: bool = False) -> TextIO:
        """The stream as text. Lines end only at a newline; a carriage return is kept. `kept`: undefined bytes, too, as lone surrogates."""
        stream.read(self.bom)
        errors = "surrogateescape" if kept and self.errors != "strict" else self.errors
        return io.TextIOWrapper(stream, self.name, errors, newline="\n")


class _Undecodable(Exception):
    def __init__(self, byte: str, line: int) -> None:
        super().__init__(f"{byte} in line {line}")
        self.line = line


def find_encoding(contents: Contents, asked: str | None, name: str) -> Encoding:
    """The encoding of the whole text. Raises InputRefused if there is none, and for NULs and overlong lines."""
    with contents.open() as stream:
        head = stream.peek(_PARITY_BYTES)[:_PARITY_BYTES]
    found = _by_bom(head)
    encoding = found or _by_parity(head) or Encoding("utf-8")
    if asked is not None:
        encoding = _asked(asked, found, head, name)
    try:
        _survey(contents, encoding, name)
    except _Undecodable as error:
        if asked is not None or encoding != Encoding("utf-8"):
            raise InputRefused(f"{name}:{error.line}: {error} is not {encoding.name}. {_SAVE_AS}") from None
        encoding = Encoding("cp1252", 0, f"encoding cp1252, since {error} is not UTF-8")
        _survey(contents, encoding, name)
    return encoding


def _by_bom(head: bytes) -> Encoding | None:
    return next((Encoding(codec, len(bom)) for bom, codec in _BOMS if head.startswith(bom)), None)


def _by_parity(head: bytes) -> Encoding | None:
    """UTF-16 without a BOM: in many byte pairs the same byte is NUL."""
    low, high = head[1::2].count(0), head[0::2].count(0)
    if low and not high and low * 4 > len(head):
        return Encoding("utf-16-le")
    if high and not low and high * 4 > len(head):
        return Encoding("utf-16-be")
    return None


def _asked(asked: str, found: Encoding | None, head: bytes, name: str) -> Encoding:
    if asked in ("utf-16", "utf-32"):  # the file determines the byte order
        found = found or _by_parity(head)
        if found is None or not found.name.startswith(asked):
            raise InputRefused(
                f"{name} does not begin as {asked} does. Use `settings.encoding` {asked}-le or {asked}-be"
            )
        return found
    asked = asked.removesuffix("-sig")
    if found is not None and found.name != asked:
        raise InputRefused(
            f"{name} starts with the byte order mark of {found.name}, `settings.encoding` says {asked}. Leave the option out"
        )
    return found or Encoding(asked)


def _survey(contents: Contents, encoding: Encoding, name: str) -> None:
    """Check every character once: all can be decoded, there is no NUL, and no line is too long."""
    if encoding.name.startswith("utf-32") and encoding.bom:
        raise InputRefused(f"{name} is UTF-32. {_SAVE_AS}")
    decoder = codecs.getincrementaldecoder(encoding.name)(encoding.errors)
    line, open_chars = 1, 0
    with contents.open() as stream:
        stream.read(encoding.bom)
        ended = False
        while not ended:
            chunk = stream.read(CHUNK_BYTES)
            ended = not chunk
            try:
                text = decoder.decode(chunk, ended)
            except UnicodeDecodeError as error:
                before = error.object[: error.start].decode(encoding.name, "replace").count("\n")
                byte = error.object[error.start : error.start + 1].hex()
                raise _Undecodable(f"byte 0x{byte}", line + before) from None
            except UnicodeError as error:
                raise _Undecodable(str(error), line) from None
            if (at := text.find("\0")) >= 0:
                line += text.count("\n", 0, at)
                raise InputRefused(f"{name}:{line}: a NUL byte: this is no text. {_SAVE_AS}")
            first = text.find("\n")
            open_chars += len(text) if first < 0 else first
            if open_chars > ROW_CHARS:
                raise InputRefused(
                    f"{name}:{line}: a line of more than {ROW_CHARS:,} characters: this is no CSV. {_SAVE_AS}"
                )
            if first >= 0:
                line += text.count("\n")
                open_chars = len(text) - 1 - text.rfind("\n")
