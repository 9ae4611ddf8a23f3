"""How many requests the file descriptors of this process allow. A run that exhausts them would take its own failures for the server's, and
back off."""

from __future__ import annotations

import resource
from contextlib import suppress

__all__ = ["requests_that_fit"]

_EACH = 2  # of a request: a name being resolved, or two addresses that are tried at once; then its connection
_OTHERS = 32  # the ledger, streams, logs and the event loop: 15 were counted, and some files are open for a moment only


def requests_that_fit(wanted: int) -> tuple[int, int]:
    """How many of `wanted` requests may be in flight at once, at least one, and how many descriptors this process may open. The soft limit
    is raised for them as far as the hard one allows: on macOS it begins at 256, which is too low for three keys."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = _OTHERS + _EACH * wanted
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return wanted, soft
    raised = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
    with suppress(OSError, ValueError):  # a system may have another bound
        resource.setrlimit(resource.RLIMIT_NOFILE, (raised, hard))
        soft = raised
    return max(1, min(wanted, (soft - _OTHERS) // _EACH)), soft
