"""`settle`: a person's word about orders in doubt, from the words of the command to the ledger."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

from bulkdelete.cli.access import Access
from bulkdelete.cli.key import hide_key
from bulkdelete.cli.secrecy import hidden
from bulkdelete.cli.signals import Interrupted, Signals
from bulkdelete.cli.spelling import resuming
from bulkdelete.cli.streams import say, write_json, write_result
from bulkdelete.core.run_summary import EXIT_OF_REASON
from bulkdelete.errors import UsageError
from bulkdelete.job import caller, settle
from bulkdelete.ledger import Ruling, RulingSource
from bulkdelete.ledger.open import open_ledger
from bulkdelete.model import MAX_ID, State, StopReason
from bulkdelete.settings import Settings, url_of
from bulkdelete.words import escaped, escaped_lines

__all__ = ["settle_orders"]

_ORDER = re.compile(r"([0-9]{1,19}):([0-9]{1,19})")
_STATE_OF = {"gone": State.PRESUMED_DELETED, "kept": State.PENDING}


def settle_orders(ledger: Path, orders: tuple[str, ...], word: str, note: str, as_json: bool) -> int:
    """The command `settle`. Returns its exit code."""
    hide_key()
    who, state, kept_note = caller().who, _STATE_OF[word], hidden(note)
    named = dict.fromkeys(map(_order, orders))
    rulings = [Ruling(*order, state, RulingSource.PERSON, who, kept_note) for order in named]
    signals = Signals()
    try:
        with asyncio.Runner() as runner:
            warnings = signals.run(runner, settle(ledger, rulings))
    except KeyboardInterrupt:
        raise Interrupted(signals.code or EXIT_OF_REASON[StopReason.INTERRUPTED]) from None
    for warning in warnings:
        say(f"warning: {warning}")
    if as_json:
        settled = [{"account_id": account, "order_id": order, "outcome": state.label} for account, order in named]
        write_json({"ledger": str(ledger), "exit_code": 0, "settled": settled, "who": who, "note": kept_note})
    else:
        write_result(escaped_lines([*map(_line, rulings), *_next_lines(ledger, state)]))
    return 0


def _order(text: str) -> tuple[int, int]:
    """Account and id of ACCOUNT:ID. Raises UsageError."""
    found = _ORDER.fullmatch(text)
    account, order = (int(found[1]), int(found[2])) if found else (0, 0)
    if not (0 < account <= MAX_ID and 0 < order <= MAX_ID):
        raise UsageError(
            f"{escaped(text)} names no order: write its account and its id, such as 1234:700001, as `status` does"
        )
    return account, order


def _line(ruling: Ruling) -> str:
    return f"{ruling.account_id}:{ruling.order_id} is {ruling.state.label}: {ruling.words}"


def _next_lines(ledger: Path, state: State) -> list[str]:
    """The command that sends what is pending again."""
    if state is not State.PENDING:
        return []
    with open_ledger(ledger).read() as reader:
        settings = Settings(ledger, api_url=url_of(reader.host()))
    return [f"To send what is pending: {resuming(settings, Access())}"]
