"""The command line: options, prompts, progress and signals around job.py. Thin: a library caller gets everything else too.

Imports stay inside the commands: `--help` loads neither aiohttp, structlog nor rich.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

import click

from bulkdelete.core.summary import EXIT_OF_ERROR
from bulkdelete.errors import BulkDeleteError

__all__ = ["main"]


def main() -> NoReturn:
    """Run the command line and leave with its exit code."""
    from bulkdelete.cli.commands import program

    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):  # closed by whoever started us
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open(mode, encoding="utf-8"))  # noqa: SIM115 - for good
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
    except BrokenPipeError:
        code = 0
    except OSError as error:
        code = 1
        _say(f"bulkdelete: {error}")
    _leave(code)


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
