"""A key that came into an input by mistake: the file of the key as FILE, or its value in a cell. No message, result or file repeats it."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from bulkdelete.cli import secrecy
from tests.rigs.leaks import leaks
from tests.support.command import IDS, call, write
from tests.support.process import KEY, PROGRAM, environment

GIVEN = ("--account-id", "1", "--keep-stock")


@pytest.fixture
def scene(tmp_path: Path) -> Path:
    """A key's file under several names, a service's credential, and orders."""
    (tmp_path / "credentials").mkdir()
    for name in ("a.key", "credentials/bulkdelete-api-key"):
        (tmp_path / name).write_text(f"{KEY}\n")
        (tmp_path / name).chmod(0o600)
    (tmp_path / "soft.csv").symlink_to("a.key")
    os.link(tmp_path / "a.key", tmp_path / "hard.csv")
    write(tmp_path / "orders.csv", IDS)
    return tmp_path


def silent(done: subprocess.CompletedProcess[str], folder: Path, known: tuple[str, ...] = ()) -> None:
    """The key is in none of what it said and made."""
    made = b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.name not in known)
    assert leaks(KEY, done.stdout.encode() + done.stderr.encode() + made) == []
    assert "Traceback" not in done.stderr


INPUTS = ("a.key", "./a.key", "soft.csv", "hard.csv", "*.key", "[h]ard.*", "credentials/bulkdelete-api-key", "-")


@pytest.mark.parametrize("command", ["run", "plan", "simulate"])
@pytest.mark.parametrize("name", INPUTS)
def test_invariant_29_the_file_of_the_key_is_no_input(scene: Path, command: str, name: str) -> None:
    """By any name, alone or among others, of a pattern or on stdin: exit 2 before anything is read, and nothing is made."""
    words = {
        "run": ["run", "orders.csv", name, *GIVEN, "--yes", "--json", "--ledger", "l.db", "--api-key-file", "a.key"],
        "plan": ["plan", name, *GIVEN, "--ledger", "l.db"],
        "simulate": ["simulate", "--port", "0", "--orders", "orders.csv", "--orders", name],
    }[command]
    before = sorted(path.name for path in scene.iterdir())
    env = environment(
        None, BULKDELETE_API_KEY_FILE="a.key", CREDENTIALS_DIRECTORY=str(scene / "credentials"), PYTHONPATH=os.getcwd()
    )
    done = call(*PROGRAM, *words, stdin=scene / "a.key", cwd=scene, env=env)
    assert done.returncode == 2, done.stderr
    assert "Name the files of the orders alone" in done.stderr
    assert leaks(KEY, done.stdout.encode() + done.stderr.encode()) == []
    assert sorted(path.name for path in scene.iterdir()) == before


def test_the_file_of_no_key_is_an_input(scene: Path) -> None:
    """A variable that names a file that is not there, and /dev/null for both, stand in nobody's way."""
    env = environment(BULKDELETE_API_KEY_FILE="none", CREDENTIALS_DIRECTORY="none", PYTHONPATH=os.getcwd())
    assert call(*PROGRAM, "plan", "orders.csv", *GIVEN, cwd=scene, env=env).returncode == 0
    env["BULKDELETE_API_KEY_FILE"] = "/dev/null"
    done = call(*PROGRAM, "plan", "/dev/null", *GIVEN, "--ledger", "l.db", cwd=scene, env=env)
    assert "API key" not in done.stderr


HELD = {
    "a line": "{}\n",
    "a header": "{},total\n5,1\n",
    "a cell": "orderId,note\n5,\n{},x\n",
    "a cell that is cut": "orderId\n5\n" + "x" * 66 + "{}\n",
    "an account": "orderId,accountId\n5,{}\n",
    "a stock": "orderId,revertStock\n5,{}\n",
    "a title": "{}\n\ntotal\n3\n",
    "a name of many": "a,b,{},c\n1,2,3,4\n",
    "a line of JSON": '{{"key": "{}"}}\n',
}


@pytest.mark.parametrize("words", [("run", "--yes"), ("plan", "--json")], ids=" ".join)
@pytest.mark.parametrize("held", HELD.values(), ids=HELD)
def test_invariant_29_an_input_that_holds_the_key(tmp_path: Path, words: tuple[str, ...], held: str) -> None:
    """Wherever it stands: messages, results and the file of rejects say [API key] in its place."""
    file = tmp_path / "o.csv"
    file.write_text(held.format(KEY))
    done = call(*PROGRAM, words[0], str(file), *GIVEN, *words[1:], "--rejects", str(tmp_path / "r.csv"))
    assert done.returncode in (2, 3), (done.stdout, done.stderr)
    silent(done, tmp_path, (file.name,))


@pytest.mark.parametrize("held", [HELD["a line"], HELD["a cell"]], ids=["a line", "a cell"])
def test_invariant_29_a_simulator_whose_orders_hold_the_key(tmp_path: Path, held: str) -> None:
    """The same for `simulate`."""
    file = tmp_path / "o.csv"
    file.write_text(held.format(KEY))
    done = call(*PROGRAM, "simulate", "--orders", str(file), "--port", "0")
    assert done.returncode in (2, 3), (done.stdout, done.stderr)
    silent(done, tmp_path, (file.name,))


def test_invariant_29_an_input_that_holds_the_key_of_a_file(tmp_path: Path) -> None:
    """A copy of the key's file is another file, and the key is known by then; so it is when it comes from stdin."""
    key, file = tmp_path / "a.key", tmp_path / "copy"
    for path in (key, file):
        path.write_text(f"{KEY}\n")
        path.chmod(0o600)
    done = call(
        *PROGRAM, "run", str(file), *GIVEN, "--yes", "--json", "--api-key-file", str(key), env=environment(None)
    )
    assert done.returncode == 3, done.stderr
    assert "[API key]" in done.stderr
    silent(done, tmp_path, (key.name, file.name))


def test_invariant_29_an_option_with_the_key(tmp_path: Path) -> None:
    """An option where it does not belong is refused without it."""
    file = write(tmp_path / "o.csv", IDS)
    for option in (
        "--column",
        "--sheet",
        "--encoding",
        "--account-id",
        "--expect",
        "--doubts",
        "--api-url",
        "--retry",
        "--key",
    ):
        done = call(*PROGRAM, "run", str(file), *GIVEN, "--yes", "--json", option, KEY)
        assert done.returncode in (2, 3), option
        silent(done, tmp_path, (file.name,))


@pytest.fixture
def forgetful() -> None:
    secrecy._known.clear()


@pytest.mark.usefixtures("forgetful")
@pytest.mark.parametrize("key", [KEY, "abcd1234", "a,b;c|d,e", "it's-a-key", 'a"b\\c"d\\e', "12345678", "ключ-ключ"])
def test_a_key_in_any_text(key: str) -> None:
    """Raw, quoted for a shell, for Python or JSON, in another case, as cells, cut; what is no key stays."""
    assert secrecy.hidden(f"a {key} b") == f"a {key} b"
    secrecy.know(key)
    for form in (key, key.upper(), repr(key)[1:-1], json.dumps(key)[1:-1], ", ".join(key.split(","))):
        assert secrecy.hidden(f"a '{form}' b") == "a '[API key]' b"
    assert secrecy.hidden(f"a {key[:6]}… b") == "a [API key]… b"
    assert secrecy.hidden_in({key: [(key, 5, None, True)], "n": 12345678}) == {
        "[API key]": [["[API key]", 5, None, True]], "n": 12345678
    }  # fmt: skip
    secrecy._known.clear()


@pytest.mark.usefixtures("forgetful")
def test_a_short_word_is_not_hidden() -> None:
    """It stands in innocent words, and each gap would tell what it is."""
    secrecy.know("order a 1")
    assert secrecy.hidden("1 order") == "1 order"
