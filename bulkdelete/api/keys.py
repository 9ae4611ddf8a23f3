"""Read API keys and keep them from being seen. A key is never a command-line argument and never printed.

This module never logs, and it reads only the sources that its functions name.
"""

from __future__ import annotations

import base64
import codecs
import errno
import hashlib
import json
import os
import re
import select
import shlex
import shutil
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast
from urllib.parse import quote, quote_plus

from bulkdelete.errors import UsageError

__all__ = [
    "ApiKey",
    "Credential",
    "Secret",
    "check_accounts",
    "credentials_of",
    "key_from_command",
    "key_from_file",
    "key_from_variable",
    "path_shown",
    "program_shown",
    "read_key",
    "seal_process",
    "source_in",
    "variable_shown",
]

_LONGEST = 4096  # characters; a longer "key" is a wrong file
_LONGEST_BYTES = 4 * (_LONGEST + 2)  # read from a file: that many characters in UTF-8, and some more
_CREDENTIAL = "bulkdelete-api-key"  # its name under systemd's $CREDENTIALS_DIRECTORY
_VARIABLE = re.compile(r"[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+")  # a name that is hardly a key
_COMMAND_S = 30.0  # for a command that prints a key: a person may have to unlock a password manager
_NO_COMMAND = "Write the command as a list of words: first a program on PATH, or the path of a file that can be run"
_LOOK_S = 0.05  # between two looks whether it has ended
_NOT_SHOWN = "(not shown: this may be the key itself)"
_CREDENTIALS_MODE = stat.S_IRGRP  # systemd 254 and later creates them with mode 0440 and an ACL for the user

_QUOTES = "\"'`“”‘’«»"

# Text that is not a key, whatever the API's keys look like. Base64 padding (`abc==`) is no assignment, a name has only letters, digits
# and _ . -, and an unfilled variable is in capitals: a key may contain these characters in other ways.
_ASSIGNED = r"(?ai:(?:(?:export|set|setx|env)\s+|\$env:|\$)?[a-z_][\w.-]*\s*(?:=\s*(?!=*\Z)|:\s+\S))"
_UNFILLED = (
    r"(?:\$\{.*\}|\$\(.*\)|\$[A-Z_][A-Z0-9_]*|%[A-Z_][A-Z0-9_]*%|\{\{.*\}\}|<[^<>]*>|[*•]{3,}"
    r"|(?i:null|none|nil|undefined|true|false|change[-_ ]?me|your[-_ ](?:api[-_ ])?key(?:[-_ ]here)?))\Z"
)


def _like(pattern: str) -> Callable[[str], object]:
    return re.compile(pattern, re.DOTALL).match


_Rules = tuple[tuple[Callable[[str], object], str], ...]
"""The first rule that matches gives what the text is instead of a key, and how to fix it."""

_NOT_A_KEY: _Rules = (
    (_like(r"#(?:\s|.*\n)"), "begins with a comment. Leave only the line of the key"),
    (_like(_UNFILLED), "is a placeholder that nobody filled in. Put the key itself there"),
    (_like(_ASSIGNED), "is written as NAME=value. Leave only the value there, without quotes"),
    (_like(rf"[{_QUOTES}]|.*[{_QUOTES}]\Z"), "is in quotes. Take the quotes away"),
    (
        _like(r"(?i:bearer|basic|token|api[-_ ]?key)\s"),
        "begins with a word such as Bearer. Leave only what follows it",
    ),
    (_like(r"(?i:[a-z][a-z0-9+.-]*://|\S*[?&]api_?key=)"), "is a URL. Put the key itself there, without percent codes"),
    (_like(r"(?i:<[a-z!?/])"), "is HTML or XML: the page of a login, or of an error? Put the key itself there"),
    (_like(r"[\[{]\s*[\[{\]}\"']"), "is JSON. Leave only the value of the key, without quotes"),
    (_like(r"-{5}BEGIN "), "is a certificate or another kind of key (PEM). Put the API's key there"),
)
_INVALID: _Rules = (
    (_like(r"\Z"), "is empty. Put the key there, alone on one line"),
    (_like(r".*[\r\n]"), "has several lines. Leave only the line of the key"),
    (_like(r".*\s"), "has a blank in it. Leave only the key"),
    (lambda key: not key.isprintable(), "has control or invisible characters in it. Copy the key again, as plain text"),
    (lambda key: len(key) > _LONGEST, f"is too long: more than {_LONGEST} characters. Name the right file"),
)

_UTF16 = (b"\xff\xfe", b"\xfe\xff")


class Secret:
    """A text that only `reveal` returns."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        return self._value

    def encoded_forms(self) -> tuple[str, ...]:
        """The text in every encoding in which a server could repeat it, the longest first; base64 also within other text."""
        plain = self._value
        forms = {plain, quote(plain, safe="").lower(), quote_plus(plain)}
        forms |= {quote(plain, safe=safe) for safe in ("", "/", "!$'()*,;:@/?=-._~+")}
        for raw in {plain.encode(), plain.encode("latin-1", "replace")}:  # the second is that of Basic authentication
            for encode in (base64.b64encode, base64.urlsafe_b64encode):
                text = encode(raw).decode()
                forms |= {text, text.rstrip("=")}
                forms |= {
                    inner
                    for n in range(3)
                    if len(inner := _own_characters(encode(bytes(n) + raw).decode(), n, len(raw))) >= len(plain)
                }
            forms |= {raw.hex()}
        forms |= {json.dumps(plain)[1:-1], json.dumps(plain, ensure_ascii=False)[1:-1]}
        forms |= {plain.encode("unicode_escape").decode(), plain.encode("utf-8").decode("latin-1")}
        return tuple(sorted(forms, key=len, reverse=True))

    def __repr__(self) -> str:
        return f"{type(self).__name__}(hidden)"

    def __reduce__(self) -> str:
        raise TypeError("a secret must not be pickled")


class ApiKey(Secret):
    """An API key. UsageError if the text cannot be one."""

    __slots__ = ("_fingerprints", "source")

    def __init__(self, value: str, source: str = "the caller") -> None:
        key = value.strip()
        _refuse(_INVALID, key, source)
        super().__init__(key)
        self.source = source
        self._fingerprints: dict[str, str] = {}

    def fingerprint(self, host: str) -> str:
        """Distinguishes the keys of one host without revealing any. The first time for a host it takes 60 ms of CPU on purpose: call it
        off the event loop.

        The plain hash of a short key could be reversed by trying all keys; with scrypt that takes years.
        """
        if host not in self._fingerprints:
            hashed = hashlib.scrypt(self._value.encode(), salt=host.encode(), n=2**14, r=8, p=1, dklen=8)
            self._fingerprints[host] = hashed.hex()
        return self._fingerprints[host]


@dataclass(frozen=True, slots=True)
class Credential:
    """A key and the accounts it serves; None: every account, which only a single key can serve."""

    key: ApiKey
    accounts: frozenset[int] | None = None


def _own_characters(text: str, before: int, n: int) -> str:
    """The characters of a base64 text that depend only on the `n` bytes from offset `before`, whatever surrounds them."""
    return text[-(-8 * before // 6) : 8 * (before + n) // 6]


def credentials_of(keys: ApiKey | Sequence[Credential]) -> tuple[Credential, ...]:
    """The keys of a run, each once. UsageError if an account has two keys, or a key is given twice."""
    credentials = (Credential(keys),) if isinstance(keys, ApiKey) else tuple(keys)
    if not credentials:
        raise UsageError("no API key is given")
    if len(credentials) > 1 and any(credential.accounts is None for credential in credentials):
        raise UsageError("there are several API keys, so name the accounts of each")
    served: set[int] = set()
    for credential in credentials:
        for account in sorted(credential.accounts or ()):
            if account in served:
                raise UsageError(f"account {account} has two API keys. Give it one")
            served.add(account)
    if len({credential.key.reveal() for credential in credentials}) < len(credentials):
        raise UsageError("one API key is given twice. Give it once, with all of its accounts: it has one rate limit")
    return credentials


def check_accounts(served: Iterable[Collection[int] | None], accounts: Iterable[int]) -> None:
    """Raises UsageError if one of these accounts has no key. `served`: the accounts of each key; None: all."""
    of_keys = list(served)
    if None not in of_keys and (without := set(accounts).difference(*filter(None, of_keys))):
        raise UsageError(
            f"account {min(without)} has orders and no API key. Nothing was sent. Add it to the accounts of a key"
        )


def read_key(
    file: str | None, environ: Mapping[str, str], stdin: Callable[[], str], prompt: Callable[[], str] | None
) -> ApiKey:
    """The key from the first source that exists. `prompt` None: nobody can be asked. UsageError if there is no key.

    `settings.api_key_file` (`-` is stdin), BULKDELETE_API_KEY_FILE, BULKDELETE_API_KEY, $CREDENTIALS_DIRECTORY/bulkdelete-api-key, a
    hidden prompt.
    """
    folder = environ.get("CREDENTIALS_DIRECTORY") or None
    if file == "-":
        return _parse_key(stdin(), "stdin")
    if file:
        return _from_file(Path(file), "`settings.api_key_file`", folder)
    if named := environ.get("BULKDELETE_API_KEY_FILE"):
        if named.isspace():
            raise UsageError(
                "BULKDELETE_API_KEY_FILE is blank. Name the file with the key in it, or unset the variable"
            )
        return _from_file(Path(named), "BULKDELETE_API_KEY_FILE", folder)
    if value := environ.get("BULKDELETE_API_KEY"):
        if "/" in value and os.path.lexists(value):
            raise UsageError("BULKDELETE_API_KEY names a file, not the key. Use BULKDELETE_API_KEY_FILE instead")
        return _parse_key(value, "BULKDELETE_API_KEY")
    if folder and os.path.lexists(credential := Path(folder) / _CREDENTIAL):
        return _from_file(credential, "CREDENTIALS_DIRECTORY", folder)
    if prompt is not None:
        return _parse_key(prompt(), "the prompt")
    raise UsageError(
        "no API key: put it into a file that only you can read, and name the file with `settings.api_key_file` or BULKDELETE_API_KEY_FILE"
    )


def source_in(environ: Mapping[str, str]) -> str:
    """What names a key in the environment, so that no prompt is needed; "" if nothing does."""
    for name in ("BULKDELETE_API_KEY_FILE", "BULKDELETE_API_KEY"):
        if environ.get(name):
            return name
    folder = environ.get("CREDENTIALS_DIRECTORY")
    return f"$CREDENTIALS_DIRECTORY/{_CREDENTIAL}" if folder and os.path.lexists(Path(folder) / _CREDENTIAL) else ""


def key_from_file(path: Path, base: Path, source: str, environ: Mapping[str, str]) -> ApiKey:
    """The key in a file that only its user can read; below $CREDENTIALS_DIRECTORY, as systemd shows it. `base`: where a relative path
    begins; `source`: what named the file, for messages. Raises UsageError."""
    return _from_file(path, source, environ.get("CREDENTIALS_DIRECTORY") or None, base)


def key_from_variable(name: str, source: str, environ: Mapping[str, str]) -> ApiKey:
    """The key in a variable of the environment. Raises UsageError."""
    shown = variable_shown(name)
    if (value := environ.get(name)) is None:
        raise UsageError(
            f"{source}: {shown} is not set in the environment. Set it to the key, or name another variable"
        )
    return _parse_key(value, f"{source} {shown}")


def key_from_command(words: Sequence[str], source: str) -> ApiKey:
    """The key that is the first line of a command's output. No shell runs it, its stdin is empty, and it has 30 seconds. Raises
    UsageError; its messages name the program, if there is one, and none of its arguments."""
    shown = program_shown(words[0])
    try:
        raw, code = _output_of(words)
    except TimeoutError:  # an OSError, too
        raise UsageError(
            f"{source}: {shown} has not ended in {_COMMAND_S:g} s. Run it by hand to see what it waits for"
        ) from None
    except OSError as error:
        remedy = "Begin it with a line such as #!/bin/sh" if error.errno == errno.ENOEXEC else _NO_COMMAND
        raise UsageError(f"{source}: {shown} cannot be run ({error.strerror}). {remedy}") from None
    if code:
        raise UsageError(f"{source}: {shown} ended with exit code {code}. Run it by hand to see why")
    try:
        text = raw.splitlines()[0].decode() if raw else ""
    except UnicodeDecodeError:
        raise UsageError(f"{source}: the output of {shown} is not UTF-8 text") from None
    return _parse_key(text, f"{source} {shown}")


def _output_of(words: Sequence[str]) -> tuple[bytes, int]:
    """The first bytes of a command's output, and its exit code. Raises OSError, TimeoutError.

    The command has ended when its process has: an agent that it started and left behind may hold the output open for hours.
    """
    ends_s = time.monotonic() + _COMMAND_S
    raw = b""
    with subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as process:  # noqa: S603  # the user's own
        try:
            out = cast(IO[bytes], process.stdout)  # a pipe
            while (left_s := ends_s - time.monotonic()) > 0:
                has_ended = process.poll() is not None  # looked at first: then all that it wrote can be read now
                if select.select([out], [], [], 0.0 if has_ended else min(left_s, _LOOK_S))[0]:
                    more = os.read(out.fileno(), 65536)
                    raw = (raw + more)[:_LONGEST_BYTES]
                    if not more:
                        return raw, process.wait(max(0.0, ends_s - time.monotonic()))
                elif has_ended:
                    return raw, process.returncode
            raise TimeoutError
        except subprocess.TimeoutExpired:
            raise TimeoutError from None
        finally:
            process.kill()


def _parse_key(text: str, source: str) -> ApiKey:
    """The key, if the text is nothing else. UsageError explains what it is instead, without quoting it: part of it may be a key."""
    _refuse(_NOT_A_KEY, text.strip(), source)
    return ApiKey(text, source)


def _refuse(rules: _Rules, text: str, source: str) -> None:
    if (why := next((why for is_so, why in rules if is_so(text)), None)) is not None:
        raise UsageError(f"the API key from {source} {why}")


def _from_file(path: Path, source: str, credentials: str | None, base: Path = Path()) -> ApiKey:
    """The key in a file, without a byte order mark and the line end."""
    shown, path = f"{source}: {path_shown(path, base)}", base / path
    try:
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
            closed = stat.S_IRWXG | stat.S_IRWXO
            if credentials is not None and _is_inside(path, credentials):
                closed &= ~_CREDENTIALS_MODE
            if stat.S_ISREG(status.st_mode) and status.st_mode & closed:
                raise UsageError(f"{source}: {path} can be read by others. Run: chmod 600 {shlex.quote(str(path))}")
            raw = file.read(_LONGEST_BYTES)
    except IsADirectoryError:
        raise UsageError(f"{shown} is a folder. Name the file with the key in it") from None
    except OSError as error:
        remedy = (
            "Write the whole path: only a shell expands ~"
            if str(path)[:1] == "~"
            else "Check the name, and who may read it"
        )
        raise UsageError(f"{shown} cannot be read ({error.strerror}). {remedy}") from None
    try:
        text = codecs.getincrementaldecoder("utf-8-sig")().decode(raw, final=len(raw) < _LONGEST_BYTES)
    except UnicodeDecodeError:
        what = ", but UTF-16" if raw.startswith(_UTF16) else ""
        raise UsageError(f"{shown} cannot be read (it is not UTF-8 text){what}. Save it as UTF-8") from None
    return _parse_key(text, f"{source} {path}")


def variable_shown(name: str) -> str:
    """The name of a variable, for people, unless it may be the key itself."""
    return name if _VARIABLE.fullmatch(name) else f"a variable {_NOT_SHOWN}"


def program_shown(word: str) -> str:
    """The program of a command, for people, unless it may be the key itself."""
    there = os.path.lexists(word) if os.sep in word else shutil.which(word) is not None
    return word if there else f"the program {_NOT_SHOWN}"


def path_shown(path: Path, base: Path = Path()) -> str:
    """The name of a file, for people, unless it may be the key itself. `base`: where a relative path begins."""
    return str(base / path) if _is_path(path, base) else f"the file {_NOT_SHOWN}"


def _is_path(path: Path, base: Path) -> bool:
    """Whether this is really a path: it exists, or it names a folder that exists. Otherwise it may be a key in the wrong variable."""
    folder = path.parent
    return os.path.lexists(base / path) or (len(folder.parts) > 1 and (base / folder).is_dir())


def _is_inside(path: Path, folder: str) -> bool:
    return Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder))


def seal_process() -> None:
    """Call this before a key is read: it hides this process's environment and memory from other processes of the user, and prevents core
    dumps and a TLS key log.

    `os.environ.pop` leaves a variable in /proc/PID/environ; PR_SET_DUMPABLE 0 makes it unreadable and disables core dumps.
    """
    os.environ.pop("SSLKEYLOGFILE", None)  # aiohttp would write TLS keys to this file
    if sys.platform.startswith("linux"):
        import ctypes

        pr_set_dumpable = 4
        ctypes.CDLL(None, use_errno=True).prctl(pr_set_dumpable, 0, 0, 0, 0)
    import resource

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
