"""Ids of orders in an unnamed temporary file, sorted: read in blocks, and searched for one. Memory does not grow with them."""

from __future__ import annotations

import itertools
import struct
import tempfile
from collections.abc import Iterator, Sequence
from operator import itemgetter
from types import TracebackType
from typing import Self

from bulkdelete.disk import no_temporary_room, temporary_folder
from bulkdelete.model import Order

__all__ = ["Block", "OrderIds"]

_RECORD = struct.Struct(">QQ")  # account, id: bytes in the order of their numbers
_WHAT = "looking up orders"

Block = tuple[int, list[int], bool]
"""An account, the next ids of it in ascending order, and whether more of them follow."""


class OrderIds:
    """A context manager: the file goes with it. Orders are added in ascending order of (account, id), each once. Raises InputRefused if
    the temporary folder has no room."""

    def __init__(self) -> None:
        self._count = 0
        self._folder = str(temporary_folder(_WHAT))
        try:
            self._file = tempfile.TemporaryFile(dir=self._folder)  # noqa: SIM115  # closed by __exit__
        except OSError as error:
            raise no_temporary_room(_WHAT, self._folder, error) from None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _at: TracebackType | None
    ) -> None:
        self._file.close()

    def __len__(self) -> int:
        return self._count

    def add(self, orders: Sequence[Order]) -> None:
        """Add the next orders."""
        try:
            self._file.seek(self._count * _RECORD.size)
            self._file.write(b"".join(_RECORD.pack(order.account_id, order.order_id) for order in orders))
            self._file.flush()
        except OSError as error:
            raise no_temporary_room(_WHAT, self._folder, error) from None
        self._count += len(orders)

    def __contains__(self, wanted: tuple[int, int]) -> bool:
        """Whether (account, id) was added."""
        low, high = 0, self._count
        while low < high:
            middle = (low + high) // 2
            if self._at(middle, 1)[0] < wanted:
                low = middle + 1
            else:
                high = middle
        return low < self._count and self._at(low, 1)[0] == wanted

    def blocks(self, n: int) -> Iterator[Block]:
        """All of them, in blocks of one account with at most `n` ids."""
        for start in range(0, self._count, n):
            records = self._at(start, n + 1)
            following = records[n][0] if len(records) > n else None
            groups = [
                (account, [order_id for _, order_id in group])
                for account, group in itertools.groupby(records[:n], itemgetter(0))
            ]
            for at, (account, ids) in enumerate(groups):
                yield account, ids, at == len(groups) - 1 and following == account

    def _at(self, position: int, n: int) -> list[tuple[int, int]]:
        """At most `n` of them, from this position."""
        self._file.seek(position * _RECORD.size)
        data = self._file.read(n * _RECORD.size)
        return [(account, order_id) for account, order_id in _RECORD.iter_unpack(data)]
