"""Files -> `Order` or `Reject`. It never sends or stages; a row in doubt is never an `Order`."""

from bulkdelete.intake.reader import Source

__all__ = ["Source"]
