"""The outcomes of a ledger's orders, as a page shows them: in a sentence, as parts of a bar, and in a table."""

from __future__ import annotations

from dataclasses import dataclass

from bulkdelete.model import Counts, State
from bulkdelete.report.page.times import percent
from bulkdelete.words import counted

__all__ = ["MEANINGS", "Outcome", "headline", "outcomes_of"]

MEANINGS: dict[State, str] = {
    State.DELETED: "The server confirmed the deletion.",
    State.PRESUMED_DELETED: "The order was gone after a request whose response was lost or failed: most likely that request deleted it.",
    State.NOT_FOUND: "The order was not there when the server was asked to delete it.",
    State.REFUSED: "The server refuses to delete the order.",
    State.IN_DOUBT: "The order may or may not be deleted: no response said what became of a request.",
    State.FAILED: "Given up, and certainly not deleted.",
    State.PENDING: "Not sent yet, or not settled.",
}
"""The outcomes in the order in which a page shows them, each with what it says about an order."""

_SHORTEST_PART = 4.0  # of a bar, in thousandths


@dataclass(frozen=True, slots=True)
class Outcome:
    """A row of the table of outcomes. `css` is its class; `n` and `by_account` are numbers of orders; `begin` and `length` are those of
    its part of the bar above, in thousandths."""

    css: str
    name: str
    n: int
    share: str
    meaning: str
    by_account: tuple[int, ...]
    begin: float
    length: float


def headline(counts: Counts) -> str:
    """How many orders are deleted, and how many of them nobody saw being deleted."""
    presumed = counts[State.PRESUMED_DELETED]
    gone = counts[State.DELETED] + presumed
    if not counts.total:
        return "This ledger has no orders."
    if counts.total == 1 == gone:
        return "The order is presumably deleted." if presumed else "The order is deleted."
    of_them = f", {presumed:,} of them presumably" if presumed else ""
    if gone == counts.total:
        return f"All {counted(gone, 'order')} are deleted{of_them}."
    return f"{gone:,} of {counted(counts.total, 'order', ('is', 'are'))} deleted{of_them}."


def outcomes_of(counts: Counts) -> list[Outcome]:
    """The outcomes that there are."""
    there = [state for state in MEANINGS if counts[state]]
    # A single order among a million is there, and can be seen.
    lengths = [max(1000 * counts[state] / counts.total, _SHORTEST_PART) for state in there]
    scale = 1000 / sum(lengths, start=0.0) if there else 0.0
    return [
        Outcome(
            css=state.label.replace("_", "-"),
            name=state.label.replace("_", " "),
            n=counts[state],
            share=percent(counts[state], counts.total),
            meaning=MEANINGS[state],
            by_account=tuple(states.get(state, 0) for states in counts.by_account.values()),
            begin=scale * sum(lengths[:i]),
            length=scale * lengths[i],
        )
        for i, state in enumerate(there)
    ]
