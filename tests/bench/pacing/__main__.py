"""`python -m tests.bench.pacing`: every scenario, every client, several seeds; a table, and the pages that show its summary."""

from __future__ import annotations

import argparse
from pathlib import Path

from tests.bench.pacing.campaign import OURS, Peers, Runs, campaign, commit, seeds_of
from tests.bench.pacing.page import write
from tests.bench.pacing.peers import PEERS
from tests.bench.pacing.scenarios import SCENARIOS
from tests.bench.pacing.tables import HEADING, row, summary

__all__ = ["main"]


def main() -> None:
    options = _options()
    at = commit()
    seeds = options.seed or seeds_of(at, options.seeds)
    names = [OURS, *(PEERS if options.peers else ())]
    labels = [label for label in SCENARIOS if options.only in f"{SCENARIOS[label].kind} {label}"]
    print(
        f"commit {at}\nseeds {' '.join(map(str, seeds))}\nall seeds together, the worst of them in parentheses\n\n{HEADING}"
    )
    runs: Runs = {}
    kind = ""
    for label, more in campaign(labels, names, seeds, Peers(options.peer_seeds, options.peer_orders), options.jobs):
        if SCENARIOS[label].kind != kind:
            kind = SCENARIOS[label].kind
            print(f"-- {kind}")
        for (_, name), seen in more.items():
            print(row(label, name, seen), flush=True)
        runs |= more
    if options.markdown:
        print(f"\n{summary(runs)}")
    if options.write:
        write(options.write, seeds, runs)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.pacing", description="The pacing benchmark.")
    parser.add_argument("--seeds", type=int, default=3, metavar="N", help="this many, drawn from the commit (3)")
    parser.add_argument("--peer-seeds", type=int, default=1, metavar="N", help="of these, for the other clients (1)")
    parser.add_argument(
        "--peer-orders", type=int, default=5000, metavar="N", help="only scenarios of so many orders (5000)"
    )
    parser.add_argument("--seed", type=int, action="append", metavar="K", help="this one instead; may be repeated")
    parser.add_argument("--only", default="", metavar="TEXT", help="only classes and scenarios with this in their name")
    parser.add_argument("--peers", action=argparse.BooleanOptionalAction, default=True, help="beside our own client")
    parser.add_argument("--jobs", type=int, default=2, metavar="N", help="processes (2)")
    parser.add_argument("--markdown", action="store_true", help="print the classes' summary, too")
    parser.add_argument(
        "--write", type=Path, metavar="FOLDER", help="put summary and chart into this folder's README.md and chart.svg"
    )
    return parser.parse_args()


if __name__ == "__main__":
    main()
