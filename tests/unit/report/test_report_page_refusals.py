"""Refusals by message: a bounded number of orders, the count of all of them, and no message hidden by another one."""

from __future__ import annotations

from bulkdelete.ledger import ResultRow
from bulkdelete.model import State
from bulkdelete.report.page.refusals import ROWS_MAX, Refusals


def refused(order_id: int, message: str, account: int = 7, status: int = 412) -> ResultRow:
    return ResultRow(account, order_id, State.REFUSED, status, message, 1, False, "a.csv", order_id, 0, 0, True, False)


def found(*rows: ResultRow) -> list[tuple[int | None, int | None, str | None, int, int]]:
    refusals = Refusals()
    refusals.add(rows)
    return [(each.account_id, each.status, each.message, each.orders, len(each.rows)) for each in refusals.groups()]


def test_messages_are_told_apart() -> None:
    """By account, status code and text; an order's own id in it makes no difference. The most frequent is the first."""
    assert found(
        refused(1001, "order 1001 is invoiced"),
        refused(1002, "order 1002 is invoiced"),
        refused(1003, "order 1003 is invoiced", account=8),
        refused(1004, "shipped"),
        refused(1005, "shipped", status=409),
    ) == [
        (7, 412, "order (order id) is invoiced", 2, 2),
        (7, 409, "shipped", 1, 1),
        (7, 412, "shipped", 1, 1),
        (8, 412, "order (order id) is invoiced", 1, 1),
    ]


def test_a_rare_message_is_listed_behind_many_of_another() -> None:
    """20,000 orders of one message leave room for the first five of each that comes later, and all are counted."""
    rows = [refused(n, "invoiced") for n in range(1, 20_001)]
    rows += [refused(20_000 + n, "shipped") for n in range(1, 4)]
    rows += [refused(30_000 + n, "a third message") for n in range(1, 101)]
    assert found(*rows) == [
        (7, 412, "invoiced", 20_000, ROWS_MAX - 8),
        (7, 412, "a third message", 100, 5),
        (7, 412, "shipped", 3, 3),
    ]


def test_a_server_that_says_something_else_each_time() -> None:
    """200 messages are told apart, of any number of accounts; the other orders stand together, at the end."""
    groups = found(*(refused(n, f"reason {n} x", account=n) for n in range(1, 6_001)))
    assert len(groups) == 201
    assert sum(orders for *_, orders, _ in groups) == 6_000
    assert sum(shown for *_, shown in groups) == ROWS_MAX
    assert groups[-1] == (None, None, None, 5_800, 4_800)
