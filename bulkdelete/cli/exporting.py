"""`export`: write the rows of a ledger, or of its inputs, to stdout or to a new file. A file gets its name only when it is complete."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, TypeVar

from bulkdelete.cli.files import check_inputs, check_outputs, replaced, unwritable
from bulkdelete.cli.flags import flagged
from bulkdelete.cli.given import Given, filled, reading_of
from bulkdelete.cli.inputs import fetched
from bulkdelete.cli.ledgers import given_ledger
from bulkdelete.cli.options import option_of
from bulkdelete.cli.streams import say, why_refused
from bulkdelete.errors import UsageError
from bulkdelete.intake import ReadOptions, sources
from bulkdelete.ledger.open import open_ledger
from bulkdelete.model import State
from bulkdelete.report.export import Format, export, missing_log
from bulkdelete.report.joined import Join, Written
from bulkdelete.words import counted, escaped

__all__ = ["export_ledger"]

T = TypeVar("T")

_OF_TEXTS = frozenset({".csv", ".tsv", ".txt", ".jsonl"})
_OF_OTHERS = frozenset({".xls", ".ods", ".gz", ".zip"})
_OF_WORKBOOKS = frozenset({".xlsx"})


@dataclass(frozen=True, slots=True)
class ExportOptions:
    """All options of `export`. `joins`: inputs whose rows are written, read as `reading` says."""

    ledger: Path
    outcomes: tuple[str, ...]
    form: str | None
    joins: tuple[str, ...]
    reading: ReadOptions
    output: Path | None
    overwrite: bool

    @property
    def states(self) -> frozenset[State]:
        """The outcomes to write; none: all."""
        return frozenset(state for state in State if state.label in self.outcomes)

    @property
    def is_stdout(self) -> bool:
        return self.output is None or str(self.output) == "-"

    @property
    def ending(self) -> str:
        """How the name of the output ends, with the dot; "" for stdout."""
        return "" if self.output is None or self.is_stdout else self.output.suffix.lower()


def export_ledger(ledger: Path, given: Given) -> None:
    """The command `export`. Raises UsageError, InputRefused, LedgerRefused."""
    options = filled(ExportOptions, given, ledger=ledger, reading=reading_of(given))
    _check(options, given)
    check_inputs(options.joins)
    options = filled(ExportOptions, given, ledger=given_ledger(ledger), reading=options.reading)
    if (warning := missing_log(options.ledger)) is not None:
        say(f"warning: {escaped(warning)}")
    is_meant = options.form is not None or bool(options.joins)  # a copy has the format of its input
    written = options.ending if is_meant else f".{_format(options)}"
    check_outputs(
        {"--output": options.output}, options.joins, options.ledger, overwrite=options.overwrite, written=written
    )
    if options.joins:
        _export_joined(options)
    else:
        _export_rows(options)


def _check(options: ExportOptions, given: Given) -> None:
    """Raise UsageError for an option that would have no effect."""
    if options.joins:
        if options.form is not None:
            raise UsageError(
                "--format has no effect with --join: a copy of an input has its format. Leave one of them out"
            )
        return
    if options.reading != ReadOptions():
        name = next(
            name for name in ("column", "ignored", "sheet", "encoding", "delimiter", "thousands") if given[name]
        )
        raise UsageError(
            f"{option_of(name).long} says how the file of --join is read, and there is none. Add --join FILE"
        )


def _export_rows(options: ExportOptions) -> None:
    form = _format(options)
    _refuse_terminal(options, not form.is_text)
    rows = _written(options, lambda out: export(options.ledger, out, form, options.states, flagged), form.is_text)
    if rows is not None:
        say(f"{counted(rows, 'order')} written to {_shown(options)}")


def _format(options: ExportOptions) -> Format:
    """The format that was chosen; otherwise that of the output's name, or CSV."""
    if options.form is not None:
        return Format(options.form)
    ending = options.ending.lstrip(".")
    return Format(ending) if ending in set(Format) else Format.CSV


def _export_joined(options: ExportOptions) -> None:
    found = fetched(sources(options.joins, options.reading))
    join = Join(open_ledger(options.ledger), found, options.states, flagged)
    join.read()
    _check_name(options, join.is_workbook)
    _refuse_terminal(options, join.is_workbook)
    written = _written(options, join.write, is_text=False)
    if written is not None:
        say(_summary(written, options))


def _check_name(options: ExportOptions, is_workbook: bool) -> None:
    """Raise UsageError for an output whose name says that it is something else."""
    wrong = (_OF_TEXTS if is_workbook else _OF_WORKBOOKS) | _OF_OTHERS
    if options.output is not None and options.ending in wrong:
        what, ending = ("a workbook (xlsx)", ".xlsx") if is_workbook else ("a text", ".csv")
        name = escaped(str(options.output.with_suffix(ending)))
        raise UsageError(f"--output {_shown(options)}: the copy of this input is {what}. Name it {name}, say")


def _summary(written: Written, options: ExportOptions) -> str:
    """What was written, and what a person may have expected beside it."""
    parts = [f"{counted(written.rows, 'row')} of {written.data_rows:,} written to {_shown(options)}"]
    if options.states:
        with open_ledger(options.ledger).read() as reader:
            counts = reader.counts(selected=False)
        known = sum(counts[state] for state in options.states)
        if known != written.rows:
            parts.append(f"the ledger has {counted(known, 'such order')}")
    parts += [
        f"{n:,} {what}"
        for n, what in (
            (written.unknown, "not in this ledger"),
            (written.rejected, "rejected, as they name no order for certain"),
        )
        if n
    ]
    return "; ".join(parts)


def _shown(options: ExportOptions) -> str:
    return escaped(str(options.output))


def _refuse_terminal(options: ExportOptions, is_workbook: bool) -> None:
    if is_workbook and options.is_stdout and sys.stdout.isatty():
        raise UsageError("a workbook is no text, and a terminal cannot show it. Name a file with --output")


def _written(options: ExportOptions, write: Callable[[IO[Any]], T], is_text: bool) -> T | None:
    """Write to a new file, and return what `write` returns; or to stdout, and return None. `is_text`: whether it writes text or bytes."""
    if options.output is None or options.is_stdout:
        try:
            write(sys.stdout if is_text else sys.stdout.buffer)
            sys.stdout.flush()
        except BrokenPipeError:  # the reader, such as `head`, has closed the pipe
            pass
        except OSError as error:
            raise UsageError(
                f"stdout cannot be written ({why_refused(error)}), so the output is incomplete. Name a file with --output"
            ) from None
        return None
    try:
        with replaced(options.output, options.overwrite) as out:
            return write(out if is_text else out.buffer)
    except OSError as error:
        raise unwritable("--output", options.output, error) from None
