"""The command line: options, prompts, progress and signals around job.py. Thin: a library caller gets everything else too.

Imports stay inside the commands: `--help` loads neither aiohttp, structlog nor rich.
"""

from __future__ import annotations

import os
import sys
import traceback
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

import click

from bulkdelete.core.summary import EXIT_OF_ERROR, EXIT_UNFORESEEN
from bulkdelete.errors import BulkDeleteError

__all__ = ["main"]


def main() -> NoReturn:
    """Run the command line and leave with its exit code."""
    from bulkdelete.cli.commands import program
    from bulkdelete.cli.streams import prepare

    prepare()
    code: int
    try:
        code = program.main(prog_name="bulkdelete", standalone_mode=False) or 0
    except BulkDeleteError as error:
        code = EXIT_OF_ERROR[type(error)]
        _say(f"bulkdelete: {error}")
    except click.ClickException as error:
        code = 2
        _say(f"bulkdelete: {error.format_message()}" + _hint(error))
    except (click.Abort, KeyboardInterrupt):
        code = 130
        _say("bulkdelete: interrupted")
    except (BrokenPipeError, SystemExit):  # click makes the first one the second, with exit code 1
        code = 0
    except Exception as error:  # the last net: whatever else goes wrong is never an exit code that means something else
        code = EXIT_UNFORESEEN
        _say(f"bulkdelete: {_unforeseen(error)}")
    _leave(code)


def _unforeseen(error: Exception) -> str:
    """What went wrong and where, without the error's own words: they may quote a URL, and with it the key."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if "bulkdelete" in Path(frame.filename).parts] or frames
    place = f" in {Path(ours[-1].filename).name}, line {ours[-1].lineno}" if ours else ""
    why = f" ({error.strerror})" if isinstance(error, OSError) else ""
    notes = "".join(f". {note}" for note in getattr(error, "__notes__", ()))
    what = "a bug in this program, or an error of the system that it does not know"
    return f"{what}: {type(error).__name__}{why}{place}. Please report it{notes}"


def _hint(error: click.ClickException) -> str:
    context = getattr(error, "ctx", None)
    return f"\nTry: {context.command_path} --help" if context is not None else ""


def _say(text: str) -> None:
    from bulkdelete.intake.cells import escaped

    text = "\n".join(map(escaped, text.split("\n")))  # it may quote a file's name, which may hold anything
    with suppress(OSError, ValueError):  # nobody may be listening any more
        print(text, file=sys.stderr, flush=True)  # noqa: T201


def _leave(code: int) -> NoReturn:
    """Exit with this code, also when nobody reads stdout any more (the interpreter would make it 120)."""
    try:
        sys.stdout.flush()
    except (OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(code)
