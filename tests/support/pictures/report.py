"""The page of a report with something to see on it: two nights of one shop, played on a virtual clock against the simulator.

The story is the same each time, byte for byte. Its page is looked at in a window of `SIZE`, in light and in dark.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from pathlib import Path
from unittest.mock import patch

from bulkdelete.api.keys import ApiKey
from bulkdelete.cli.flags import flagged
from bulkdelete.job import Session
from bulkdelete.ledger import Caller
from bulkdelete.ledger.open import open_ledger
from bulkdelete.model import State
from bulkdelete.report.page import page_about
from bulkdelete.report.page.times import Zone
from bulkdelete.simulator import Fault, FaultKind, Latency, OtherClient, Simulation, Simulator
from tests.support.chromium import browser
from tests.support.page import Parsed
from tests.support.rig import KEY, PORT, Rows, Wall, settings_of

__all__ = ["SIZE", "page_of_the_story", "pictures_of", "seen"]

SIZE = 900, 1115  # of the window, and of each picture
_PLACES = {
    "summary": "0",
    "time": "document.getElementById('refused').getBoundingClientRect().top - 20",
}  # where a picture begins

_BEGIN_S = 1_893_456_000  # of a Wall: 2030-01-01
_EVENING_S, _DAY_S = 25 * 3600, 24 * 3600  # 22:00 in the shop's time zone
_NIGHT_S = 75 * 60
_SHOP = Zone(-3 * 3600)
_FILE = "gone.csv"
_KEPT = [(71, 710_000 + 3 * n, False) for n in range(1_500)]
_RETURNED = [(72, 720_000 + 3 * n, True) for n in range(500)]  # whose doubts wait for a person
_TWICE = _KEPT[:4]
_ROWS = [*_KEPT, *_TWICE, *_RETURNED]
_SHA256 = hashlib.sha256(str(_ROWS).encode()).hexdigest()
_NATIVE = [order for _, order, _ in _KEPT[40::60]]
_MISSING = [order for _, order, _ in _RETURNED[9::90]]
_FAULTS = (
    *(Fault(FaultKind.STATUS, order, status=409, message="The order is invoiced") for _, order, _ in _KEPT[70::120]),
    *(Fault(FaultKind.STATUS, order, status=422, message="Stock is locked") for _, order, _ in _RETURNED[5::160]),
    *(Fault(FaultKind.DROP_AFTER, order) for _, order, _ in (*_KEPT[90::200], *_RETURNED[50::300])),
    *(Fault(FaultKind.UNAVAILABLE_503, order) for _, order, _ in _KEPT[110::500]),
)


def page_of_the_story(ledger: Path) -> str:
    """Play it with this ledger, which is new, and return the page."""
    wall = Wall()
    wall.skip(_EVENING_S)
    with patch("bulkdelete.job.caller", lambda note: Caller("ana", "ops-1", note)):
        wall.run(_nights(ledger))
    made_ms = (_BEGIN_S + _EVENING_S + _DAY_S + 10 * 3600) * 1000  # the next morning
    return flagged(page_about(open_ledger(ledger), f"{_FILE}.ledger.db", made_ms, _SHOP, _export)[0])


def _export(state: State) -> str:
    return f"bulkdelete export {_FILE}.ledger.db --outcome {state.label} -o {state.label}.csv"


async def _nights(ledger: Path) -> None:
    simulator = Simulator(
        Simulation(
            seed=3,
            limit=20,
            keys={KEY: {71, 72}},
            orders=[(account, order, 1) for account, order, _ in _KEPT + _RETURNED if order not in _MISSING],
            native=_NATIVE,
            latency=Latency(median_s=0.22, sigma=0.6, min_s=0.05, max_s=2.5),
            faults=_FAULTS,
            other_client=OtherClient(rate_per_s=0.3, on_s=180, off_s=1_500),
        )
    )
    await simulator.start(port=PORT)
    try:
        began_s = asyncio.get_running_loop().time()
        await _night(simulator, ledger, "approved by Ana", max_time_s=_NIGHT_S)
        await asyncio.sleep(began_s + _DAY_S - asyncio.get_running_loop().time())
        await _night(simulator, ledger, "")
    finally:
        await simulator.close()


async def _night(simulator: Simulator, ledger: Path, note: str, **options: float) -> None:
    settings = settings_of(ledger, account_id=None, revert_stock=None, **options)
    async with Session(settings, note=note) as session:
        rows = Rows(_ROWS, path=_FILE, sha256=_SHA256)
        proposal = await session.propose(rows)
        job = await proposal.confirm(expect=proposal.plan.orders)
        await job.delete(ApiKey(KEY), jitter=lambda: 0.5)


def seen(html: str) -> str:
    """What the page says, each text once and without its numbers: those change with every change of the pacing."""
    texts = (re.sub(r"[\d.,:]*\d", "#", " ".join(text.split())) for text in Parsed.of(html).texts)
    return "\n".join(dict.fromkeys(texts)) + "\n"


async def pictures_of(page: Path) -> dict[str, bytes]:
    """Parts of the page in light and in dark, as PNG, each by its name."""
    width, height = SIZE
    made = {}
    async with browser() as shown:
        for scheme in ("light", "dark"):
            await shown.look(dark=scheme == "dark", width=width, height=height)
            for part, top in _PLACES.items():
                await shown.open(page)
                await shown.value(f"scrollTo(0, {top})")
                made[f"{part}-{scheme}"] = await shown.picture(whole=False)
        assert shown.complaints == []
    return made
