"""A page about a ledger: one HTML file that can be looked at, printed and sent around.

| module | owns |
|---|---|
| `gather.py` | reading the ledger once; `timeline.py`, `refusals.py` and `profile.py` keep what it finds, bounded |
| `view.py` | what the page says, as values |
| `outcomes.py`, `tables.py`, `distributions.py`, `graphs.py` | its parts; `times.py` writes times and numbers |
| `charts.py` | panels as drawings, for whoever has no JavaScript or prints the page |
| `render.py` | the values as HTML, by the templates in `templates/`, with the page's policy |
| `uplot/` | the library that makes the panels interactive, as it was published |

To show one more thing, gather it in `gather.py`, say it in `view.py` or a module of its part, and lay it out in `templates/`.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from os import PathLike
from pathlib import PurePath

from bulkdelete.ledger import Ledger
from bulkdelete.ledger.open import open_ledger
from bulkdelete.model import State
from bulkdelete.report.page.gather import gathered
from bulkdelete.report.page.graphs import graphs_of
from bulkdelete.report.page.render import page_html
from bulkdelete.report.page.times import Zone
from bulkdelete.report.page.view import view_of
from bulkdelete.version import __version__

__all__ = ["page_about", "page_of", "size_of"]


def size_of(address: str | PathLike[str]) -> tuple[int, str | None]:
    """How many orders a page would be about, and a warning if the ledger may lack what its last run did. Raises LedgerRefused."""
    with open_ledger(address).read() as reader:
        return reader.counts(selected=False).total, reader.warning()


def page_of(address: str | PathLike[str], export: Callable[[State], str]) -> tuple[str, int]:
    """The page about the ledger at `address` as HTML, and how many orders it is about. Times are those of this machine's time zone, as
    it is now. `export`: the command that exports the orders of an outcome. Raises LedgerRefused, LedgerLocked."""
    now_s = time.time()
    zone = Zone(time.localtime(now_s).tm_gmtoff)
    return page_about(open_ledger(address), PurePath(address).name, round(now_s * 1000), zone, export)


def page_about(ledger: Ledger, name: str, made_ms: int, zone: Zone, export: Callable[[State], str]) -> tuple[str, int]:
    """The same for a ledger that is already open. `name`: its name for people; `made_ms`: the time at which the page is made."""
    found = gathered(ledger, zone.offset_s)
    view = view_of(found, ledger=name, made_ms=made_ms, zone=zone, version=__version__, export=export)
    return page_html(view, graphs_of(found.timeline, found.learned, zone)), found.counts.total
