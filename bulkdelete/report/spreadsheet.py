"""Cells of a CSV that somebody opens in a spreadsheet: text stays text, whoever wrote it."""

from __future__ import annotations

import re

__all__ = ["safe_cell"]

# Where a cell would begin with a sign of a formula, also behind blanks and quotes and in the wide form.
_SPLITS = r";|\t\r\n\v\f\x85\u2028\u2029"
_FORMULA = re.compile(rf'(?:^|(?<=[{_SPLITS}]))(?=(?:[^\S{_SPLITS}]|[\0"])*[=+\-@＝＋－＠])')


def safe_cell(text: str) -> str:
    """Text that no spreadsheet takes for a formula, whole or in part (OWASP, CSV injection): server text may begin with anything.

    Where a comma is the decimal mark, a spreadsheet splits these files at `;`, at tabs and at `|`, quotes or not, and at line ends.
    """
    text = _FORMULA.sub("'", text)
    return "'" + text if text.startswith(("\t", "\r", "\0")) else text
