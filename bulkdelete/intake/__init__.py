"""Read files into `Order` and `Reject` values. It never sends or stages anything, and an ambiguous row never becomes an `Order`.

The steps: input_file (bytes) -> open_input: container (file type, unpacking) -> encoding -> dialect -> table (rows of a text) or
sheet (rows of a workbook) -> headed: header (find the columns) -> row_parser (parse each row with cells) -> end_checks (the first and the
last orders). reader runs them. verbatim has the rows as they stand, for a copy with results (own_columns), which is an input again.
"""

from bulkdelete.intake.input_file import STDIN
from bulkdelete.intake.input_paths import matches, sources
from bulkdelete.intake.read_options import ReadOptions
from bulkdelete.intake.reader import Source

__all__ = ["STDIN", "ReadOptions", "Source", "matches", "sources"]
