"""Where a ledger lies: its path, its lock, and whether the file there is ours. It reads and locks; it never writes into a ledger.

The lock is a file beside the real path, held by the process: it dies with it, and two names of one ledger meet in it.
"""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import struct
import sys
import time
from contextlib import suppress
from pathlib import Path

from bulkdelete.errors import LedgerLocked, LedgerRefused
from bulkdelete.ledger.schema import APPLICATION_ID, VERSION

__all__ = [
    "Lock",
    "check_disk",
    "check_file",
    "check_folder",
    "create",
    "is_locked",
    "real",
    "scratch_names",
    "sync_folder",
]

_MAGIC = b"SQLite format 3\0"
_NETWORK = frozenset(
    ("9p", "afs", "beegfs", "ceph", "cifs", "glusterfs", "lustre", "ncpfs", "nfs", "nfs4", "smb2", "smb3", "smbfs")
) | {f"fuse.{name}" for name in ("ceph", "glusterfs", "rclone", "s3fs", "sshfs")}


def real(ledger: Path) -> Path:
    """One path for all the names of a ledger. A circle of links has none: whoever opens it is told so."""
    return Path(os.path.realpath(ledger))


def scratch_names(ledger: Path) -> tuple[Path, Path]:
    """The staging file and the not yet confirmed ledger, both on the ledger's own disk."""
    return ledger.with_name(ledger.name + ".staging"), ledger.with_name(ledger.name + ".new")


class Lock:
    """An exclusive lock on one ledger. Raises LedgerLocked if another process holds it."""

    def __init__(self, ledger: Path) -> None:
        self._path = ledger.with_name(ledger.name + ".lock")
        self._fd = self._acquired()

    def _acquired(self) -> int:
        waited = False
        while True:
            try:
                fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            except OSError as error:
                raise LedgerRefused(
                    f"{self._path.parent}: cannot write there ({error.strerror}). Name a ledger in a folder of yours with --ledger"
                ) from None
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                os.close(fd)
                if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
                    if not waited:  # `is_locked` of a reader holds it for an instant
                        waited = True
                        time.sleep(0.05)
                        continue
                    raise LedgerLocked(
                        f"{self._path.with_suffix('')}: another run holds this ledger. Wait for it to end"
                    ) from None
                raise LedgerRefused(f"{self._path}: cannot be locked ({error.strerror}). Use a local disk") from None
            try:
                if os.path.samestat(os.fstat(fd), self._path.stat()):
                    return fd
            except FileNotFoundError:
                pass
            os.close(fd)  # its holder has just gone and taken the file along: try with the new one

    def release(self) -> None:
        """Remove the lock file while it is still held, then let go: at rest the ledger is one file."""
        if self._fd >= 0:
            with suppress(OSError):  # a file that stays there locks nothing
                self._path.unlink(missing_ok=True)
            os.close(self._fd)
            self._fd = -1


def is_locked(ledger: Path) -> bool:
    """Whether a run holds this ledger just now."""
    try:
        fd = os.open(ledger.with_name(ledger.name + ".lock"), os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(fd)
    return False


def _at_once(path: str, flags: int) -> int:
    """Open a file; a pipe without a writer would hold us for ever."""
    return os.open(path, flags | os.O_NONBLOCK)


def check_file(ledger: Path) -> bool:
    """Whether a ledger is there. Raises LedgerRefused if the file is not ours or newer; it is only read, by its first 100 bytes."""
    try:
        with open(ledger, "rb", opener=_at_once) as file:  # Path.open takes no opener
            head = file.read(100)
    except FileNotFoundError:
        return False
    except OSError as error:
        raise LedgerRefused(f"{ledger}: cannot be read ({error.strerror})") from None
    if len(head) < 100 or not head.startswith(_MAGIC) or struct.unpack(">I", head[68:72])[0] != APPLICATION_ID:
        raise LedgerRefused(f"{ledger}: this is not a ledger of bulkdelete. Name another file with --ledger")
    version = struct.unpack(">I", head[60:64])[0]
    if version > VERSION:
        raise LedgerRefused(
            f"{ledger}: written by a newer bulkdelete (format {version}, this one reads up to {VERSION}). Update it"
        )
    return True


def check_folder(ledger: Path) -> None:
    """Refuse a folder that is missing or on a network file system: neither locks nor durable writes can be trusted there."""
    folder = ledger.parent
    if not folder.is_dir():
        raise LedgerRefused(f"{folder}: no such folder. Make it, or name another ledger with --ledger")
    kind = _file_system(folder)
    if kind in _NETWORK:
        raise LedgerRefused(f"{folder}: a network file system ({kind}). Name a ledger on a local disk with --ledger")


def check_disk(ledger: Path, needed_bytes: int) -> None:
    """Refuse a disk that could not take what a run writes."""
    free = shutil.disk_usage(ledger.parent).free
    if free < needed_bytes:
        raise LedgerRefused(
            f"{ledger.parent}: {free // 2**20} MiB free, the ledger may need {needed_bytes // 2**20} MiB. Free some, or use --ledger"
        )


def create(path: Path) -> None:
    """An empty file that nobody else can read, and that was not there before."""
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600))
    except OSError as error:
        raise LedgerRefused(f"{path}: cannot be made ({error.strerror}). Name another ledger with --ledger") from None


def sync_folder(folder: Path) -> None:
    """Make a rename in this folder durable."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _file_system(folder: Path) -> str:
    """The type of the file system, where the kernel tells (Linux)."""
    if not sys.platform.startswith("linux"):
        return ""
    real, best = str(folder.resolve()), ("", "")
    for row in Path("/proc/self/mounts").read_text(encoding="utf-8", errors="replace").splitlines():
        fields = row.split(" ")
        mount = fields[1].replace("\\040", " ")
        if (real == mount or real.startswith(mount.rstrip("/") + "/")) and len(mount) >= len(best[0]):
            best = (mount, fields[2])
    return best[1]
