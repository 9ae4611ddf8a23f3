"""What the rows of a ledger consist of: the columns, in the order in which they are stored and in which their CRC takes them.

Times are integer milliseconds since the epoch (UTC), states the small integers of model.State; the views render both.
Every row carries a CRC32 over its other columns (of counts and meta since format 3): `integrity_check` misses most bit flips. The
names of the states have none: they are compared.
"""

from __future__ import annotations

import zlib
from typing import Final

__all__ = [
    "APPLICATION_ID",
    "ATTEMPT_COLUMNS",
    "CALLER_COLUMNS",
    "COUNT_COLUMNS",
    "INPUT_COLUMNS",
    "INTENT_COLUMNS",
    "LOOKUP_COLUMNS",
    "META_COLUMNS",
    "ORDER_COLUMNS",
    "PACE_COLUMNS",
    "RULING_COLUMNS",
    "RUN_COLUMNS",
    "crc",
    "crc_of",
    "storable",
    "values",
]

APPLICATION_ID: Final = 0x42444C31  # "BDL1"

ORDER_COLUMNS = (
    "account_id, order_id, revert_stock, state, selected, doubtful, attempts, input_id, line, first_ms, changed_ms"
)
ATTEMPT_COLUMNS = (
    "account_id, order_id, n, run_id, intended_ms, answered_ms, sent, status, outcome, message, latency_ms"
)
INTENT_COLUMNS = "account_id, order_id, run_id, intended_ms"
INPUT_COLUMNS = "input_id, path, sha256, confirmed_ms, data_rows, orders, duplicates, rejects, skipped"
RUN_COLUMNS = "run_id, version, options, started_ms, stopped_ms, why"
CALLER_COLUMNS = "run_id, user, host_name, note"
LOOKUP_COLUMNS = (
    "account_id, order_id, looked_ms, present, seen_ms,"
    " external_id, marketplace, channel, status, created, total, currency, stock"
)
RULING_COLUMNS = "account_id, order_id, n, after_n, run_id, ruled_ms, outcome, source, who, note"
PACE_COLUMNS = "host, endpoint, fingerprint, rate_per_s, burst, learned_ms"
COUNT_COLUMNS = "account_id, selected, state, orders"
META_COLUMNS = "key, value"


def crc(*columns: object) -> int:
    """CRC32 of a row's columns, in their order. Numbers, text and None only: their `repr` is the same everywhere."""
    return zlib.crc32(repr(columns).encode("utf-8", "surrogatepass"))


def storable(text: str) -> str:
    """A text that the system or a person gave: it need not be UTF-8."""
    return text.encode("utf-8", "backslashreplace").decode()


def values(columns: str, table: str = "", **others: str) -> str:
    """The SQL of a row's columns, in their order; `others`: what stands in the place of some of them."""
    prefix = f"{table}." if table else ""
    return ", ".join(others.get(name, prefix + name) for name in columns.split(", "))


def crc_of(columns: str, table: str = "", **others: str) -> str:
    """The SQL of a row's CRC."""
    return f"crc({values(columns, table, **others)})"
