"""When the program had to wait: read from the server's own bytes, not from what the program made of them."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from email.utils import parsedate_to_datetime

from tests.rigs.simulation.record import Played, Sending

__all__ = ["FAILURES", "NEAR_S", "closings", "pauses", "waits"]

FAILURES = 10  # in a row close a lane
NEAR_S = 1e-4  # the loop's turns take a millionth of a second each


def waits(played: Played, life: int, sendings: list[Sending]) -> Iterator[tuple[float, float]]:
    """When the program heard that it should wait, and for how long: read from the server's own bytes."""
    for sending in sendings:
        if sending.status not in (429, 503) or sending.ended_s is None:
            continue
        for request in played.requests_of[sending.place]:
            if request.life == life and sending.called_s <= request.t_s <= sending.ended_s:
                wait_s = _asked_s(played.answers.get(request.connection, b""))
                if wait_s > 0:
                    yield sending.ended_s, wait_s


def _asked_s(answer: bytes) -> float:
    """Retry-After before x-ratelimit-retryafter; what makes no sense is no wait."""
    lines = answer.partition(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")[1:]
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    for name in ("retry-after", "x-ratelimit-retryafter"):
        value = headers.get(name, "")
        if value.isdigit():
            return float(value)
        if value.endswith("GMT"):
            asked = parsedate_to_datetime(value) - parsedate_to_datetime(headers["date"])
            return asked.total_seconds()
    return 0.0


def pauses(sendings: list[Sending]) -> Iterator[float]:
    """When a 429 began a pause: nothing had failed between its call and its return, so it is no echo of an earlier pause."""
    failed_s = sorted(sending.ended_s for sending in sendings if sending.ended_s is not None and not sending.useful)
    for sending in sendings:
        if sending.status == 429 and sending.ended_s is not None:
            others = bisect_right(failed_s, sending.ended_s) - bisect_right(failed_s, sending.called_s - NEAR_S)
            if others == 1:
                yield sending.ended_s


def closings(sendings: list[Sending]) -> Iterator[float]:
    """When so many calls in a row had failed, all made after the last pause: nothing useful was heard among them."""
    row, since_s = 0, 0.0
    for sending in sorted((s for s in sendings if s.ended_s is not None), key=lambda sending: sending.ended_s or 0.0):
        ended_s = sending.ended_s or 0.0
        if sending.failed and sending.status != 503:  # a 503 may ask for a pause of its own
            row += sending.called_s >= since_s
            if row == FAILURES:
                yield ended_s
                row, since_s = 0, ended_s
        elif sending.answer is not None:
            row, since_s = 0, since_s if sending.useful else ended_s
