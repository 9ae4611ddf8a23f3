"""The configuration file: profiles in TOML. It says where keys are sent to, so a file that others can write is refused; and it holds no
key, so a text that may be one is never quoted.

What a profile may set are the options of the table that say so (`in_profile`), in the form that they have on the command line.
"""

from __future__ import annotations

import json
import os
import re
import stat
import tomllib
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import TypeGuard

import click

from bulkdelete.cli.access import KeyEntry, KeyPlace, Profile
from bulkdelete.cli.option import Option
from bulkdelete.cli.options import rows
from bulkdelete.errors import UsageError
from bulkdelete.model import MAX_ID
from bulkdelete.settings import Settings

__all__ = ["IN_PROFILE", "chosen_profile", "read_profile"]

_BYTES_MAX = 1024 * 1024
_KEYS, _PROFILES, _ACCOUNTS = "keys", "profiles", "accounts"
_SECRET = re.compile(r"(?i)(?:api[-_]?)?(?:key|token|secret|password)\Z")
_BARE = re.compile(r"[A-Za-z0-9_-]+")  # a name that TOML takes without quotes
_SETTING = re.compile(r"`settings\.(\w+)`")

IN_PROFILE: dict[str, Option] = {option.key: option for option in rows() if option.in_profile}
"""The options that a profile may set, by their names there."""

_ON_COMMAND_LINE = {option.key: option.long for option in rows()}

_Table = Mapping[str, object]


def chosen_profile(given: Mapping[str, object]) -> Profile | None:
    """The profile that the options of a command name; None if they name none. Raises UsageError."""
    name, config = given.get("profile"), given.get("config")
    if name is None:
        if config is not None:
            raise UsageError("--config names a file of profiles: choose one of them with --profile NAME")
        return None
    return read_profile(str(name), config if isinstance(config, Path) else None)


def read_profile(name: str, config: Path | None = None) -> Profile:
    """The profile of this name in a configuration file, by default that of the user. Raises UsageError if anything in it is wrong."""
    path = config if config is not None else _users_file()
    table = _parsed(path)
    _check_names(table, [_PROFILES], str(path))
    profiles = _table(table.get(_PROFILES, {}), f"{path}: {_PROFILES}", f"[{_PROFILES}.NAME]")
    read = {each: _profile(each, path, config is not None, found) for each, found in profiles.items()}
    if name not in read:
        raise UsageError(f"{path} has no profile {name!r}. {_known(name, read, 'It has')}")
    return read[name]


def _users_file() -> Path:
    """In the user's configuration folder, as the platform has it. A relative $XDG_CONFIG_HOME is ignored, as its specification says."""
    folder = Path(click.get_app_dir("bulkdelete"))
    try:
        return (folder if folder.is_absolute() else Path.home() / ".config" / "bulkdelete") / "config.toml"
    except RuntimeError:  # a container may have neither HOME nor a name for its user
        raise UsageError(
            "it is not known where your configuration folder is, since HOME is not set. Name the file with --config FILE"
        ) from None


def _expanded(path: Path, place: str) -> Path:
    """A path with the home folder in place of its `~`. Raises UsageError, without the path: it may be a key in the wrong place."""
    try:
        return path.expanduser()
    except RuntimeError:  # as above, or there is no such user
        raise UsageError(f"{place}: it is not known which home folder its ~ means. Write the whole path") from None


def _parsed(path: Path) -> _Table:
    try:
        with open(path, "rb", opener=_without_waiting) as file:
            _check_owner(path, os.fstat(file.fileno()))
            raw = file.read(_BYTES_MAX + 1)
    except OSError as error:
        raise UsageError(
            f"the configuration file {path} cannot be read ({error.strerror}). Name another one with --config FILE"
        ) from None
    if len(raw) > _BYTES_MAX:
        raise UsageError(f"{path} has more than {_BYTES_MAX:,} bytes: it is no configuration file. Name another one")
    try:
        return tomllib.loads(raw.decode("utf-8-sig"))
    except UnicodeDecodeError:
        raise UsageError(f"{path} is not UTF-8 text. Save it as UTF-8") from None
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{path} is not TOML: {error}") from None


def _without_waiting(path: str, flags: int) -> int:
    """A pipe is refused, too, although nobody writes to it."""
    return os.open(path, flags | os.O_NONBLOCK)


def _check_owner(path: Path, status: os.stat_result) -> None:
    """Whoever can change the file can have the keys sent elsewhere. Raises UsageError."""
    if not stat.S_ISREG(status.st_mode):
        raise UsageError(f"{path} is not a regular file. Name a file with profiles in it")
    if status.st_uid not in (os.geteuid(), 0):
        raise UsageError(
            f"{path} belongs to another user, who could have your keys sent elsewhere. Copy it to a file of your own"
        )
    folder = path.absolute().parent
    mode = folder.stat().st_mode
    if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH) or (mode & stat.S_IWOTH and not mode & stat.S_ISVTX):
        import shlex

        which = path if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH) else folder
        raise UsageError(
            f"{which} can be written by others, who could have your keys sent elsewhere. Run: chmod go-w {shlex.quote(str(which))}"
        )


def _profile(name: str, path: Path, named: bool, found: object) -> Profile:
    place = f"{path}: {_PROFILES}.{name}"
    header = f"{_PROFILES}.{name if _BARE.fullmatch(name) else json.dumps(name, ensure_ascii=False)}"
    table = _table(found, place, f"[{header}]")
    _check_names(table, [*IN_PROFILE, _KEYS], place)
    given = {
        option.name: _converted(option, table[key], path.absolute().parent, f"{place}.{key}")
        for key, option in IN_PROFILE.items()
        if key in table
    }
    settings = {
        option.name: option.setting(given[option.name]) for option in IN_PROFILE.values() if option.name in given
    }
    keys = _keys(table.get(_KEYS, []), path, place, f"[[{header}.{_KEYS}]]")
    if "api_url" in given and not keys:
        raise UsageError(
            f"{place}.api_url: the profile has no keys. A server is named beside the keys that are sent to it: add"
            f" [[{header}.{_KEYS}]], or give --api-url on the command line"
        )
    try:
        Settings(**{"ledger": Path("ledger"), **settings})
    except UsageError as error:
        raise UsageError(f"{place}: {_SETTING.sub(_in_file, str(error))}") from None
    return Profile(name, path, named, given, settings, keys)


def _in_file(found: re.Match[str]) -> str:
    return next((f"`{key}`" for key, option in IN_PROFILE.items() if option.name == found[1]), found[0])


def _converted(option: Option, value: object, folder: Path, place: str) -> object:
    """The value of an option, as the command line would have it. A path begins at the folder of the file."""
    if not _is_text(value):
        raise UsageError(f"{place}: write a text in quotes, without \\u0000, in the form that {option.long} has")
    try:
        converted: object = option.type.convert(value, None, None)
    except click.BadParameter as error:
        raise UsageError(f"{place}: {error.message.replace(repr(value), 'its value')}") from None
    return folder / _expanded(converted, place) if isinstance(converted, Path) else converted


def _keys(found: object, path: Path, place: str, header: str) -> tuple[KeyEntry, ...]:
    if not isinstance(found, list):
        raise UsageError(f"{place}.{_KEYS}: write {header} above the values of each key")
    keys = tuple(
        _key(_table(each, where := f"{place}.{_KEYS}[{n}]", header), path, where) for n, each in enumerate(found, 1)
    )
    entry_of: dict[int, KeyEntry] = {}
    for entry in keys:
        for account in sorted(entry.accounts):
            if (other := entry_of.setdefault(account, entry)) is not entry:
                raise UsageError(f"{entry.where}: account {account} has another key in {other.where}. Give it one")
    return keys


def _key(table: _Table, path: Path, where: str) -> KeyEntry:
    _check_names(table, [_ACCOUNTS, *KeyPlace], where)
    places = [place for place in KeyPlace if place.value in table]
    if len(places) != 1:
        raise UsageError(f"{where}: give exactly one of {', '.join(KeyPlace)}")
    accounts = table.get(_ACCOUNTS)
    if not isinstance(accounts, list) or not accounts or not all(map(_is_account, accounts)):
        raise UsageError(f"{where}.{_ACCOUNTS}: write the accounts of this key, such as {_ACCOUNTS} = [71, 72]")
    (place,) = places
    value = table[place.value]
    words = value if place is KeyPlace.COMMAND else [value]
    if not isinstance(words, list) or not words or not all(map(_is_text, words)):
        form = (
            'a list of texts, such as ["pass", "show", "alephee"]' if place is KeyPlace.COMMAND else "a text in quotes"
        )
        raise UsageError(f"{where}.{place}: write {form}, without \\u0000")
    folder = path.absolute().parent
    first = words[0]
    if place is KeyPlace.FILE:
        first = str(_expanded(Path(first), f"{where}.{place}"))
    elif place is KeyPlace.COMMAND and os.sep in first:  # without one it is looked for on PATH
        first = str(folder / _expanded(Path(first), f"{where}.{place}"))
    return KeyEntry(frozenset(accounts), place, (first, *words[1:]), where, folder)


def _is_text(value: object) -> TypeGuard[str]:
    r"""Whether a value is a text for a path, a word or an option: TOML has "\u0000", and no system call takes it."""
    return isinstance(value, str) and "\0" not in value and bool(value.strip())


def _is_account(value: object) -> bool:
    return type(value) is int and 0 < value <= MAX_ID


def _table(found: object, place: str, header: str) -> _Table:
    if not isinstance(found, dict):
        raise UsageError(f"{place} is no table. Write {header} above its values")
    return found


def _check_names(table: _Table, known: Iterable[str], place: str) -> None:
    """Refuse a name that means nothing. Its value is never quoted."""
    for name in table:
        if name in known:
            continue
        if _SECRET.match(name) and not isinstance(table[name], dict | list):
            raise UsageError(
                f"{place}: `{name}` looks like an API key itself, and none belongs into this file. Put the key into a file that only you"
                f' can read, and write {KeyPlace.FILE} = "PATH" in [[profiles.NAME.keys]]; or use {KeyPlace.VARIABLE} or {KeyPlace.COMMAND}'
            )
        if name in set(KeyPlace) and _KEYS in known:
            raise UsageError(
                f"{place}: `{name}` is the place of one key. Write it in [[{_PROFILES}.NAME.{_KEYS}]], beside the `{_ACCOUNTS}` of that key"
            )
        if name in _ON_COMMAND_LINE and _KEYS in known:
            raise UsageError(
                f"{place}: `{name}` counts on the command line only. Remove it here, and give {_ON_COMMAND_LINE[name]} there"
            )
        raise UsageError(f"{place}: `{name}` has no meaning here. {_known(name, known, 'Known are')}")


def _known(name: str, known: Iterable[str], otherwise: str) -> str:
    """The nearest of the known names, else all of them."""
    names = list(known)
    nearest = get_close_matches(name, names, n=1)
    return f"Did you mean `{nearest[0]}`?" if nearest else f"{otherwise}: {', '.join(names) or 'nothing'}"
