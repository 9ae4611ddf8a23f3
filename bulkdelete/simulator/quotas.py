"""The rate limits: a bucket for each endpoint and key, and the headers that tell of them. It never reads a clock."""

from __future__ import annotations

from typing import Literal

from bulkdelete.simulator.config import HeaderMode, Simulation
from bulkdelete.simulator.gcra import Decision, Gcra
from bulkdelete.simulator.key_quota import KeyQuota
from bulkdelete.simulator.response import Headers

__all__ = ["Endpoint", "Quotas", "quota_headers"]

Endpoint = Literal["delete", "read", "accounts"]


class Quotas:
    """Only DELETE's limit follows the schedule, and only it is shared with another client. A key may have a limit of its own, which is that
    of reading, too, unless the configuration has one for reading."""

    def __init__(self, config: Simulation) -> None:
        self._config = config
        self._buckets: dict[tuple[Endpoint, int], KeyQuota] = {}
        read = (config.read_limit or config.limit, config.read_per_minute if config.read_limit else config.per_minute)
        self._limits: dict[Endpoint, tuple[int, float | None]] = {
            "delete": (config.limit, config.per_minute),
            "read": read,
            "accounts": (config.accounts_limit, None) if config.accounts_limit else read,
        }

        own = {n: config.key_limits[key] for n, key in enumerate(config.keys or ()) if key in config.key_limits}
        configured = {
            "delete": False,
            "read": config.read_limit,
            "accounts": config.accounts_limit or config.read_limit,
        }
        self._own = {
            (endpoint, n): limit for endpoint in self._limits if not configured[endpoint] for n, limit in own.items()
        }

    @property
    def deleting(self) -> list[KeyQuota]:
        """The buckets of DELETE, one for each key that was used."""
        return [bucket for (endpoint, _), bucket in self._buckets.items() if endpoint == "delete"]

    def of(self, endpoint: Endpoint, key_index: int, start_s: float) -> KeyQuota:
        """The key's bucket. `start_s` is the time of the server's first request."""
        bucket = self._buckets.get((endpoint, key_index))
        if bucket is None:
            config = self._config
            more = (config.schedule, config.other_client) if endpoint == "delete" else ()
            own = self._own.get((endpoint, key_index))
            limit = self._limits[endpoint] if own is None else (own, None)
            bucket = KeyQuota(start_s, *limit, config.rounding, *more)
            self._buckets[endpoint, key_index] = bucket
        return bucket

    def unknown_key(self, endpoint: Endpoint, now_s: float) -> Decision:
        """The quota of a key that is not known: a full bucket."""
        return Gcra(*self._limits[endpoint], self._config.rounding).throttle(now_s, 0)

    def set_limit(self, endpoint: Endpoint, limit: int, per_minute: float | None) -> None:
        """Change the rate limit of every key from now on."""
        self._limits[endpoint] = (limit, per_minute)
        self._own = {place: own for place, own in self._own.items() if place[0] != endpoint}
        for (of, _), bucket in self._buckets.items():
            if of == endpoint:
                bucket.set_limit(limit, per_minute)


def quota_headers(mode: HeaderMode, decision: Decision) -> Headers:
    """What a response says of the quota."""
    match mode:
        case HeaderMode.FULL:
            return (
                ("x-ratelimit-limit", str(decision.limit)),
                ("x-ratelimit-remaining", str(decision.remaining)),
                ("x-ratelimit-reset", str(decision.reset)),
                ("x-ratelimit-retryafter", str(decision.retry_after)),
            )
        case HeaderMode.RETRY_AFTER if not decision.allowed:
            return (("Retry-After", str(decision.retry_after)),)
        case _:
            return ()
