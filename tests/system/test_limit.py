"""`--limit`: a trial with the first orders of an input, and what comes after it."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tests.support.agreement import outcomes
from tests.support.command import IDS, Server, arguments, call, write
from tests.support.process import PROGRAM, environment


def told(run: subprocess.CompletedProcess[str]) -> dict[str, object]:
    fields: dict[str, object] = json.loads(run.stdout)
    return fields


def sent(server: Server) -> list[int]:
    return sorted(entry["order_id"] for entry in server.journal())


def test_the_same_command_sends_the_next_orders(server: Server, tmp_path: Path) -> None:
    """Exit 75 while open orders of the input remain, then 0; `resume` sends none of them."""
    file = write(tmp_path / "o.csv", IDS[24::-1])
    first = call(*arguments(server, file, "--yes", "--json", "--limit", "10"))
    assert (first.returncode, told(first)["over_limit"], sent(server)) == (75, 15, IDS[:10])
    resumed = call(*PROGRAM, "resume", f"{file}.ledger.db", "--yes", "--api-url", server.url)
    assert (resumed.returncode, len(sent(server))) == (0, 10)
    second = call(*arguments(server, file, "--yes", "--limit", "10"))
    assert (second.returncode, sent(server)) == (75, IDS[:20])
    assert "5 open orders of the input not sent yet (--limit); the same command continues" in second.stdout
    last = call(*arguments(server, file, "--expect", "25", "--limit", "10"))
    assert (last.returncode, sent(server)) == (0, IDS[:25])
    assert set(outcomes(Path(f"{file}.ledger.db")).values()) == {"deleted"}


def test_a_plan_with_a_limit(tmp_path: Path) -> None:
    """N of M, as the prompt says it; nothing is kept."""
    file = write(tmp_path / "o.csv", list(range(1, 401)))
    words = (str(file), "--account-id", "1", "--keep-stock", "--limit", "3")
    planned = call(*PROGRAM, "plan", *words, env=environment(key=None))
    assert "3 of 400 open orders would be sent: 1:1, 1:2, 1:3\n" in planned.stdout
    tried = told(call(*PROGRAM, "plan", *words, "--json", env=environment(key=None)))
    assert (tried["to_send"], tried["over_limit"], tried["orders"]) == (3, 397, 400)
    assert [path.name for path in tmp_path.iterdir()] == ["o.csv"]


def test_a_limit_and_a_backup(server: Server, tmp_path: Path) -> None:
    """Only the orders of the limit are looked up and backed up."""
    file, backup = write(tmp_path / "o.csv", IDS), tmp_path / "b.jsonl"
    run = call(*arguments(server, file, "--yes", "--json", "--limit", "5", "--backup", str(backup)))
    assert (run.returncode, sent(server)) == (75, IDS[:5])
    assert sorted(json.loads(line)["Id"] for line in backup.read_text().splitlines()) == IDS[:5]
    assert (told(run)["over_limit"], told(run)["not_backed_up"]) == (55, 0)


def test_orders_that_are_not_there_use_up_no_limit(server: Server, tmp_path: Path) -> None:
    """With a backup they are never sent, so that the same ones would be first in every run, and the same command would send nothing for
    ever: others take their place. They are looked up in each run, and are not looked up again for each place."""
    gone = list(range(IDS[0] - 7, IDS[0]))
    file, backup = write(tmp_path / "o.csv", [*gone, *IDS[:7]]), tmp_path / "b.jsonl"
    for nth in (1, 2):
        run = call(
            *arguments(server, file, "--yes", "--json", "--preview", "off", "--limit", "3", "--backup", str(backup))
        )
        assert (run.returncode, sent(server)) == (75, IDS[: 3 * nth]), run.stderr
        assert (told(run)["over_limit"], told(run)["not_backed_up"]) == (7 - 3 * nth, 7)
        assert "3 of 10 orders are in it\n7 orders are not backed up" in run.stderr
        assert sorted(json.loads(line)["Id"] for line in backup.read_text().splitlines()) == IDS[: 3 * nth]
    last = call(
        *arguments(server, file, "--yes", "--json", "--preview", "off", "--limit", "3", "--backup", str(backup))
    )
    assert (last.returncode, sent(server)) == (1, IDS[:7])
    assert (told(last)["over_limit"], told(last)["not_backed_up"]) == (0, 7)


@pytest.mark.parametrize("server", [("--fault", "page_503")], indirect=True)
def test_a_limit_does_not_move_while_nothing_can_be_read(server: Server, tmp_path: Path) -> None:
    """The orders behind it are not asked for in place of those whose pages fail."""
    file, backup = write(tmp_path / "o.csv", IDS), tmp_path / "b.jsonl"
    words = ("--yes", "--json", "--preview", "off", "--patience", "2s", "--limit", "3", "--backup", str(backup))
    run = call(*arguments(server, file, *words))
    assert (sent(server), told(run)["over_limit"], told(run)["not_backed_up"]) == ([], 57, 3)


def test_a_limit_is_a_number_above_zero(server: Server, tmp_path: Path) -> None:
    """Exit 2, naming the option and its bounds; `resume` has none, since its selection is confirmed."""
    file = write(tmp_path / "o.csv", IDS)
    for words in (("--limit", "0"), ("--limit", "ten")):
        run = call(*arguments(server, file, "--yes", *words))
        assert (run.returncode, "--limit" in run.stderr) == (2, True)
    resumed = call(*PROGRAM, "resume", f"{file}.ledger.db", "--limit", "5")
    assert (resumed.returncode, "--limit" in resumed.stderr) == (2, True)
    assert sent(server) == []
