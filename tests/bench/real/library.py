"""A rate limit of throttled-py (GCRA, in memory, real time) in front of one server on loopback, and the API's four headers.

The arithmetic is the library's: this file only prints what it says. It never keeps a count or a time of its own.
"""

from __future__ import annotations

import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
from aiohttp import web
from throttled import RateLimiterType, RateLimitResult, Throttled
from throttled.rate_limiter import Quota
from throttled.store import MemoryStore
from yarl import URL


@asynccontextmanager
async def library(quota: Quota, upstream_port: int, headers: bool) -> AsyncIterator[str]:
    """The URL of a server that lets pass what `quota` allows each key. `headers`: it tells its bucket on every answer."""
    throttled = Throttled(using=RateLimiterType.GCRA.value, quota=quota, store=MemoryStore())

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        result = throttled.limit(request.query["API_KEY"])
        told = four_headers(result) if headers else {}
        if result.limited:
            return web.json_response({"Status": 429, "Message": "Too many requests"}, status=429, headers=told)
        url = URL(f"http://127.0.0.1:{upstream_port}{request.raw_path}", encoded=True)
        async with upstream.request(request.method, url) as answer:
            return web.Response(status=answer.status, body=await answer.read(), headers=told)

    # A connection for each request: aiohttp repeats a DELETE that a kept one drops.
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0, force_close=True)) as upstream:
        runner = web.ServerRunner(
            web.Server(handle, access_log=None), shutdown_timeout=1.0
        )  # an access log would print the key
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            yield f"http://127.0.0.1:{runner.addresses[0][1]}"
        finally:
            await runner.cleanup()


def four_headers(result: RateLimitResult) -> dict[str, str]:
    """Whole seconds, rounded up, as the API's own GCRA does in its newer versions; -1 where there is nothing to wait for."""
    state = result.state
    return {
        "x-ratelimit-limit": str(state.limit),
        "x-ratelimit-remaining": str(state.remaining),
        "x-ratelimit-reset": str(math.ceil(state.reset_after)),
        "x-ratelimit-retryafter": str(math.ceil(state.retry_after)) if result.limited else "-1",
    }
