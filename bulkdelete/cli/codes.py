"""The exit code of a command that an error ended. Those of runs that came to an end are in core/run_summary.py."""

from __future__ import annotations

from pathlib import Path

import click

from bulkdelete.cli.signals import Interrupted
from bulkdelete.core.run_summary import EXIT_OF_ERROR, EXIT_OF_REASON, EXIT_UNFORESEEN
from bulkdelete.errors import BulkDeleteError, UsageError
from bulkdelete.model import StopReason

__all__ = ["exit_code_of", "is_of_stdout"]


def exit_code_of(error: BaseException) -> int:
    """The code of the table in README. Whatever is not foreseen, even a panic of a library in Rust, has a code that means nothing else."""
    match error:
        case Interrupted(code=code):
            return code
        case BulkDeleteError():
            return EXIT_OF_ERROR[type(error)]
        case click.ClickException():
            return EXIT_OF_ERROR[UsageError]
        case click.Abort() | KeyboardInterrupt():
            return EXIT_OF_REASON[StopReason.INTERRUPTED]
        case BrokenPipeError() | SystemExit():  # click makes the first one the second, with exit code 1
            return 0
        case OSError() if is_of_stdout(error):
            return EXIT_OF_ERROR[UsageError]
    return EXIT_UNFORESEEN


def is_of_stdout(error: OSError) -> bool:
    """Whether click was writing to stdout: our stderr raises nothing."""
    import traceback

    last = traceback.extract_tb(error.__traceback__)[-1]
    return last.name == "echo" and Path(last.filename).is_relative_to(Path(click.__file__).parent)
