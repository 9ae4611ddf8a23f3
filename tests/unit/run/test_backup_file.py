"""The file of a backup: appended, durable, ours alone, and judged by what is in it."""

from __future__ import annotations

import codecs
import errno
import json
import os
import socket
import stat
from pathlib import Path

import pytest

from bulkdelete.cli.files import replaced
from bulkdelete.errors import BulkDeleteError, LedgerLocked, NothingSent, UsageError
from bulkdelete.run import backup_file
from bulkdelete.run.backup_file import BackupFile, as_line


def order(order_id: int, account_id: int | str | None = 7, **more: object) -> str:
    """The JSON of an order, as a server writes it."""
    seller = {} if account_id is None else {"SellerAccount": {"Id": account_id}}
    return json.dumps({"Id": order_id, **seller, "Buyer": {"Name": "Muñoz ñandú"}, **more}, ensure_ascii=False)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "orders.jsonl"


def held(path: Path, *ids: int, account_id: int = 7) -> list[int]:
    """Which of these orders the file has, by reading it."""
    with BackupFile(path) as file:
        file.read()
        return [order_id for order_id in ids if file.holds(account_id, order_id)]


@pytest.mark.parametrize(("code", "is_used"), [(errno.EINVAL, True), (errno.EIO, False)])
def test_a_folder_that_cannot_be_synced(path: Path, monkeypatch: pytest.MonkeyPatch, code: int, is_used: bool) -> None:
    """A share may have no call for it, and its server keeps the name: a backup there works. A folder that fails is another matter."""
    fsync = os.fsync

    def without_folders(fd: int) -> None:
        if stat.S_ISDIR(os.fstat(fd).st_mode):
            raise OSError(code, os.strerror(code))
        fsync(fd)

    monkeypatch.setattr(os, "fsync", without_folders)
    if not is_used:
        with pytest.raises(UsageError, match="cannot be opened"):
            BackupFile(path)
        return
    with BackupFile(path) as file:
        file.append([order(1)])
    assert held(path, 1) == [1]
    with replaced(path.with_name("x.prom")) as metrics:
        metrics.write("text")
    assert path.with_name("x.prom").read_text() == "text"


def test_what_was_appended_is_held(path: Path) -> None:
    """Only after it was read: what a write claimed is no evidence. The file is new, and only its owner can read it."""
    with BackupFile(path) as file:
        file.read()
        file.append([order(2), order(1)])
        assert not file.holds(7, 1)
        file.read()
        assert file.holds(7, 1)
        file.append([order(3)])
    assert held(path, 1, 2, 3, 4) == [1, 2, 3]
    assert path.read_text("utf-8") == f"{order(2)}\n{order(1)}\n{order(3)}\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_an_order_belongs_to_an_account(path: Path) -> None:
    """The same id in another account is another order. Where the JSON says no account, the id alone says which order it is."""
    path.write_text(f"{order(1)}\n{order(2, '7')}\n{order(3, None)}\n{order(4, 8)}\n{order(5, 'x')}\n")
    assert held(path, 1, 2, 3, 4, 5) == [1, 2, 3, 5]
    assert held(path, 1, 2, 3, 4, 5, account_id=8) == [3, 4, 5]


@pytest.mark.parametrize("keep", [1, 5, 20, -1])
def test_a_torn_line_is_cut_off(path: Path, keep: int) -> None:
    """A process was killed while it wrote: the line does not count, and the next one begins where it began."""
    path.write_bytes(f"{order(1)}\n".encode() + order(2).encode()[:keep])
    assert held(path, 1, 2) == [1]
    assert path.read_text("utf-8") == f"{order(1)}\n"


def test_a_line_that_lacks_only_its_end_is_kept(path: Path) -> None:
    """An editor took the line end. The order may be deleted, and this its last copy."""
    path.write_text(f"{order(1)}\n{order(2)}")
    assert held(path, 1, 2) == [1, 2]
    assert path.read_text("utf-8") == f"{order(1)}\n{order(2)}\n"


def test_a_byte_order_mark_of_an_editor(path: Path) -> None:
    path.write_bytes(codecs.BOM_UTF8 + f"{order(1)}\n{order(2)}\n".encode())
    assert held(path, 1, 2) == [1, 2]


def test_a_symbolic_link_is_called_one(tmp_path: Path) -> None:
    link = tmp_path / "link.jsonl"
    link.symlink_to(tmp_path / "b.jsonl")
    with pytest.raises(UsageError, match="it is a symbolic link"):
        BackupFile(link)


def test_zeros_at_the_end_are_cut_off(path: Path) -> None:
    """What a file system leaves of a file that had grown when the power failed."""
    path.write_bytes(f"{order(1)}\n".encode() + bytes(4096))
    assert held(path, 1) == [1]
    assert path.read_text("utf-8") == f"{order(1)}\n"


@pytest.mark.parametrize("end", ["\n", "\r\n", "\n\n", "\n \n"])
def test_what_an_editor_leaves(path: Path, end: str) -> None:
    """Blank lines and other line ends are nothing."""
    path.write_bytes(f"{order(1)}{end}{order(2)}{end}".encode())
    assert held(path, 1, 2) == [1, 2]


@pytest.mark.parametrize(
    "content",
    [
        b"orderId\n1\n",
        b"my notes, without a line end",
        b'{"name": "a setting"}',
        b'{"name": "a setting"}\n',
        b"{'Id': 1}",
        b"{\n",
        b"[1]\n",
        b'{"Id": true}\n',
        b'{"Id": 0}\n',
        b'{"Id": "1"}\n',
        b'{"Id": 9223372036854775808}\n',
        b"SQLite format 3\0\n",
        b'{"Id": 1}\n{"Id": "\xff"}\n',
        b'{\0"\0I\0d\0"\0:\0001\0}\0\n\0',
        b"[" * 100_000 + b"\n",
        b"\0\0{\n",
    ],
)
def test_a_file_of_something_else_is_left_as_it_is(path: Path, content: bytes) -> None:
    """A line that is not the JSON of an order: nothing is appended, cut off or made private."""
    path.write_bytes(content)
    path.chmod(0o644)
    with (
        BackupFile(path) as file,
        pytest.raises(UsageError, match=r"orders.jsonl:\d: this line is not the JSON of an order"),
    ):
        file.read()
    assert path.read_bytes() == content
    assert stat.S_IMODE(path.stat().st_mode) == 0o644


def test_a_line_without_bounds_is_no_order(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory does not grow with it."""
    monkeypatch.setattr(backup_file, "_LINE_BYTES", 100)
    path.write_text(order(1, note="x" * 100))
    with BackupFile(path) as file, pytest.raises(UsageError, match="not the JSON of an order"):
        file.read()


def test_a_file_for_all_to_read_becomes_private(path: Path) -> None:
    """It is a backup of ours, and it holds personal data."""
    path.write_text(f"{order(1)}\n")
    path.chmod(0o666)
    assert held(path, 1) == [1]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def made(path: Path, kind: str) -> None:
    match kind:
        case "link":
            path.with_name("other").touch()
            path.symlink_to("other")
        case "dangling link":
            path.symlink_to("none")
        case "folder":
            path.mkdir()
        case "pipe":
            os.mkfifo(path)
        case "socket":
            with socket.socket(socket.AF_UNIX) as server:
                os.chdir(path.parent)  # the name of a socket is short
                server.bind(path.name)


@pytest.mark.parametrize("kind", ["link", "dangling link", "folder", "pipe", "socket"])
def test_only_a_regular_file_is_taken(path: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """No link is followed, no pipe is waited for."""
    monkeypatch.chdir(path.parent)
    made(path, kind)
    with pytest.raises(UsageError, match=r"orders\.jsonl .*(cannot be opened|is not a regular file)"):
        BackupFile(path)


@pytest.mark.parametrize("name", ["none/x.jsonl", "a" * 300, "a\0b"])
def test_a_name_that_the_system_refuses(tmp_path: Path, name: str) -> None:
    """The message names it, escaped."""
    with pytest.raises(UsageError, match="cannot be opened"):
        BackupFile(tmp_path / name)


def test_the_file_of_another_user_is_not_taken(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its owner could read what is appended."""
    path.touch()
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    with pytest.raises(UsageError, match="belongs to another user"):
        BackupFile(path)


def test_two_runs_do_not_share_a_file(path: Path) -> None:
    """One of them could cut off what the other one writes."""
    with BackupFile(path), pytest.raises(LedgerLocked, match="another run writes the backup"):
        BackupFile(path)
    with BackupFile(path):
        pass


def test_a_short_write_is_continued(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each line is whole."""
    written = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: written(fd, data[:10]))
    with BackupFile(path) as file:
        file.append([order(1), order(2)])
    assert path.read_text("utf-8") == f"{order(1)}\n{order(2)}\n"


@pytest.mark.parametrize("call", ["write", "fsync"])
def test_a_disk_that_fails_ends_the_backup(path: Path, monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    """Nothing was sent, and it is not tried again: a failed fsync may have lost what it was to keep."""
    tried = []

    def fails(*_: object) -> int:
        tried.append(call)
        raise OSError(errno.ENOSPC, "No space left on device")

    with BackupFile(path) as file:
        monkeypatch.setattr(os, call, fails)
        with pytest.raises(NothingSent, match=r"cannot be written \(No space left on device\)"):
            file.append([order(1)])
    assert tried == [call]


def test_appended_lines_are_synced(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A power failure after `append` loses nothing: the file is synced once for all lines, and the folder when it is opened."""
    synced: list[bool] = []
    monkeypatch.setattr(os, "fsync", lambda fd: synced.append(stat.S_ISDIR(os.fstat(fd).st_mode)))
    with BackupFile(path) as file:
        assert synced == [True]
        file.append([order(1), order(2)])
    assert synced == [True, False]


def test_what_is_held_is_synced(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process was killed after it had written lines or made the file, and before it synced them: a power failure after this run has
    deleted their orders must not take them. The file is synced before it is read, and its folder when it is opened."""
    path.write_text(f"{order(1)}\n")
    done: list[str] = []
    seek = os.lseek

    def rewound(*given: int) -> int:
        done.append("read")
        return seek(*given)

    monkeypatch.setattr(os, "fsync", lambda fd: done.append("folder" if stat.S_ISDIR(os.fstat(fd).st_mode) else "file"))
    monkeypatch.setattr(os, "lseek", rewound)
    with BackupFile(path) as file:
        file.read()
        assert file.holds(7, 1)
    assert done == ["folder", "file", "read"]


@pytest.mark.parametrize("what", ["removed", "replaced", "linked"])
def test_a_file_that_lost_its_name(path: Path, what: str) -> None:
    """What was written is where nobody finds it: the run must not begin."""
    with BackupFile(path) as file:
        file.append([order(1)])
        file.check()
        path.rename(path.with_name("moved"))
        if what == "replaced":
            path.write_text(f"{order(1)}\n")
        if what == "linked":
            path.symlink_to("moved")
        with pytest.raises(NothingSent, match="was removed or replaced"):
            file.check()


def test_line_ends_within_the_json(path: Path) -> None:
    """A server that indents its JSON: the same values, on one line."""
    indented = json.dumps(json.loads(order(1, note="a\nb")), indent=2).replace("\n", "\r\n")
    line = as_line(indented)
    assert json.loads(line) == json.loads(indented)
    with BackupFile(path) as file:
        file.append([line])
    assert len(path.read_text().splitlines()) == 1
    assert held(path, 1) == [1]


def test_every_refusal_can_be_shown(path: Path) -> None:
    """A name with control characters does not reach the terminal."""
    strange = path.with_name("a\x1b[31m")
    strange.write_text("x\n")
    with BackupFile(strange) as file, pytest.raises(BulkDeleteError) as raised:
        file.read()
    assert "\x1b" not in str(raised.value)
