"""What a run suggests at its end: the command works when it is pasted, from any folder, and does not lead back to the same stop."""

from __future__ import annotations

import json
import os
import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from bulkdelete.cli.access import Access
from bulkdelete.cli.spelling import spelling
from bulkdelete.core.run_summary import LIFTED_BY, Summary
from bulkdelete.model import Counts, State, Stop, StopReason
from bulkdelete.report.summary import Action, Ending, next_steps, summary_text
from bulkdelete.settings import Settings
from tests.support.agreement import outcomes
from tests.support.command import IDS, Server, arguments, call, write
from tests.support.process import PROGRAM, environment

LIFTING = ("--guard", "--max-consecutive-failures")


def pasted(command: str, *more: str, folder: Path) -> Any:
    """Run a suggested command from another folder. `bulkdelete` may not be on the path of a test."""
    words = shlex.split(command)
    program = words[: words.index("resume")]
    assert program in (["bulkdelete"], list(PROGRAM))
    return call(*PROGRAM, *words[len(program) :], *more, cwd=folder, env=environment(PYTHONPATH=os.getcwd()))


def suggested(out: str) -> str:
    """The one command of a summary."""
    (command,) = commands(out)
    return command


def commands(out: str) -> list[str]:
    """The commands of a summary."""
    return re.findall(r"(?:^  |: )((?:bulkdelete|\S*python\S* -m bulkdelete) resume .*)$", out, re.MULTILINE)


@pytest.mark.parametrize("server", [("--limit", "3000", "--all-native", "--native-status", "412")], indirect=True)
def test_invariant_46_after_the_guards_stop(server: Server, tmp_path: Path) -> None:
    """The server's messages by account, and the command with --guard off: it sends the rest and meets no such stop."""
    folder = tmp_path / "año nuevo; $(touch x) 'a'"
    folder.mkdir()
    file = write(folder / "o b.csv", IDS)
    run = call(*arguments(server, file, "--yes", "--guard", "7"))
    assert run.returncode == 5
    assert "Continue with" not in run.stdout
    assert re.search(r"The server's messages:\n  account 1, 7 orders: HTTP 412: .+\n", run.stdout)
    assert "If these orders should be deleted anyway:\n  " in run.stdout
    command = suggested(run.stdout)
    assert shlex.split(command)[-2:] == ["--guard", "off"]
    assert "\n7 orders would stay refused: with --retry refused added, that command sends them, too." in run.stdout
    status = call(*PROGRAM, "status", f"{file}.ledger.db").stdout
    assert "  account 1, 7 orders: HTTP 412: " in status
    told = json.loads(call(*arguments(server, file, "--yes", "--json", "--guard", "7")).stdout)
    assert told["messages"][0]["orders"] == 7
    assert told["go_on"] is None
    assert told["all_the_same"].endswith("--guard off")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    again = pasted(command, "--yes", folder=elsewhere)
    assert again.returncode in (1, 5), again.stderr
    assert "not one was deleted" not in again.stdout
    assert len(server.journal()) == 60 if again.returncode == 1 else len(server.journal()) > 50


@pytest.mark.parametrize("server", [("--limit", "3000", "--all-native")], indirect=True)
def test_invariant_46_after_failures_in_a_row(server: Server, tmp_path: Path) -> None:
    """The other stop's own option, whatever this run was told about the guard."""
    file = write(tmp_path / "o.csv", IDS)
    run = call(*arguments(server, file, "--yes", "--guard", "off", "--slots", "2"))
    assert run.returncode == 5
    words = shlex.split(suggested(run.stdout))
    assert words[-2:] == ["--max-consecutive-failures", "off"]
    assert "--guard" not in words
    assert re.search(r"  account 1, 5\d orders: HTTP 412: ", run.stdout)


@pytest.mark.parametrize("server", [("--limit", "3000", "--all-native")], indirect=True)
def test_invariant_46_nothing_is_left_but_what_was_refused(server: Server, tmp_path: Path) -> None:
    """All orders had their response when the guard stopped: the command names them, or it would send nothing."""
    file = write(tmp_path / "o.csv", IDS[:20])
    run = call(*arguments(server, file, "--yes"))
    assert run.returncode == 5
    command = suggested(run.stdout)
    assert shlex.split(command)[-4:] == ["--retry", "refused", "--guard", "off"]
    again = pasted(command, "--yes", folder=tmp_path)
    assert again.returncode == 1, again.stderr
    assert len(server.journal()) == 40


@pytest.mark.parametrize("why", StopReason)
@pytest.mark.parametrize("left", [State.PENDING, State.IN_DOUBT, State.REFUSED, State.NOT_FOUND])
def test_invariant_46_no_other_suggestion_lifts_a_stop(tmp_path: Path, why: StopReason, left: State) -> None:
    """Even if this run was told to lift both."""
    settings = Settings(tmp_path / "l.db", guard=None, max_consecutive_failures=None, slots=3)
    summary = Summary(Counts({1: {left: 5}}), (Stop(why),), (), 0, 0, 5, 0, 1.0)
    spelled = spelling(settings, Access())
    found = {step.action: spelled.command(step.changes) for step in next_steps(summary, settings.doubts)}
    for action in (Action.CONTINUE, Action.VERIFY, Action.RESEND, Action.OVERRIDE):
        named = [option for option in LIFTING if option in shlex.split(found.get(action, ""))]
        expected = ["--" + LIFTED_BY[why].replace("_", "-")] if why in LIFTED_BY and action in found else []
        assert named == expected
    assert (Action.OVERRIDE in found) == (why in LIFTED_BY)
    through = why is StopReason.FAILURES and left in (State.REFUSED, State.NOT_FOUND)
    assert (Action.CONTINUE not in found) == (why in LIFTED_BY or through)
    text = summary_text(Ending(summary, settings, spelled))
    assert ("If these orders should be deleted anyway:" in text) == (why in LIFTED_BY)


@pytest.mark.parametrize("state", [state for state in State if state not in (State.PENDING, State.FAILED)])
def test_invariant_46_a_run_that_is_through_suggests_no_resume(state: State) -> None:
    """It would send nothing. What is in doubt has commands of its own."""
    summary = Summary(Counts({1: {state: 5}}), (), (), 0, 0, 5, 0, 1.0)
    found = {step.action for step in next_steps(summary, None)}
    expected = {State.IN_DOUBT: {Action.VERIFY, Action.RESEND}, State.REFUSED: {Action.RETRY}}
    assert found == expected.get(state, set())


@pytest.mark.parametrize("server", [("--limit", "3000", "--native", "500001", "--native", "500002")], indirect=True)
@pytest.mark.parametrize("deleted", [0, 1])
def test_invariant_46_a_run_that_ends_with_refused_orders(server: Server, tmp_path: Path, deleted: int) -> None:
    """By itself: it says what the server said, and has the command that sends them once more. So does the same run, which sends nothing."""
    file = write(tmp_path / "o.csv", IDS[: 2 + deleted])
    for requests in (2 + deleted, 0):
        run = call(*arguments(server, file, "--yes"))
        assert run.returncode == 1
        assert f"\n{requests} requests in " in run.stdout
        assert re.search(r"\nThe server's messages:\n  account 1, 2 orders: HTTP 412: .+\n", run.stdout)
        assert "\nIf these orders should be sent once more:\n  " in run.stdout
        assert shlex.split(suggested(run.stdout))[-2:] == ["--retry", "refused"]
    told = json.loads(call(*arguments(server, file, "--yes", "--json")).stdout)
    assert (told["messages"][0]["orders"], told["go_on"], told["all_the_same"]) == (2, None, None)
    assert pasted(suggested(run.stdout), "--yes", folder=Path("/")).returncode == 1
    assert len(server.journal()) == 2 + deleted + 2


@pytest.mark.parametrize("server", [("--limit", "3000", "--others", "0")], indirect=True)
@pytest.mark.parametrize("deleted", [0, 1])
def test_invariant_46_a_run_that_ends_with_orders_not_found(server: Server, tmp_path: Path, deleted: int) -> None:
    """The same, where they put the account or the file in question. A few in an account that had deletions are nothing to ask about.

    A preview that finds none of them would stop the run before its first request."""
    file = write(tmp_path / "o.csv", [*IDS[:deleted], 700_001, 700_002, 700_003])
    run = call(*arguments(server, file, "--yes", "--preview", "off"))
    assert run.returncode == (0 if deleted else 1)
    assert ("The server's messages:\n  account 1, 3 orders: HTTP 404" in run.stdout) == (not deleted)
    if deleted:
        assert "resume" not in run.stdout
    else:
        assert shlex.split(suggested(run.stdout))[-2:] == ["--retry", "not_found"]
        assert pasted(suggested(run.stdout), "--yes", folder=Path("/")).returncode == 1
        assert len(server.journal()) == 6


@pytest.mark.parametrize("server", [("--limit", "3000", "--all-native")], indirect=True)
@pytest.mark.parametrize("orders", [5, 60])
def test_invariant_46_after_max_failures(server: Server, tmp_path: Path, orders: int) -> None:
    """The messages; what is open goes on, with a word about what would stay refused; where nothing is open, the command names that."""
    file = write(tmp_path / "o.csv", IDS[:orders])
    run = call(*arguments(server, file, "--yes", "--max-failures", "5", "--slots", "2"))
    assert run.returncode == 5
    assert re.search(r"\nThe server's messages:\n  account 1, \d orders: HTTP 412: ", run.stdout)
    sent, command = len(server.journal()), suggested(run.stdout)
    stays = re.search(r"\n(\d) orders would stay refused: with --retry refused added, that command", run.stdout)
    assert ("--retry" in shlex.split(command)) == (stays is None) == (orders == 5)
    assert pasted(command, "--yes", "--retry", "refused", folder=Path("/")).returncode in (1, 5)
    assert len(server.journal()) >= sent + 5


def test_invariant_46_the_result_of_a_finished_run(server: Server, tmp_path: Path) -> None:
    """Also of one that had nothing to send, and of an input that is not there: "go_on" is null. --expect speaks of what it counted."""
    file = write(tmp_path / "o.csv", IDS[:3])
    for words in ([*arguments(server, file)], [*arguments(server, tmp_path / "no*.csv", "--allow-empty")]) * 2:
        done = call(*words, "--yes", "--json")
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["go_on"] is None
    resume = call(*PROGRAM, "resume", f"{file}.ledger.db", "--api-url", server.url, "--expect", "0")
    assert resume.returncode == 3
    assert "the ledger's selection has 3 orders, --expect says 0" in resume.stderr
    assert "the input names 3 orders" in call(*arguments(server, file, "--expect", "0")).stderr


@pytest.mark.parametrize(
    ("wrong", "advice", "right"),
    [
        (("--expect", "2"), "If these are the right orders, give --expect 3", ("--expect", "3")),
        (("--yes", "--max-orders", "2"), "If all of them are meant, raise that number", ("--yes", "--max-orders", "3")),
    ],
    ids=["--expect", "--max-orders"],
)
def test_invariant_46_after_another_number(
    server: Server, tmp_path: Path, wrong: tuple[str, ...], advice: str, right: tuple[str, ...]
) -> None:
    """Nothing is sent, and what the message names works."""
    file = write(tmp_path / "o.csv", IDS[:3])
    refused = call(*arguments(server, file, *wrong))
    assert (refused.returncode, server.journal()) == (3, [])
    assert refused.stderr.rstrip().endswith(advice)
    assert call(*arguments(server, file, *right)).returncode == 0


@pytest.mark.parametrize("server", [("--limit", "3000", "--key", "another")], indirect=True)
def test_invariant_46_after_a_refused_key(server: Server, tmp_path: Path) -> None:
    """The same command, once the key is another: the file of the key is named from any folder."""
    key = tmp_path / "a key"
    key.write_text("wrong\n")
    key.chmod(0o600)
    file = write(tmp_path / "o.csv", IDS)
    run = call(
        *arguments(server, file, "--yes", "--api-key-file", "a key"),
        cwd=tmp_path,
        env=environment(None, PYTHONPATH=os.getcwd()),
    )
    assert run.returncode == 4, run.stderr
    key.write_text("another\n")
    assert pasted(suggested(run.stdout), "--yes", folder=Path("/")).returncode == 0
    assert set(outcomes(tmp_path / "o.csv.ledger.db").values()) == {"deleted"}


@pytest.mark.parametrize("server", [("--limit", "3000", "--fault", "drop_after=1")], indirect=True)
def test_invariant_46_doubts_that_wait_for_a_person(server: Server, tmp_path: Path) -> None:
    """One command looks them up, another one sends them again."""
    file = write(tmp_path / "o.csv", IDS[:3])
    run = call(*arguments(server, file, "--yes", "--doubts", "hold"))
    assert run.returncode == 1
    verify, resend = commands(run.stdout)
    assert shlex.split(verify)[-2:] == ["--doubts", "verify"]
    assert shlex.split(resend)[-2:] == ["--doubts", "resend"]


@pytest.mark.parametrize("command", ["status", "export", "report", "verify", "resume"])
def test_invariant_46_an_input_in_the_place_of_its_ledger(server: Server, tmp_path: Path, command: str) -> None:
    """`status orders.csv`: the ledger beside it is named, in a command that works; without one, what to do."""
    file = write(tmp_path / "o 1.csv", IDS)
    more = ("--api-url", server.url) if command == "resume" else ()
    none = call(*PROGRAM, command, str(file), *more)
    assert none.returncode == 6
    assert "is not a ledger" in none.stderr
    assert re.search(rf"bulkdelete run '?{re.escape(str(file))}", none.stderr)
    assert call(*arguments(server, file, "--yes")).returncode == 0
    wrong = call(*PROGRAM, command, str(file), *more)
    assert wrong.returncode == 6
    words = re.search(rf"bulkdelete {command} (.*)$", wrong.stderr, re.MULTILINE)
    assert words is not None, wrong.stderr
    right = call(*PROGRAM, command, *shlex.split(words[1]), *more, *(("--yes",) if command == "resume" else ()))
    assert right.returncode == 0, right.stderr


def test_invariant_46_a_pattern_that_matches_nothing(tmp_path: Path) -> None:
    """The reason is that no file matches, not that a ledger must be named."""
    run = call(*PROGRAM, "run", str(tmp_path / "nope*.csv"), "--account-id", "1", "--keep-stock", "--yes")
    assert run.returncode in (2, 3)
    assert "no file matches" in run.stderr
    assert "--ledger" not in run.stderr
