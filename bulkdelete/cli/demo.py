"""`demo`: what it says. The work is in journey.py."""

from __future__ import annotations

from bulkdelete.cli.helping import Example, command

__all__ = ["demo"]

_EXAMPLES = (
    Example("the whole journey in a minute", "bulkdelete demo"),
    Example("its folder somewhere else", "TMPDIR=/var/tmp bulkdelete demo"),
)


@command("demo", examples=_EXAMPLES)
def demo() -> int:
    """Play the whole journey against the simulator.

    It plans, runs, interrupts, resumes and exports in a temporary folder. Nothing real is touched."""
    from bulkdelete.cli.journey import demonstrate

    return demonstrate()
