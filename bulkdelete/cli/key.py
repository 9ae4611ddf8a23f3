"""Where the API keys of a command come from: an option, the environment, a profile, or a person who is asked. From then on they are
hidden."""

from __future__ import annotations

import os
import sys
from contextlib import suppress

import click

from bulkdelete.api.keys import (
    ApiKey,
    Credential,
    credentials_of,
    key_from_command,
    key_from_file,
    key_from_variable,
    read_key,
    seal_process,
    source_in,
)
from bulkdelete.cli.access import Access, KeyEntry, KeyPlace
from bulkdelete.cli.secrecy import know
from bulkdelete.cli.streams import drain_stderr
from bulkdelete.errors import UsageError

__all__ = ["Keys", "asked_key", "check_one_source", "given_keys", "hide_key", "is_terminal", "sources_of"]

Keys = ApiKey | tuple[Credential, ...]
"""One key for all accounts, or several with the accounts of each."""


def is_terminal() -> bool:
    """Whether a person can be asked."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def given_keys(access: Access) -> Keys | None:
    """The keys of the profile, else the key from the first source that exists; None: there is none, and a person can be asked. Raises
    UsageError."""
    seal_process()
    if access.profile is not None and access.profile.keys:
        check_one_source(access)
        return credentials_of([Credential(_known(_read(each)), each.accounts) for each in access.profile.keys])
    file = access.api_key_file
    if file is None and is_terminal() and not source_in(os.environ):
        return None
    return _known(read_key(file, os.environ, sys.stdin.readline, None))


def asked_key() -> ApiKey:
    """The key that a person types. Raises UsageError, click.Abort."""
    drain_stderr()  # the prompt is written to the terminal itself, and what was said before it is read first
    return _known(read_key(None, {}, str, lambda: str(click.prompt("API key", hide_input=True, err=True))))


def hide_key() -> None:
    """Hide the key that the environment names, in a command that needs none: what a person writes may contain it."""
    with suppress(UsageError):  # there is none, or nobody can use it
        _known(read_key(None, os.environ, str, None))


def check_one_source(access: Access) -> None:
    """Raises UsageError if the profile has keys, and an option or the environment names another one."""
    profile = access.profile
    other = "--api-key-file" if access.api_key_file is not None else source_in(os.environ)
    if profile is not None and profile.keys and other:
        remedy = "Leave that out" if access.api_key_file is not None else f"Unset {other}"
        raise UsageError(
            f"profile {profile.name} of {profile.config} has keys, and {other} names one, too. {remedy}, or use no profile with keys"
        )


def sources_of(keys: Keys) -> str:
    """Where the keys are from, for people."""
    return keys.source if isinstance(keys, ApiKey) else ", ".join(each.key.source for each in keys)


def _read(entry: KeyEntry) -> ApiKey:
    source = f"`{entry.place}` of {entry.where}"
    match entry.place:
        case KeyPlace.FILE:
            return key_from_file(entry.path, entry.base, source, os.environ)
        case KeyPlace.VARIABLE:
            return key_from_variable(entry.words[0], source, os.environ)
        case KeyPlace.COMMAND:
            return key_from_command(entry.words, source)


def _known(key: ApiKey) -> ApiKey:
    know(key.reveal())
    return key
