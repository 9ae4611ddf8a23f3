"""What a workbook's own bytes say, found before any library reads it: its sheets, what is hidden, what each cell holds.

The library that reads workbooks gives error cells and formulas without a value as empty cells, knows nothing of hidden rows,
and asks for memory by the distance between two cells. So each format is surveyed here first, within bounds of memory, and the
library's cells must agree with the survey. Nothing here makes a row of a cell: that is sheet.py's.
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
    """The workbook, whichever of the formats it is. Raises InputRefused for damage, a password, and what is no workbook."""
    file.seek(0)
    if not zipfile.is_zipfile(file):
        return Xls(file, name)
    package = Package(file, name)
    return Ods(package) if "mimetype" in package else Xlsx(package)
