"""What a person sees and types before a deletion is confirmed. Without a terminal nobody is asked, and the same checks count."""

from __future__ import annotations

import sys

from bulkdelete.cli.flags import flagged
from bulkdelete.cli.key import is_terminal
from bulkdelete.cli.log import Log
from bulkdelete.cli.secrecy import hidden
from bulkdelete.cli.signals import wait_for_input
from bulkdelete.cli.streams import drain_stderr, say
from bulkdelete.core.preview import Preview
from bulkdelete.errors import KeyRefused, LooksWrong, NothingSent
from bulkdelete.report.preview import preview_fields, preview_text

__all__ = ["ask", "check_terminal", "show_preview"]


def check_terminal() -> None:
    """Raises NothingSent if nobody can be asked. It comes before the orders are read, which may take long."""
    if not is_terminal():
        raise NothingSent(
            "the confirmation needs a terminal, and there is none: add --yes, or --expect N with the number of orders. Nothing was sent"
        )


def show_preview(preview: Preview, log: Log, quiet: bool) -> None:
    """Show a few orders as the API knows them. Raises LooksWrong or KeyRefused if they are not those that the input means."""
    if (text := preview_text(preview)) and not quiet:
        say(text)
    for fields in preview_fields(preview):
        log("debug", "preview.order", **fields)
    try:
        preview.check()
    except LooksWrong as error:
        raise LooksWrong(f"{error}. If these are the right orders, use --preview off") from None
    except KeyRefused as error:  # without the account, the key deletes nothing: only a wrong list is a reason to send
        raise KeyRefused(f"{error}. Only if you know that the list is incomplete, use --preview off") from None


def ask(question: str, number: int) -> None:
    """Wait until a person has typed the number. Raises NothingSent for anything else."""
    sys.stderr.write(f"{flagged(hidden(question))}\n> ")
    drain_stderr()
    try:
        wait_for_input(sys.stdin)
        typed = sys.stdin.readline()
    except OSError:  # the terminal is gone
        typed = ""
    if typed.strip() not in (str(number), f"{number:,}"):
        # What was typed is not repeated: it may be a key.
        missed = f": what was typed is not the number {number}" if typed.strip() else ""
        raise NothingSent(f"not confirmed, so nothing was sent{missed}")
