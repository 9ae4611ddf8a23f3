"""A workbook (xlsx) that is written row by row, in memory that does not grow. Every text remains text: no cell can be a formula or a link.

Finished rows wait in temporary files, in a folder that only this user can read and that is removed at the end.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import IO, Any

from bulkdelete.errors import UsageError

__all__ = ["SHEET_COLUMNS", "SHEET_ROWS", "Book", "workbook"]

SHEET_ROWS, SHEET_COLUMNS = 2**20, 2**14
"""What a sheet of an xlsx can hold."""

_ALL_TEXT = {"strings_to_formulas": False, "strings_to_urls": False, "strings_to_numbers": False}
_WHAT = "the workbook"  # in messages about temporary files


class Book:
    """A workbook in progress. `text`, `moment` and others are the formats of its cells; a cell of `text` remains one when a person edits
    it."""

    def __init__(self, library: Any) -> None:
        self._library = library
        self.text = library.add_format({"num_format": "@"})
        self.header = library.add_format({"num_format": "@", "bold": True})
        self.moment = library.add_format({"num_format": "yyyy-mm-dd hh:mm:ss"})
        self.date = library.add_format({"num_format": "yyyy-mm-dd"})
        self.time = library.add_format({"num_format": "[hh]:mm:ss"})

    def sheet(self, title: str) -> Any:
        """A new sheet. Its rows must be written from the top, and none of them twice."""
        return self._library.add_worksheet(title)


@contextmanager
def workbook(out: IO[bytes]) -> Iterator[Book]:
    """A workbook that is complete in `out` when this ends without an error. Raises OSError; UsageError if the library is missing."""
    import tempfile  # 8 ms that a help text need not take, which imports the formats for their names

    from bulkdelete.disk import no_temporary_room, temporary_folder

    try:
        import xlsxwriter  # type: ignore[import-untyped]
    except ImportError:
        raise UsageError(
            "XlsxWriter writes xlsx files: pip install 'bulkdelete[excel]', or choose another format"
        ) from None
    parent = temporary_folder(_WHAT)
    try:
        folder = tempfile.TemporaryDirectory(prefix="bulkdelete.", dir=parent)
    except OSError as error:
        raise no_temporary_room(_WHAT, str(parent), error) from None
    forward = _Forward(out)
    with folder as temporary:
        book = xlsxwriter.Workbook(forward, {"constant_memory": True, "tmpdir": temporary, **_ALL_TEXT})
        try:
            yield Book(book)
            book.close()
        except xlsxwriter.exceptions.FileCreateError as error:
            raise error.args[0] from None
        finally:
            forward.ended = True
            for sheet in book.worksheets():
                with suppress(OSError, AttributeError):
                    sheet.row_data_fh.close()
    out.flush()


class _Forward:
    """A file that is only written forward, so that a pipe and a file that is appended to become the same bytes.

    `ended`: the library writes more when it is thrown away, which must neither be written nor fail.
    """

    def __init__(self, out: IO[bytes]) -> None:
        self._out = out
        self.ended = False

    def write(self, data: bytes) -> int:
        return len(data) if self.ended else self._out.write(data)

    def flush(self) -> None:
        if not self.ended:
            self._out.flush()
