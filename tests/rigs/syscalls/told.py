"""`python -m bulkdelete`, which tells the rig of each intent when its commit is over: when, and of which order. Nothing is changed.

It tells through a socket that it was given: a write to a file would be one more call to count.
"""

import os
import socket
import sqlite3
import time
from typing import Any

from bulkdelete.cli import main
from bulkdelete.ledger.sqlite import rows
from bulkdelete.ledger.sqlite.opened import OpenFile
from bulkdelete.model import Intent

_rig = socket.socket(fileno=int(os.environ.pop("TESTS_TOLD_FD")))
_real_intend, _real_committed = rows.intend, OpenFile.commit
_batch: list[int] = []


def _intend(db: sqlite3.Connection, intent: Intent, run_id: int) -> None:
    _real_intend(db, intent, run_id)
    _batch.append(intent.task.order.order_id)


def _committed(ledger: OpenFile, batch: Any) -> list[Any]:
    _batch.clear()
    results = _real_committed(ledger, batch)
    for order in _batch:
        _rig.sendall(f"{time.time()} {order}\n".encode())
    return results


vars(rows)["intend"] = _intend
OpenFile.commit = _committed  # type: ignore[method-assign, assignment]

main()
