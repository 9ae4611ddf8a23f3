"""What tests of the reader share: a text is written, read as the command would, and told in short."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bulkdelete.errors import InputRefused, UsageError
from bulkdelete.intake import ReadOptions, Source
from bulkdelete.model import Order, Reject

__all__ = ["Told", "message_of", "orders", "read_or_refusal", "refusal", "rejects", "tell"]


class Told:
    """One reading of a file: its rows, and the source with its tallies."""

    def __init__(self, source: Source, rows: list[Order | Reject]) -> None:
        self.source, self.rows = source, rows
        assert source.data_rows == len(rows) + source.skipped

    @property
    def ids(self) -> list[int]:
        return [row.order_id for row in self.rows if isinstance(row, Order)]

    @property
    def orders(self) -> list[tuple[int, int, bool]]:
        return [(row.account_id, row.order_id, row.revert_stock) for row in self.rows if isinstance(row, Order)]

    @property
    def rejects(self) -> list[Reject]:
        return [row for row in self.rows if isinstance(row, Reject)]


def tell(
    folder: Path, content: str | bytes, account_id: int | None = 7, revert_stock: bool | None = False, **reading: Any
) -> Told:
    """The file with this content, read. Raises what reading it raises."""
    path = folder / "a.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    source = Source(str(path), ReadOptions(**reading))
    return Told(source, list(source.read(account_id, revert_stock)))


def orders(folder: Path, content: str | bytes, **options: Any) -> list[tuple[int, int, bool]]:
    return tell(folder, content, **options).orders


def rejects(folder: Path, content: str | bytes, **options: Any) -> list[tuple[int, str]]:
    """Line and reason of each rejected row."""
    return [(row.origin.line, row.why) for row in tell(folder, content, **options).rejects]


def refusal(folder: Path, content: str | bytes, **options: Any) -> str:
    """Why the file is refused; "" if it is not."""
    try:
        tell(folder, content, **options)
    except InputRefused as error:
        return str(error)
    return ""


def read_or_refusal(folder: Path, content: str | bytes, options: dict[str, Any]) -> Told | str:
    """What was read, or the message that refuses the file or the options."""
    try:
        return tell(folder, content, **options)
    except (InputRefused, UsageError) as error:
        return str(error)


def message_of(told: Told | str) -> str:
    """All that a person is told of what cannot be used; "" if there is nothing."""
    return told if isinstance(told, str) else " | ".join(row.why for row in told.rejects)
