"""The server's journal of every request: what was received, done and sent. It never contains a key, only a key's number."""

from __future__ import annotations

import dataclasses
import json
import os
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal

from bulkdelete.simulator.catalogue import PageQuery

__all__ = ["Entry", "Journal", "ReadEntry", "RequestKind"]

RequestKind = Literal["delete", "no-order-id", "redirected", "unrouted", "read", "accounts"]


@dataclass(frozen=True, slots=True)
class Entry:
    """One request that reads nothing. `n` counts all arrivals from 1, `t_s` is the event loop's time of arrival; the
    entries are in the order of processing.

    `kind` "no-order-id" is the request that must never exist; "redirected" is one that followed a redirect. `key_index`
    is the key's place in the configuration (or of its first use, where any is accepted), None for an unknown key.
    `status` is the status code that was sent, whether or not it was received; None: none was sent. Ids and `revert_stock` are None if
    the request had no valid ones.
    """

    n: int
    t_s: float
    method: str
    kind: RequestKind
    key_index: int | None
    account_id: int | None
    order_id: int | None
    revert_stock: bool | None
    action: Literal["deleted", "none"]
    status: int | None
    fault: str | None
    had_order_id: bool


@dataclass(frozen=True, slots=True)
class ReadEntry:
    """One GET of orders ("read") or of accounts ("accounts"). Fields that an Entry has, too, mean the same.

    `query` is what a page was asked for, with the defaults of what was not said; None for accounts, and if the request was
    invalid. `total` and `results` are those of the true page, before any fault; None if there is none.
    """

    n: int
    t_s: float
    method: str
    kind: RequestKind
    key_index: int | None
    account_id: int | None
    query: PageQuery | None
    total: int | None
    results: int | None
    status: int | None
    fault: str | None


class Journal:
    """The entries in memory and, if there is a `path`, appended there as JSON lines, `kind` telling them apart. In memory
    what was read stands by itself: `entries` and `statuses` are about everything else.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._file: IO[str] | None = None
        self.entries: list[Entry] = []
        self.reads: list[ReadEntry] = []
        self.statuses: Counter[int | None] = Counter()

    def add(self, entry: Entry | ReadEntry) -> None:
        if isinstance(entry, ReadEntry):
            self.reads.append(entry)
        else:
            self.entries.append(entry)
            self.statuses[entry.status] += 1
        if self._path is None:
            return
        if self._file is None:
            self._file = os.fdopen(os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600), "w")
        self._file.write(json.dumps(dataclasses.asdict(entry)) + "\n")
        # Written to the kernel before the response is sent: a client or server that is killed loses no line.
        self._file.flush()

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None
