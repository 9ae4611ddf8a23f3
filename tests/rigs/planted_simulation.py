"""The bugs that rig S must see."""

from __future__ import annotations

from tests.rigs.planted import Planted
from tests.rigs.tree import Edit

__all__ = ["PLANTED"]


def _planted(name: str, breaks: set[int], trials: int, *edits: Edit) -> Planted:
    return Planted(name, "simulation", frozenset(breaks), edits, trials)


PLANTED: tuple[Planted, ...] = (
    _planted(
        "no intent", {1, 2}, 10,
        Edit("ledger/sqlite.py", "await self._do(lambda db: rows.intend(db, intent, run_id))", "await self.flush()"),
        Edit("ledger/rows.py", '"DELETE FROM intents WHERE account_id = ? AND order_id = ?", key).rowcount != 1',
             '"DELETE FROM intents WHERE account_id = ? AND order_id = ?", key).rowcount > 1'),
    ),
    _planted(
        "late intent", {1}, 10,
        Edit(
            "pipeline.py",
            """    intent = await lane.ledger.intend(task)  # durable from here on
    if not lane.may_send(call):
        lane.hold_back(task, intent, call)
        return
    lane.run.requests += 1  # from here on it may have left
    answer = await lane.client.delete(task.order)
""",
            """    sending = asyncio.ensure_future(lane.client.delete(task.order))
    intent = await lane.ledger.intend(task)
    lane.run.requests += 1
    answer = await sending
""",
        ),
    ),
    _planted(
        "doubt forgotten", {2}, 10,
        Edit("ledger/rows.py", "doubtful=bool(columns[5])", "doubtful=False"),
    ),
    _planted(
        "herd after a pause", {19}, 30,
        Edit("core/pace.py", "        in_flight_now=0,\n        cold=True,\n", "        in_flight_now=0,\n        cold=False,\n"),
    ),
    _planted(
        "full bucket after a restart", {20}, 40,
        Edit("job.py", "Throttle(bounds, learned, spent_s)", "Throttle(bounds, learned, [])"),
    ),
    _planted(
        "limiter bypassed", {20}, 15,
        Edit(
            "throttle.py",
            "        if limiter.has_capacity(amount):\n            await limiter.acquire(amount)\n", "        if amount:\n"),
    ),
    _planted(
        "aiohttp's own re-send", {1}, 15,
        Edit("api/client.py", "middlewares=(_watched(on_send, on_rest), _once)", "middlewares=(_watched(on_send, on_rest),)"),
    ),
)  # fmt: skip
