"""What was looked up before a confirmation, to be recorded with it: nothing of a proposal stays in the ledger unless it is confirmed.

Memory does not grow with the orders: they are kept in an unnamed file. It holds no personal data.
"""

from __future__ import annotations

import json
import tempfile
import weakref
from collections.abc import Iterable, Iterator
from dataclasses import astuple
from itertools import islice

from bulkdelete.disk import no_temporary_room, temporary_folder
from bulkdelete.model import Learned, SeenOrder, Sighting

__all__ = ["Noted"]

_IN_MEMORY_BYTES = 256 * 1024  # of sightings, before they are written to a file


class Noted:
    """`learned`: by fingerprint, the limits of keys for reading."""

    def __init__(self) -> None:
        self.learned: dict[str, Learned] = {}
        self._file: tempfile.SpooledTemporaryFile[str] | None = None

    def add(self, sightings: Iterable[Sighting]) -> None:
        """Note these. Raises InputRefused if the temporary folder has no room."""
        lines = [
            json.dumps([each.account_id, each.order_id, None if each.seen is None else astuple(each.seen)[1:]]) + "\n"
            for each in sightings
        ]
        if not lines:
            return
        folder = temporary_folder("what the API shows")
        try:
            if self._file is None:
                self._file = tempfile.SpooledTemporaryFile(  # noqa: SIM115 - lives as long as what is noted
                    _IN_MEMORY_BYTES, mode="w+", encoding="utf-8", dir=str(folder)
                )
                weakref.finalize(self, self._file.close)
            self._file.writelines(lines)
        except OSError as error:
            raise no_temporary_room("what the API shows", str(folder), error) from None

    def pages(self, n: int) -> Iterator[list[Sighting]]:
        """All that was noted, up to `n` at a time, in its order."""
        if self._file is None:
            return
        self._file.seek(0)
        while page := [_sighting(*json.loads(line)) for line in islice(self._file, n)]:
            yield page


def _sighting(account_id: int, order_id: int, seen: list[str] | None) -> Sighting:
    return Sighting(account_id, order_id, None if seen is None else SeenOrder(order_id, *seen))
