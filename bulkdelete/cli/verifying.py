"""`verify`: a ledger held against itself, against files and against the server. The comparison is in run/verify.py."""

from __future__ import annotations

import asyncio
from functools import partial

import click

from bulkdelete.cli.advance import Advance
from bulkdelete.cli.files import check_inputs
from bulkdelete.cli.given import VerifyOptions
from bulkdelete.cli.inputs import fetched
from bulkdelete.cli.key import asked_key, given_keys
from bulkdelete.cli.log import Log
from bulkdelete.cli.signals import Interrupted, Signals, leave
from bulkdelete.cli.streams import drain_stderr, write_json, write_result
from bulkdelete.core.run_summary import EXIT_OF_REASON
from bulkdelete.core.verification import Verification, exit_code
from bulkdelete.errors import InputRefused
from bulkdelete.events import Event
from bulkdelete.intake import Source, matches, sources
from bulkdelete.model import Stop, StopReason
from bulkdelete.report.progress import log_line
from bulkdelete.report.verification import verification_json, verification_text
from bulkdelete.run.verify import verify
from bulkdelete.words import escaped

__all__ = ["verify_ledger"]


def verify_ledger(options: VerifyOptions) -> int:
    """The command `verify`. Returns its exit code."""
    signals, log = Signals(), Log("auto", "auto", 0, None)
    interrupt = signals.on_first

    def on_first(stop: Stop) -> None:
        signals.start_deadline(stop)
        interrupt(stop)

    signals.on_first = on_first
    try:
        named = _named(options)
        keys = (given_keys(options.access) or asked_key()) if options.online else None
        with asyncio.Runner() as runner:
            with Advance() as advance:
                work = verify(
                    *fetched(named), settings=options.settings, keys=keys, tell=advance, on_event=partial(_log, log)
                )
                found = signals.run(runner, work)
            code = _report(found, options)
            if keys is not None:  # a name look-up that hangs in a thread must not delay the exit
                drain_stderr()
                leave(code)
            return code
    except (KeyboardInterrupt, click.Abort):
        raise Interrupted(signals.code or EXIT_OF_REASON[StopReason.INTERRUPTED]) from None


def _report(found: Verification, options: VerifyOptions) -> int:
    """Write what was found, and return the exit code."""
    if options.as_json:
        write_json(verification_json(found))
    else:
        write_result(verification_text(found))
    return exit_code(found)


def _log(log: Log, event: Event) -> None:
    """Waits, and pages that cannot be read."""
    line = log_line(event)
    log(line.level, line.event, **line.fields)


def _named(options: VerifyOptions) -> list[Source]:
    """The files to compare with. Raises UsageError, InputRefused."""
    files = options.input.files
    check_inputs(files, options.access)
    for pattern in files:
        if not matches(pattern):
            raise InputRefused(f"no file matches {escaped(pattern)}. Check the pattern and the folder")
    return sources(files, options.input.reading)
