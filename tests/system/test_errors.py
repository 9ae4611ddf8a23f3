"""How the command ends when it cannot begin, or when it crashes: one line, one exit code, and one JSON object if that was asked for."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from bulkdelete.ledger.sqlite import locks
from tests.rigs.leaks import leaks
from tests.support.agreement import outcomes
from tests.support.command import IDS, Server, arguments, call, write
from tests.support.process import KEY, PROGRAM, environment

GIVEN = ("--account-id", "1", "--keep-stock", "--api-url", "http://127.0.0.1:9")


def told(run: subprocess.CompletedProcess[str]) -> tuple[int, str]:
    """The exit code and the error of the one object on stdout; stderr says the same in words."""
    (line,) = run.stdout.splitlines()
    fields = json.loads(line)
    assert fields["exit_code"] == run.returncode
    assert fields["error"].splitlines()[0] in run.stderr
    return run.returncode, fields["error"]


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("run",), 2),
        (("run", "o.csv", "--slots", "0"), 2),
        (("run", "o.csv", "--no-such-option"), 2),
        (("run", "o.csv", "--account-id", "x"), 2),
        (("run", "none.csv", *GIVEN, "--yes"), 3),
        (("run", "bad.csv", *GIVEN, "--yes"), 3),
        (("run", "o.csv", *GIVEN), 3),
        (("run", "o.csv", *GIVEN, "--expect", "2"), 3),
        (("run", "o.csv", *GIVEN, "--yes", "--ledger", "foreign.db"), 6),
        (("run", "o.csv", *GIVEN, "--yes", "--ledger", "locked.db"), 75),
        (("resume", "none.db", "--yes"), 3),
        (("resume", "foreign.db", "--yes"), 6),
        (("plan", "none.csv", *GIVEN), 3),
        (("plan", "o.csv", *GIVEN, "--rate", "fast"), 2),
        (("status", "none.db"), 6),
        (("status", "foreign.db"), 6),
        (("status",), 2),
        (("nonsense",), 2),
    ],
)
def test_an_error_before_the_start_is_an_object(tmp_path: Path, words: tuple[str, ...], code: int) -> None:
    """With --json, whatever the reason and whoever found it: exit code and error on stdout."""
    write(tmp_path / "o.csv", IDS)
    write(tmp_path / "bad.csv", [0])
    (tmp_path / "foreign.db").write_bytes(b"x" * 200)
    lock = locks.Lock(tmp_path / "locked.db")
    try:
        run = call(*PROGRAM, *words, "--json", cwd=tmp_path, env=environment(PYTHONPATH=str(Path.cwd())))
    finally:
        lock.release()
    assert told(run)[0] == code


def test_no_key_is_an_object_too(tmp_path: Path) -> None:
    """Nobody to ask, and no key: exit 2."""
    file = write(tmp_path / "o.csv", IDS)
    code, error = told(call(*PROGRAM, "run", str(file), *GIVEN, "--yes", "--json", env=environment(key=None)))
    assert code == 2
    assert "--api-key-file" in error


CRASH = """
import sys
from bulkdelete.cli import main
from bulkdelete.{module} import {owner}
def broken(*_: object, **__: object) -> None:
    secret = "a local variable"
    raise {error}
{owner}.{name} = broken
main()
"""


@pytest.mark.parametrize(
    ("module", "owner", "name"),
    [
        ("run.pipeline", "Lane", "settle"),
        ("run.pipeline", "Lane", "may_send"),
        ("cli.display", "Display", "on_event"),
        ("cli.display", "Display", "start"),
        ("run.throttle", "Throttle", "take"),
    ],
)
@pytest.mark.parametrize("error", ["KeyError('Status')", "RuntimeError('GET http://h/?API_KEY=' + KEY)"])
def test_a_crash_is_70(server: Server, tmp_path: Path, module: str, owner: str, name: str, error: str) -> None:
    """One line says that it is a bug, the log says where, without local variables and without the key. The ledger is not locked."""
    file = write(tmp_path / "o.csv", IDS)
    script = CRASH.format(module=module, owner=owner, name=name, error=error.replace("KEY)", f"{KEY!r})"))
    run = call(*arguments(server, file, "--yes", "--json"), script=script)
    code, said = told(run)
    assert code == 70, run.stderr
    assert said.startswith("a bug in this program, or an error of the system")
    assert "Traceback" not in run.stderr
    assert '"run.crashed"' in run.stderr
    assert "broken" in run.stderr, "where it happened"
    assert "a local variable" not in run.stderr
    assert leaks(KEY, (run.stdout + run.stderr).encode()) == []
    again = call(*arguments(server, file, "--yes", "--doubts", "hold"))
    assert again.returncode in (0, 1), again.stderr
    assert "pending" not in outcomes(tmp_path / "o.csv.ledger.db").values()


@pytest.mark.parametrize("command", ["plan", "status", "export", "report", "verify", "settle"])
def test_a_crash_of_another_command_is_70(server: Server, tmp_path: Path, command: str) -> None:
    """Never 1, which means something."""
    file = write(tmp_path / "o.csv", IDS)
    assert call(*arguments(server, file, "--yes")).returncode == 0
    module, name = {
        "plan": ("bulkdelete.job", "plan"),
        "status": ("bulkdelete.report.status", "read_status"),
        "export": ("bulkdelete.report.export", "export"),
        "report": ("bulkdelete.report.page", "page_of"),
        "verify": ("bulkdelete.run.verify", "verify"),
        "settle": ("bulkdelete.job", "settle"),
    }[command]
    script = f"import {module} as m; m.{name} = None\nfrom bulkdelete.cli import main\nmain()"
    more = {"plan": GIVEN, "settle": ("1:5", "--as", "gone", "--note", "x")}.get(command, ())
    words = (str(file) if command == "plan" else f"{file}.ledger.db", *more)
    run = call(sys.executable, "-c", script, command, *words)  # not forked: others import this name when they start
    assert run.returncode == 70
    assert "a bug in this program, or an error of the system that it does not expect: TypeError" in run.stderr
