"""The command `settle`: its arguments, examples and help. settling.py does the work."""

from __future__ import annotations

from pathlib import Path

from bulkdelete.cli.helping import Example, argument, command
from bulkdelete.cli.parameters import FILE

__all__ = ["settle"]

_EXAMPLES = (
    Example(
        "an order in doubt that somebody looked for and did not find",
        "bulkdelete settle gone.csv.ledger.db 1234:700001 --as gone --note 'not in AlephCRM any more, Ana'",
    ),
    Example(
        "two orders that are still there: the next run sends them again",
        "bulkdelete settle gone.csv.ledger.db 1234:700001 1234:700002 --as kept --note 'both seen in AlephCRM'",
    ),
)


@command(
    "settle",
    argument("ledger", type=FILE),
    argument("orders", nargs=-1, required=True, metavar="ACCOUNT:ID..."),
    examples=_EXAMPLES,
)
def settle(ledger: Path, orders: tuple[str, ...], word: str, note: str, as_json: bool) -> int:
    """Record what a person knows of orders in doubt: gone or kept.

    Orders that are gone become presumed_deleted, orders that are kept become pending. All of them are settled, or none if one is not
    in doubt. `status` and `export` show who said so, and why."""
    from bulkdelete.cli.ledgers import given_ledger
    from bulkdelete.cli.settling import settle_orders

    return settle_orders(given_ledger(ledger), orders, word, note, as_json)
