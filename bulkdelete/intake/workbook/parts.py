"""Read the parts of a packed workbook, whatever the spelling of their names, and their XML as a stream of events.

It holds no part in memory, follows no link out of the package, and takes no document type: entities could grow without end.
"""

from __future__ import annotations

import lzma
import posixpath
import struct
import urllib.parse
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import BinaryIO, NamedTuple
from xml.parsers import expat

from bulkdelete.errors import InputRefused
from bulkdelete.intake.cells import shown

__all__ = ["TEXT_CHARS", "Package", "Relation", "check_text", "folded", "local", "truth"]

_CHUNK_BYTES = 64 * 1024
_DAMAGE = (
    zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, NotImplementedError, struct.error, OverflowError, UnicodeError,
)  # fmt: skip
_RELATIONS_MAX = 100_000
_TOKEN_BYTES = 4 * 1024 * 1024  # of one tag or comment, which expat keeps in memory
TEXT_CHARS = 1_000_000  # of one cell; spreadsheet programs hold 32,767

Start = Callable[[str, dict[str, str]], None]


class Relation(NamedTuple):
    """`kind`: the last word of its type, which is the same in the strict and the transitional format."""

    id: str
    kind: str
    part: str


class Package:
    """A zip archive of parts. Raises InputRefused for damage, passwords, and two parts of one name."""

    def __init__(self, file: BinaryIO, name: str) -> None:
        self.name = name
        with self._damaged():
            self._archive = zipfile.ZipFile(file)
            self._parts: dict[str, zipfile.ZipInfo] = {}
            for info in self._archive.infolist():
                if self._parts.setdefault(folded(info.filename), info) is not info:
                    raise InputRefused(
                        f"{name} holds {shown(info.filename)} twice, and programs differ in which they read. "
                        "Open it in a spreadsheet program, and save it again"
                    )

    def __contains__(self, part: str) -> bool:
        return folded(part) in self._parts

    def read(self, part: str, count: int) -> bytes:
        """The first bytes of a part."""
        with self._damaged(), self._open(part) as stream:
            return stream.read(count)

    def drain(self, part: str) -> None:
        """Unpack a part completely, if it exists, to verify the size and checksum in the archive."""
        if part in self:
            with self._damaged(), self._open(part) as stream:
                while stream.read(_CHUNK_BYTES):
                    pass

    def parse(
        self,
        part: str,
        start: Start,
        end: Callable[[str], None] | None = None,
        text: Callable[[str], None] | None = None,
        bound: Callable[[str | None, str | None], None] | None = None,
    ) -> None:
        """Call `start`, `end` and `text` for the part's elements. They may end it early by StopIteration. `bound`: resolve the
        namespaces of names, and call this for each prefix that is bound to one."""
        parser = expat.ParserCreate(namespace_separator=None if bound is None else " ")
        parser.StartNamespaceDeclHandler = bound
        parser.buffer_text = True
        parser.StartElementHandler = start
        parser.EndElementHandler = end
        parser.CharacterDataHandler = text
        parser.StartDoctypeDeclHandler = self._no_doctype(part)
        with self._damaged(), self._open(part) as stream:
            try:
                fed = 0
                while chunk := stream.read(_CHUNK_BYTES):
                    parser.Parse(chunk, False)
                    fed += len(chunk)
                    if fed - max(parser.CurrentByteIndex, 0) > _TOKEN_BYTES:
                        raise InputRefused(
                            f"{self.name}: {shown(part)} has a tag of more than {_TOKEN_BYTES:,} bytes, as no spreadsheet program "
                            "writes one. Open it in one, and save it again"
                        )
                parser.Parse(b"", True)
            except StopIteration:
                return
            except (expat.ExpatError, LookupError) as error:  # LookupError: an unknown encoding
                raise InputRefused(
                    f"{self.name} is damaged: {shown(part)} is no XML ({error}). Fetch it again, or save it again"
                ) from None

    def relations(self, part: str) -> list[Relation]:
        """The relationships of a part ("" for the package) to other parts; external ones are left out."""
        folder, _, file = part.rpartition("/")
        listed = posixpath.join(folder, "_rels", f"{file}.rels")
        if listed not in self:
            return []
        found: list[Relation] = []

        def start(tag: str, attributes: dict[str, str]) -> None:
            if local(tag) == "Relationship" and attributes.get("TargetMode", "").lower() != "external":
                if len(found) >= _RELATIONS_MAX:
                    raise InputRefused(f"{self.name} names more than {_RELATIONS_MAX:,} parts. Save it again")
                kind = attributes.get("Type", "").rpartition("/")[2]
                found.append(Relation(attributes.get("Id", ""), kind, self._target(folder, attributes)))

        self.parse(listed, start)
        return found

    def _target(self, folder: str, attributes: dict[str, str]) -> str:
        target = attributes.get("Target", "").replace("\\", "/")
        whole = posixpath.normpath(posixpath.join("/", folder, target)).lstrip("/")
        return whole if whole in self else urllib.parse.unquote(whole)

    def _open(self, part: str) -> BinaryIO:
        info = self._parts.get(folded(part))
        if info is None:
            raise InputRefused(
                f"{self.name} is damaged: it has no part {shown(part)}. Fetch it again, or save it again"
            )
        if info.flag_bits & 1:
            raise InputRefused(f"{self.name} has a password. Save it without one, or save the sheet as CSV UTF-8")
        return self._archive.open(info)  # type: ignore[return-value]

    def _no_doctype(self, part: str) -> Callable[..., None]:
        def refuse(*_: object) -> None:
            raise InputRefused(
                f"{self.name}: {shown(part)} declares a document type, as no spreadsheet program does. "
                "Open it in one, and save it again"
            )

        return refuse

    @contextmanager
    def _damaged(self) -> Iterator[None]:
        try:
            yield
        except _DAMAGE as error:
            raise InputRefused(
                f"{self.name} is damaged, or packed in an unknown way: {shown(str(error))}. Fetch it again, or save it again"
            ) from None


def folded(part: str) -> str:
    """A part's name in the form for comparison: lower case, with slashes, from the root."""
    return part.replace("\\", "/").lstrip("/").lower()


def check_text(chars: int, where: str) -> None:
    """Raise InputRefused for a cell whose text is too long."""
    if chars > TEXT_CHARS:
        raise InputRefused(
            f"{where}: a cell holds more than {TEXT_CHARS:,} characters. Empty it, or save the sheet as CSV UTF-8"
        )


@lru_cache(1024)
def local(tag: str) -> str:
    """A name without its prefix, which has no meaning of its own."""
    return tag.rpartition(":")[2]


def truth(text: str | None) -> bool:
    """Whether an XML attribute is true: any value except a negative one."""
    return text is not None and text.strip().lower() not in ("", "0", "false", "f", "off", "no")
