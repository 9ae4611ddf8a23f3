"""Survey a workbook before a library reads it: its sheets, what is hidden, and the content of each cell.

The library that reads workbooks returns error cells and formulas without a value as empty cells, ignores hidden rows, and allocates
memory for the whole rectangle of cells. So each format is surveyed first with limited memory, and the library's cells must agree
with the survey. This package creates no rows; sheet.py does.
"""

from __future__ import annotations

import zipfile
from typing import BinaryIO, Protocol

from bulkdelete.intake.workbook.ods import Ods
from bulkdelete.intake.workbook.parts import Package
from bulkdelete.intake.workbook.survey import Survey, Title
from bulkdelete.intake.workbook.xls import Xls
from bulkdelete.intake.workbook.xlsx import Xlsx

__all__ = ["Survey", "SurveyedWorkbook", "Title", "surveyed"]


class SurveyedWorkbook(Protocol):
    """A workbook before it is read. `filled` and `survey` take a sheet's position; both raise InputRefused."""

    @property
    def titles(self) -> list[Title]: ...

    def filled(self, at: int) -> bool: ...

    def survey(self, at: int) -> Survey: ...


def surveyed(file: BinaryIO, name: str) -> SurveyedWorkbook:
    """The survey of a workbook in any format. Raises InputRefused for damage, a password, and other kinds of files."""
    file.seek(0)
    if not zipfile.is_zipfile(file):
        return Xls(file, name)
    package = Package(file, name)
    return Ods(package) if "mimetype" in package else Xlsx(package)
