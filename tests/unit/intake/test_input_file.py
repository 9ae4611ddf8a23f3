"""The bytes of an input come in whole: whatever a system call takes or gives at a time, and wherever they must be kept."""

from __future__ import annotations

import gzip
import io
import os
import subprocess
import sys
import tempfile
import threading
import time
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO, cast

import pytest

from bulkdelete.errors import InputRefused
from bulkdelete.intake import Source
from bulkdelete.intake.input_file import InputFile, write_all
from bulkdelete.model import Order

ROWS = b"orderId\n" + b"".join(b"%d\n" % order for order in range(8_520_001, 8_521_001))


class Short(io.RawIOBase):
    """A file without a buffer whose calls do less than they are asked to; `None` takes nothing."""

    def __init__(self, content: bytes = b"", step: int | None = 7) -> None:
        self.content, self.step, self.at = bytearray(content), step, 0

    def readable(self) -> bool:
        return True

    def writable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        part = self.content[self.at : self.at + min(len(buffer), self.step or 0)]
        buffer[: len(part)] = part
        self.at += len(part)
        return len(part)

    def write(self, data: Any) -> int | None:
        if self.step is None:
            return None
        self.content += bytes(data[: self.step])
        return min(self.step, len(data))


@pytest.mark.parametrize("step", [1, 7, 4095, 10**6])
def test_invariant_47_a_short_write_is_gone_on_with(step: int) -> None:
    """Whatever part of it `write` takes, all of it is written."""
    file = Short(step=step)
    write_all(cast(BinaryIO, file), ROWS)
    assert file.content == ROWS


@pytest.mark.parametrize("step", [None, 0])
def test_invariant_47_a_write_that_takes_nothing_is_an_error(step: int | None) -> None:
    """And no loop without an end."""
    with pytest.raises(OSError, match="no byte"):
        write_all(cast(BinaryIO, Short(step=step)), ROWS)


def spooled(
    monkeypatch: pytest.MonkeyPatch, folder: Path, spool: Callable[..., BinaryIO], feed: bytes = ROWS
) -> list[int]:
    """The ids of a pipe, read through this spool."""
    pipe = folder / "pipe.csv"
    os.mkfifo(pipe)
    monkeypatch.setattr("bulkdelete.intake.input_file.tempfile.TemporaryFile", spool)

    def write() -> None:
        with suppress(BrokenPipeError):  # whoever is refused reads nothing
            pipe.write_bytes(feed)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        return [row.order_id for row in Source(str(pipe)).read(1, False) if isinstance(row, Order)]
    finally:
        writer.join()


def test_invariant_47_a_spool_that_writes_short(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A pipe is spooled whole through a file that takes a few bytes at a time: the last id is not cut."""
    made = tempfile.TemporaryFile

    class Few(io.FileIO):
        def write(self, data: Any) -> int:
            return super().write(bytes(data[:1000]))

    def few(**options: Any) -> BinaryIO:
        with made(**options) as file:
            return cast(BinaryIO, Few(os.dup(file.fileno()), "r+"))

    assert spooled(monkeypatch, tmp_path, few) == list(range(8_520_001, 8_521_001))


def test_invariant_47_a_spool_that_is_full(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A spool that takes a part and then no more is refused, naming TMPDIR; no id is made of what was cut."""

    class Full(io.BytesIO):
        def write(self, data: Any) -> int:
            if self.tell() >= 4096:
                raise OSError(28, "No space left on device")
            return super().write(bytes(data[: 4096 - self.tell()]))

    with pytest.raises(InputRefused, match=r"No space left.*TMPDIR"):
        spooled(monkeypatch, tmp_path, lambda **_: Full())


def test_invariant_47_a_file_that_reads_short(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file whose reads give a few bytes at a time, as some file systems do, is read like any other: plain, gz and zip."""
    for name in ("o.csv", "o.csv.gz", "o.zip"):
        (tmp_path / name).write_bytes(gzip.compress(ROWS) if name.endswith("gz") else ROWS)
    with zipfile.ZipFile(tmp_path / "o.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("o.csv", ROWS)

    class Few(io.FileIO):
        def read(self, size: int | None = -1) -> bytes:
            return super().read(min(size, 100)) if size is not None and size > 0 else super().read(size)

        def readinto(self, buffer: Any) -> int | None:
            return super().readinto(memoryview(buffer)[:100])

    def few(path: Path, mode: str, buffering: int) -> BinaryIO:
        return cast(BinaryIO, Few(path, mode))

    for name in ("o.csv", "o.csv.gz", "o.zip"):
        source = Source(str(tmp_path / name))
        with monkeypatch.context() as patch:
            patch.setattr("bulkdelete.intake.input_file.Path.open", few)
            ids = [row.order_id for row in source.read(1, False) if isinstance(row, Order)]
        assert ids == list(range(8_520_001, 8_521_001)), name


def test_invariant_47_a_pipe_that_does_not_block(tmp_path: Path) -> None:
    """A pipe that has nothing just now is not at its end, also where whoever gave it to us made it not block."""
    reading, writing = os.pipe()
    os.set_blocking(reading, False)

    def feed() -> None:
        for part in (ROWS[:100], ROWS[100:]):
            time.sleep(0.1)
            os.write(writing, part)
        os.close(writing)

    writer = threading.Thread(target=feed)
    writer.start()
    try:
        stored = InputFile(f"/dev/fd/{reading}")
        with stored.open() as file:
            seen = b""
            while part := file.read():
                seen += part
        assert seen == ROWS
    finally:
        writer.join()
        os.close(reading)


def test_invariant_47_stdin_that_does_not_block() -> None:
    """The same for stdin, which Python buffers."""
    script = """
import os, sys
from bulkdelete.intake import Source
os.set_blocking(0, False)
print(len(list(Source("-").read(1, False))))
"""
    with subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for part in (ROWS[:100], ROWS[100:]):
            time.sleep(0.3)
            process.stdin.write(part)
            process.stdin.flush()
        process.stdin.close()
        assert process.stdout.read() == b"1000\n"


@pytest.mark.parametrize("variable", ["TMPDIR", "TEMP", "TMP"])
def test_a_temporary_folder_that_is_not_there(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, variable: str) -> None:
    """The folder that somebody named is used or refused; another, which may be small, is not taken instead."""
    for name in ("TMPDIR", "TEMP", "TMP"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(variable, str(tmp_path / "none"))
    with pytest.raises(InputRefused, match=r"none cannot take it.*TMPDIR"):
        spooled(monkeypatch, tmp_path, tempfile.TemporaryFile)
    monkeypatch.setenv(variable, str(tmp_path))
    (tmp_path / "pipe.csv").unlink()
    assert len(spooled(monkeypatch, tmp_path, tempfile.TemporaryFile)) == 1000
