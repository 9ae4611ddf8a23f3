"""Files -> `Order` or `Reject`. It never sends or stages; a row in doubt is never an `Order`.

A file's way: stored (its bytes) -> container (what they are, unpacked) -> encoding -> dialect -> table (rows of a text) or
sheet (rows of a workbook) -> header (which columns) -> row_parser (what each row means, by cells); reader goes this way.
"""

from bulkdelete.intake.files import matches, sources
from bulkdelete.intake.reader import Source
from bulkdelete.intake.reading import ReadOptions
from bulkdelete.intake.stored import STDIN

__all__ = ["STDIN", "ReadOptions", "Source", "matches", "sources"]
