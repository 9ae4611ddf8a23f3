"""Bugs that the proxy must see: a key that gets into the log, an answer credited to another order, a request sent twice."""

from __future__ import annotations

from tests.rigs.planted import Planted
from tests.rigs.tree import Edit

__all__ = ["PLANTED"]

PLANTED: tuple[Planted, ...] = (
    Planted(
        "key in a log line",
        "proxy",
        frozenset({29}),
        (Edit("api/client.py", "message=self._redact(said)", 'message=f"{said}: {url}"'),),
        trials=1,
    ),
    Planted(
        "pooled connections with a stray 204",
        "proxy",
        frozenset({2, 25}),
        (
            Edit("api/client.py", "force_close=True,", "force_close=False,"),
            Edit("api/wire.py", "conn.protocol is None or conn.protocol.should_close", "conn.protocol is None"),
        ),
        trials=2,
    ),
    Planted(
        "aiohttp's own re-send",
        "proxy",
        frozenset({23}),
        (
            Edit(
                "api/client.py",
                'raise _Failed(Lost.DISCONNECTED, "the connection broke before an answer") from None',
                "raise",
            ),
        ),
        trials=1,
    ),
)
