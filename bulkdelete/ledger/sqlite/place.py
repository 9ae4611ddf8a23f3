"""Where a ledger lies: its path, what is beside it, and whether the file there is ours. It reads, and never writes into a ledger."""

from __future__ import annotations

import os
import shlex
import shutil
import stat
import struct
import sys
from dataclasses import dataclass
from pathlib import Path

from bulkdelete.errors import LedgerRefused
from bulkdelete.ledger.sqlite import locks
from bulkdelete.ledger.sqlite.migrations import VERSION
from bulkdelete.ledger.sqlite.schema import APPLICATION_ID
from bulkdelete.words import counted

__all__ = [
    "SIDES",
    "Header",
    "check_disk",
    "check_file",
    "check_folder",
    "check_left_over",
    "check_owner",
    "create",
    "files_of",
    "header",
    "is_ledger",
    "is_of_a_ledger",
    "log_is_missing",
    "open_to_all",
    "real",
    "scratch_names",
    "side",
]

SIDES = ("-wal", "-shm", "-journal", ".lock")
"""What may lie beside a ledger while a run works, and after one that was killed."""

_SCRATCH = (".staging", ".new")
_LONGEST_SIDE = len(".staging-journal")  # bytes that a name beside the ledger has more than the ledger's
_PATH_BYTES_MAX = 511  # SQLite opens no longer one (MAX_PATHNAME in its os_unix.c)
_HEAD_BYTES = 100
_MAGIC = b"SQLite format 3\0"
_WAL = 2  # the file format's version at bytes 18 and 19, while there is a write-ahead log
_NETWORK = frozenset(
    ("9p", "afs", "beegfs", "ceph", "cifs", "glusterfs", "lustre", "ncpfs", "nfs", "nfs4", "smb2", "smb3", "smbfs")
) | {f"fuse.{name}" for name in ("ceph", "glusterfs", "rclone", "s3fs", "sshfs")}


def real(ledger: Path) -> Path:
    """One path for all the names of a ledger. A circle of links has none: whoever opens it is told so."""
    return Path(os.path.realpath(ledger))


def scratch_names(ledger: Path) -> tuple[Path, Path]:
    """The staging file and the not yet confirmed ledger, both on the ledger's own disk."""
    staging, new = (side(ledger, suffix) for suffix in _SCRATCH)
    return staging, new


def side(ledger: Path, suffix: str) -> Path:
    """A file beside the ledger."""
    return Path(f"{ledger}{suffix}")  # `with_name` fails for a path without a name, which is refused when it is opened


def _at_once(path: str, flags: int) -> int:
    """Open a file; a pipe without a writer would hold us for ever."""
    return os.open(path, flags | os.O_NONBLOCK)


@dataclass(frozen=True, slots=True)
class Header:
    """A ledger's first bytes: the version of its format, and whether a write-ahead log belongs to it."""

    version: int
    wal: bool


def header(ledger: Path) -> Header | None:
    """Read it; None if no file is there. Raises LedgerRefused if the file is not ours or newer; it is only read."""
    try:
        if locks.is_open_here(ledger):  # ours, for certain, and it must not be opened a second time
            return Header(VERSION, wal=True)
        with open(ledger, "rb", opener=_at_once) as file:  # Path.open takes no opener
            head = file.read(_HEAD_BYTES)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise LedgerRefused(
            f"{ledger}: cannot be read ({error.strerror}). Name another file with `settings.ledger`"
        ) from None
    if len(head) < _HEAD_BYTES or not _is_ours(head):
        raise LedgerRefused(f"{ledger}: this is not a ledger of bulkdelete. Name another file with `settings.ledger`")
    version = struct.unpack(">I", head[60:64])[0]
    if version > VERSION:
        raise LedgerRefused(
            f"{ledger}: written by a newer bulkdelete (format {version}, this one reads up to {VERSION}). Update it"
        )
    return Header(version, wal=_WAL in head[18:20])


def is_ledger(path: Path) -> bool:
    """Whether a ledger of ours is there, of whatever format, by its first bytes."""
    try:
        if not path.is_file():  # a pipe would wait for its other end
            return False
        if locks.is_open_here(path):
            return True
        with path.open("rb") as file:
            return _is_ours(file.read(_HEAD_BYTES))
    except (OSError, ValueError):
        return False


def _is_ours(head: bytes) -> bool:
    return head.startswith(_MAGIC) and head[68:72] == struct.pack(">I", APPLICATION_ID)


def files_of(ledger: Path) -> tuple[Path, ...]:
    """All files of a ledger, those that a proposal has for a while, too."""
    return (ledger, *(side(ledger, suffix) for suffix in SIDES), *scratch_names(ledger))


def is_of_a_ledger(path: Path) -> bool:
    """Whether a file of this name is a ledger, or beside one."""
    names = (path.name.removesuffix(suffix) for suffix in ("", *SIDES, *_SCRATCH) if path.name.endswith(suffix))
    return any(name and is_ledger(path.with_name(name)) for name in names)


def log_is_missing(ledger: Path, head: Header | None) -> bool:
    """Whether the file with this header says that a write-ahead log belongs to it, and none lies beside it, or an empty one.

    The header is the caller's: once the file is locked, its first bytes cannot be read again.
    """
    if head is None or not head.wal:
        return False
    try:
        return not side(real(ledger), "-wal").stat().st_size
    except FileNotFoundError:
        return True
    except OSError:
        return False


def check_file(ledger: Path) -> bool:
    """Whether a ledger is there. Raises what `header` raises."""
    return header(ledger) is not None


def check_owner(ledger: Path) -> None:
    """Refuse a ledger, or a file beside it, that somebody else could change or that has another name, before it is written to."""
    for path in (ledger, *(side(ledger, suffix) for suffix in SIDES)):
        try:
            found = path.lstat()
        except FileNotFoundError:
            continue
        except OSError as error:
            raise LedgerRefused(
                f"{path}: cannot be looked at ({error.strerror}). Name another ledger with `settings.ledger`"
            ) from None
        if not stat.S_ISREG(found.st_mode):
            raise LedgerRefused(
                f"{path}: is no plain file. Move it away, or name another ledger with `settings.ledger`"
            )
        if found.st_uid != os.geteuid():
            raise LedgerRefused(
                f"{path}: belongs to another user (uid {found.st_uid}), who could change it while a run works. Run as that user, or"
                " name another ledger with `settings.ledger`"
            )
        if found.st_nlink > 1:
            raise LedgerRefused(
                f"{path}: the file has {found.st_nlink} names (hard links), so two runs could work with it. Remove the others; this"
                f" finds them: find / -xdev -samefile {shlex.quote(str(path))}"
            )


def check_folder(ledger: Path) -> None:
    """Refuse a folder that is missing, that has no room for the ledger's name, or that is on a network file system: neither locks nor
    durable writes can be trusted there."""
    folder = ledger.parent
    if not folder.is_dir():
        raise LedgerRefused(f"{folder}: no such folder. Make it, or name another ledger with `settings.ledger`")
    _check_length(ledger)
    kind = _file_system(folder)
    if kind in _NETWORK:
        raise LedgerRefused(
            f"{folder}: a network file system ({kind}). Name a ledger on a local disk with `settings.ledger`"
        )


def _check_length(ledger: Path) -> None:
    """Refuse a name that fits, while those of the files beside it do not: only a run would notice, and a plan would promise too much."""
    for what, path, most in (
        ("name", ledger.name, os.pathconf(ledger.parent, "PC_NAME_MAX")),
        ("path", str(ledger), _PATH_BYTES_MAX),
    ):
        excess = len(os.fsencode(path)) + _LONGEST_SIDE - most
        if excess > 0:
            raise LedgerRefused(
                f"{ledger}: the {what} of the ledger is too long by {counted(excess, 'byte')}, since the files beside it have longer ones."
                f" Name a ledger with a shorter {what} with `settings.ledger`"
            )


def check_left_over(ledger: Path) -> None:
    """Refuse to make a ledger where the log of another one lies: SQLite would play it into the new file."""
    for path in (side(ledger, "-wal"), side(ledger, "-journal")):
        if path.exists():
            raise LedgerRefused(
                f"{path}: belongs to a ledger that is no longer here, and may hold what that one recorded. Put the ledger back beside"
                " it, or move this file away, or name another ledger with `settings.ledger`"
            )


def open_to_all(ledger: Path) -> str | None:
    """A warning, if everybody may remove or replace the files in the ledger's folder (others may write, and it has no sticky bit)."""
    mode = ledger.parent.stat().st_mode
    if not mode & stat.S_IWOTH or mode & stat.S_ISVTX:
        return None
    folder = shlex.quote(str(ledger.parent))
    return f"{ledger.parent}: everybody may replace the files in this folder, the ledger, too. To forbid it: chmod o-w {folder}"


def check_disk(ledger: Path, needed_bytes: int) -> None:
    """Refuse a disk that could not take what a run writes."""
    free = shutil.disk_usage(ledger.parent).free
    if free < needed_bytes:
        raise LedgerRefused(
            f"{ledger.parent}: {free // 2**20} MiB free, the ledger may need {needed_bytes // 2**20} MiB. Free some, or"
            " use `settings.ledger`"
        )


def create(path: Path) -> None:
    """An empty file that nobody else can read, and that was not there before."""
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600))
    except OSError as error:
        raise LedgerRefused(
            f"{path}: cannot be made ({error.strerror}). Name another ledger with `settings.ledger`"
        ) from None


def _file_system(folder: Path) -> str:
    """The type of the file system, where the kernel tells (Linux)."""
    if not sys.platform.startswith("linux"):
        return ""
    real, best = str(folder.resolve()), ("", "")
    try:
        mounts = Path("/proc/self/mounts").read_text(encoding="utf-8", errors="replace")
    except OSError:  # a chroot or a container without /proc
        return ""
    for row in mounts.splitlines():
        fields = row.split(" ")
        mount = fields[1].replace("\\040", " ")
        if (real == mount or real.startswith(mount.rstrip("/") + "/")) and len(mount) >= len(best[0]):
            best = (mount, fields[2])
    return best[1]
