"""Where there is no room to write: a temporary folder that is full or missing, and inputs that lie where nobody may write."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from tests.support.command import call, serving, write
from tests.support.mounts import mounted
from tests.support.process import PROGRAM

IDS = list(range(8_520_001, 8_521_001))
GIVEN = ("--account-id", "1", "--keep-stock")


PIPED = "{ echo orderId; seq 8520001 8521000; } |"


def test_ids_on_stdin_and_little_room(tmp_path: Path) -> None:
    """1,000 ids and 4 KiB left: exit 3, a message that names TMPDIR, and no request; with room all of them are deleted."""
    exist, journal, ledger = write(tmp_path / "exist.csv", IDS), tmp_path / "journal", tmp_path / "l.db"
    server = ("--orders", str(exist), "--others", "0", "--limit", "60000", "--journal", str(journal))
    with serving(*server) as url:
        words = [PIPED, *PROGRAM, "run", "-", *GIVEN, "--yes", "--ledger", str(ledger), "--api-url", url]
        done = mounted("size=4k", words, TMPDIR="/mnt")
        assert done.returncode == 3, done.stderr
        assert "/mnt" in done.stderr
        assert "TMPDIR" in done.stderr
        assert journal.read_text() == ""
        assert not ledger.exists()
        room = mounted("size=1m", words, TMPDIR="/mnt")
        assert room.returncode == 0, room.stderr
    entries = [json.loads(line) for line in journal.read_text().splitlines()]
    assert sorted(entry["order_id"] for entry in entries if entry["kind"] == "delete") == IDS


@pytest.mark.parametrize(("mount", "folder"), [("ro", "/mnt"), ("size=1m", "/mnt/none"), ("size=1m", "/etc/hostname")])
def test_a_temporary_folder_that_takes_nothing(tmp_path: Path, mount: str, folder: str) -> None:
    """Read-only, missing or no folder: exit 3, and the message names TMPDIR; a plain file needs none."""
    words = [*PROGRAM, "plan", "-", *GIVEN, "--ledger", str(tmp_path / "l.db")]
    done = mounted(mount, [PIPED, *words], TMPDIR=folder)
    assert (done.returncode, "TMPDIR" in done.stderr, folder in done.stderr) == (3, True, True), done.stderr
    words[4] = str(write(tmp_path / "o.csv", IDS))
    assert mounted(mount, words, TMPDIR=folder).returncode == 0


@pytest.mark.parametrize("ledger", [False, True], ids=["new", "known"])
async def test_a_plan_of_a_file_on_a_read_only_file_system(tmp_path: Path, ledger: bool) -> None:
    """The scratch file lies in the temporary folder, and nothing is left there; where that takes nothing either: exit 3."""
    from tests.support.ledger import HOST, first

    file, temporary = write(tmp_path / "o.csv", IDS), tmp_path / "temporary"
    temporary.mkdir()
    before = f"cp {file} /mnt"
    if ledger:
        await first(tmp_path / "l.db")
        before += f" && cp {tmp_path}/l.db /mnt/o.csv.ledger.db"
    host = ["--api-url", HOST] if ledger else []
    words = [*PROGRAM, "plan", "/mnt/o.csv", *GIVEN, *host]
    done = mounted("size=1m", words, f"{before} && mount -o remount,ro /mnt", TMPDIR=str(temporary))
    assert done.returncode == 0, done.stderr
    assert f"{len(IDS):,} new" in done.stdout
    assert list(temporary.iterdir()) == []
    done = mounted("size=1m", words, f"{before} && mount -o remount,ro /mnt", TMPDIR="/mnt/none")
    assert (done.returncode, "TMPDIR" in done.stderr) == (3, True), done.stderr


def test_a_plan_of_a_file_on_a_full_disk(tmp_path: Path) -> None:
    """A disk without room cannot be written either."""
    file = write(tmp_path / "o.csv", IDS)
    words = [*PROGRAM, "plan", "/mnt/o.csv", *GIVEN]
    done = mounted("size=16k", words, f"cp {file} /mnt && head -c 1m /dev/zero >/mnt/full 2>/dev/null; true")
    assert done.returncode == 0, done.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a file of somebody else's")
@pytest.mark.skipif(shutil.which("setpriv") is None, reason="NOT TESTED: root could write everywhere")
@pytest.mark.parametrize("mode", [0o555, 0o755])
def test_a_plan_of_a_file_in_a_folder_of_somebody_else(tmp_path: Path, mode: int) -> None:
    """A folder that our user may look into and not write."""
    home = tmp_path / "home"
    home.mkdir()
    file = write(home / "o.csv", IDS)
    os.chown(home, 65534, 65534)
    home.chmod(mode)
    plain_user = ("setpriv", "--bounding-set=-all", "--inh-caps=-all")
    assert call(*plain_user, "touch", str(home / "x")).returncode != 0, "this user can write there: this proves nothing"
    done = call(*plain_user, *PROGRAM, "plan", str(file), *GIVEN)
    assert done.returncode == 0, done.stderr
    assert [path.name for path in home.iterdir()] == ["o.csv"]
