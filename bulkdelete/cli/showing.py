"""What `profile` shows: each value that a profile may give, where it comes from, and the places of the keys. It reads no key."""

from __future__ import annotations

import os

from bulkdelete.api.keys import path_shown, program_shown, source_in, variable_shown
from bulkdelete.cli.access import KeyEntry, KeyPlace, Profile
from bulkdelete.cli.configuration import IN_PROFILE
from bulkdelete.cli.option import DEFAULTS, Option
from bulkdelete.cli.parameters import RATE
from bulkdelete.words import counted, escaped, plural

__all__ = ["profile_text"]

_UNSET = {
    "ledger": "beside the input",
    "rate_max_per_s": "what the rate limit allows",
}
"""What holds where neither the profile nor the default gives a value."""


def profile_text(profile: Profile) -> str:
    """One line for each value and each key."""
    table = [(key, *_value(profile, option)) for key, option in IN_PROFILE.items()]
    widths = [max(len(row[n]) for row in table) for n in (0, 1)]
    lines = [f"  {key:{widths[0]}}  {value:{widths[1]}}  {source}" for key, value, source in table]
    return "\n".join([escaped(f"profile {profile.name} of {profile.config}"), *lines, *_keys(profile)])


def _value(profile: Profile, option: Option) -> tuple[str, str]:
    """A value in the form of the command line, and its source."""
    given = option.name in profile.settings
    value = profile.settings[option.name] if given else DEFAULTS[option.name]
    unit = "/min" if option.type is RATE else ""
    shown = _UNSET.get(option.name, "none") if value is None else f"{option.words(value)[-1]}{unit}"
    return escaped(shown), "profile" if given else "default"


def _keys(profile: Profile) -> list[str]:
    environment = source_in(os.environ)
    if not profile.keys:
        return [f"  key: {environment}, from the environment" if environment else "  key: --api-key-file, or asked for"]
    lines = [_key(entry) for entry in profile.keys]
    if environment:
        lines.append(
            f"  {environment} of the environment names a key, too: commands with this profile refuse that. Unset it"
        )
    return lines


def _key(entry: KeyEntry) -> str:
    accounts = sorted(entry.accounts)
    named = f"{plural(len(accounts), 'account', 'accounts')} {', '.join(map(str, accounts))}"
    return f"  key of {named}: {entry.place} {_place(entry)}"


def _place(entry: KeyEntry) -> str:
    match entry.place:
        case KeyPlace.FILE:
            return escaped(path_shown(entry.path, entry.base))
        case KeyPlace.VARIABLE:
            return f"{variable_shown(entry.words[0])}, {'set' if entry.words[0] in os.environ else 'not set'}"
        case KeyPlace.COMMAND:
            more = len(entry.words) - 1
            return escaped(program_shown(entry.words[0])) + (f" with {counted(more, 'argument')}" if more else "")
