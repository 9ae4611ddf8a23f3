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
    """The whole journey against the simulator, in a temporary folder: plan, run, interrupt, resume, export. Nothing real is touched."""
    from bulkdelete.cli.journey import demonstrate

    return demonstrate()
