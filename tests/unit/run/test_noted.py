"""What was looked up before a confirmation is kept outside the memory of the process, and given back page by page."""

from __future__ import annotations

import errno
import tempfile
from pathlib import Path
from typing import Any

import pytest

from bulkdelete.errors import InputRefused
from bulkdelete.model import SeenOrder, Sighting
from bulkdelete.run.noted import Noted


def sighting(n: int) -> Sighting:
    seen = SeenOrder(n, f"E-{n} \u2028 ñ", "Mercado", "Shop", "New", "2030-01-01", "1.5", "ARS", "1 movement")
    return Sighting(7, n, seen if n % 3 else None)


def test_what_was_noted_is_given_back() -> None:
    """In its order, in pages of a bounded size, and as often as it is asked for; nothing is nothing."""
    noted = Noted()
    assert list(noted.pages(10)) == []
    noted.add([])
    assert list(noted.pages(10)) == []
    for at in range(0, 100, 10):
        noted.add(map(sighting, range(at, at + 10)))
    for _ in range(2):
        pages = list(noted.pages(30))
        assert [len(page) for page in pages] == [30, 30, 30, 10]
        assert [each for page in pages for each in page] == list(map(sighting, range(100)))


def test_much_of_it_goes_to_a_file_without_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the temporary folder, and it leaves nothing there."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    noted = Noted()
    noted.add(map(sighting, range(10_000)))
    assert list(tmp_path.iterdir()) == []
    assert sum(map(len, noted.pages(1000))) == 10_000


def test_a_temporary_folder_without_room(monkeypatch: pytest.MonkeyPatch) -> None:
    """The message names the folder and what to do; nothing was sent."""

    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(tempfile, "SpooledTemporaryFile", full)
    with pytest.raises(InputRefused, match=r"No space left on device.*TMPDIR"):
        Noted().add([sighting(1)])
