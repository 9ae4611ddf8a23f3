"""How long a run takes: what a ledger and the settings say of the pace of each key, as values and as text. The estimate itself is
core/estimate.py."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from bulkdelete.core.bucket import PacingOptions
from bulkdelete.core.estimate import Bucket, Pace, Work, pace_of, runs_needed, seconds_left, settling_s
from bulkdelete.ledger import AccountPlan, LedgerReader, Plan, Traffic
from bulkdelete.model import KeyAccounts, Learned
from bulkdelete.settings import Settings, recorded_keys
from bulkdelete.words import counted, duration, key_name, number, span

__all__ = [
    "LONG_ENOUGH_S",
    "PACE_WINDOW_MS",
    "KnownPace",
    "known_pace",
    "known_paces",
    "measured",
    "pace_in_ledger",
    "spent_s",
    "time_json",
    "time_text",
    "work_of",
]

PACE_WINDOW_MS = 60_000  # of the attempts that a pace is measured by
LONG_ENOUGH_S = 50.0  # a shorter measurement may consist of a burst alone
_KEYS_SHOWN = 5  # of several, those that take the longest
_SHOWN_PER_MIN = (30, 60, 300)  # where nothing is known of the limit


@dataclass(frozen=True, slots=True)
class KnownPace:
    """What a key may expect: its pace, or several where its limit is not known. `source`: where that comes from, in words; `accounts`:
    those of the key; None: all."""

    paces: tuple[Pace, ...]
    source: str
    accounts: frozenset[int] | None = None


def known_pace(reader: LedgerReader | None, settings: Settings, now_ms: int) -> KnownPace:
    """The limit that the ledger learned, or the user's if that is lower; without a learned limit the user's, else what was measured, else
    a guess. `reader` None: there is no ledger yet."""
    learned = None if reader is None else reader.learned()
    return _expected(reader, settings, now_ms, None, () if learned is None else (learned,))


def known_paces(
    reader: LedgerReader | None, settings: Settings, now_ms: int, keys: Sequence[KeyAccounts]
) -> tuple[KnownPace, ...]:
    """The same for each of several keys. A key that was not read is the one that the last run had for these accounts; if it had none, any
    limit that was learned last may be that of the key. What was measured is the pace of all keys together, so it is not used."""
    limits = {} if reader is None else reader.limits()
    last = None if reader is None else reader.last_run()
    known = {key.accounts: key.fingerprint for key in recorded_keys(last.options)} if last is not None else {}

    def learned(key: KeyAccounts) -> tuple[Learned, ...]:
        fingerprint = key.fingerprint or known.get(key.accounts)
        if fingerprint is None:
            return tuple(limits.values())[: len(keys)]
        return (limits[fingerprint],) if fingerprint in limits else ()

    return tuple(_expected(reader, settings, now_ms, key.accounts, learned(key)) for key in keys)


def _expected(
    reader: LedgerReader | None,
    settings: Settings,
    now_ms: int,
    accounts: frozenset[int] | None,
    learned: Sequence[Learned],
) -> KnownPace:
    """`learned`: the limits that may be that of the key."""
    rate_max_per_s, options = settings.rate_max_per_s, PacingOptions(settings.rate_max_per_s, settings.reserve)
    if reader is not None and learned:
        lower = rate_max_per_s is not None and all(rate_max_per_s < each.rate_per_s for each in learned)
        source = "as given, less than the limit" if lower else "as this ledger learned"
        spent = spent_s(reader, settings, now_ms, accounts)
        paces = {_per_min(pace): pace for each in learned for pace in _known(pace_of(each, options, spent))}
        return KnownPace(tuple(paces.values()), source, accounts)
    if rate_max_per_s is not None:
        return KnownPace(_known(pace_of(None, options)), "as given", accounts)
    last = None if reader is None or accounts is not None else measured(reader.traffic(PACE_WINDOW_MS))
    if last is not None:
        return KnownPace((last,), "as this ledger last saw")
    guesses = tuple(_known(pace_of(Learned(per_min / 60, per_min), options))[0] for per_min in _SHOWN_PER_MIN)
    return KnownPace(guesses, "the limit is not known yet", accounts)


def _known(pace: Pace | None) -> tuple[Pace, ...]:
    return () if pace is None else (pace,)


def spent_s(
    reader: LedgerReader, settings: Settings, now_ms: int, accounts: frozenset[int] | None = None
) -> list[float]:
    """How many seconds ago the requests of these accounts (None: of all) left that may still count at the server."""
    recent = reader.recent(accounts, now_ms - round(settings.recent_s * 1000), settings.recent_requests)
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


def work_of(plan: Plan, settings: Settings, accounts: frozenset[int] | None = None) -> Work:
    """What a run of this plan has to do with the orders of these accounts (None: all). Doubts of an earlier run are waited for from its
    start on."""
    to_do, wait_s = plan.of(accounts), settling_s(settings.settling_delay_s, settings.backoff_s)
    doubts = to_do.to_resend + to_do.to_look_up
    return Work(to_do.to_send - to_do.to_resend, doubts=doubts, settles_s=wait_s if doubts else 0.0, settling_s=wait_s)


@dataclass(frozen=True, slots=True)
class _KeyTime:
    """How long one key takes: seconds by requests per minute, and runs, of which there are none without a limit of time."""

    key: KnownPace
    to_do: AccountPlan
    seconds: dict[str, float]
    runs: dict[str, int]


def time_text(plan: Plan, settings: Settings, keys: Sequence[KnownPace]) -> str:
    """How long it takes at each pace and, with a limit of time, how many runs it needs. With several keys that have orders: how long the
    slowest of them takes, and each of them by itself."""
    times = _times(plan, settings, keys)
    if len(times) == 1:
        return _key_text(times[0]) + _runs_text(times[0].runs.values(), settings.max_time_s)
    at_best, at_worst = (max(which(time.seconds.values()) for time in times) for which in (min, max))
    runs = [
        max(which(time.runs.values()) for time in times) for which in (min, max) if all(time.runs for time in times)
    ]
    between = " to ".join(dict.fromkeys((duration(at_best), duration(at_worst))))
    lines = [f"about {between}, that of the slowest key{_runs_text(runs, settings.max_time_s)}"]
    slowest_first = sorted(times, key=lambda time: -max(time.seconds.values()))
    lines += [
        f"  {key_name(time.key.accounts or ())}: {counted(time.to_do.orders, 'order')}, {_key_text(time)}"
        for time in slowest_first[:_KEYS_SHOWN]
    ]
    if len(times) > _KEYS_SHOWN:
        lines.append(f"  ... and {counted(len(times) - _KEYS_SHOWN, 'faster key')}")
    return "\n".join(lines)


def time_json(plan: Plan, settings: Settings, keys: Sequence[KnownPace]) -> dict[str, object]:
    """The same for programs: seconds, and runs, by requests per minute. `keys`: each of several that have orders."""
    times = _times(plan, settings, keys)
    return {
        "seconds": _slowest(_rounded(time.seconds) for time in times),
        "runs": _slowest(time.runs for time in times),
        "rate": ", ".join(dict.fromkeys(time.key.source for time in times)),
        "keys": [_key_fields(time) for time in times if len(times) > 1],
    }


def _times(plan: Plan, settings: Settings, keys: Sequence[KnownPace]) -> list[_KeyTime]:
    """Those of the keys that have anything to do; if none has, of one of them."""
    return [_key_time(plan, settings, key) for key in [each for each in keys if plan.of(each.accounts)] or keys[:1]]


def _key_time(plan: Plan, settings: Settings, key: KnownPace) -> _KeyTime:
    work, to_do, paces = work_of(plan, settings, key.accounts), plan.of(key.accounts), key.paces
    runs = {}
    if settings.max_time_s is not None and to_do:
        runs = {_per_min(pace): runs_needed(work, settings.max_time_s, pace) for pace in paces}
    return _KeyTime(key, to_do, {_per_min(pace): seconds_left(work, pace) for pace in paces}, runs)


def _key_text(time: _KeyTime) -> str:
    times = (f"{duration(seconds)} at {per_min} per minute" for per_min, seconds in time.seconds.items())
    return f"about {', '.join(times)} ({time.key.source})"


def _runs_text(runs: Iterable[int], longest_s: float | None) -> str:
    numbers = list(dict.fromkeys(runs))
    if not numbers or longest_s is None:
        return ""
    each = "" if numbers == [1] else " each"
    return f": {' or '.join(counted(n, 'run') for n in numbers)} of at most {span(longest_s)}{each}"


def _key_fields(time: _KeyTime) -> dict[str, object]:
    return {
        "accounts": sorted(time.key.accounts or ()),
        "to_send": time.to_do.to_send,
        "to_look_up": time.to_do.to_look_up,
        "seconds": _rounded(time.seconds),
        "runs": time.runs,
    }


def _rounded(seconds: Mapping[str, float]) -> dict[str, int]:
    return {per_min: round(at_it) for per_min, at_it in seconds.items()}


def _slowest(keys: Iterable[Mapping[str, int]]) -> dict[str, int]:
    """The greatest number of each pace."""
    slowest: dict[str, int] = {}
    for per_min, n in ((per_min, n) for key in keys for per_min, n in key.items()):
        slowest[per_min] = max(n, slowest.get(per_min, 0))
    return slowest


def _per_min(pace: Pace) -> str:
    return number(float(f"{60 * pace.rate_per_s:.4g}"))
