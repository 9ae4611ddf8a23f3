"""Determine the file type from the first bytes, never from the name: text, gz, zip, workbook, or unreadable.

Packed files are unpacked as a stream, up to a limit that stops decompression bombs. Nothing is unpacked to disk.
"""

from __future__ import annotations

import enum
import gzip
import io
import os
import re
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, BinaryIO, cast

from bulkdelete.errors import InputRefused
from bulkdelete.intake.input_file import CHUNK_BYTES
from bulkdelete.intake.workbook.parts import folded
from bulkdelete.words import escaped

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

__all__ = ["Contents", "FileKind", "Stream", "check_workbook", "is_lock_file", "is_system_file", "kind_of"]

UNPACKED_BYTES = 4 * 1024**3
UNPACKED_RATIO = 200  # order lists are compressed 5 to 40 times, a bomb a thousand times
UNPACKED_FREE_BYTES = 1024 * 1024  # below this size the ratio is not checked
_HEAD_BYTES = 4096
_NAMES_SHOWN = 5
_IWORK = (".iwa", "buildversionhistory.plist")  # an archive with such a part is a document of Numbers, Pages or Keynote
_SYSTEM_FILES = frozenset({
    "__macosx", ".ds_store", ".localized", ".fseventsd", ".spotlight-v100", ".trashes", "icon\r",
    "thumbs.db", "ehthumbs.db", "desktop.ini", "$recycle.bin", "system volume information",
})  # fmt: skip


class FileKind(enum.Enum):
    TEXT = "text"
    GZIP = "gz"
    ZIP = "zip"
    WORKBOOK = "workbook"


_READABLE = (
    (b"\x1f\x8b", FileKind.GZIP),
    (b"PK\x03\x04", FileKind.ZIP),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", FileKind.WORKBOOK),
)

_SAVE_AS_CSV = "Open it in the program that made it, and save the table as CSV UTF-8"
_FOREIGN = (
    (0, b"%PDF", "a PDF document", "Ask for the same list as CSV or xlsx"),
    (0, b"SQLite format 3\0", "an SQLite database", "A ledger goes to: bulkdelete resume LEDGER"),
    (0, b'{"account_id": ', "an export of this program", "To continue with the open orders: bulkdelete resume LEDGER"),
    (0, b"PK\x05\x06", "an empty zip archive", "Pack the file again"),
    (0, b"BZh", "a bzip2 archive", "Unpack it, and name the file"),
    (0, b"\xfd7zXZ\0", "an xz archive", "Unpack it, and name the file"),
    (0, b"\x28\xb5\x2f\xfd", "a zstd archive", "Unpack it, and name the file"),
    (0, b"7z\xbc\xaf\x27\x1c", "a 7z archive", "Unpack it, and name the file"),
    (0, b"Rar!", "a rar archive", "Unpack it, and name the file"),
    (257, b"ustar", "a tar archive", "Unpack it, and name the file"),
    (0, b"PAR1", "a Parquet file", _SAVE_AS_CSV),
    (0, b"\x89PNG", "a picture", "Ask for the same list as CSV or xlsx"),
    (0, b"\xff\xd8\xff", "a picture", "Ask for the same list as CSV or xlsx"),
    (0, b"GIF8", "a picture", "Ask for the same list as CSV or xlsx"),
    (0, b"{\\rtf", "a text document (RTF)", _SAVE_AS_CSV),
)
_MARKUP = (
    (
        re.compile(rb"<\?xml.{0,2000}?<(?:\w+:)?workbook\b", re.I | re.S),
        "an XML spreadsheet (2003)",
        "xlsx or CSV UTF-8",
    ),
    (re.compile(rb"<(?:!doctype|html|head|meta|style|table|body|!--)", re.I), "an HTML page", "xlsx or CSV UTF-8"),
    (re.compile(rb"<\?xml", re.I), "XML", "CSV UTF-8"),
    (re.compile(rb"\[\s*(?:[\[{]|\"?[0-9]+\"?\s*[,\]])|\{\s*\"", re.I), "JSON", "CSV UTF-8"),
)


def kind_of(file: BinaryIO, name: str) -> FileKind:
    """The kind of the file, which is positioned at its start again. Raises InputRefused for known types that hold no list of orders."""
    file.seek(0)
    head = _filled(file, _HEAD_BYTES)
    kind = _kind(head, name)
    if kind is FileKind.ZIP:
        with _damaged(name), zipfile.ZipFile(file) as archive:
            kind = _kind_of_archive(archive, name)
    file.seek(0)
    return kind


def _kind(head: bytes, name: str) -> FileKind:
    for magic, kind in _READABLE:
        if head.startswith(magic):
            return kind
    for at, magic, what, remedy in _FOREIGN:
        if head.startswith(magic, at):
            raise InputRefused(f"{name} is {what}, not a list of orders. {remedy}")
    text = head.replace(b"\0", b"").lstrip(b"\xef\xbb\xbf\xff\xfe \t\r\n")  # in UTF-16 as well
    for sign, what, format_ in _MARKUP:
        if sign.match(text):
            table = " with a table" if b"<table" in text.lower() else ""
            raise InputRefused(f"{name} is {what}{table}, whatever its name says. Open it and save it as {format_}")
    return FileKind.TEXT


def _kind_of_archive(archive: zipfile.ZipFile, name: str) -> FileKind:
    names = {folded(member) for member in archive.namelist()}
    if names & {"word/document.xml", "ppt/presentation.xml"}:
        raise InputRefused(f"{name} is an Office document without sheets. Save its table as xlsx or CSV")
    if any(member.endswith(_IWORK) for member in names):
        raise InputRefused(
            f"{name} is a document of Numbers, Pages or Keynote, which other programs cannot read. Open it there, and export the table "
            "as CSV (in Numbers: File, Export To, CSV)"
        )
    if "[content_types].xml" in names or names & {"xl/workbook.xml", "xl/workbook.bin"}:
        return FileKind.WORKBOOK
    if "mimetype" in archive.namelist():
        if archive.getinfo("mimetype").flag_bits & 1:
            raise InputRefused(f"{name} has a password. Save it without one, or save the sheet as CSV UTF-8")
        with archive.open("mimetype") as mimetype:
            if not mimetype.read(200).startswith(b"application/vnd.oasis.opendocument.spreadsheet"):
                raise InputRefused(f"{name} is a document without sheets. Save its table as ods or CSV")
        return FileKind.WORKBOOK
    return FileKind.ZIP


class Contents:
    """The unpacked text: `open` starts it from the beginning, `of` is the kind of its container."""

    def __init__(self, file: BinaryIO, kind: FileKind, name: str) -> None:
        self._file, self._kind, self._name = file, kind, name

    @property
    def of(self) -> str:
        return "" if self._kind is FileKind.TEXT else self._kind.value

    @contextmanager
    def open(self) -> Iterator[io.BufferedReader[Stream]]:
        """The bytes of the text, unpacked. Raises InputRefused for damage, nesting, several members and bombs."""
        self._file.seek(0)
        with _damaged(self._name):
            match self._kind:
                case FileKind.GZIP:
                    size = os.fstat(self._file.fileno()).st_size
                    with gzip.GzipFile(fileobj=self._file, mode="rb") as unpacked:
                        yield self._unnested(Stream(_readinto(cast(BinaryIO, unpacked)), self._name, size))
                case FileKind.ZIP:
                    with zipfile.ZipFile(self._file) as archive:
                        member = _only_member(archive, self._name)
                        with archive.open(member) as opened:
                            yield self._unnested(
                                Stream(_readinto(cast(BinaryIO, opened)), self._name, member.compress_size)
                            )
                case _:
                    yield io.BufferedReader(Stream(_readinto(self._file), self._name, None), CHUNK_BYTES)

    def _unnested(self, stream: Stream) -> io.BufferedReader[Stream]:
        reader = io.BufferedReader(stream, CHUNK_BYTES)
        inner = _kind(reader.peek(_HEAD_BYTES)[:_HEAD_BYTES], self._name)
        if inner is not FileKind.TEXT:
            raise InputRefused(
                f"{self._name}: inside the {self._kind.value} there is another {inner.value}. Unpack it once"
            )
        return reader


def check_workbook(file: BinaryIO, name: str) -> None:
    """Raise InputRefused for a packed workbook that would exceed the limits when unpacked."""
    file.seek(0)
    if zipfile.is_zipfile(file):
        with _damaged(name), zipfile.ZipFile(file) as archive:
            members = archive.infolist()
            _check_caps(sum(m.file_size for m in members), sum(m.compress_size for m in members), name)
    file.seek(0)


def _only_member(archive: zipfile.ZipFile, name: str) -> zipfile.ZipInfo:
    members = [
        m
        for m in archive.infolist()
        if not m.is_dir() and not (is_system_file(m.filename) or _is_in_system_folder(m.filename))
    ]
    if len(members) != 1:
        names = ", ".join(escaped(m.filename) for m in members[:_NAMES_SHOWN]) + ", …" * (len(members) > _NAMES_SHOWN)
        what = f"{len(members)} files: {names}" if members else "no file"
        raise InputRefused(f"{name} holds {what}. Unpack it, and name the files of orders")
    if members[0].flag_bits & 1:
        raise InputRefused(f"{name} has a password. Unpack it, and name the file {escaped(members[0].filename)}")
    return members[0]


def is_system_file(path: str) -> bool:
    """Whether the system added this file: macOS and Windows add such files to folders, and office programs add lock files."""
    file = _parts(path)[-1]
    return is_lock_file(path) or file.startswith("._") or file in _SYSTEM_FILES


def is_lock_file(path: str) -> bool:
    """Whether an office program made this file, because another one is open in it."""
    file = _parts(path)[-1]
    return file.startswith("~$") or (file.startswith(".~lock.") and file.endswith("#"))


def _is_in_system_folder(path: str) -> bool:
    return not _SYSTEM_FILES.isdisjoint(_parts(path)[:-1])


def _parts(path: str) -> list[str]:
    return path.replace("\\", "/").lower().split("/")


class Stream(io.RawIOBase):
    """A limited stream of a file that stays open; `stored` is its packed size, None if it is not packed."""

    def __init__(self, readinto: Callable[[WriteableBuffer], int | None], name: str, stored: int | None) -> None:
        self._readinto, self._name, self._stored = readinto, name, stored
        self._size = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        with _damaged(self._name):
            count = self._readinto(buffer) or 0
        self._size += count
        if self._stored is not None:
            _check_caps(self._size, self._stored, self._name)
        return count


def _check_caps(size: int, stored: int, name: str) -> None:
    if size > UNPACKED_BYTES or size > max(UNPACKED_FREE_BYTES, UNPACKED_RATIO * stored):
        raise InputRefused(
            f"{name} unpacks to more than {UNPACKED_BYTES:,} bytes or {UNPACKED_RATIO} times its size. "
            "Unpack it yourself, look at it, and name the file"
        )


def _readinto(file: BinaryIO) -> Callable[[WriteableBuffer], int | None]:
    return cast(io.RawIOBase, file).readinto


def _filled(file: BinaryIO, count: int) -> bytes:
    head = b""
    while len(head) < count and (more := file.read(count - len(head))):
        head += more
    return head


@contextmanager
def _damaged(name: str) -> Iterator[None]:
    try:
        yield
    except (gzip.BadGzipFile, zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
        raise InputRefused(
            f"{name} is damaged, or packed in an unknown way: {error}. Fetch it again, or unpack it"
        ) from None
