"""The exceptions of the product: wrong use, bad input, a ledger that cannot be trusted.

What a server or a network did is never an exception: it is a `Result` (model.py). Every message says what to do next.
core/run_summary.py gives each exception its exit code.
"""

from __future__ import annotations

__all__ = [
    "BulkDeleteError",
    "InputRefused",
    "KeyRefused",
    "LedgerBroken",
    "LedgerBusy",
    "LedgerLocked",
    "LedgerRefused",
    "LedgerReplaced",
    "LooksWrong",
    "NothingSent",
    "UsageError",
]


class BulkDeleteError(Exception):
    """The base class of all exceptions of this product. `str(error)` can be shown to a person."""


class UsageError(BulkDeleteError):
    """Options, environment or credentials that are wrong; nothing was opened."""


class NothingSent(BulkDeleteError):
    """The run ended before its first request: the input, the confirmation or a limit forbids it."""


class InputRefused(NothingSent):
    """A whole file cannot be read as a list of orders (a single wrong cell is a `Reject`)."""


class KeyRefused(NothingSent):
    """The API key does not have the account of the orders."""


class LooksWrong(NothingSent):
    """What the API shows of the orders contradicts the input: a person should look."""


class LedgerRefused(BulkDeleteError):
    """The ledger is foreign, newer, damaged or cannot be written; it is unchanged."""


class LedgerLocked(BulkDeleteError):
    """Another process holds a lock on the ledger."""


class LedgerBroken(BulkDeleteError):
    """Writing to the ledger of a run failed: nothing more may be sent. Orders whose results were not committed are in doubt."""


class LedgerBusy(LedgerBroken):
    """Another program's lock on the ledger outlasted the run's patience. Orders whose results were not committed are in doubt."""


class LedgerReplaced(LedgerBroken):
    """The ledger's path no longer names the file that was opened. The file `saved` has the content of the open file; None: it could not be
    saved."""

    def __init__(self, message: str, saved: str | None) -> None:
        super().__init__(message)
        self.saved = saved
