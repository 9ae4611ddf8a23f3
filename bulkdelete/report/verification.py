"""What a verification found: a page of text, and the same as fields of JSON. The rules are in core/verification.py."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

from bulkdelete.core.verification import (
    Difference,
    FileAccount,
    Kind,
    Looked,
    ServerAccount,
    Verification,
    exit_code,
)
from bulkdelete.model import SeenOrder, State
from bulkdelete.words import counted, escaped_lines, plural

__all__ = ["seen_words", "verification_json", "verification_text"]

_SHOWN = 10  # differences of each kind, and orders in doubt, that a page of text lists
_ACCOUNTS_SHOWN = 5

_SAID: dict[Kind, tuple[str, str]] = {
    Kind.INCONSISTENT: (
        "order is not what its attempts make of it",
        "orders are not what their attempts make of them",
    ),
    Kind.UNCOUNTED: ("input has rows that are not accounted for", "inputs have rows that are not accounted for"),
    Kind.UNKNOWN: ("id of the files is not in this ledger", "ids of the files are not in this ledger"),
    Kind.REJECTED: ("row of the files names no order for certain", "rows of the files name no order for certain"),
    Kind.STILL_THERE: ("order must be gone, and the server has it", "orders must be gone, and the server has them"),
    Kind.MISSING: (
        "order must be there, and the server does not have it",
        "orders must be there, and the server does not have them",
    ),
}


def verification_text(verification: Verification) -> str:
    """One page for a person: what was compared, and the first differences of each kind."""
    counts, found = verification.counts, verification.found
    width = max(len(f"{counts[state]:,}") for state in State)
    lines = [
        f"{verification.ledger} ({verification.host}): {counted(counts.total, 'order')}, {counted(verification.requests, 'request')}"
    ]
    if verification.warning:
        lines.append(f"warning: {verification.warning}")
    lines += [f"  {counts[state]:>{width},} {state.label}" for state in State if counts[state]]
    lines.append("every row is as it was written" + _consistent(found))
    lines += map(_file_line, verification.files)
    if verification.server is not None:
        lines += _server_lines(verification.server)
    for kind in Kind:
        if n := found.get(kind, 0):
            lines.append(f"{n:,} {plural(n, *_SAID[kind])}:")
            lines += _listed(n, (_difference(each) for each in verification.differences if each.kind is kind))
    total = sum(found.values())
    lines.append(counted(total, "difference") if total else "no difference")
    return escaped_lines(lines)


def verification_json(verification: Verification) -> dict[str, Any]:
    """The same facts for programs, with more of the differences."""
    total = sum(verification.found.values())
    return {
        "ledger": verification.ledger,
        "host": verification.host,
        "warning": verification.warning or None,
        "exit_code": exit_code(verification),
        "orders": verification.counts.total,
        "requests": verification.requests,
        "outcomes": {state.label: verification.counts[state] for state in State},
        "files": [asdict(file) | {"states": _labels(file.states)} for file in verification.files],
        "server": None if verification.server is None else _server_fields(verification.server),
        "found": {kind.value: verification.found.get(kind, 0) for kind in Kind},
        "differences": [_difference_fields(each) for each in verification.differences],
        "differences_not_listed": total - len(verification.differences),
    }


def seen_words(seen: SeenOrder | None) -> str:
    """An order as the API shows it, in a few words."""
    if seen is None:
        return "absent"
    parts = (
        ("external number", seen.external_id),
        ("status", seen.status),
        ("of", " ".join(filter(None, (seen.marketplace, seen.channel)))),
        ("created", seen.created),
        ("total", f"{seen.total} {seen.currency}".strip()),
        ("stock:", seen.stock),
    )
    return "present" + "".join(f", {name} {value}" for name, value in parts if value)


def _consistent(found: Mapping[Kind, int]) -> str:
    if found.get(Kind.INCONSISTENT) or found.get(Kind.UNCOUNTED):
        return ""
    return ", each order is what its attempts make of it, and each row of the confirmed inputs is accounted for"


def _file_line(file: FileAccount) -> str:
    parts = _states(file.states)
    parts += [
        f"{n:,} {what}"
        for n, what in ((file.unknown, "unknown"), (file.rejected, "rejected"), (file.skipped, "of totals left out"))
        if n
    ]
    return f"{file.path}: {counted(file.data_rows, 'row')}{': ' if parts else ''}{', '.join(parts)}"


def _server_lines(server: ServerAccount) -> list[str]:
    present, absent = sum(server.present.values()), sum(server.absent.values())
    states = _states(server.present)
    lines = [
        f"the server has {present:,} of {counted(present + absent, 'order')}{': ' if states else ''}{', '.join(states)}"
    ]
    if server.never_shown:
        more = ", ..." * (len(server.never_shown) > _ACCOUNTS_SHOWN)
        named = ", ".join(map(str, server.never_shown[:_ACCOUNTS_SHOWN])) + more
        lines.append(
            f"note: the API shows no order of account {named} at all. It may hide archived orders, so this is weak evidence"
        )
    if server.unread or server.stop:
        lines.append(f"{counted(server.unread, 'order')} could not be looked up: {_why_not(server)}")
    if doubts := server.present.get(State.IN_DOUBT, 0) + server.absent.get(State.IN_DOUBT, 0):
        lines.append("in doubt, as the server shows them (`settle` records what you know of them):")
        lines += _listed(doubts, map(_doubt, server.doubts))
    return lines


def _why_not(server: ServerAccount) -> str:
    """Why not all orders could be looked up."""
    if server.stop is None:
        return "the server sent pages that contradict themselves"
    return server.stop.detail or server.stop.reason.value


def _doubt(looked: Looked) -> str:
    return f"{looked.account_id}:{looked.order_id} {seen_words(looked.seen)}"


def _difference(difference: Difference) -> str:
    account = f"{difference.account_id}:" if difference.account_id else ""
    parts = [f"{account}{difference.order_id}"] if difference.order_id else []
    if difference.origin is not None:
        parts.append(f"({difference.origin})" if parts else str(difference.origin))
    if difference.state is not None:
        parts.append(difference.state.label)
    if difference.detail:
        parts.append(difference.detail)
    if difference.seen is not None:
        parts.append(f"({seen_words(difference.seen)})")
    return " ".join(parts)


def _listed(total: int, lines: Iterable[str]) -> list[str]:
    """The first lines, and how many more there are."""
    shown = [f"  {line}" for line, _ in zip(lines, range(_SHOWN), strict=False)]
    return shown + ([f"  ... and {total - len(shown):,} more"] if total > len(shown) else [])


def _states(states: Mapping[State, int]) -> list[str]:
    return [f"{n:,} {state.label}" for state, n in sorted(states.items()) if n]


def _labels(states: Mapping[State, int]) -> dict[str, int]:
    return {state.label: n for state, n in sorted(states.items()) if n}


def _server_fields(server: ServerAccount) -> dict[str, Any]:
    return {
        "present": _labels(server.present),
        "absent": _labels(server.absent),
        "not_looked_up": server.unread,
        "why_not": _why_not(server) if server.unread or server.stop else "",
        "accounts_never_shown": list(server.never_shown),
        "in_doubt": [asdict(looked) for looked in server.doubts],
    }


def _difference_fields(difference: Difference) -> dict[str, Any]:
    origin = difference.origin
    return {
        "kind": difference.kind.value,
        "account_id": difference.account_id or None,
        "order_id": difference.order_id or None,
        "outcome": None if difference.state is None else difference.state.label,
        "detail": difference.detail,
        "file": None if origin is None else origin.file,
        "line": None if origin is None else origin.line,
        "seen": None if difference.seen is None else asdict(difference.seen),
    }
