"""Several keys and accounts in one run: each command uses the key of the account, wherever the keys are from, or sends nothing."""

from __future__ import annotations

import json
import shlex
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from bulkdelete.simulator import Fault, FaultKind, Simulation
from tests.rigs.kill.server import Server, serving
from tests.rigs.leaks import leaks
from tests.support.command import at_once, call
from tests.support.process import PROGRAM, environment
from tests.support.shell import Shell

KEYS = {"north-key-of-two": frozenset({71, 72}), "south-key-of-one": frozenset({73})}
ACCOUNTS = (71, 72, 73)
PER_ACCOUNT = 20
ORDERS = [(account, 1000 * account + n) for account in ACCOUNTS for n in range(PER_ACCOUNT)]


class Scene:
    """A server of two keys and three accounts, an input of all of its orders, and a profile with the keys in two kinds of places."""

    def __init__(self, folder: Path, server: Server) -> None:
        self.folder, self.server = folder, server
        self.ledger = folder / "shops.db"
        self.write(ORDERS)
        (folder / "north.key").write_text("north-key-of-two\n")
        (folder / "north.key").chmod(0o600)
        self.config = folder / "shops.toml"
        self.configure([71, 72], [73])
        self.env = environment(key=None, SOUTH_KEY="south-key-of-one")

    def write(self, orders: list[tuple[int, int]]) -> None:
        lines = "".join(f"{account},{order}\n" for account, order in orders)
        (self.folder / "gone.csv").write_text(f"accountId,orderId\n{lines}")

    def configure(self, north: list[int], south: list[int], *more: str) -> None:
        self.config.write_text(
            "\n".join(
                (
                    "[profiles.shops]",
                    f'api_url = "{self.server.url}"',
                    'ledger = "shops.db"',
                    *more,
                    "[[profiles.shops.keys]]",
                    f"accounts = {north}",
                    'api_key_file = "north.key"',
                    "[[profiles.shops.keys]]",
                    f"accounts = {south}",
                    'api_key_env = "SOUTH_KEY"',
                )
            )
        )
        self.config.chmod(0o600)

    @property
    def given(self) -> list[str]:
        return ["--profile", "shops", "--config", str(self.config)]

    def __call__(self, name: str, *words: str, profile: bool = True) -> subprocess.CompletedProcess[str]:
        return call(*PROGRAM, name, *words, *(self.given if profile else ()), cwd=self.folder, env=self.env)

    def run(self, *more: str) -> subprocess.CompletedProcess[str]:
        return self("run", str(self.folder / "gone.csv"), "--keep-stock", *more)

    def keys_used(self) -> set[tuple[int | None, int | None]]:
        """(key, account) of every request that named an account."""
        sent = {(entry.key_index, entry.account_id) for entry in self.server.journal}
        return sent | {
            (entry.key_index, entry.account_id) for entry in self.server.reads if entry.account_id is not None
        }

    def silent(self, done: subprocess.CompletedProcess[str]) -> None:
        """No key is in what was said, or in the ledger."""
        made = self.ledger.read_bytes() if self.ledger.exists() else b""
        for key in KEYS:
            assert leaks(key, done.stdout.encode() + done.stderr.encode() + made) == []


OWN = {(0, 71), (0, 72), (1, 73)}
"""Each account with its key."""


@pytest.fixture
def scene(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Scene]:
    more = getattr(request, "param", {})
    with serving(Simulation(orders=[(*order, 1) for order in ORDERS], keys=KEYS, limit=60_000, **more)) as server:
        yield Scene(tmp_path, server)


def test_each_account_is_deleted_with_its_key(scene: Scene) -> None:
    """A preview, a backup and the deletion of three accounts in one run; the ledger is that of the profile."""
    done = scene.run("--yes", "--backup", "kept.jsonl", "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["outcomes"]["deleted"] == len(ORDERS)
    assert {each["account_id"]: each["outcomes"]["deleted"] for each in told["accounts"]} == dict.fromkeys(
        ACCOUNTS, PER_ACCOUNT
    )
    assert scene.server.deleted_orders() == set(ORDERS)
    assert {entry.status for entry in scene.server.journal} == {204}
    assert {entry.kind for entry in scene.server.reads} == {"read", "accounts"}
    assert scene.keys_used() == OWN
    assert len((scene.folder / "kept.jsonl").read_text().splitlines()) == len(ORDERS)
    assert (scene.folder / "shops.db").exists()
    assert not (scene.folder / "gone.csv.ledger.db").exists()
    scene.silent(done)


def test_looking_up_uses_the_key_of_the_account(scene: Scene) -> None:
    """`plan --online` before, `verify --online` after."""
    file = str(scene.folder / "gone.csv")
    done = scene("plan", file, "--keep-stock", "--online", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["online"]["present"] == len(ORDERS)
    assert scene.keys_used() == OWN
    scene.write(ORDERS[::2])
    assert scene.run("--yes").returncode == 0
    done = scene("verify", str(scene.ledger), "--online", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    assert scene.keys_used() == OWN
    scene.silent(done)


@pytest.mark.parametrize("scene", [{"faults": (Fault(FaultKind.DROP_AFTER, probability=1.0),)}], indirect=True)
def test_doubts_are_looked_up_with_the_key_of_the_account(scene: Scene) -> None:
    """All responses were lost: each order is looked up by its own key and found gone."""
    scene.write([ORDERS[1], ORDERS[-1]])
    assert scene.run("--yes", "--doubts", "hold", "--preview", "off").returncode == 1
    scene.server.reads.clear()
    done = at_once("resume", str(scene.ledger), "--doubts", "verify", "--yes", "--json", *scene.given, env=scene.env)
    assert json.loads(done.stdout)["looked_up"]["gone"] == 2, done.stderr
    assert {(entry.key_index, entry.account_id) for entry in scene.server.reads} == {(0, 71), (1, 73)}


WORDS = {
    "run": ("run", "gone.csv", "--keep-stock", "--yes"),
    "run, where nobody can be asked": ("run", "gone.csv", "--keep-stock"),
    "plan": ("plan", "gone.csv", "--keep-stock"),
    "plan --online": ("plan", "gone.csv", "--keep-stock", "--online"),
}


@pytest.mark.parametrize("case", WORDS)
def test_an_account_without_a_key_sends_nothing(scene: Scene, case: str) -> None:
    """Exit 2 and the account, before anybody is asked and before anything is read."""
    scene.configure([71], [73])
    done = scene(*WORDS[case])
    assert done.returncode == 2, done.stderr
    assert "account 72 has orders and no API key" in done.stderr
    assert (scene.server.journal, scene.server.reads) == ([], [])


def test_an_account_without_a_key_is_neither_resumed_nor_verified(scene: Scene) -> None:
    """The same for what continues; an account that is done needs no key."""
    scene.write(ORDERS[:PER_ACCOUNT])
    assert scene.run("--yes").returncode == 0
    scene.configure([72], [73])
    scene.write(ORDERS[PER_ACCOUNT:])
    assert scene.run("--yes", "--max-time", "1s", "--rate", "60/min", "--preview", "off").returncode == 75
    before = len(scene.server.journal)
    scene.configure([71], [73])
    done = scene("resume", str(scene.ledger), "--yes")
    assert (done.returncode, len(scene.server.journal)) == (2, before)
    assert "account 72 has orders and no API key" in done.stderr
    done = scene("verify", str(scene.ledger), "--online")
    assert done.returncode == 2
    assert "account 72 has orders and no API key" in done.stderr


@pytest.mark.parametrize("scene", [{"key_limits": {"north-key-of-two": 600, "south-key-of-one": 1200}}], indirect=True)
def test_how_long_each_key_takes(scene: Scene) -> None:
    """The slowest key counts. `plan` reads no key, and takes that of the last run with the same accounts."""
    file, per_min = str(scene.folder / "gone.csv"), ("--rate", "30/min")
    planned = scene("plan", file, "--keep-stock")
    assert "that of the slowest key\n  key of account 71, 72: 40 orders, about " in planned.stdout
    assert planned.stdout.count("at 30 per minute, ") == planned.stdout.count("(the limit is not known yet)") == 2
    told = json.loads(scene("plan", file, "--keep-stock", "--json", *per_min, "--max-time", "60s").stdout)
    assert (told["seconds"], told["runs"]) == ({"30": 78}, {"30": 2})
    assert [(key["accounts"], key["to_send"], key["runs"]) for key in told["keys"]] == [
        ([71, 72], 40, {"30": 2}),
        ([73], 20, {"30": 1}),
    ]
    scene.write([ORDERS[0], ORDERS[-1]])
    assert scene.run("--yes", "--preview", "off").returncode == 0
    scene.write(ORDERS)
    planned = scene("plan", file, "--keep-stock")
    words = ("run", file, "--keep-stock", "--preview", "off", *scene.given)
    with Shell(scene.folder, scene.env) as shell:
        code, shown = shell.paste(shlex.join([*PROGRAM, *words]), {"to continue": "no\n"})
    assert code == 3
    assert "not confirmed, so nothing was sent: what was typed is not the number 58\n" in shown
    assert "about 0 s, that of the slowest key\n" in shown
    for line in (
        "key of account 71, 72: 39 orders, about 0 s at 600 per minute (as this ledger learned)",
        "key of account 73: 19 orders, about 0 s at 1200 per minute (as this ledger learned)",
    ):
        assert f"  {line}\n" in shown
        assert f"  {line}\n" in planned.stdout
    scene.configure([71], [72, 73])
    planned = scene("plan", file, "--keep-stock")
    assert planned.stdout.count("at 600 per minute") == planned.stdout.count("at 1200 per minute") == 2, planned.stdout


def test_a_key_from_elsewhere_besides_is_refused(scene: Scene) -> None:
    """Of a flag or the environment: exit 2, naming both. Without keys of its own a profile takes it."""
    done = scene.run("--yes", "--api-key-file", "north.key")
    assert done.returncode == 2
    assert f"profile shops of {scene.config} has keys, and --api-key-file names one, too" in done.stderr
    scene.env["BULKDELETE_API_KEY"] = "north-key-of-two"
    done = scene.run("--yes")
    assert done.returncode == 2
    assert "has keys, and BULKDELETE_API_KEY names one, too. Unset BULKDELETE_API_KEY" in done.stderr
    assert scene.server.journal == []
    scene.config.write_text('[profiles.shops]\nrate = "6000/min"\n')
    scene.write(ORDERS[:3])
    done = scene.run("--yes", "--api-url", scene.server.url)
    assert done.returncode == 0, done.stderr


def test_the_command_line_counts_more_than_the_profile(scene: Scene) -> None:
    """The printed command names the profile, repeats what differs from it, and continues the run when it is pasted."""
    scene.configure([71, 72], [73], 'rate = "6000/min"', 'reserve = "10%"')
    done = scene.run(
        "--yes", "--json", "--max-time", "1s", "--rate", "60/min", "--ledger", "other.db", "--preview", "off"
    )
    assert done.returncode == 75, done.stderr
    words = shlex.split(json.loads(done.stdout)["go_on"])
    at = words.index("resume")
    assert words[at + 1 :] == [
        *(str(scene.folder / "other.db"), "--profile", "shops", "--config", str(scene.config)),
        *("--rate", "60"),
    ]
    with closing(sqlite3.connect(scene.folder / "other.db")) as db:
        (options,) = db.execute("SELECT options FROM runs").fetchone()
    assert "reserve=0.1" in options
    left = len(ORDERS) - len(scene.server.journal)
    words[-1] = "60000"
    done = call(*PROGRAM, *words[at:], "--yes", cwd=Path("/"), env=scene.env)
    assert done.returncode == 0, done.stderr
    assert f"{left} requests" in done.stdout


def test_a_file_of_the_profile_is_no_output_and_no_input(scene: Scene) -> None:
    """Neither the file of a key nor the configuration itself is replaced or read as orders."""
    for name, what in (("north.key", "the file of the API key"), ("shops.toml", "the configuration file")):
        done = scene.run("--yes", "--rejects", name, "--overwrite")
        assert (done.returncode, f"--rejects {name} is {what}" in done.stderr) == (2, True), done.stderr
        done = scene("plan", name, "--keep-stock")
        assert (done.returncode, f"{name} is {what}" in done.stderr) == (2, True), done.stderr


def test_offline_verify_needs_no_profile(scene: Scene) -> None:
    """It would do nothing, so it is refused; with --online it names the keys."""
    done = scene("verify", "shops.db")
    assert done.returncode == 2
    assert "--profile is for looking up the orders, which needs --online" in done.stderr
