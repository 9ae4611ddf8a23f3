"""Where an API key comes from, and how it is kept from being seen. A key is never an argument and never printed.

It never logs, and it reads nothing but the sources named in `read_key`.
"""

from __future__ import annotations

import base64
import codecs
import hashlib
import json
import os
import re
import shlex
import stat
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, quote_plus

from bulkdelete.errors import UsageError

__all__ = ["ApiKey", "Credential", "credentials_of", "has_source", "read_key", "seal_process"]

_LONGEST = 4096  # characters; a longer "key" is a wrong file
_LONGEST_BYTES = 4 * (_LONGEST + 2)  # of a file that is looked at: so many characters in UTF-8, and one too many
_CREDENTIAL = "bulkdelete-api-key"  # its name under systemd's $CREDENTIALS_DIRECTORY
_CREDENTIALS_MODE = stat.S_IRGRP  # systemd 254 and later shows them as 0440, and an ACL says who it is

_QUOTES = "\"'`“”‘’«»"

# What is no key, whatever the API's keys look like. Padding of base64 (`abc==`) is no value, a name is letters, digits and _ . - alone,
# and a variable that nobody filled in is in capitals: a key that has such signs in another way stays a key.
_ASSIGNED = r"(?ai:(?:(?:export|set|setx|env)\s+|\$env:|\$)?[a-z_][\w.-]*\s*(?:=\s*(?!=*\Z)|:\s+\S))"
_UNFILLED = (
    r"(?:\$\{.*\}|\$\(.*\)|\$[A-Z_][A-Z0-9_]*|%[A-Z_][A-Z0-9_]*%|\{\{.*\}\}|<[^<>]*>|[*•]{3,}"
    r"|(?i:null|none|nil|undefined|true|false|change[-_ ]?me|your[-_ ](?:api[-_ ])?key(?:[-_ ]here)?))\Z"
)


def _like(pattern: str) -> Callable[[str], object]:
    return re.compile(pattern, re.DOTALL).match


_Rows = tuple[tuple[Callable[[str], object], str], ...]
"""The first row that holds says what is there instead, and what to do."""

_WRITTEN: _Rows = (
    (_like(r"#(?:\s|.*\n)"), "begins with a comment. Leave only the line of the key"),
    (_like(_UNFILLED), "is a placeholder that nobody filled in. Put the key itself there"),
    (_like(_ASSIGNED), "is written as NAME=value. Leave only the value there, without quotes"),
    (_like(rf"[{_QUOTES}]|.*[{_QUOTES}]\Z"), "is in quotes. Take the quotes away"),
    (
        _like(r"(?i:bearer|basic|token|api[-_ ]?key)\s"),
        "begins with a word such as Bearer. Leave only what is behind it",
    ),
    (_like(r"(?i:[a-z][a-z0-9+.-]*://|\S*[?&]api_?key=)"), "is a URL. Put the key itself there, without percent codes"),
    (_like(r"(?i:<[a-z!?/])"), "is HTML or XML: the page of a login, or of an error? Put the key itself there"),
    (_like(r"[\[{]\s*[\[{\]}\"']"), "is JSON. Leave only the value of the key, without quotes"),
    (_like(r"-{5}BEGIN "), "is a certificate or another kind of key (PEM). Put the API's key there"),
)
_SHAPE: _Rows = (
    (_like(r"\Z"), "is empty. Put the key there, alone on one line"),
    (_like(r".*[\r\n]"), "has several lines. Leave only the line of the key"),
    (_like(r".*\s"), "has a blank in it. Leave only the key"),
    (lambda key: not key.isprintable(), "has control or invisible characters in it. Copy the key anew, as plain text"),
    (lambda key: len(key) > _LONGEST, f"is too long: more than {_LONGEST} characters. Name the right file"),
)

_UTF16 = (b"\xff\xfe", b"\xfe\xff")


class ApiKey:
    """A key that shows itself only to `reveal`. UsageError for what can be none."""

    __slots__ = ("_value", "source")

    def __init__(self, value: str, source: str = "the caller") -> None:
        key = value.strip()
        _refuse(_SHAPE, key, source)
        self._value = key
        self.source = source

    def reveal(self) -> str:
        return self._value

    def fingerprint(self, host: str) -> str:
        """Tells the keys of one host apart, and reveals none. It takes 60 ms of CPU on purpose: call it off the event loop.

        A plain hash of a short key could be found by trying all of them out; with scrypt that takes years.
        """
        return hashlib.scrypt(self._value.encode(), salt=host.encode(), n=2**14, r=8, p=1, dklen=8).hex()

    def disguises(self) -> tuple[str, ...]:
        """The key in every form in which a server could echo it, the longest first. Base64 also with other text before and after it."""
        key = self._value
        forms = {
            key,
            quote(key, safe=""),
            quote(key, safe="").lower(),
            quote_plus(key),
            quote(key, safe="/"),
            quote(key),
        }
        forms |= {quote(key, safe="!$'()*,;:@/?=-._~+")}
        raw = key.encode()
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            text = encode(raw).decode()
            forms |= {text, text.rstrip("=")}
            forms |= {
                inner
                for n in range(3)
                if len(inner := _inner(encode(bytes(n) + raw).decode(), n, len(raw))) >= len(key)
            }
        forms |= {raw.hex()}
        forms |= {json.dumps(key)[1:-1], json.dumps(key, ensure_ascii=False)[1:-1]}
        forms |= {key.encode("unicode_escape").decode(), key.encode("utf-8").decode("latin-1")}
        return tuple(sorted(forms, key=len, reverse=True))

    def __repr__(self) -> str:
        return "ApiKey(hidden)"

    def __reduce__(self) -> str:
        raise TypeError("an API key is not to be pickled")


@dataclass(frozen=True, slots=True)
class Credential:
    """A key and the accounts it serves; None: every account, which only a single key can."""

    key: ApiKey
    accounts: frozenset[int] | None = None


def _inner(text: str, before: int, n: int) -> str:
    """Of a base64 text the characters that tell of these `n` bytes alone, `before` bytes into it: what stands around may be anything."""
    return text[-(-8 * before // 6) : 8 * (before + n) // 6]


def credentials_of(keys: ApiKey | Sequence[Credential]) -> tuple[Credential, ...]:
    """The keys of a run, each once. UsageError if an account's orders could go with two keys, or two keys are one."""
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


def read_key(
    file: str | None, environ: Mapping[str, str], stdin: Callable[[], str], prompt: Callable[[], str] | None
) -> ApiKey:
    """The key from the first source that is there; `prompt` None: nobody can be asked. UsageError if there is none.

    `settings.api_key_file` (`-` is stdin), BULKDELETE_API_KEY_FILE, BULKDELETE_API_KEY, $CREDENTIALS_DIRECTORY/bulkdelete-api-key, a
    hidden prompt.
    """
    folder = environ.get("CREDENTIALS_DIRECTORY") or None
    if file == "-":
        return _bare(stdin(), "stdin")
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
            raise UsageError("BULKDELETE_API_KEY names a file, not the key. Say BULKDELETE_API_KEY_FILE instead")
        return _bare(value, "BULKDELETE_API_KEY")
    if folder and os.path.lexists(credential := Path(folder) / _CREDENTIAL):
        return _from_file(credential, "CREDENTIALS_DIRECTORY", folder)
    if prompt is not None:
        return _bare(prompt(), "the prompt")
    raise UsageError(
        "no API key: put it into a file that only you can read, and name the file with `settings.api_key_file` or BULKDELETE_API_KEY_FILE"
    )


def has_source(environ: Mapping[str, str]) -> bool:
    """Whether the environment names a key, so that nobody need be asked."""
    named = any(environ.get(name) for name in ("BULKDELETE_API_KEY_FILE", "BULKDELETE_API_KEY"))
    folder = environ.get("CREDENTIALS_DIRECTORY")
    return named or bool(folder and os.path.lexists(Path(folder) / _CREDENTIAL))


def _bare(text: str, source: str) -> ApiKey:
    """The key, if nothing but a key is there. UsageError says what else is, and repeats nothing of it: half of it may be a key."""
    _refuse(_WRITTEN, text.strip(), source)
    return ApiKey(text, source)


def _refuse(rows: _Rows, text: str, source: str) -> None:
    if (why := next((why for is_so, why in rows if is_so(text)), None)) is not None:
        raise UsageError(f"the API key from {source} {why}")


def _from_file(path: Path, source: str, credentials: str | None) -> ApiKey:
    """A byte order mark and a line end do not belong to the key."""
    shown = f"{source}: {path}" if _is_a_place(path) else f"{source}: the file (not shown: this may be the key itself)"
    try:
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
            closed = stat.S_IRWXG | stat.S_IRWXO
            if credentials is not None and _lies_in(path, credentials):
                closed &= ~_CREDENTIALS_MODE
            if stat.S_ISREG(status.st_mode) and status.st_mode & closed:
                raise UsageError(f"{source}: {path} can be read by others. Run: chmod 600 {shlex.quote(str(path))}")
            raw = file.read(_LONGEST_BYTES)
    except IsADirectoryError:
        raise UsageError(f"{shown} is a folder. Name the file with the key in it") from None
    except OSError as error:
        remedy = (
            "Write the whole path: ~ is the shell's" if str(path)[:1] == "~" else "Check the name, and who may read it"
        )
        raise UsageError(f"{shown} cannot be read ({error.strerror}). {remedy}") from None
    try:
        text = codecs.getincrementaldecoder("utf-8-sig")().decode(raw, final=len(raw) < _LONGEST_BYTES)
    except UnicodeDecodeError:
        what = ", but UTF-16" if raw.startswith(_UTF16) else ""
        raise UsageError(f"{shown} cannot be read (it is not UTF-8 text){what}. Save it as UTF-8") from None
    return _bare(text, f"{source} {path}")


def _is_a_place(path: Path) -> bool:
    """Whether a path is one: there is something, or at least a folder that was named. Else it may be a key in the wrong variable."""
    folder = path.parent
    return os.path.lexists(path) or (len(folder.parts) > 1 and folder.is_dir())


def _lies_in(path: Path, folder: str) -> bool:
    return Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder))


def seal_process() -> None:
    """Before a key is read: nobody of the same user may read this process's environment or memory, or dump it, and TLS keys go nowhere.

    After `os.environ.pop` a variable is still in /proc/PID/environ; PR_SET_DUMPABLE 0 closes that, and core dumps with it.
    """
    os.environ.pop("SSLKEYLOGFILE", None)  # aiohttp honours it
    if sys.platform.startswith("linux"):
        import ctypes

        pr_set_dumpable = 4
        ctypes.CDLL(None, use_errno=True).prctl(pr_set_dumpable, 0, 0, 0, 0)
    import resource

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
