"""What an answer's headers say of the rate limit. Malformed is ignored: a header never stops a run."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from bulkdelete.model import Quota

__all__ = ["quota_of"]

_NUMBER = re.compile(r"\d{1,9}(?:\.\d{1,9})?", re.ASCII)


def quota_of(headers: Mapping[str, str]) -> Quota:
    """The quota in these headers. `headers` finds names in any case.

    `x-ratelimit-*` as the API documents them (limit per minute, remaining, seconds to full, seconds to wait or -1);
    `Retry-After` (RFC 9110 10.2.3: seconds, or a date taken against the answer's own `Date`) outranks the last.
    """
    retry_after = _retry_after_s(headers.get("Retry-After"), headers.get("Date"))
    if retry_after is None:
        retry_after = _number(headers.get("x-ratelimit-retryafter"))
    limit = _number(headers.get("x-ratelimit-limit"))
    remaining = _number(headers.get("x-ratelimit-remaining"))
    return Quota(
        limit=int(limit) if limit is not None and limit >= 1 else None,
        remaining=int(remaining) if remaining is not None else None,
        reset_s=_number(headers.get("x-ratelimit-reset")),
        retry_after_s=retry_after,
    )


def _number(text: str | None) -> float | None:
    """A number >= 0; None for -1 ("not limited") and for anything that is no number."""
    digits = (text or "").strip(" \t")  # what HTTP calls white space; str.strip() takes away more than float() does
    return float(digits) if _NUMBER.fullmatch(digits) else None


def _retry_after_s(text: str | None, date: str | None) -> float | None:
    if text is None:
        return None
    seconds = _number(text)
    if seconds is not None:
        return seconds
    until, now = _date(text), _date(date)
    return max(0.0, (until - now).total_seconds()) if until and now else None


def _date(text: str | None) -> datetime | None:
    try:
        when = parsedate_to_datetime(text or "")
    except (ValueError, OverflowError):
        return None
    return when if when.tzinfo else when.replace(tzinfo=UTC)
