"""What a plan says, counted: of inputs that are staged, and of the selection that was confirmed last. It only reads."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from dataclasses import replace

from bulkdelete.errors import LedgerBroken
from bulkdelete.ledger import Plan, Retry
from bulkdelete.ledger.sqlite import rules
from bulkdelete.ledger.sqlite.rows import counts_of
from bulkdelete.model import Doubts, Order, Origin, State

__all__ = ["ACCOUNTS_SHOWN", "plan_of", "refuse_changed", "selected"]

ACCOUNTS_SHOWN = 100
_ENDS_SHOWN = 3  # orders at either end of a proposal


def plan_of(
    db: sqlite3.Connection, rows: str, paths: Mapping[int, str], doubts: Doubts | None, retry: Retry | None = None
) -> Plan:
    """The numbers and the ends of `rows`: the SQL of rows `o` as orders has them, whose state is NULL if the ledger does not know them.

    `paths`: the names of their inputs, by number.
    """
    values = {"status": retry.status if retry else None}
    waiting, doubtful = rules.in_states(rules.WAITING), rules.in_states([State.IN_DOUBT])
    retried = rules.asked_again(retry) if retry else "0"
    goes = f"(o.state IS NULL OR {waiting} OR ({doubtful} AND {rules.is_resent(doubts)}) OR {retried})"
    total, new, n_waiting, n_doubtful, to_send, returning = map(
        int,
        db.execute(
            f"""SELECT count(*), total(o.state IS NULL), total({waiting}), total({doubtful}), total({goes}),
                  total({goes} AND o.revert_stock) FROM {rows}""",
            values,
        ).fetchone(),
    )
    first, last = (
        tuple(
            Order(account, order, bool(reverts), Origin(paths[input_id], line))
            for account, order, reverts, input_id, line in db.execute(
                f"""SELECT o.account_id, o.order_id, o.revert_stock, o.input_id, o.line FROM {rows} AND {goes}
                    ORDER BY o.account_id {way}, o.order_id {way} LIMIT {_ENDS_SHOWN}""",
                values,
            )
        )
        for way in ("ASC", "DESC")
    )
    return Plan(
        orders=total,
        new=new,
        waiting=n_waiting,
        doubtful=n_doubtful,
        settled=total - new - n_waiting - n_doubtful,
        to_send=to_send,
        returning=returning,
        left_alone=0,
        accounts=(),
        first=first,
        last=last[::-1],
    )


def selected(db: sqlite3.Connection, doubts: Doubts | None, retry: Retry | None) -> Plan:
    """The plan of the last confirmed selection. It reads what is open, and settled orders only for `retry`.

    Raises LedgerBroken if an order that is to be sent has changed, or if open orders are missing or too many.
    """
    among = f"({rules.IS_OPEN} OR {rules.in_states([retry.state])})" if retry else rules.IS_OPEN
    rows = f"orders o WHERE o.selected = 1 AND {among}"
    refuse_changed(db, rows)
    paths = dict(db.execute("SELECT input_id, path FROM inputs"))
    found = plan_of(db, rows, paths, doubts, retry)
    counts, ever = counts_of(db, selected=True), counts_of(db, selected=False)
    if counts.open != found.waiting + found.doubtful:
        raise LedgerBroken("damaged: the kept counts disagree with the orders")
    return replace(
        found,
        orders=counts.total,
        settled=counts.total - counts.open,
        left_alone=ever.open - counts.open,
        accounts=tuple(sorted(counts.by_account)[:ACCOUNTS_SHOWN]),
    )


def refuse_changed(db: sqlite3.Connection, rows: str) -> None:
    """Raise LedgerBroken if one of these rows is not what we wrote."""
    row = db.execute(f"SELECT o.account_id, o.order_id FROM {rows} AND {rules.CHANGED} LIMIT 1").fetchone()
    if row is not None:
        raise LedgerBroken(f"damaged: the row of order {row[1]} of account {row[0]} has changed")
