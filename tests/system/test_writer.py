"""The streams: whoever writes waits for nobody, and what nobody took is counted."""

from __future__ import annotations

import fcntl
import os
import threading
import time
from collections.abc import Iterator
from contextlib import suppress

import pytest

from bulkdelete.cli.writer import BackgroundWriter, write_all

PIPE_BYTES = 4096


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """A pipe of 4 KiB: its read end, its write end."""
    read, write = os.pipe()
    fcntl.fcntl(write, getattr(fcntl, "F_SETPIPE_SZ", 1031), PIPE_BYTES)
    yield read, write
    for fd in (read, write):
        with suppress(OSError):
            os.close(fd)


def lines_of(read: int, writer: BackgroundWriter) -> list[str]:
    """All lines that come until the writer has nothing more."""
    got = b""
    os.set_blocking(read, False)
    while True:
        drained = writer.drain(0.05)
        try:
            got += os.read(read, 65536)
        except BlockingIOError:
            if drained:
                return got.decode().splitlines()


def test_invariant_36_a_pipe_that_nobody_reads(pipe: tuple[int, int]) -> None:
    """100,000 lines are taken in a moment and in bounded memory; what is dropped is counted, and told where it is missing."""
    read, fd = pipe
    writer = BackgroundWriter(fd, waiting_bytes=10_000)
    since_s = time.monotonic()
    for n in range(100_000):
        writer.write(f"{n}\n")
    assert time.monotonic() - since_s < 10
    assert not writer.drain(0.01)
    dropped = writer.dropped
    assert 80_000 < dropped < 100_000
    lines = lines_of(read, writer)
    shown = [int(line) for line in lines if line.isdigit()]
    assert shown == sorted(set(shown)), "whole and in order"
    assert len(shown) == 100_000 - dropped
    gaps = [line.split()[0].strip("[").replace(",", "") for line in lines if "missing here" in line]
    assert sum(map(int, gaps)) == dropped
    writer.write("again\n")
    assert writer.drain(5)
    assert os.read(read, 100) == b"again\n"
    assert writer.dropped == dropped


def test_invariant_36_a_gap_is_told_between_the_lines_around_it(pipe: tuple[int, int]) -> None:
    """What is written after the gap stands behind the line that tells of it."""
    read, fd = pipe
    writer = BackgroundWriter(fd, waiting_bytes=PIPE_BYTES * 2)
    writer.write("x" * (2 * PIPE_BYTES - 1) + "\n")
    for n in range(3):
        writer.write(f"lost {n}\n")
    assert os.read(read, PIPE_BYTES)
    lines = lines_of(read, writer)
    writer.write("after\n")
    lines += lines_of(read, writer)
    assert lines[-2:] == ["[3 lines missing here: the stream did not accept them]", "after"]


def test_invariant_36_a_stream_that_is_gone(pipe: tuple[int, int]) -> None:
    """EPIPE: nothing is raised, every line counts as dropped, and nobody waits for the rest."""
    read, fd = pipe
    os.close(read)
    writer = BackgroundWriter(fd)
    for _ in range(5):
        writer.write("line\n")
    assert writer.drain(5)
    assert writer.dropped == 5


def test_invariant_36_a_full_disk() -> None:
    """ENOSPC: as a stream that is gone."""
    with open("/dev/full", "wb", buffering=0) as full:
        writer = BackgroundWriter(full.fileno())
        writer.write("line\n")
        assert writer.drain(5)
        assert writer.dropped == 1


def test_invariant_36_text_that_the_encoding_does_not_have(pipe: tuple[int, int]) -> None:
    """It is escaped; a file's name may even hold halves of characters."""
    read, fd = pipe
    writer = BackgroundWriter(fd, "ascii")
    writer.write("señal \udce9 ━\n")
    assert writer.drain(5)
    assert os.read(read, 100) == b"se\\xf1al \\udce9 \\u2501\n"


def test_invariant_36_a_stream_made_non_blocking_by_another(pipe: tuple[int, int]) -> None:
    """A shared terminal may be: the rest is written once there is room."""
    read, fd = pipe
    os.set_blocking(fd, False)
    got = bytearray()

    def read_slowly() -> None:
        while len(got) < 50_000:
            got.extend(os.read(read, 1000))

    reader = threading.Thread(target=read_slowly)
    reader.start()
    write_all(fd, b"y" * 50_000)
    reader.join(10)
    assert len(got) == 50_000


def test_invariant_36_progress_that_is_not_shown_is_no_line(pipe: tuple[int, int]) -> None:
    """A redraw without a line end is dropped in silence."""
    _, fd = pipe
    writer = BackgroundWriter(fd, waiting_bytes=PIPE_BYTES)
    writer.write("z" * PIPE_BYTES)
    for _ in range(1000):
        writer.write("\rdeleting 5 of 10")
    assert writer.dropped == 0
