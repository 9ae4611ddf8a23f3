"""How far a run in progress is, for whoever asks: it collects what its lanes know. It changes nothing, and reads the clock of the loop."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from bulkdelete.core.progress import Progress
from bulkdelete.run.pipeline import Lane, Totals

__all__ = ["Gauge"]


@dataclass(slots=True)
class Gauge:
    """`lanes`: those of the run, once they are there."""

    totals: Totals = field(default_factory=Totals)
    lanes: list[Lane] = field(default_factory=list)

    def read(self) -> Progress:
        """How far the run is now. Call it in the event loop's thread."""
        now_s = asyncio.get_running_loop().time()
        return Progress(self.totals.requests, self.totals.limited, tuple(lane.progress(now_s) for lane in self.lanes))
