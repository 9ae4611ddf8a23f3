"""The exceptions of the product: wrong use, bad input, a ledger that cannot be trusted.

What a server or a network did is never an exception here: it is an `Result` (model.py). Every message says what to do next.
Exit codes belong to core/run_summary.py.
"""

from __future__ import annotations

__all__ = [
    "BulkDeleteError",
    "InputRefused",
    "LedgerBroken",
    "LedgerBusy",
    "LedgerLocked",
    "LedgerRefused",
    "LedgerReplaced",
    "NothingSent",
    "UsageError",
]


class BulkDeleteError(Exception):
    """The root of this tree. `str(error)` is fit to be shown to a person."""


class UsageError(BulkDeleteError):
    """Options, environment or credentials that cannot mean anything; nothing was opened."""


class NothingSent(BulkDeleteError):
    """The run ended before its first request: the input, the confirmation or a cap says no."""


class InputRefused(NothingSent):
    """A file as a whole cannot be read as a list of orders (a single cell that is wrong is a `Reject`)."""


class LedgerRefused(BulkDeleteError):
    """The ledger is foreign, newer, damaged or cannot be written; it was left as it is."""


class LedgerLocked(BulkDeleteError):
    """Another run holds the ledger."""


class LedgerBroken(BulkDeleteError):
    """A write of a run's ledger failed: nothing more may be sent. What was not committed is in doubt."""


class LedgerBusy(LedgerBroken):
    """Somebody else's lock on the ledger outlasted a run's patience: what was not committed is in doubt."""


class LedgerReplaced(LedgerBroken):
    """The ledger's name is no longer the file that was opened. What the open one held is in the file `saved`, if that could be done."""

    def __init__(self, message: str, saved: str | None) -> None:
        super().__init__(message)
        self.saved = saved
