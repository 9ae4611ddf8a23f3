"""The files that the command line writes: private, complete or absent, and never in the place of a file that somebody needs.

The name of each output is checked before any input is read.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import secrets
import stat
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import combinations
from pathlib import Path
from typing import TextIO

from bulkdelete.cli.access import Access
from bulkdelete.cli.replacing import needed
from bulkdelete.cli.streams import ESCAPING
from bulkdelete.disk import sync_folder
from bulkdelete.errors import UsageError
from bulkdelete.intake import STDIN, matches
from bulkdelete.ledger.open import files_of, is_of_a_ledger
from bulkdelete.report.metrics import BEGINNING
from bulkdelete.words import escaped

__all__ = ["appended", "check_inputs", "check_outputs", "replaced", "unwritable"]

_NO_KEY = Access()
_APPENDED = ("--log-file", "--journal", "--backup")  # the other outputs are new files
_OPENED_EARLY = ("--log-file", "--journal")  # before anything is read or sent
_METRICS = "--metrics-file"  # replaced again and again, if it is one of ours; a run without it is worth more than none
# Formats that are no text. Programs choose by the ending how to open a file.
_NO_TEXTS = frozenset({".xlsx", ".xls", ".ods", ".pdf", ".gz", ".bz2", ".xz", ".zst", ".zip"})
_SYSTEMS_FOLDERS = (
    "/dev",
    "/dev/fd",
    "/proc/self/fd",
)  # links in these folders belong to the system and are safe to follow
_STREAMS = {"/dev/stdout": 1, "/dev/stderr": 2}
_DESCRIPTOR = re.compile(r"(?:/dev|/proc/self)/fd/(\d{1,9})", re.ASCII)
_NAME_KEPT = 40  # characters of an output's name in that of its draft: a name has 255 bytes at most


def check_outputs(
    outputs: Mapping[str, Path | None],
    inputs: Iterable[str],
    ledger: Path | None,
    *,
    overwrite: bool = False,
    access: Access = _NO_KEY,
    ca_file: Path | None = None,
    written: str = "",
) -> None:
    """Refuse an output, by its option, that is an input (a name or a pattern), a key, certificates, a ledger or another output, one whose
    name says another format, one that cannot be written, and one that would replace a file unless it may. `written`: the ending of what
    is written, if that is no text. It opens no input. Raises UsageError, LedgerRefused.
    """
    given = {option: path for option, path in outputs.items() if path is not None and str(path) != "-"}
    for (option, one), (other_option, other) in combinations(given.items(), 2):
        if _same(one, other):
            raise UsageError(f"{option} and {other_option} name the same file, {_shown(one)}: name two different files")
    taken = [*_inputs(inputs), *_of_keys(access), *_of_the_run(ledger, ca_file)]
    for option, output in given.items():
        for what, path in taken:
            if _same(output, path):
                raise UsageError(f"{option} {_shown(output)} is {what}: name another file")
        if is_of_a_ledger(output):
            raise UsageError(f"{option} {_shown(output)} is a ledger or a file of one: name another file")
        if (ending := output.suffix.lower()) in _NO_TEXTS and ending != written:
            raise UsageError(
                f"{option} {_shown(output)}: what is written there is no {ending[1:]} file. Name one that ends otherwise"
            )
        if option not in (*_OPENED_EARLY, _METRICS):
            _check_place(option, output)
        if option in _APPENDED:
            continue
        _check_plain(output, f"{option} ")
        if option == _METRICS:
            _check_metrics(output)
        elif os.path.lexists(output):
            if not overwrite:
                raise UsageError(
                    f"{option} {_shown(output)} exists already. Name a new file, or replace it with --overwrite"
                )
            _check_not_needed(option, output, ledger)


def check_inputs(inputs: Iterable[str], access: Access = _NO_KEY) -> None:
    """Refuse an input (a name, one of a pattern's files, or what stdin is) that contains a key, under any name: messages quote what
    they read. It opens no file. Raises UsageError.
    """
    keys = list(_of_keys(access))
    for pattern in inputs:
        for name in matches(pattern):
            for what, path in keys:
                if _same(_of_input(name), path):
                    named = "stdin" if name == STDIN else escaped(name)
                    raise UsageError(f"{named} is {what}, so it was not read. Name the files of the orders alone")


def _of_input(name: str) -> Path | os.stat_result:
    return os.fstat(0) if name == STDIN else Path(name)


def _inputs(inputs: Iterable[str]) -> Iterator[tuple[str, Path | os.stat_result]]:
    """The files that an output must not replace, each with its description; likewise below."""
    for pattern in inputs:
        for name in matches(pattern):
            yield "an input", _of_input(name)


def _of_the_run(ledger: Path | None, ca_file: Path | None) -> Iterator[tuple[str, Path | os.stat_result]]:
    if ca_file is not None:
        yield "the file of --ca-file", ca_file
    if ledger is not None:
        for path in files_of(ledger):
            yield "the ledger or a file of its", path


def _of_keys(access: Access) -> Iterator[tuple[str, Path | os.stat_result]]:
    """The files of keys that options, a profile and the environment name, and the configuration file, each with its description."""
    if access.profile is not None:
        yield "the configuration file", access.profile.config
    for key in (*access.key_files, os.environ.get("BULKDELETE_API_KEY_FILE")):
        if key:
            yield "the file of the API key", os.fstat(0) if key == STDIN else Path(key)
    if folder := os.environ.get("CREDENTIALS_DIRECTORY"):
        for path in Path(folder).glob("*"):
            yield "a credential", path


def _same(one: Path | os.stat_result, other: Path | os.stat_result) -> bool:
    """Whether two names are the same file, also by links, or would be the same."""
    try:
        status, there = (each if isinstance(each, os.stat_result) else each.stat() for each in (one, other))
    except (OSError, ValueError):
        return isinstance(one, Path) and isinstance(other, Path) and os.path.realpath(one) == os.path.realpath(other)
    return os.path.samestat(status, there) and not stat.S_ISCHR(status.st_mode)  # a terminal or /dev/null may be both


def _check_metrics(path: Path) -> None:
    """Refuse a file that exists and is not known to be one of ours. Raises UsageError."""
    if not os.path.lexists(path):
        return
    try:
        with path.open("rb") as file:
            beginning = file.read(len(BEGINNING))
    except OSError as error:
        raise UsageError(
            f"{_METRICS} {_shown(path)} exists and cannot be read ({error.strerror}): name another file, or remove it"
        ) from None
    if beginning != BEGINNING:
        raise UsageError(f"{_METRICS} {_shown(path)} exists and holds no metrics of bulkdelete: name another file")


def _check_not_needed(option: str, path: Path, ledger: Path | None) -> None:
    """Refuse to replace what somebody needs, although no option of this command names it. Raises UsageError, LedgerRefused."""
    try:
        what = needed(path, ledger)
    except OSError as error:
        raise UsageError(
            f"{option} {_shown(path)} exists and cannot be read ({error.strerror}): name another file, or remove it"
        ) from None
    if what is not None:
        raise UsageError(f"{option} {_shown(path)} is {what}: name another file")


def _check_plain(path: Path, option: str = "") -> None:
    # os.path also takes a name that the system rejects, such as one that is too long; whoever opens it says why.
    if os.path.islink(path) or (os.path.lexists(path) and not os.path.isfile(path)):  # noqa: PTH113, PTH114
        raise UsageError(f"{option}{_shown(path)} is not a regular file: name another one")


def _check_place(option: str, path: Path) -> None:
    """Refuse a file that could not be written when there is something to write. Raises UsageError."""
    written = folder = path.absolute().parent  # where a new file is made, also if it replaces another one
    try:
        path.lstat()
        written = path if option in _APPENDED else folder
    except FileNotFoundError as error:
        if not folder.is_dir():
            raise unwritable(option, path, error) from None
    except OSError as error:
        raise unwritable(option, path, error) from None
    if not os.access(written, os.W_OK if written is path else os.W_OK | os.X_OK):
        code = errno.EROFS if os.statvfs(written).f_flag & os.ST_RDONLY else errno.EACCES
        raise unwritable(option, path, OSError(code, os.strerror(code)))


def _shown(path: Path) -> str:
    return escaped(str(path))


def unwritable(option: str, path: Path, error: OSError) -> UsageError:
    """What is said of the file of an option that the system does not let this process write."""
    remedy = "Make its folder, or name another file" if error.errno == errno.ENOENT else "Name another file"
    return UsageError(f"{option}: {_shown(path)} cannot be written ({error.strerror}). {remedy}")


@contextmanager
def replaced(path: Path, overwrite: bool = True, mode: int = 0o600) -> Iterator[TextIO]:
    """A text file that gets its name only when all of it is on the disk. Raises OSError, UsageError.

    The draft beside it has a random name: a file that another process left there blocks nothing.
    """
    _check_plain(path)
    folder = path.absolute().parent
    draft = folder / f".{path.name[:_NAME_KEPT]}.{secrets.randbelow(10**16)}.part"
    fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    try:
        with os.fdopen(fd, "w", encoding="utf-8", errors=ESCAPING, newline="") as file:
            os.fchmod(fd, mode)
            yield file
            file.flush()
            os.fsync(file.fileno())
        if not overwrite and os.path.lexists(path):
            raise UsageError(f"{_shown(path)} was created meanwhile. Name a new file, or replace it with --overwrite")
        draft.replace(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
    sync_folder(folder)


def appended(path: Path) -> TextIO:
    """A text file to append lines to, created so that no other user can read it. Raises OSError.

    /dev/stdout and similar names are the streams themselves: opening them by name fails for a socket and follows a link.
    """
    if (stream := _stream(str(path))) is not None:
        fd = os.dup(stream)
        if fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY:
            os.close(fd)
            raise PermissionError(errno.EBADF, "it is open for reading only")
    else:
        follow = 0 if str(path.parent) in _SYSTEMS_FOLDERS else os.O_NOFOLLOW | os.O_CREAT
        # Without O_NONBLOCK a pipe that nobody reads would block for ever; with it, opening it fails.
        fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_NOCTTY | os.O_NONBLOCK | follow, 0o600)
        os.set_blocking(fd, True)
    return os.fdopen(fd, "a", encoding="utf-8", errors=ESCAPING, buffering=1)


def _stream(name: str) -> int | None:
    if (found := _DESCRIPTOR.fullmatch(name)) is not None:
        return int(found[1])
    return _STREAMS.get(name)
