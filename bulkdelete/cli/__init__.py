"""The command line: options, prompts, progress and signals around job.py. It is thin: everything else is available to callers of the
library, too.

Commands import what they need when they run: `--help` loads neither aiohttp, structlog nor rich.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import NoReturn

import click

from bulkdelete.cli.codes import exit_code_of, is_of_stdout
from bulkdelete.cli.signals import Interrupted
from bulkdelete.cli.streams import give_back_stderr, prepare, say, why_refused, write_json
from bulkdelete.core.run_summary import EXIT_OF_REASON
from bulkdelete.errors import BulkDeleteError
from bulkdelete.model import StopReason
from bulkdelete.words import escaped_lines

__all__ = ["main"]


_PROGRAM = Path(__file__).parents[1]  # a folder of this name may hold a whole environment: /opt/bulkdelete/lib
_OF_SIGNALS = (EXIT_OF_REASON[StopReason.INTERRUPTED], EXIT_OF_REASON[StopReason.TERMINATED])


def main() -> NoReturn:
    """Run the command line and end the process with its exit code."""
    from bulkdelete.cli.program import program

    prepare()
    code, error = _run(program)
    if error is not None:
        # An error may quote a file's name, which may hold anything.
        say(escaped_lines(f"bulkdelete: {error}".split("\n")))
        if "--json" in sys.argv:  # read from argv, since click may have failed to parse the options
            write_json({"exit_code": code, "error": error})
    _leave(code)


def _run(program: click.Command) -> tuple[int, str | None]:
    """Run a command, and return its exit code and the message of the error that ended it."""
    try:
        return program.main(prog_name="bulkdelete", standalone_mode=False) or 0, None
    except BaseException as error:
        return exit_code_of(error), _message(error)


def _message(error: BaseException) -> str | None:
    match error:
        case Interrupted() | BulkDeleteError():
            return str(error)
        case click.ClickException():
            return error.format_message() + _hint(error)
        case click.Abort() | KeyboardInterrupt():
            return "interrupted"
        case BrokenPipeError() | SystemExit():
            return None
        case OSError() if is_of_stdout(error):
            return f"stdout cannot be written ({why_refused(error)}), so the output is incomplete"
    return _unforeseen(error)


def _unforeseen(error: BaseException) -> str:
    """What went wrong and where, without the error's own message: it may quote a URL, and with it the key."""
    import traceback

    notes = "".join(f". {note}" for note in getattr(error, "__notes__", ()))
    while isinstance(error, BaseExceptionGroup):  # the error of one of several tasks
        error = error.exceptions[0]
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if Path(frame.filename).is_relative_to(_PROGRAM)] or frames
    place = f" in {Path(ours[-1].filename).name}, line {ours[-1].lineno}" if ours else ""
    why = f" ({error.strerror})" if isinstance(error, OSError) else ""
    what = "a bug in this program, or an error of the system that it does not expect"
    return f"{what}: {type(error).__name__}{why}{place}. Please report it{notes}"


def _hint(error: click.ClickException) -> str:
    context = getattr(error, "ctx", None)
    return f"\nTry: {context.command_path} --help" if context is not None else ""


def _leave(code: int) -> NoReturn:
    """Exit with this code, even if nobody reads a stream any more (the interpreter would exit with 120, or wait), and after a signal
    without waiting for a thread that is still busy."""
    give_back_stderr()
    if code in _OF_SIGNALS:
        os._exit(code)
    try:
        sys.stdout.flush()
    except KeyboardInterrupt:
        os._exit(EXIT_OF_REASON[StopReason.INTERRUPTED])
    except (OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(code)
