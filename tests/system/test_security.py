"""What the program owes to whoever shares its machine: private files, no followed links, no key in a repr, nothing that acts on a terminal.

TLS and the rules of redirects are in tests/unit/api/test_client.py (invariant 27), the sealed process in tests/unit/api/test_keys.py.
"""

from __future__ import annotations

import asyncio
import os
import re
import stat
import subprocess
import sys
import time
import tomllib
import unicodedata
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from bulkdelete.api.client import Client
from bulkdelete.api.keys import ApiKey, Credential
from bulkdelete.settings import Settings
from bulkdelete.simulator import Simulation
from bulkdelete.simulator.faulty_response import FaultContext
from bulkdelete.simulator.request import ApiRequest
from bulkdelete.simulator.response import SimulatedResponse
from tests.rigs.leaks import SENTINEL, leaks
from tests.support import ROOT
from tests.support.command import IDS, MORE, Server, call
from tests.support.process import KEY, PROGRAM, environment, until

TESTS = 100  # at most, that each want orders of their own


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Every test's, with orders for each: what one deleted, no other sends, and the guard stays on."""
    more = ("--others", str(len(IDS) * TESTS))
    serving = Server(tmp_path_factory.mktemp("server"), "--limit", "3000", "--latency", "0.01", *more)
    yield serving
    serving.close()


_FIRST = max(*IDS, *MORE) + 1  # the server's other orders follow those that it was given
_UNUSED = iter(range(_FIRST, _FIRST + len(IDS) * TESTS, len(IDS)))


def command(server: Server, folder: Path) -> list[str]:
    """The command with every output it can make, for orders that nobody sent before; the input has a reject."""
    file, first = folder / "o.csv", next(_UNUSED)
    file.write_text("orderId\n" + "".join(f"{order}\n" for order in range(first, first + len(IDS))) + "no id\n")
    return [
        *PROGRAM, "run", str(file), "--account-id", "1", "--keep-stock", "--api-url", server.url, "--yes", "--skip-rejected",
        "--rejects", str(folder / "rejects.csv"), "--log-file", str(folder / "run.log"),
    ]  # fmt: skip


def mode_of(path: Path) -> str:
    return oct(stat.S_IMODE(path.lstat().st_mode))


# Files.


@pytest.mark.parametrize("umask", [0o000, 0o022])
def test_invariant_31_every_file_is_for_its_owner_only(umask: int, server: Server, tmp_path: Path) -> None:
    """Ledger, -wal, -shm, lock, log, rejects and export have mode 0600 whatever the umask, while a run goes on and after it."""
    seen: dict[str, set[str]] = {}
    words = command(server, tmp_path)
    process = subprocess.Popen(
        [*words, "--rate", "60/s"], stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        env=environment(), umask=umask,
    )  # fmt: skip
    while process.poll() is None:
        for path in tmp_path.iterdir():
            with suppress(OSError):  # it has just gone
                seen.setdefault(path.name, set()).add(mode_of(path))
        time.sleep(0.005)
    out = tmp_path / "e.csv"
    subprocess.run(
        [*PROGRAM, "export", f"{words[4]}.ledger.db", "-o", out], umask=umask, check=True, capture_output=True
    )
    seen.pop("o.csv")
    seen |= {path.name: {mode_of(path)} for path in tmp_path.iterdir() if path.name != "o.csv"}
    assert {f"o.csv.ledger.db{end}" for end in ("", "-wal", "-shm", ".lock")} <= set(seen)
    assert {"run.log", "rejects.csv", "e.csv"} <= set(seen)
    assert set().union(*seen.values()) == {"0o600"}, seen
    assert len(out.read_text().splitlines()) == len(IDS) + 1


@pytest.mark.parametrize("dangling", [False, True], ids=["to a file", "dangling"])
@pytest.mark.parametrize("name", ["rejects.csv", "run.log", "o.csv.ledger.db.lock", "o.csv.ledger.db-wal"])
def test_invariant_31_a_planted_link_is_not_followed(name: str, dangling: bool, server: Server, tmp_path: Path) -> None:
    """A symlink where an output would lie, to a file of the user's or to one that would be made: neither is written."""
    victim = tmp_path / "elsewhere" / "victim"
    victim.parent.mkdir()
    if not dangling:
        victim.write_bytes(b"precious")
    words = command(server, tmp_path)
    (tmp_path / name).symlink_to(victim)
    before = len(server.journal())
    done = call(*words)
    assert (victim.read_bytes() if victim.exists() else b"precious") == b"precious"
    assert victim.exists() is not dangling
    assert [path.name for path in victim.parent.iterdir()] == ([] if dangling else ["victim"])
    assert done.returncode in (2, 6), done.stderr
    assert "Traceback" not in done.stderr
    assert len(server.journal()) == before


def test_invariant_31_scratch_files_are_made_anew(server: Server, tmp_path: Path) -> None:
    """A link where a proposal or a new ledger would be drafted is taken away, and what it points to is left alone."""
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    words = command(server, tmp_path)
    for end in (".staging", ".new"):
        (tmp_path / f"o.csv.ledger.db{end}").symlink_to(victim)
    assert call(*words).returncode == 0
    assert victim.read_bytes() == b"precious"
    assert not [path.name for path in tmp_path.iterdir() if path.is_symlink()]


def test_invariant_31_an_export_does_not_follow_a_link(server: Server, tmp_path: Path) -> None:
    """`-o` to a link is refused; the file behind it stays, and no draft is left."""
    words = command(server, tmp_path)
    assert call(*words).returncode == 0
    victim, link = tmp_path / "victim", tmp_path / "e.csv"
    victim.write_bytes(b"precious")
    link.symlink_to(victim)
    done = call(*PROGRAM, "export", f"{words[4]}.ledger.db", "-o", str(link))
    assert (done.returncode, victim.read_bytes(), link.is_symlink()) == (2, b"precious", True)
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize("dangling", [False, True], ids=["to a foreign file", "dangling"])
def test_invariant_31_a_linked_ledger_overwrites_nothing(dangling: bool, server: Server, tmp_path: Path) -> None:
    """Two names of one ledger are one ledger, so a link there is followed; but a foreign file behind it is refused as it is,
    and a new one is made private and only where nothing was."""
    target = tmp_path / "elsewhere.db"
    if not dangling:
        target.write_bytes(b"precious" * 50)
    words = command(server, tmp_path)
    Path(f"{words[4]}.ledger.db").symlink_to(target)
    done = call(*words)
    if dangling:
        assert done.returncode == 0, done.stderr
        assert mode_of(target) == "0o600"
    else:
        assert (done.returncode, target.read_bytes()) == (6, b"precious" * 50)


# Secrets.


async def test_invariant_29_the_key_is_in_no_repr(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever holds a key shows it neither printed nor formatted: ours, and the simulator's."""
    monkeypatch.setenv("SSL_CERT_FILE", os.devnull)
    key = ApiKey(SENTINEL)
    query = f"API_KEY={quote(SENTINEL, safe='')}"
    holders: list[Any] = [
        key,
        Credential(key, frozenset({7})),
        Simulation(keys={SENTINEL: {7}}),
        FaultContext(SimulatedResponse(204), (), SENTINEL, query, 0.0),
        ApiRequest("DELETE", "delete", SENTINEL, query, 7, 1, False, True, True),
    ]
    async with Client(key, Settings(Path("unused"), api_url="http://127.0.0.1:9")) as client:
        holders += [client, client._redact, client._session]
        for holder in holders:
            shown = f"{holder!r} {holder!s} {[holder]} {asyncio.create_task(asyncio.sleep(0), name=str(holder))!r}"
            assert leaks(SENTINEL, shown.encode()) == [], type(holder)


def test_invariant_29_tls_keys_are_logged_nowhere(server: Server, tmp_path: Path) -> None:
    """SSLKEYLOGFILE of the environment would let others read along: the command clears it before it opens anything."""
    log = tmp_path / "tls.log"
    done = call(*command(server, tmp_path), env=environment(SSLKEYLOGFILE=str(log)))
    assert done.returncode == 0, done.stderr
    assert not log.exists()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="NOT TESTED: there is no /proc here")
def test_invariant_29_a_running_command_shows_no_key(server: Server, tmp_path: Path) -> None:
    """While it runs: not in its command line, and no core of it would be written. tests/unit/api/test_keys.py looks at the rest."""
    process = subprocess.Popen(
        [*command(server, tmp_path), "--rate", "20/s"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL, env=environment(),
    )  # fmt: skip
    try:
        until(lambda: (tmp_path / "o.csv.ledger.db-wal").exists())
        about = Path(f"/proc/{process.pid}")
        limits = re.search(r"Max core file size\s+(\S+)\s+(\S+)", (about / "limits").read_text())
        assert limits is not None
        assert limits.groups() == ("0", "0")
        assert leaks(KEY, (about / "cmdline").read_bytes()) == []
    finally:
        process.kill()
        process.wait()


# The terminal.

NAME = "\x1b[2J\x1b]0;owned\x07\u202egpj.csv\x9b31m"


@pytest.mark.parametrize(
    "words",
    [
        ("run", "FILE", "--account-id", "1", "--keep-stock", "--yes"),
        ("plan", "FILE", "--account-id", "1", "--keep-stock"),
        ("run", "MISSING", "--account-id", "1", "--keep-stock", "--yes"),
        ("plan", "MISSING", "--account-id", "1", "--keep-stock"),
        ("resume", "MISSING"),
        ("status", "MISSING"),
        ("status", "FILE"),
        ("export", "MISSING"),
        ("export", "LEDGER", "-o", "OUT"),
        ("export", "LEDGER", "-o", "FOLDER/x"),
        ("report", "MISSING"),
        ("verify", "MISSING"),
        ("verify", "LEDGER", "MISSING"),
        ("verify", "LEDGER", "FILE"),
        ("verify", "LEDGER", "LEDGER"),
        ("settle", "MISSING", "1:5", "--as", "gone", "--note", "x"),
        ("settle", "LEDGER", "NAME", "--as", "gone", "--note", "x"),
        ("report", "LEDGER", "-o", "OUT"),
        ("report", "LEDGER", "-o", "FOLDER/x"),
        ("run", "FILE", "--account-id", "1", "--keep-stock", "--yes", "--ledger", "FOLDER/x"),
        ("run", "FILE", "--account-id", "1", "--keep-stock", "--yes", "--log-file", "FOLDER/x"),
        ("run", "FILE", "--account-id", "1", "--keep-stock", "--yes", "--rejects", "FOLDER/x"),
        ("run", "FILE", "--account-id", "1", "--keep-stock", "--yes", "--ca-file", "MISSING"),
        ("run", "FILE", "--account-id", "1", "--keep-stock", "--yes", "--api-key-file", "MISSING"),
        ("run", "FILE", "--account-id", "1", "--keep-stock", "--yes", "--retry" + NAME),
        ("plan", "FILE", "--account-id", "1", "--keep-stock", "--column", NAME),
        ("plan", "FILE", "--account-id", "1", "--keep-stock", "--encoding", NAME),
    ],
    ids=" ".join,
)
def test_invariant_30_names_cannot_act_on_a_terminal(words: tuple[str, ...], server: Server, tmp_path: Path) -> None:
    """Whatever a file or an option is called, nothing of it reaches the terminal as a command to it."""
    paths = {
        "FILE": tmp_path / NAME,
        "MISSING": tmp_path / f"none{NAME}",
        "FOLDER/x": tmp_path / NAME / "x",
        "OUT": tmp_path / f"out{NAME}",
    }
    paths["LEDGER"] = tmp_path / "l.db"
    paths["FILE"].write_text(f"orderId\n{IDS[0]}\n")
    if "LEDGER" in words:
        made = (
            "run",
            str(paths["FILE"]),
            "--account-id",
            "1",
            "--keep-stock",
            "--yes",
            "--preview",
            "off",
            "--ledger",
            str(paths["LEDGER"]),
        )
        assert call(*PROGRAM, *made, "--api-url", server.url).returncode in (0, 1)
    more = ("--api-url", server.url) if words[0] == "run" else ()
    done = call(*PROGRAM, *(str(paths.get(word, word)) for word in words), *more)
    assert "Traceback" not in done.stderr
    for text in (done.stdout, done.stderr):
        assert not [char for char in text if char not in "\n\r\t" and unicodedata.category(char) in ("Cc", "Cf")], (
            ascii(text)
        )


# The house.


def test_bandit_rules_are_on() -> None:
    """ruff's S rules hold for the product; only S608 is off, and says why. Tests are another matter."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    lint = tomllib.loads(text)["tool"]["ruff"]["lint"]
    assert "S" in lint["select"]
    assert [rule for rule in lint["ignore"] if re.fullmatch(r"S\d*", rule)] == ["S608"]
    assert re.search(r'"S608",\s+# \w+', text)
    assert {
        pattern: rules for pattern, rules in lint["per-file-ignores"].items() if not pattern.startswith("tests/")
    } == {}


def test_every_exception_to_a_bandit_rule_says_why() -> None:
    """A `noqa: S...` in the product carries its reason."""
    for path in (ROOT / "bulkdelete").rglob("*.py"):
        for line in path.read_text(encoding="utf-8").splitlines():
            if re.search(r"noqa:.*\bS\d{3}", line):
                assert re.search(r"noqa: [A-Z0-9, ]+\s+(#|-) ?\w+", line), f"{path}: {line}"
