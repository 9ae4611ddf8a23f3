"""Files -> `Order` or `Reject`. It never sends or stages; a row in doubt is never an `Order`.

The steps: input_file (bytes) -> container (file type, unpacked) -> encoding -> dialect -> table (rows of a text) or
sheet (rows of a workbook) -> header (which columns) -> row_parser (what each row means, by cells). reader runs them.
"""

from bulkdelete.intake.input_file import STDIN
from bulkdelete.intake.input_paths import matches, sources
from bulkdelete.intake.read_options import ReadOptions
from bulkdelete.intake.reader import Source

__all__ = ["STDIN", "ReadOptions", "Source", "matches", "sources"]
