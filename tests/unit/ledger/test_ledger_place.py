"""Where a ledger lies: its lock, its modes, its journal, and which files and folders are refused untouched."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sqlite3
import struct
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from bulkdelete.errors import LedgerBroken, LedgerLocked, LedgerRefused
from bulkdelete.ledger.sqlite import locks, place
from bulkdelete.ledger.sqlite.migrations import VERSION
from bulkdelete.ledger.sqlite.planned import planning
from bulkdelete.ledger.sqlite.reading import connect_read_only
from bulkdelete.ledger.sqlite.schema import APPLICATION_ID
from bulkdelete.model import State
from tests.support.ledger import (
    HOST,
    arm,
    ask,
    child,
    first,
    hold,
    names,
    opened,
    orders,
    pending,
    send,
    states,
)
from tests.support.ledger_process import NOBODY, held

# The lock.


async def test_another_process_is_locked_out(tmp_path: Path) -> None:
    """While a run holds the ledger, a second one gets LedgerLocked and touches nothing; a killed run holds nothing."""
    path = tmp_path / "l.db"
    (tmp_path / "alias.db").symlink_to(path)
    with held(path) as process:
        before = names(tmp_path)
        for name in ("l.db", "alias.db"):
            with pytest.raises(LedgerLocked, match=r"/l\.db: another run"):
                await hold(tmp_path / name, HOST)
        assert locks.is_locked(path)
        assert names(tmp_path) == before
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert not locks.is_locked(path)
        async with opened(path) as ledger:
            assert await states(ledger) == {"pending": 1}
    assert names(tmp_path) == ["alias.db", "l.db"]


async def test_the_same_process_is_locked_out(tmp_path: Path) -> None:
    """The lock is the ledger's, not the process's: a second opening in one program is refused as well."""
    path = tmp_path / "l.db"
    async with opened(path):
        assert locks.is_locked(path)
        with pytest.raises(LedgerLocked):
            await hold(path, HOST)
        assert locks.is_locked(path)
        assert names(tmp_path) == ["l.db.lock", "l.db.new"]
    assert not locks.is_locked(path)


async def test_an_alias_of_a_ledger_to_be(tmp_path: Path) -> None:
    """A symlink that points to no file yet names the same ledger, and the ledger is born where it points to."""
    (tmp_path / "there").mkdir()
    (tmp_path / "alias.db").symlink_to(tmp_path / "there" / "l.db")
    async with opened(tmp_path / "alias.db") as ledger:
        with pytest.raises(LedgerLocked):
            await hold(tmp_path / "there" / "l.db", HOST)
        await arm(ledger, orders(1))
    assert (names(tmp_path), names(tmp_path / "there")) == (["alias.db", "there"], ["l.db"])
    assert (tmp_path / "alias.db").is_symlink()


async def test_invariant_31_a_lock_that_is_a_symlink(tmp_path: Path) -> None:
    """Nobody can make the lock open, or truncate, a file elsewhere."""
    (tmp_path / "l.db.lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(LedgerRefused):
        await hold(tmp_path / "l.db", HOST)
    assert names(tmp_path) == ["l.db.lock"]


def test_looking_at_the_lock_leaves_nothing(tmp_path: Path) -> None:
    """`is_locked` makes no file and keeps no lock; a stale lock file is no lock."""
    path = tmp_path / "l.db"
    assert not locks.is_locked(path)
    assert names(tmp_path) == []
    path.with_name("l.db.lock").touch()
    assert not locks.is_locked(path)
    lock = locks.Lock(path)
    assert locks.is_locked(path)
    lock.release()
    lock.release()
    assert names(tmp_path) == []


# Journal, modes, rest.


async def test_durability_is_full_while_running(tmp_path: Path) -> None:
    """The log is a WAL with synchronous=FULL, from the first intent of a new ledger and of one reopened; at rest there is one file."""
    path = tmp_path / "l.db"
    for _ in range(2):
        async with opened(path) as ledger:
            await arm(ledger, orders(1))
            pragmas = [
                ledger.db.execute(f"PRAGMA {name}").fetchone()[0]
                for name in ("synchronous", "journal_mode", "fullfsync")
            ]
            assert pragmas == [2, "wal", 1]
            assert ask(path, "PRAGMA journal_mode") == [("wal",)]
        assert names(tmp_path) == ["l.db"]
        assert ask(path, "PRAGMA journal_mode") == [("delete",)]
        assert names(tmp_path) == ["l.db"]


def test_invariant_31_files_are_for_their_owner_only(tmp_path: Path) -> None:
    """Ledger, log, lock and scratch files have mode 0600 from their first moment, whatever the umask."""
    code = """
os.umask(0)
folder = Path(argv[0])
def modes(): print({p.name: oct(p.stat().st_mode & 0o777) for p in sorted(folder.iterdir())})
async def main():
    async with opened(folder / "l.db") as ledger:
        async with ledger.staging() as staging:
            await staging.add(0, orders(1))
            await staging.facts((InputReport("a.csv", "", "", 1, 0, 0, 0),), None)
            modes()
            await staging.confirm()
        await ledger.begin("")
        await send(ledger, {1: State.DELETED})
        modes()
    modes()
asyncio.run(main())
"""
    ran = child(code, tmp_path)
    assert ran.stderr == ""
    proposed, running, rest = (eval(line) for line in ran.stdout.splitlines())
    assert proposed == dict.fromkeys(("l.db.lock", "l.db.new", "l.db.staging"), "0o600")
    assert running == dict.fromkeys(("l.db", "l.db-shm", "l.db-wal", "l.db.lock"), "0o600")
    assert rest == {"l.db": "0o600"}


async def test_at_rest_it_opens_anywhere(tmp_path: Path) -> None:
    """One file, readable by plain SQLite from a folder and a file that nobody can write: its views need nothing of ours."""
    folder = tmp_path / "readonly"
    folder.mkdir()
    path = folder / "l.db"
    await first(path)
    path.chmod(0o444)
    folder.chmod(0o555)
    code = f"""
import sqlite3
become_nobody()
db = sqlite3.connect("{path.as_uri()}?mode=ro", uri=True)
for view in VIEWS: db.execute(f"SELECT * FROM {{view}}").fetchall()
print(db.execute("SELECT * FROM summary").fetchall())
"""
    ran = child(NOBODY + code)
    assert (ran.stdout, ran.stderr) == ("[('pending', 1), ('deleted', 1)]\n", "")
    folder.chmod(0o755)
    assert names(folder) == ["l.db"]


def test_the_sqlite_shell_opens_it(tmp_path: Path) -> None:
    """The views are for anybody's own questions, with the shell that everybody has."""
    path = tmp_path / "l.db"
    if (shell := shutil.which("sqlite3")) is None:
        pytest.skip("no sqlite3 shell on this machine")
    assert child("asyncio.run(first(Path(argv[0])))", path).returncode == 0
    command = [shell, "-readonly", str(path), "SELECT outcome FROM results ORDER BY order_id"]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "deleted\npending\n"
    assert names(tmp_path) == ["l.db"]


async def test_closing(tmp_path: Path) -> None:
    """It may be closed twice and with settlements in the line; later calls say that it is closed, and nobody waits for ever."""
    path = tmp_path / "l.db"
    ledger = await hold(path, HOST)
    await arm(ledger, orders(1))
    await ledger.begin("")
    (task,) = await pending(ledger)
    intent = await ledger.intend(task)
    ledger.withdraw(intent)
    await ledger.close()
    await ledger.close()
    assert ask(path, "SELECT * FROM intents") == []
    async with asyncio.timeout(5):
        with pytest.raises(LedgerBroken, match="closed"):
            await ledger.flush()
        with pytest.raises(LedgerBroken, match="closed"):
            ledger.withdraw(intent)


async def test_a_reader_does_not_hold_up_the_end(tmp_path: Path) -> None:
    """A long export keeps the end of a run waiting for less than a second; the next end tidies up after it."""
    path = tmp_path / "l.db"
    async with opened(path) as ledger:
        await arm(ledger, orders(1, 2))
        with closing(connect_read_only(path)) as reader:
            reader.execute("BEGIN")
            assert reader.execute("SELECT count(*) FROM results").fetchone() == (2,)
            await ledger.begin("")
            await send(ledger, {1: State.DELETED})
            began = time.monotonic()
            await ledger.close()
            assert time.monotonic() - began < 0.9
            assert reader.execute("SELECT * FROM summary").fetchall() == [("pending", 2)]
    assert ask(path, "SELECT * FROM summary") == [("pending", 1), ("deleted", 1)]
    async with opened(path) as ledger:
        assert await states(ledger) == {"pending": 1, "deleted": 1}
    assert names(tmp_path) == ["l.db"]


async def test_beside_a_reader_the_file_alone_is_whole(tmp_path: Path) -> None:
    """Its log cannot be taken away while somebody reads, but all of it stands in the file: a copy of that one has everything."""
    path, copy = tmp_path / "l.db", tmp_path / "copy" / "l.db"
    async with opened(path) as ledger:
        await arm(ledger, orders(1, 2))
        await ledger.begin("")
        await send(ledger, {1: State.DELETED})
        reader = connect_read_only(path)
        reader.execute("BEGIN")
        assert reader.execute("SELECT count(*) FROM attempts").fetchone() == (1,)
    copy.parent.mkdir()
    copy.write_bytes(path.read_bytes())
    reader.close()
    with closing(sqlite3.connect(copy)) as db:
        assert db.execute("SELECT order_id, outcome FROM results").fetchall() == [(1, "deleted"), (2, "pending")]


async def test_a_reader_at_rest_keeps_a_run_from_starting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that cannot get its log because somebody reads is not damage and not a full disk: try again later."""
    path = tmp_path / "l.db"
    async with opened(path) as ledger:
        await arm(ledger, orders(1))
    connect = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", lambda *a, **k: connect(*a, **(k | {"timeout": 0.05})))
    with closing(connect_read_only(path)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM results").fetchone()
        with pytest.raises(LedgerLocked, match="reading this ledger"):
            await hold(path, HOST)
    async with opened(path) as ledger:
        assert await states(ledger) == {"pending": 1}


# Refusals.


def sqlite_file(path: Path, application_id: int, version: int) -> None:
    with closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE photos (name)")
        db.execute(f"PRAGMA application_id = {application_id}")
        db.execute(f"PRAGMA user_version = {version}")
        db.execute("INSERT INTO photos VALUES ('Ana')")
        db.commit()


def snapshot(folder: Path) -> dict[str, tuple[bytes, int, int]]:
    return {p.name: (p.read_bytes(), p.stat().st_mtime_ns, p.stat().st_mode) for p in folder.iterdir()}


@pytest.mark.parametrize("kind", ["empty", "text", "short", "sqlite", "sqlite in WAL", "newer", "no magic"])
async def test_invariant_10_foreign_files_stay_as_they_are(tmp_path: Path, kind: str) -> None:
    """What is not our ledger, or newer, is refused by name and by reader and writer alike: same bytes, same time, no file beside it."""
    path = tmp_path / "l.db"
    match kind:
        case "empty":
            path.touch()
        case "text":
            path.write_text("orderId\n" + "1234567\n" * 50)
        case "short":
            path.write_bytes(b"SQLite format 3\0")
        case "sqlite":
            sqlite_file(path, 0, 0)
        case "sqlite in WAL":
            sqlite_file(path, 0, 0)
            with closing(sqlite3.connect(path)) as db:
                db.execute("PRAGMA journal_mode = wal")
        case "newer":
            sqlite_file(path, APPLICATION_ID, VERSION + 1)
        case "no magic":
            path.write_bytes(b"\0" * 68 + struct.pack(">I", APPLICATION_ID) + b"\0" * 1000)
    before = snapshot(tmp_path)
    os.utime(path, ns=(before["l.db"][1], before["l.db"][1]))
    said = "newer bulkdelete" if kind == "newer" else "not a ledger"
    with pytest.raises(LedgerRefused, match=rf"l\.db.*{said}"):
        await hold(path, HOST)
    with pytest.raises(LedgerRefused, match=said):
        connect_read_only(path)
    assert snapshot(tmp_path) == before


async def test_a_ledger_is_known_by_its_first_bytes(tmp_path: Path) -> None:
    """`file` and every later version tell it by these, so they are never others."""
    async with opened(tmp_path / "l.db") as ledger:
        await arm(ledger, orders(1))
    head = (tmp_path / "l.db").read_bytes()
    assert (head[:16], head[68:72]) == (b"SQLite format 3\0", b"BDL1")


async def test_invariant_10_a_sqlite_file_that_only_claims_to_be_ours(tmp_path: Path) -> None:
    """Our number on other tables is damage, not ours to mend."""
    path = tmp_path / "l.db"
    sqlite_file(path, APPLICATION_ID, VERSION)
    before = snapshot(tmp_path)
    with pytest.raises(LedgerRefused, match=r"l\.db: damaged"):
        await hold(path, HOST)
    with pytest.raises(LedgerRefused, match=r"l\.db: damaged"):
        connect_read_only(path)
    assert snapshot(tmp_path) == before


async def test_invariant_13_another_host(tmp_path: Path) -> None:
    """A ledger is of one host: orders of a test server are not settled on the real one. The file stays as it is."""
    path = tmp_path / "l.db"
    async with opened(path) as ledger:
        await arm(ledger, orders(1))
    before = snapshot(tmp_path)
    with pytest.raises(LedgerRefused, match=r"of https://api\.test:443, not of https://api\.other:443"):
        await hold(path, "https://api.other:443")
    assert snapshot(tmp_path) == before


async def test_a_ledger_that_is_a_folder(tmp_path: Path) -> None:
    """It is refused, with nothing left beside it."""
    (tmp_path / "l.db").mkdir()
    with pytest.raises(LedgerRefused, match=r"l\.db: cannot be read"):
        await hold(tmp_path / "l.db", HOST)
    assert names(tmp_path) == ["l.db"]


async def test_a_missing_folder(tmp_path: Path) -> None:
    """No folder is made for a ledger; the refusal names the option."""
    with pytest.raises(LedgerRefused, match=r"nowhere: no such folder.*`settings.ledger`"):
        await hold(tmp_path / "nowhere" / "l.db", HOST)
    assert names(tmp_path) == []


@pytest.mark.parametrize("bytes_over", [-1, 0, 1, 5, 60])
@pytest.mark.parametrize("letter", ["l", "ñ"])
async def test_a_name_without_room_for_the_files_beside_it(tmp_path: Path, letter: str, bytes_over: int) -> None:
    """A plan and a run agree on it, and say by how much it is too long: in bytes, as file systems count."""
    room = os.pathconf(tmp_path, "PC_NAME_MAX") - len(".staging-journal") + bytes_over
    count = room // len(letter.encode())
    path = tmp_path / (letter * count + "l" * (room - count * len(letter.encode())))
    if bytes_over <= 0:
        with planning(path, HOST):
            pass
        await hold(path, HOST)
        return
    said = f"the name of the ledger is too long by {bytes_over} bytes?,.*`settings.ledger`"
    with pytest.raises(LedgerRefused, match=said), planning(path, HOST):
        pass
    with pytest.raises(LedgerRefused, match=said):
        await hold(path, HOST)
    assert names(tmp_path) == []


@pytest.mark.parametrize("bytes_over", [0, 1])
async def test_a_path_that_sqlite_does_not_open(tmp_path: Path, bytes_over: int) -> None:
    """The same for the whole path, which the system itself would take."""
    length = 511 - len(".staging-journal") + bytes_over
    folder = tmp_path
    while (rest := length - len(str(folder)) - 1) > 200:
        folder /= "d" * 100
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / ("l" * rest)
    if not bytes_over:
        await hold(path, HOST)
        return
    with pytest.raises(LedgerRefused, match="the path of the ledger is too long by 1 byte,"):
        await hold(path, HOST)


async def test_a_network_file_system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Locks and syncs cannot be trusted there: refused, with the option's name."""
    monkeypatch.setattr(place, "_file_system", lambda _folder: "nfs4")
    with pytest.raises(LedgerRefused, match=r"nfs4.*`settings.ledger`"):
        await hold(tmp_path / "l.db", HOST)
    assert names(tmp_path) == []


MOUNTS = r"""
/dev/root / ext4 rw 0 0
host:/net /mnt/net nfs4 rw 0 0
/dev/sdb /mnt/network xfs rw 0 0
//host/share /mnt/a\040b cifs rw 0 0
/dev/sdc /mnt/net/local btrfs rw 0 0
tmpfs /run tmpfs rw 0 0
remote: /run fuse.sshfs rw 0 0
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells of which type a file system is")
@pytest.mark.parametrize(
    ("folder", "kind"),
    [
        ("/", "ext4"),
        ("/home/x", "ext4"),
        ("/mnt/net", "nfs4"),
        ("/mnt/net/deep/down", "nfs4"),
        ("/mnt/network", "xfs"),  # its name begins as the network's does
        ("/mnt/nets", "ext4"),
        ("/mnt/a b/c", "cifs"),
        ("/mnt/net/local/x", "btrfs"),
        ("/run/x", "fuse.sshfs"),  # the later one lies above
    ],
)
def test_the_file_system_of_a_folder(folder: str, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is the one that is mounted nearest above, and of two at one place the later."""
    monkeypatch.setattr(Path, "read_text", lambda _path, **_how: MOUNTS.strip())
    monkeypatch.setattr(Path, "resolve", lambda path: path)
    assert place._file_system(Path(folder)) == kind


@pytest.mark.parametrize("kind", ["no ledger", "a ledger", "a ledger that is read-only"])
async def test_invariant_10_a_place_that_cannot_be_written(tmp_path: Path, kind: str) -> None:
    """A folder or a ledger of somebody else's is refused with the option that helps; nothing changes."""
    folder = tmp_path / "f"
    folder.mkdir()
    if kind != "no ledger":
        async with opened(folder / "l.db") as ledger:
            await arm(ledger, orders(1))
        (folder / "l.db").chmod(0o444)
    folder.chmod(0o777 if kind == "a ledger that is read-only" else 0o555)
    before = snapshot(folder)
    ran = child(NOBODY + "become_nobody()\nasyncio.run(refused())", folder / "l.db")
    folder.chmod(0o755)
    assert "`settings.ledger`" in ran.stdout, ran.stderr
    assert snapshot(folder) == before


def test_a_disk_with_too_little_room(tmp_path: Path) -> None:
    """A disk that could not take what a run writes is refused before it starts."""
    place.check_disk(tmp_path / "l.db", 1)
    with pytest.raises(LedgerRefused, match=r"MiB free.*`settings.ledger`"):
        place.check_disk(tmp_path / "l.db", 10**18)
