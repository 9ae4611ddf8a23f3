"""The peers do what their fields' programs do: a benchmark against a strawman says nothing."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from bulkdelete.model import Quota, Response
from tests.bench.pacing.crew import backoff_s
from tests.bench.pacing.peers import KNOWING, PEERS, Aimd, AutoThrottle, Rclone, gather, workers
from tests.bench.pacing.world import Client
from tests.support.virtual import run

RATE_PER_S, BURST = 5.0, 10


@dataclass
class Server:
    """A token bucket that answers after 0.1 to 0.3 s, or refuses everything before `opens_s`."""

    tells: bool = False
    opens_s: float = 0.0
    sent_s: list[float] = field(default_factory=list)
    limited: int = 0
    in_flight: int = 0
    in_flight_max: int = 0

    async def serve(self, client: Client, n: int, slots: int, seed: int = 1) -> None:
        loop, rng = asyncio.get_running_loop(), random.Random(seed)
        begin_s, tokens, at_s = loop.time(), float(BURST), 0.0

        async def send() -> Response:
            nonlocal tokens, at_s
            self.sent_s.append(loop.time() - begin_s)
            self.in_flight += 1
            self.in_flight_max = max(self.in_flight_max, self.in_flight)
            await asyncio.sleep(rng.uniform(0.1, 0.3))
            self.in_flight -= 1
            now_s = loop.time() - begin_s
            tokens, at_s = min(float(BURST), tokens + (now_s - at_s) * RATE_PER_S), now_s
            if tokens >= 1 and now_s >= self.opens_s:
                tokens -= 1
                return Response(204)
            self.limited += 1
            return Response(429, quota=Quota(retry_after_s=2.0 if self.tells else None))

        await client(n, slots, send, seed)

    def gaps_s(self) -> list[float]:
        return [after - before for before, after in zip(self.sent_s, self.sent_s[1:], strict=False)]


def served(client: Client, n: int, slots: int, *, seed: int = 1, tells: bool = False, opens_s: float = 0.0) -> Server:
    server = Server(tells, opens_s)
    run(server.serve(client, n, slots, seed), max_virtual_s=3600, max_steps=500_000)
    return server


@pytest.mark.parametrize("tells", [False, True])
@pytest.mark.parametrize("name", PEERS)
def test_a_peer_deletes_every_order_within_its_slots(name: str, tells: bool) -> None:
    """50 accepted requests, no more; never more in flight than slots; the same seed, the same run."""
    first, again = (served(PEERS[name](RATE_PER_S, BURST), 50, 7, tells=tells) for _ in range(2))
    assert len(first.sent_s) - first.limited == 50
    assert first.in_flight_max <= 7
    assert first.sent_s == again.sent_s


@pytest.mark.parametrize("name", PEERS)
def test_only_who_knows_needs_to_be_told(name: str) -> None:
    """A peer that has to find the rate takes none; one that knows it refuses to guess."""
    if name in KNOWING:
        with pytest.raises(ValueError, match="true rate"):
            PEERS[name]()
    else:
        PEERS[name]()


def test_backoff_is_full_jitter_unless_told() -> None:
    """Anything from 0 to 1, 2, 4 ... 60 s; Retry-After takes its place."""
    rng = random.Random(1)
    for failures, most_s in [(1, 1.0), (2, 2.0), (4, 8.0), (7, 60.0), (5000, 60.0)]:
        waits = [backoff_s(Response(429), failures, rng) for _ in range(500)]
        assert min(waits) < 0.1 * most_s
        assert 0.9 * most_s < max(waits) <= most_s
    assert backoff_s(Response(429, quota=Quota(retry_after_s=7.0)), 3, rng) == 7.0


@pytest.mark.parametrize(("client", "sent_within_2_s"), [(gather, 5), (workers, 1)])
def test_a_waiting_worker_holds_its_slot(client: Client, sent_within_2_s: int) -> None:
    """One slot, five orders, all told to wait for 2 s: gather's others go on at once, the worker's do not."""
    server = served(client, 5, 1, tells=True, opens_s=3.0)
    assert sum(sent_s < 2.0 for sent_s in server.sent_s) == sent_within_2_s


def test_botocore_never_goes_below_its_least_rate_and_keeps_to_it() -> None:
    """Refused throughout, 20 workers together come down to 0.5 requests a second (bucket.TokenBucket)."""
    pytest.importorskip("botocore")
    server = served(PEERS["botocore adaptive"](), 5, 20, opens_s=200.0)
    late = [sent_s for sent_s in server.sent_s if 100 <= sent_s < 200]
    assert 45 <= len(late) <= 51


def test_botocore_is_not_paced_before_its_first_429() -> None:
    """All slots leave at once; the first 429 brings the token bucket in, at beta = 0.7 of the measured rate."""
    throttling = pytest.importorskip("botocore.retries.throttling")
    assert throttling.CubicCalculator(starting_max_rate=0, start_time=0.0).error_received(10.0, 1.0) == pytest.approx(
        7.0
    )
    assert served(PEERS["botocore adaptive"](), 7, 7).gaps_s() == [0.0] * 6


def test_aimd_halves_and_adds() -> None:
    """5/s at first; every window without a 429 adds 0.75/s, every window with one leaves half."""
    calm = served(Aimd(), 12, 5).gaps_s()
    assert calm[:4] == [pytest.approx(1 / 5, abs=1e-4)] * 4
    assert calm[8:10] == [pytest.approx(1 / 5.75, abs=1e-4)] * 2
    refused = served(Aimd(), 1, 1, opens_s=30.0).gaps_s()
    assert refused[-1] == pytest.approx(1 / Aimd().least_per_s, abs=1e-3)


def test_autothrottle_goes_half_the_way_and_never_down_after_a_429() -> None:
    """5 s at first, then the mean with latency; all the way up at once; a 429 shortens nothing; 60 s at most."""
    peer = AutoThrottle()
    assert peer.delay_s(5.0, 1.0, success=True) == 3.0
    assert peer.delay_s(5.0, 1.0, success=False) == 5.0
    assert peer.delay_s(1.0, 9.0, success=False) == 9.0
    assert peer.delay_s(1.0, 99.0, success=True) == 60.0
    assert 2.5 <= served(peer, 2, 2).gaps_s()[0] <= 7.5


def test_rclone_doubles_and_takes_a_quarter_off() -> None:
    """10 ms to 2 s; Retry-After as it is told, and from there the way back."""
    peer = Rclone()
    assert peer.sleep_s(0.5, limited=True, told_s=None) == 1.0
    assert peer.sleep_s(1.5, limited=True, told_s=None) == 2.0
    assert peer.sleep_s(1.0, limited=False, told_s=None) == 0.75
    assert peer.sleep_s(0.01, limited=False, told_s=None) == 0.01
    assert peer.sleep_s(0.01, limited=True, told_s=30.0) == 30.0
    assert served(peer, 1, 1, opens_s=30.0).gaps_s()[-1] == pytest.approx(2.0, abs=0.5)


@pytest.mark.parametrize(
    ("name", "time_of"),
    [("aiometer", lambda k: k / RATE_PER_S), ("AsyncLimiter", lambda k: max(0, k - BURST + 1) / RATE_PER_S)],
)
def test_a_known_rate_is_kept(name: str, time_of: Callable[[int], float]) -> None:
    """aiometer spaces its starts evenly; aiolimiter spends the burst first, and latency alone can bring it a 429."""
    if name not in PEERS:
        pytest.skip(f"{name} is not installed")
    server = served(PEERS[name](RATE_PER_S, BURST), 40, 40)
    assert server.sent_s[:30] == pytest.approx([time_of(k) for k in range(30)], abs=0.01)
    assert server.limited <= (0 if name == "aiometer" else 2)
