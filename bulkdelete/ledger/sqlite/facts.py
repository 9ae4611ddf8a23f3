"""What a plan says, counted: of inputs that are staged, and of the selection that was confirmed last. It only reads."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

from bulkdelete.errors import LedgerBroken
from bulkdelete.ledger import AccountPlan, AccountSample, Plan, Retry
from bulkdelete.ledger.sqlite import rules
from bulkdelete.ledger.sqlite.rows import counts_of, kept_counts
from bulkdelete.model import OPEN, Doubts, Order, Origin, State

__all__ = ["ACCOUNTS_SHOWN", "Sent", "plan_of", "refuse_changed", "refuse_torn_index", "selected", "sent_of"]

ACCOUNTS_SHOWN = 100
_ENDS_SHOWN = 3  # orders at either end of a proposal


@dataclass(frozen=True, slots=True)
class Sent:
    """The orders that would be sent. `rows`: the SQL of rows `o` as orders has them, whose state is NULL if the ledger does not know
    them; `paths`: the names of their inputs, by number; `within`: what else must hold of a row that is sent."""

    rows: str
    paths: Mapping[int, str]
    doubts: Doubts | None
    retry: Retry | None = None
    within: str = "1"

    @property
    def values(self) -> dict[str, int | None]:
        return {"status": self.retry.status if self.retry else None}

    @property
    def goes(self) -> str:
        """Which of the rows would be sent."""
        waiting, doubtful = rules.in_states(rules.WAITING), rules.in_states([State.IN_DOUBT])
        retried = rules.asked_again(self.retry) if self.retry else "0"
        state = f"o.state IS NULL OR {waiting} OR ({doubtful} AND {rules.is_resent(self.doubts)}) OR {retried}"
        return f"(({state}) AND {self.within})"

    @property
    def _sampled(self) -> str:
        return f"({self.goes} AND (o.state IS NULL OR NOT {rules.in_states([State.IN_DOUBT])}))"

    @property
    def only_looked_up(self) -> str:
        """Which of the rows would be looked up and never sent."""
        held = f"({rules.in_states([State.IN_DOUBT])} AND NOT {rules.is_resent(self.doubts)} AND {self.within})"
        return held if self.doubts is Doubts.VERIFY else "0"

    def orders(self, db: sqlite3.Connection, n: int, after: tuple[int, int] = (0, 0), way: str = "ASC") -> list[Order]:
        """The first `n` of them after (account, id), this way."""
        return [
            Order(account, order, bool(reverts), Origin(self.paths[input_id], line))
            for account, order, reverts, input_id, line in db.execute(
                f"""SELECT o.account_id, o.order_id, o.revert_stock, o.input_id, o.line FROM {self.rows} AND {self.goes}
                    AND (o.account_id, o.order_id) > (:account, :order)
                    ORDER BY o.account_id {way}, o.order_id {way} LIMIT :n""",
                {**self.values, "account": after[0], "order": after[1], "n": n},
            )
        ]

    def nth_taken(self, db: sqlite3.Connection, n: int) -> tuple[int, int] | None:
        """Account and id of the n-th of those that would be sent or looked up, from 1; None: there are fewer."""
        found = db.execute(
            f"""SELECT o.account_id, o.order_id FROM {self.rows} AND ({self.goes} OR {self.only_looked_up})
                ORDER BY o.account_id, o.order_id LIMIT 1 OFFSET :n""",
            {**self.values, "n": n - 1},
        ).fetchone()
        return None if found is None else (found[0], found[1])

    def samples(self, db: sqlite3.Connection, n: int, without: Collection[int]) -> list[AccountSample]:
        """The first `n` accounts but for these, with the first, the middle and the last of their orders."""
        others = f"o.account_id NOT IN ({', '.join(map(str, without))})"
        accounts = f"SELECT o.account_id, count(*) FROM {self.rows} AND {self._sampled} AND {others} GROUP BY 1 ORDER BY 1 LIMIT :n"
        return [
            AccountSample(
                account, count, tuple(self._nth(db, account, at) for at in sorted({0, count // 2, count - 1}))
            )
            for account, count in db.execute(accounts, {**self.values, "n": n}).fetchall()
        ]

    def _nth(self, db: sqlite3.Connection, account: int, at: int) -> Order:
        """The order of an account before which `at` others are sampled."""
        order, reverts, input_id, line = db.execute(
            f"""SELECT o.order_id, o.revert_stock, o.input_id, o.line FROM {self.rows} AND {self._sampled} AND o.account_id = :account
                ORDER BY o.order_id LIMIT 1 OFFSET :at""",
            {**self.values, "account": account, "at": at},
        ).fetchone()
        return Order(account, order, bool(reverts), Origin(self.paths[input_id], line))


def plan_of(db: sqlite3.Connection, sent: Sent) -> Plan:
    """The numbers and the ends of these rows."""
    waiting, doubtful, goes = rules.in_states(rules.WAITING), rules.in_states([State.IN_DOUBT]), sent.goes
    numbers, by_account = [0] * 8, {}
    for account, *counts in db.execute(
        f"""SELECT o.account_id, count(*), total(o.state IS NULL), total({waiting}), total({doubtful}), total({goes} AND o.revert_stock),
              total({goes}), total({goes} AND {doubtful}), total({sent.only_looked_up}) FROM {sent.rows} GROUP BY 1""",
        sent.values,
    ):
        numbers = [total + int(n) for total, n in zip(numbers, counts, strict=True)]
        if to_do := AccountPlan(*map(int, counts[-3:])):
            by_account[account] = to_do
    total, new, n_waiting, n_doubtful, returning, to_send, to_resend, to_look_up = numbers
    first, last = (tuple(sent.orders(db, _ENDS_SHOWN, way=way)) for way in ("ASC", "DESC"))
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
        to_resend=to_resend,
        to_look_up=to_look_up,
        by_account=by_account,
    )


def sent_of(db: sqlite3.Connection, doubts: Doubts | None, retry: Retry | None) -> Sent:
    """What would be sent of the last confirmed selection: of what is open, and of settled orders only for `retry`."""
    among = f"({rules.IS_OPEN} OR {rules.in_states([retry.state])})" if retry else rules.IS_OPEN
    paths = dict(db.execute("SELECT input_id, path FROM inputs"))
    return Sent(f"orders o WHERE o.selected = 1 AND {among}", paths, doubts, retry)


def selected(db: sqlite3.Connection, sent: Sent) -> Plan:
    """The plan of the last confirmed selection.

    Raises LedgerBroken if an order that is to be sent has changed, or if open orders are missing or too many.
    """
    refuse_changed(db, sent.rows)
    refuse_torn_index(db, "orders")
    found = plan_of(db, sent)
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


def refuse_torn_index(db: sqlite3.Connection, orders: str) -> None:
    """Raise LedgerBroken unless the index of open orders has each of them, and each once: what it lacks would never be sent.

    `orders`: the table. 1.5 s per million open orders.
    """
    entries, strays, repeated = db.execute(
        f"""SELECT count(*), total(state > {max(OPEN)}), total((account_id, order_id) <= (account_before, order_before))
            FROM (SELECT o.account_id, o.order_id, +o.state AS state,
                lag(o.account_id) OVER in_order AS account_before, lag(o.order_id) OVER in_order AS order_before
              FROM {orders} o WHERE {rules.IS_OPEN} WINDOW in_order AS (ORDER BY o.account_id, o.order_id))"""
    ).fetchone()
    if strays or repeated or entries != sum(n for _, _, state, n in kept_counts(db) if state <= max(OPEN)):
        raise LedgerBroken("damaged: the index of open orders disagrees with the orders")
