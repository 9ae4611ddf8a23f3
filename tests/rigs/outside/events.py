"""All events, by name; each module beside this one brings those of one kind. A new module is named here and nowhere else."""

from __future__ import annotations

from tests.rigs.outside import changes, files, readers, stopped, streams
from tests.rigs.outside.scene import Event

__all__ = ["EVENTS", "named"]

EVENTS: dict[str, Event] = {
    **changes.EVENTS,
    **files.EVENTS,
    **readers.EVENTS,
    **stopped.EVENTS,
    **streams.EVENTS,
}


def named(invariant: int) -> list[str]:
    """The events that an invariant is about."""
    return [name for name, event in EVENTS.items() if event.invariant == invariant]
