"""A backup: how long it may take before it begins, and what is in the file when it has ended."""

from __future__ import annotations

from pathlib import Path

from bulkdelete.core.backup import BackupResult, requests_between
from bulkdelete.events import BackupBegins
from bulkdelete.words import counted, duration, escaped, escaped_lines, number, plural

__all__ = ["backup_begins_text", "backup_text"]


def backup_begins_text(begins: BackupBegins, path: Path) -> str:
    """How many orders are looked up, and how long that takes, as far as it is known."""
    few, many = requests_between(begins.missing)
    held = begins.orders - begins.missing
    known = f" ({held:,} of {begins.orders:,} are in it)" if held else ""
    rate = begins.rate_per_s
    time = (
        "the rate limit for reading is not known yet"
        if rate is None
        else f"{duration(few / rate)} to {duration(many / rate)} at {number(round(60 * rate, 1))} per minute"
    )
    looked_up = f"{counted(begins.missing, 'order')} to look up{known} with {few:,} to {counted(many, 'request')}"
    return escaped(f"backup {path}: {looked_up}; {time}")


def backup_text(result: BackupResult) -> str:
    """What the file has, and what becomes of the orders that it does not have."""
    lines = [f"backup {result.path}: {result.orders - result.lacking:,} of {counted(result.orders, 'order')} are in it"]
    if result.lacking:
        lacking = counted(result.lacking, "order", ("is", "are"))
        they = plural(result.lacking, "it is not sent and stays as it is", "they are not sent and stay as they are")
        lines.append(f"{lacking} not backed up, so {they}{_absent(result.absent)}")
    if result.problem:
        lines.append(f"note: not everything could be read ({result.problem}). The same command continues the backup")
    return escaped_lines(lines)


def _absent(orders: int) -> str:
    """What to do about orders that do not exist: with a backup they would be left out by every run."""
    if not orders:
        return ""
    do, them = plural(orders, "does", "do"), plural(orders, "it", "them")
    return f"; {orders:,} of them {do} not exist, and a run without a backup settles {them}"
