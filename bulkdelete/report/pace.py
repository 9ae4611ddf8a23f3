"""How long a run takes: what a ledger and the settings say of its pace, as values and as text. The estimate itself is core/estimate.py."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from bulkdelete.core.bucket import PacingOptions
from bulkdelete.core.estimate import Bucket, Pace, Work, pace_of, runs_needed, seconds_left, settling_s
from bulkdelete.ledger import LedgerReader, Plan, Traffic
from bulkdelete.model import Learned
from bulkdelete.settings import Settings
from bulkdelete.words import counted, duration, number, span

__all__ = [
    "LONG_ENOUGH_S",
    "PACE_WINDOW_MS",
    "KnownPace",
    "known_pace",
    "measured",
    "pace_in_ledger",
    "spent_s",
    "time_json",
    "time_text",
    "work_of",
]

PACE_WINDOW_MS = 60_000  # of the attempts that a pace is measured by
LONG_ENOUGH_S = 50.0  # a shorter measurement may consist of a burst alone
_SHOWN_PER_MIN = (30, 60, 300)  # where nothing is known of the limit


@dataclass(frozen=True, slots=True)
class KnownPace:
    """What a run may expect: its pace, or several where the limit is not known. `source`: where that comes from, in words."""

    paces: tuple[Pace, ...]
    source: str


def known_pace(reader: LedgerReader | None, settings: Settings, now_ms: int) -> KnownPace:
    """The limit that the ledger learned, or the user's if that is lower; without a learned limit the user's, else what was measured, else
    a guess. `reader` None: there is no ledger yet."""
    learned = None if reader is None else reader.learned()
    options = PacingOptions(settings.rate_max_per_s, settings.reserve)
    if reader is not None and learned is not None:
        lower = settings.rate_max_per_s is not None and settings.rate_max_per_s < learned.rate_per_s
        source = "as given, less than the limit" if lower else "as this ledger learned"
        return KnownPace(_known(pace_of(learned, options, spent_s(reader, settings, now_ms))), source)
    if settings.rate_max_per_s is not None:
        return KnownPace(_known(pace_of(None, options)), "as given")
    last = None if reader is None else measured(reader.traffic(PACE_WINDOW_MS))
    if last is not None:
        return KnownPace((last,), "as this ledger last saw")
    guesses = tuple(_known(pace_of(Learned(per_min / 60, per_min), options))[0] for per_min in _SHOWN_PER_MIN)
    return KnownPace(guesses, "the limit is not known yet")


def _known(pace: Pace | None) -> tuple[Pace, ...]:
    return () if pace is None else (pace,)


def spent_s(reader: LedgerReader, settings: Settings, now_ms: int) -> list[float]:
    """How many seconds ago the requests left that may still count at the server."""
    recent = reader.recent(None, now_ms - round(settings.recent_s * 1000), settings.recent_requests)
    return [max(0, now_ms - intended_ms) / 1000 for intended_ms in recent]


def measured(traffic: Traffic) -> Pace | None:
    """The pace of the last minute of attempts; None if they cover less than that."""
    per_min, seconds = pace_in_ledger(traffic)
    return Pace((Bucket(per_min / 60, 1.0, 0.0),)) if seconds >= LONG_ENOUGH_S and per_min >= 1 else None


def pace_in_ledger(traffic: Traffic) -> tuple[float, float]:
    """Orders settled per minute, and over how many seconds that was measured."""
    n, first_ms, last_ms = traffic.settled, traffic.first_ms, traffic.last_ms
    if first_ms is None or last_ms is None or n < 2:
        return float(n), 0.0
    took_s = (last_ms - first_ms) / 1000
    return (60 * (n - 1) / took_s if took_s else float(n)), took_s


def work_of(plan: Plan, settings: Settings) -> Work:
    """What a run of this plan has to do. Doubts of an earlier run are waited for from its start on."""
    wait_s = settling_s(settings.settling_delay_s, settings.backoff_s)
    doubts = plan.to_resend + plan.to_look_up
    return Work(plan.to_send - plan.to_resend, doubts=doubts, settles_s=wait_s if doubts else 0.0, settling_s=wait_s)


def time_text(plan: Plan, settings: Settings, known: KnownPace) -> str:
    """How long it takes at each pace and, with a limit of time, how many runs it needs."""
    times = (f"{duration(seconds)} at {_per_min(pace)} per minute" for pace, seconds in _seconds(plan, settings, known))
    text = f"about {', '.join(times)} ({known.source})"
    if settings.max_time_s is not None and any(runs := _runs(plan, settings, known).values()):
        needed = " or ".join(counted(n, "run") for n in dict.fromkeys(runs))
        text += f": {needed} of at most {span(settings.max_time_s)} each"
    return text


def time_json(plan: Plan, settings: Settings, known: KnownPace) -> dict[str, object]:
    """The same for programs: seconds, and runs, by requests per minute."""
    return {
        "seconds": {_per_min(pace): round(seconds) for pace, seconds in _seconds(plan, settings, known)},
        "runs": _runs(plan, settings, known),
        "rate": known.source,
    }


def _seconds(plan: Plan, settings: Settings, known: KnownPace) -> Iterable[tuple[Pace, float]]:
    work = work_of(plan, settings)
    return ((pace, seconds_left(work, pace)) for pace in known.paces)


def _runs(plan: Plan, settings: Settings, known: KnownPace) -> dict[str, int]:
    """How many runs are needed; empty without a limit of time, or if there is nothing to do."""
    if settings.max_time_s is None or not (plan.to_send or plan.to_look_up):
        return {}
    return {_per_min(pace): runs_needed(work_of(plan, settings), settings.max_time_s, pace) for pace in known.paces}


def _per_min(pace: Pace) -> str:
    return number(float(f"{60 * pace.rate_per_s:.4g}"))
