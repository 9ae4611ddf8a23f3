"""What `run` and `plan` share about their files: how they are read, where the ledger lies, where rejects are written."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bulkdelete.cli.files import replaced
from bulkdelete.errors import UsageError
from bulkdelete.intake import Reading, Source, sources
from bulkdelete.model import Reject
from bulkdelete.report.export import safe_cell

__all__ = ["ledger_of", "rejects_to", "sources_of"]

_WILD = frozenset("*?[")


def sources_of(files: tuple[str, ...], options: dict[str, Any]) -> list[Source]:
    """The inputs, globs expanded, pipes read to their end. Raises UsageError, InputRefused."""
    reading = Reading(
        column=options["column"],
        sheet=options["sheet"],
        encoding=options["encoding"],
        delimiter=options["delimiter"],
        thousands=options["thousands"],
    )
    found = sources(files, reading)
    for source in found:
        source.fetch()  # here Ctrl-C ends it
    return found


def ledger_of(files: tuple[str, ...], given: Path | None) -> Path:
    """The named ledger, else the one beside a single plain file."""
    if given is not None:
        return given
    if len(files) > 1 or files[0] == "-" or (_WILD & set(files[0]) and not Path(files[0]).exists()):
        raise UsageError("only one plain file has a ledger of its own beside it: name one with --ledger")
    file = Path(files[0])
    if not file.name:
        raise UsageError(f"{files[0] or 'an empty name'} is no file: name a CSV file")
    return file.with_name(file.name + ".ledger.db")


@contextmanager
def rejects_to(path: Path | None) -> Iterator[Callable[[Reject], None] | None]:
    """Whom to tell every reject: a CSV file that is whole or absent. None if nobody asked."""
    if path is None:
        yield None
        return
    try:
        with replaced(path) as out:
            writer = csv.writer(out, strict=True)
            writer.writerow(["file", "line", "column", "cell", "why"])
            yield lambda reject: writer.writerow(
                [
                    safe_cell(reject.origin.file), reject.origin.line, safe_cell(reject.column), safe_cell(reject.cell), reject.why,
                ]
            )  # fmt: skip
    except OSError as error:
        raise UsageError(f"--rejects: {path} cannot be written ({error.strerror})") from None
