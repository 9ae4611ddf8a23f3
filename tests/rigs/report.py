"""What a rig did and what it found: counted, printed at the end of the test run, and judged."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

__all__ = ["Broken", "Report", "command"]


class Broken(AssertionError):
    """A promise of tests/README.md did not hold. `number` is the invariant's."""

    def __init__(self, number: int, what: str) -> None:
        super().__init__(f"invariant {number}: {what}")
        self.number = number


@dataclass
class Report:
    """Counts of one campaign. `ran`: seeds, orders, kills and the like. `effects`: by kind of fault, how often it took effect."""

    rig: str
    ran: Counter[str] = field(default_factory=Counter)
    effects: Counter[str] = field(default_factory=Counter)
    broken: list[str] = field(default_factory=list)  # each with the command that repeats it

    def add(self, other: Report) -> None:
        self.ran += other.ran
        self.effects += other.effects
        self.broken += other.broken

    def fail(self, error: Broken, replay: str) -> None:
        """Note a broken promise and the command that shows it again."""
        self.broken.append(f"{error}\n    again: {replay}")

    def without_effect(self, kinds: Iterable[str]) -> list[str]:
        """Kinds of fault that never took effect: what they should have shown was not seen."""
        return sorted(kind for kind in kinds if not self.effects[kind])

    def judge(self, kinds: Iterable[str] = ()) -> None:
        """Fail if a promise was broken, or if one of these kinds of fault never took effect."""
        assert not self.broken, f"{self.rig}: {len(self.broken)} broken\n" + "\n".join(self.broken[:10])
        assert not (missing := self.without_effect(kinds)), f"{self.rig}: no effect of {', '.join(missing)}"

    def text(self) -> str:
        parts = [
            ", ".join(f"{n:,} {what}" for what, n in sorted(counts.items())) for counts in (self.ran, self.effects)
        ]
        return f"{self.rig}: {parts[0]}" + (f"; took effect: {parts[1]}" if parts[1] else "")


def command(rig: str, campaign: Callable[..., Report], trials: int, kinds: Sequence[str] = ()) -> None:
    """The command line of a rig: run, print, and end with 1 if a promise was broken. A rig with `kinds` of faults takes some of them
    as a third argument."""
    parser = argparse.ArgumentParser(prog=f"python -m tests.rigs.{rig}")
    parser.add_argument("--first", type=int, default=0, metavar="SEED", help="the first seed")
    parser.add_argument("--trials", type=int, default=trials, metavar="N", help="how many seeds from there on")
    parser.add_argument(
        "--until", type=int, nargs="+", default=(), metavar="N", help="end once one of these invariants broke"
    )
    if kinds:
        parser.add_argument("--only", nargs="+", choices=kinds, metavar="KIND", help="only these kinds of fault")
    asked = parser.parse_args()
    chosen = (asked.only,) if kinds and asked.only else ()
    step = max(1, asked.trials // 10) if asked.until else asked.trials
    report = Report(rig)
    for first in range(asked.first, asked.first + asked.trials, step):
        report.add(campaign(first, min(step, asked.first + asked.trials - first), *chosen))
        if any(broken.startswith(f"invariant {number}:") for number in asked.until for broken in report.broken):
            break
    print(report.text())
    for broken in report.broken:
        print(broken)
    sys.exit(1 if report.broken else 0)
