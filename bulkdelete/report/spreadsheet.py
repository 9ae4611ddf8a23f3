"""Cells of a CSV file that somebody opens in a spreadsheet: text remains text, whoever wrote it."""

from __future__ import annotations

import re

__all__ = ["safe_cell"]

# Where a cell would begin with a sign of a formula, also behind blanks and quotes and in the wide form.
_SPLITS = r";|\t\r\n\v\f\x85\u2028\u2029"
_FORMULA = re.compile(rf'(?:^|(?<=[{_SPLITS}]))(?=(?:[^\S{_SPLITS}]|[\0"])*[=+\-@＝＋－＠])')


def safe_cell(text: str) -> str:
    """The text in a form that no spreadsheet treats as a formula, in whole or in part (OWASP, CSV injection).

    Where a comma is the decimal mark, a spreadsheet splits these files at `;`, at tabs and at `|`, quotes or not, and at line ends.
    """
    text = _FORMULA.sub("'", text)
    return "'" + text if text.startswith(("\t", "\r", "\0")) else text
