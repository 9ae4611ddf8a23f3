"""`plan`, rejected rows and the demo: what a newcomer meets in the first hour."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bulkdelete.cli.journey import compare, ugly_export
from tests.support import ROOT
from tests.support.agreement import outcomes
from tests.support.command import IDS, Server, arguments, call, write
from tests.support.process import PROGRAM, environment

BAD = "orderId,total\n500001,1\n1.5E5,2\n500003,3\n500003,3\n0,4\n"
GIVEN = ("--account-id", "1", "--keep-stock")


def plan(file: Path | str, *more: str, **options: Any) -> subprocess.CompletedProcess[str]:
    return call(*PROGRAM, "plan", str(file), *GIVEN, *more, env=environment(key=None), **options)


def test_a_plan_says_what_would_be_sent_and_how_long_it_takes(tmp_path: Path) -> None:
    """No key, no network, no trace: numbers, first and last ids, the time at a rate."""
    file = write(tmp_path / "o.csv", list(range(1, 1001)))
    run = plan(file, "--rate", "30/min")
    assert run.returncode == 0, run.stderr
    for words in (
        "1,000 rows",
        "+1,000 new",
        "1:1, 1:2, 1:3 ... 1:998, 1:999, 1:1000",
        "about 33 min 18 s at 30 per minute",
    ):
        assert words in run.stdout
    assert [path.name for path in tmp_path.iterdir()] == ["o.csv"]


def test_a_plan_reads_an_existing_ledger_even_beside_a_run(server: Server, tmp_path: Path) -> None:
    """Settled orders are not sent again; the ledger is not changed by being read."""
    file = write(tmp_path / "o.csv", IDS)
    assert call(*arguments(server, file, "--yes")).returncode == 0
    ledger = tmp_path / "o.csv.ledger.db"
    before = ledger.read_bytes()
    write(file, [*IDS[5:], 700_001, 700_002])
    planned = json.loads(plan(file, "--json", "--api-url", server.url).stdout)
    assert (planned["new"], planned["settled"], planned["to_send"], planned["left_alone"]) == (2, 55, 2, 0)
    assert planned["first"] == planned["last"] == [[1, 700_001], [1, 700_002]]
    assert ledger.read_bytes() == before
    assert plan(file).returncode == 6, "another host"


def test_a_plan_with_rejects(tmp_path: Path) -> None:
    """Exit 3; every reject with file, line, cell, reason and what to do, on the screen and in --rejects FILE."""
    file, rejects = tmp_path / "o.csv", tmp_path / "r.csv"
    file.write_text(BAD)
    run = plan(file, "--rejects", str(rejects))
    assert run.returncode == 3
    assert f"{file}:3: orderId '1.5E5': scientific notation" in run.stdout
    assert f"{file}:6: orderId '0'" in run.stdout
    assert f"{file}:5: 500003" in run.stdout, "the repeated row"
    lines = rejects.read_text().splitlines()
    assert lines[0] == "file,line,column,cell,why"
    assert [line.split(",")[1] for line in lines[1:]] == ["3", "6"]
    assert oct(rejects.stat().st_mode)[-3:] == "600"


def test_rejected_rows_stop_a_run_unless_they_are_skipped(server: Server, tmp_path: Path) -> None:
    """Exit 3 and nothing sent; with --skip-rejected it goes on, and the summary counts them."""
    file = tmp_path / "o.csv"
    file.write_text(BAD)
    stopped = call(*arguments(server, file, "--yes"))
    assert stopped.returncode == 3
    assert "--skip-rejected" in stopped.stderr
    assert server.journal() == []
    run = call(*arguments(server, file, "--yes", "--skip-rejected", "--json"))
    assert run.returncode == 0, run.stderr
    assert json.loads(run.stdout)["rejected"] == 2
    assert outcomes(Path(f"{file}.ledger.db")) == {500001: "deleted", 500003: "deleted"}


def test_most_rows_rejected(server: Server, tmp_path: Path) -> None:
    """Then it is the file, the column, the account or the ledger that is wrong: what is left is not offered as if it were meant."""
    file = tmp_path / "o.csv"
    file.write_text("orderId,total\n500001,1.5\n500003,2.5\n500005,3\n")
    wrong = call(*arguments(server, file, "--yes", "--column", "total"))
    assert wrong.returncode == 3
    assert (
        "2 rows are rejected, so nothing was sent. Is this the right file, column, account and ledger?" in wrong.stderr
    )
    assert "If 1 order and no more are meant, leave them out with --skip-rejected" in wrong.stderr
    file.write_text("orderId,total\n500001,1.5\n")
    wrong = call(*arguments(server, file, "--yes", "--column", "total"))
    assert wrong.stderr.endswith("Is this the right file, column, account and ledger?\n")


def test_stdin_several_files_and_globs(server: Server, tmp_path: Path) -> None:
    """One ledger for all of them, named; without it exit 2."""
    write(tmp_path / "a1.csv", IDS[:10])
    write(tmp_path / "a2.csv", IDS[5:20])
    ledger = tmp_path / "all.db"
    glob = str(tmp_path / "a*.csv")
    assert call(*arguments(server, Path(glob), "--yes")).returncode == 2
    run = call(*arguments(server, Path(glob), "--yes", "--ledger", str(ledger)))
    assert run.returncode == 0, run.stderr
    assert sorted(outcomes(ledger)) == IDS[:20]
    command = arguments(server, Path("-"), "--expect", "3", "--ledger", str(ledger))
    piped = subprocess.run(
        command,
        input="orderId\n500030\n500031\n500032\n",
        capture_output=True,
        text=True,
        env=environment(),
        timeout=60,
    )
    assert piped.returncode == 0, piped.stderr
    assert len(outcomes(ledger)) == 23


def test_the_ugliest_sample_from_plan_to_export(server: Server, tmp_path: Path) -> None:
    """Every row of it is an order, a duplicate, a reject or a totals row."""
    sample = ROOT / "samples" / "ugly-export.csv"
    planned = json.loads(plan(sample, "--json", "--ledger", str(tmp_path / "l.db")).stdout)
    (told,) = planned["inputs"]
    assert told["data_rows"] == told["orders"] + told["duplicates"] + told["rejects"] + told["skipped"]
    assert told["rejects"] > 0
    assert told["skipped"] > 0


def test_a_plan_reckons_with_what_the_ledger_learned(server: Server, tmp_path: Path) -> None:
    """The key's limit and bucket as a run met them, or a lower --rate; a higher one does not make the limit higher."""
    file = write(tmp_path / "o.csv", IDS[:1])
    assert call(*arguments(server, file, "--yes")).returncode == 0
    write(file, list(range(1, 9001)))
    for words, per_min, seconds in (
        ((), "3000", 120),
        (("--rate", "100/s"), "3000", 120),
        (("--rate", "90/min"), "90", 5999),
    ):
        planned = json.loads(plan(file, "--json", "--api-url", server.url, *words).stdout)
        assert planned["seconds"] == {per_min: pytest.approx(seconds, abs=1)}
    assert "about 2 min at 3000 per minute (as this ledger learned)" in plan(file, "--api-url", server.url).stdout


@pytest.mark.parametrize(
    "words",
    [
        ("--rate", "fast"),
        ("--rate", "0"),
        ("--rate", "1000000/s"),
        ("--reserve", "95%"),
        ("--reserve", "much"),
        ("--reserve", "0.5"),
    ],
)
def test_pacing_options_are_checked(server: Server, tmp_path: Path, words: tuple[str, str]) -> None:
    """Exit 2, naming the option; nothing is opened."""
    file = write(tmp_path / "o.csv", IDS)
    run = call(*arguments(server, file, "--yes", *words))
    assert run.returncode == 2
    assert words[0] in run.stderr
    assert not (tmp_path / "o.csv.ledger.db").exists()


@pytest.mark.parametrize("server", [("--limit", "240", "--latency", "0.3", "--others", "1000")], indirect=True)
def test_the_command_that_goes_on_keeps_rate_and_reserve(server: Server, tmp_path: Path) -> None:
    """However they were written, the command that is printed says the same, and is taken."""
    file = write(tmp_path / "o.csv", list(range(IDS[0], IDS[0] + 1000)))
    given = ("--yes", "--json", "--rate", "120000/h", "--reserve", "12.5%", "--max-time", "1s")
    run = call(*arguments(server, file, *given))
    assert run.returncode == 75, run.stderr
    words = shlex.split(json.loads(run.stdout)["go_on"])
    assert words[words.index("--rate") + 1] == "2000"
    assert words[words.index("--reserve") + 1] == "12.5%"
    again = call(*words, "--yes", "--max-time", "1s")
    assert again.returncode == 75, again.stderr


@pytest.mark.parametrize(
    "words", [("--rate", "fast"), ("--thousands", "x"), ("--delimiter", "ab"), ("--encoding", "klingon")]
)
def test_reading_options_are_checked(tmp_path: Path, words: tuple[str, ...]) -> None:
    """Exit 2, naming the option."""
    run = plan(write(tmp_path / "o.csv", [1]), *words)
    assert run.returncode == 2
    assert words[0].strip("-") in run.stderr


def test_the_demo(tmp_path: Path) -> None:
    """It runs by itself without a key, interrupts itself, goes on, and finds no difference between server and ledger."""
    alone = environment(key=None, TMPDIR=str(tmp_path))
    run = subprocess.run(
        [*PROGRAM, "demo"],
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        env=alone,
        timeout=60,
        cwd=tmp_path,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    for words in ("Nothing real is touched", "interrupted", "no difference", "rejected"):
        assert words in run.stdout + run.stderr
    (folder,) = tmp_path.iterdir()
    assert folder.name.startswith("bulkdelete-demo-")


def test_the_demo_would_see_a_difference(server: Server, tmp_path: Path) -> None:
    """A ledger that is not what the server did is told, order by order."""
    file = write(tmp_path / "o.csv", IDS)
    assert call(*arguments(server, file, "--yes")).returncode == 0
    ledger, journal = tmp_path / "o.csv.ledger.db", server.journal()
    assert compare(journal, ledger, 60) == []
    assert compare(journal[1:], ledger, 60) == [
        f"order {journal[0]['order_id']}: 0 requests, 1 attempts",
        f"order {journal[0]['order_id']}: deleted, but the server has it or never had it",
    ]
    assert (
        compare([*journal, journal[0] | {"order_id": 9}], ledger, 60)[-1] == "order 9: deleted, but not in the ledger"
    )


def test_the_ugly_export_of_the_demo(tmp_path: Path) -> None:
    """300 orders, one row that repeats one, three that are damaged, one total."""
    file = tmp_path / "v.csv"
    file.write_bytes(ugly_export())
    (told,) = json.loads(plan(file, "--json").stdout)["inputs"]
    assert (told["data_rows"], told["orders"], told["duplicates"], told["rejects"], told["skipped"]) == (
        305,
        300,
        1,
        3,
        1,
    )


def test_help_is_fast_and_lists_every_command() -> None:
    """`--help` names each command; the interpreter finds it without the heavy libraries (tests/test_house.py)."""
    run = subprocess.run(
        [sys.executable, "-m", "bulkdelete", "--help"], capture_output=True, text=True, env=dict(os.environ), timeout=30
    )
    for command in ("plan", "run", "resume", "status", "export", "report", "verify", "settle", "demo", "simulate"):
        assert f"  {command} " in run.stdout
    assert "..." not in run.stdout.partition("Commands:")[2], "a sentence is cut"


def test_stdin_is_not_both_the_input_and_the_key(tmp_path: Path) -> None:
    """The key's line would swallow the header: exit 2, nothing read."""
    words = ["run", "-", *GIVEN, "--api-key-file", "-", "--ledger", str(tmp_path / "l.db"), "--yes"]
    run = call(*PROGRAM, *words)
    assert run.returncode == 2
    assert "stdin" in run.stderr


def test_help_is_grouped_by_purpose() -> None:
    """`run --help` shows what each option is for."""
    shown = call(*PROGRAM, "run", "--help").stdout
    purposes = ["Input:", "Key and server:", "Sending:", "Pacing:", "Stopping:", "Confirming:", "Output:", "Options:"]
    assert [line for line in shown.splitlines() if line in purposes] == purposes


def test_an_output_never_takes_the_place_of_an_input_or_the_ledger(server: Server, tmp_path: Path) -> None:
    """--rejects, --log-file and export -o refuse them, and devices and links: exit 2, every file as it was."""
    file = write(tmp_path / "o.csv", IDS)
    assert call(*arguments(server, file, "--yes")).returncode == 0
    ledger, link = tmp_path / "o.csv.ledger.db", tmp_path / "link"
    link.symlink_to(file)
    kept = {path: path.read_bytes() for path in (file, ledger)}
    for words in (
        [*arguments(server, file, "--yes"), "--rejects", str(ledger)],
        [*arguments(server, file, "--yes"), "--rejects", str(file)],
        [*arguments(server, file, "--yes"), "--rejects", str(link)],
        [*arguments(server, file, "--yes"), "--log-file", str(ledger)],
        [*arguments(server, file, "--yes"), "--log-file", str(file)],
        [*arguments(server, tmp_path / "new.csv", "--yes"), "--log-file", str(tmp_path / "new.csv.ledger.db")],
        [*PROGRAM, "plan", str(file), *GIVEN, "--api-url", server.url, "--rejects", str(ledger)],
        [*PROGRAM, "export", str(ledger), "-o", str(ledger)],
        [*PROGRAM, "export", str(ledger), "-o", str(link)],
    ):
        run = call(*words)
        assert run.returncode == 2, (words, run.stderr)
    assert {path: path.read_bytes() for path in kept} == kept
    assert link.is_symlink()
    assert len(server.journal()) == len(IDS)


def test_a_plan_of_little_and_of_nothing(tmp_path: Path) -> None:
    """Each id is shown once; an empty input says what `run` would say."""
    assert "1 order would be sent: 1:5\n" in plan(write(tmp_path / "a.csv", [5])).stdout
    assert (
        "5 orders would be sent: 1:1, 1:2, 1:3, 1:4, 1:5\n" in plan(write(tmp_path / "b.csv", [1, 2, 3, 4, 5])).stdout
    )
    empty = plan(write(tmp_path / "c.csv", []))
    assert (empty.returncode, "--allow-empty" in empty.stdout) == (3, True)
    (tmp_path / "d.csv").touch()
    assert plan(tmp_path / "d.csv").stdout.startswith(f"{tmp_path / 'd.csv'}: 0 rows, 0 orders\n")
    assert plan(tmp_path / "c.csv", "--allow-empty").returncode == 0
    assert plan(tmp_path / "b.csv", "--max-orders", "4").returncode == 3


def test_names_of_files_cannot_act_on_a_terminal(tmp_path: Path) -> None:
    """An escape sequence in a file's name is shown, not sent."""
    run = plan(write(tmp_path / "x\x1b[31m.csv", [5]))
    assert "\x1b" not in run.stdout + run.stderr
    assert "\\x1b[31m" in run.stdout


def test_how_a_file_was_read_is_told(tmp_path: Path) -> None:
    """Encoding and delimiter that were found out stand behind the name."""
    file = tmp_path / "o.csv"
    file.write_text("orderId\ttotal\n5\t1\n", encoding="utf-16")
    assert f"{file} (utf-16-le, tab): 1 row" in plan(file).stdout


@pytest.mark.parametrize("rate", ["0.0000001/h", "1000000/s"])
def test_a_plan_takes_no_rate_that_a_run_would_refuse(tmp_path: Path, rate: str) -> None:
    """Exit 2, naming the option and its bounds."""
    file = write(tmp_path / "o.csv", IDS)
    planned = plan(file, "--rate", rate)
    assert planned.returncode == 2
    assert "--rate is" in planned.stderr


def test_a_simulation_of_rows_that_a_run_would_reject(tmp_path: Path) -> None:
    """The simulator does not leave out in silence what it cannot read."""
    file = tmp_path / "o.csv"
    file.write_text("orderId,accountId\n1,7\n2,8\n")
    done = call(*PROGRAM, "simulate", "--port", "0", "--orders", str(file), "--account-id", "7")
    assert done.returncode == 2
    assert f"{file}:3" in done.stderr


def test_a_plan_knows_that_a_rate_has_no_burst(tmp_path: Path) -> None:
    """Ten orders at 30 a minute take 18 seconds: the first leaves at once, and nine wait two seconds each."""
    planned = plan(write(tmp_path / "o.csv", list(range(1, 11))), "--rate", "30/min", "--json")
    assert json.loads(planned.stdout)["seconds"] == {"30": 18}


def test_a_plan_says_how_many_nights_it_takes(tmp_path: Path) -> None:
    """6,600 orders at two a minute are seven runs of eight hours; without a limit of time nobody asked, and a bad one is refused."""
    file = write(tmp_path / "o.csv", list(range(1, 6_601)))
    shown = plan(file, "--rate", "2/min", "--max-time", "8h").stdout
    assert "about 2 d 6 h at 2 per minute (as given): 7 runs of at most 8h each" in shown
    told = json.loads(plan(file, "--rate", "2/min", "--max-time", "8h", "--json").stdout)
    assert told["runs"] == {"2": 7}
    assert json.loads(plan(file, "--json").stdout)["runs"] == {}
    refused = plan(file, "--max-time", "0s")
    assert (refused.returncode, "--max-time" in refused.stderr) == (2, True)
