"""Each option of each command refuses a wrong value: with exit code 2, or that of the input or the ledger that it names; its name or that
of its file is in the message; nothing is sent and nothing is written. An option that is added needs an entry here."""

from __future__ import annotations

import select
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from bulkdelete.cli.option import Option
from bulkdelete.cli.options import OPTIONS
from bulkdelete.cli.parameters import COUNT, FLAG
from bulkdelete.cli.program import program
from tests.support.command import IDS, Server, arguments, call, write
from tests.support.process import PROGRAM, environment

INPUT, LEDGER = 3, 6  # exit codes of what is wrong in an input, and of a file that cannot be a ledger

WRONG: dict[str, tuple[str, ...]] = {
    "--join": ("missing.csv", "folder"),
    "--account-id": ("0", "-1", "71,72"),
    "--column": ("missing", "0", "-1"),
    "--ignore-column": ("missing", "2"),
    "--sheet": ("missing", "0"),
    "--encoding": ("utf-99", "rot13", "hex"),
    "--delimiter": (";;", "", "\n"),
    "--thousands": ("x", "..", "0"),
    "--rejects": ("x.gz", "folder", "missing/r.csv", "/dev/null", "o.csv", "x" * 300),
    "--ledger": ("folder", "missing/l.db", "/dev/null", "o.csv", "/", "x" * 300),
    "--api-key-file": ("missing", "folder", "/dev/null"),
    "--profile": ("missing", "-1"),
    "--config": ("missing.toml", "folder", "/dev/null", "o.csv", "x" * 300),
    "--api-url": ("api.example", "http://api.example", "https://u:p@api.example", "https://api.example/v2/orders", "https://["),
    "--proxy": ("socks5://127.0.0.1:1", "127.0.0.1:3128", "http://", "http://a@b@c:1", "http://h:99999"),
    "--ca-file": ("missing.pem", "folder", "/dev/null", "o.csv"),
    "--retry": ("deleted", "refused:", "refused:4", "refused:4xx"),
    "--slots": ("0", "513", "-1", "1.5"),
    "--timeout": ("0", "2h", "nan", "inf", "30 seconds", "-1s"),
    "--attempts": ("0", "101"),
    "--doubts": ("resent", "HOLD"),
    "--patience": ("0", "31d", "for ever"),
    "--grace": ("2h", "-1"),
    "--rate": ("0", "0/min", "-5/min", "nan/min", "5/day", "5 per min", "999999999/s"),
    "--reserve": ("100%", "91%", "0.5", "-1%", "20"),
    "--max-orders": ("-1", "1e3", "1,000"),
    "--max-failures": ("0", "0%", "101%", "-1", "5 %"),
    "--max-time": ("0", "0s", "366d", "nan"),
    "--guard": ("0", "-1", "OFF", "none"),
    "--max-consecutive-failures": ("0", "never"),
    "--limit": ("0", "-1", "1%"),
    "--expect": ("-1", "sha256:", "sha256:" + "0" * 63, "md5:" + "0" * 32, "off"),
    "--note": ("x" * 501, "\u200b"),
    "--as": ("deleted", ""),
    "--preview": ("on", "0"),
    "--backup": ("x.gz", "folder", "missing/b.jsonl", "/dev/null", "o.csv", "x" * 300),
    "--log-format": ("text", "JSON"),
    "--log-file": ("x.gz", "folder", "missing/log", "o.csv", "x" * 300),
    "--metrics-file": ("m.txt", "folder.prom", "o.csv"),
    "--color": ("yes", "Never"),
    "--format": ("xls", "tsv"),
    "--outcome": ("gone", "all", "DELETED"),
    "--output": ("x.gz", "folder", "missing/out", "/dev/null", "o.csv", "x" * 300),
    "--orders": ("missing.csv", "folder"),
    "--others": ("-1", "1.5", "1000001"),
    "--read-limit": ("0", "1000001"),
    "--headers": ("none at all", "retry_after"),
    "--latency": ("31s", "-1", "fast"),
    "--native": ("0", "-5"),
    "--native-status": ("204", "600"),
    "--fault": ("unknown", "drop_after=0", "drop_after=1.1", "drop_after=nan", "drop_after=-1"),
    "--key": ("north=71,72:0", "north=71:9999999"),
    "--journal": ("x.gz", "folder", "missing/j", "o.csv", "x" * 300),
    "--port": ("65536", "-1", "http"),
    "--seed": ("-1", "0x1"),
}  # fmt: skip
"""By the long name of each option that takes a value; an option of the same name means the same in every command."""

CODES = {
    "--join": INPUT,
    "--column": INPUT,
    "--ignore-column": INPUT,
    "--sheet": INPUT,
    "--ledger": LEDGER,
    "--orders": INPUT,
}
"""Where it is not 2."""

BY_VALUE = {"--join", "--orders", "--config", "--profile", "--backup", "--ledger"}
"""Options whose value is in the message, with or without the option's name."""

ROWS = [(command, option) for options in OPTIONS.values() for option in options for command in option.commands.split()]
VALUED = [(command, option) for command, option in ROWS if option.type not in (FLAG, COUNT)]
SWITCHES = [(command, option) for command, option in ROWS if option.type in (FLAG, COUNT)]


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One of a run that is complete."""
    folder = tmp_path_factory.mktemp("ledger")
    server = Server(folder)
    try:
        done = call(
            *arguments(server, write(folder / "o.csv", IDS[:2]), "--yes", "--preview", "off"), env=environment()
        )
    finally:
        server.close()
    assert done.returncode == 0, done.stderr
    return folder / "o.csv.ledger.db"


@pytest.fixture
def silent() -> Iterator[tuple[socket.socket, str]]:
    """A server that must not be asked, and its URL."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener, f"http://127.0.0.1:{listener.getsockname()[1]}"


@pytest.fixture
def folder(tmp_path: Path, ledger: Path) -> Path:
    write(tmp_path / "o.csv", IDS[:2])
    shutil.copy(ledger, tmp_path / "l.db")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder.prom").mkdir()
    (tmp_path / "p.toml").write_text('[profiles.p]\nrate = "1/s"\n')
    (tmp_path / "p.toml").chmod(0o600)
    return tmp_path


def words(command: str, option: Option, url: str) -> list[str]:
    """A command that would work without the option."""
    given = {
        "run": ["o.csv", "--keep-stock", "--yes", "--api-url", url, "--account-id", "1"],
        "plan": ["o.csv", "--keep-stock", "--online", "--api-url", url, "--account-id", "1"],
        "resume": ["l.db", "--yes", "--api-url", url],
        "verify": ["l.db", "o.csv", *(() if option.part == "reading" else ("--online", "--api-url", url))],
        "export": ["l.db"],
        "report": ["l.db"],
        "status": ["l.db"],
        "settle": ["l.db", f"1:{IDS[0]}", "--as", "gone", "--note", "why"],
        "profile": ["p"],
        "simulate": ["--orders", "o.csv", "--port", "0"],
    }[command]
    if option.part == "reading" and command == "export":
        given += ["--join", "o.csv"]
    if option.long == "--profile":
        given += ["--config", "p.toml"]
    if option.long == "--config" and command != "profile":
        given += ["--profile", "p"]
    if option.long in given and not option.many:
        at = given.index(option.long)
        del given[at : at + 2]
    return [command, *given]


def test_every_option_with_a_value_has_wrong_ones() -> None:
    """None is forgotten, and no entry is left over."""
    assert {option.long for _, option in VALUED} == WRONG.keys()


@pytest.mark.parametrize(("command", "option"), VALUED, ids=lambda part: part if isinstance(part, str) else part.long)
def test_a_wrong_value_is_refused(
    folder: Path, silent: tuple[socket.socket, str], command: str, option: Option
) -> None:
    """It is named, with what to do; no request is sent, no file is made, and there is no traceback."""
    listener, url = silent
    before = {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}
    values = WRONG[option.long]
    for value in values if command == option.commands.split()[0] else values[:1]:
        done = call(*PROGRAM, *words(command, option, url), option.long, value, cwd=folder, env=environment())
        said = done.stderr
        assert done.returncode == CODES.get(option.long, 2), (value, done)
        assert option.long in said or (option.long in BY_VALUE and value in said), (value, said)
        assert "Traceback" not in said, value
        assert "bug" not in said, value
        assert done.stdout == "", value
        assert {path.name: path.stat().st_mtime_ns for path in folder.iterdir()} == before, value
    assert select.select([listener], [], [], 0)[0] == []


@pytest.mark.parametrize(("command", "option"), SWITCHES, ids=lambda part: part if isinstance(part, str) else part.long)
def test_a_switch_takes_no_value(folder: Path, silent: tuple[socket.socket, str], command: str, option: Option) -> None:
    """`--yes=no` is not `--yes`."""
    for flag in option.switches:
        done = call(*PROGRAM, *words(command, option, silent[1]), f"{flag}=no", cwd=folder, env=environment())
        assert (done.returncode, done.stdout) == (2, ""), done
        assert f"Option '{flag}' does not take a value" in done.stderr
    assert select.select([silent[0]], [], [], 0)[0] == []


@pytest.mark.parametrize(("command", "option"), VALUED, ids=lambda part: part if isinstance(part, str) else part.long)
def test_the_name_of_an_option_is_no_value(command: str, option: Option) -> None:
    """`--ledger $UNSET --yes` would make a ledger named --yes, and ask."""
    others = program.commands[command].params
    flags = [flag for each in others if isinstance(each, click.Option) for flag in (*each.opts, *each.secondary_opts)]
    shorts = "".join(flag[1:] for flag in ("-h", *flags) if len(flag) == 2)
    for value in (flags[0], flags[-1], f"{flags[-1]}=5", "--help", "-h", f"-{shorts}{shorts}"):
        done = CliRunner().invoke(program, [command, option.long, value])
        assert done.exit_code == 2, value
        assert f"{option.long} has {value} as its value, which is an option itself" in done.output
        assert "is a variable unset?" in done.output


def test_a_value_may_begin_like_an_option(tmp_path: Path) -> None:
    """A file may be called so, and is named by its path or as it is."""
    write(tmp_path / "o.csv", IDS[:2])
    words = ["plan", "o.csv", "--account-id", "1", "--keep-stock"]
    for name in ("-1", "--skip-rejected-rows", "./--skip-rejected"):
        done = call(*PROGRAM, *words, "--rejects", name, cwd=tmp_path, env=environment())
        assert done.returncode == 0, done.stderr
        assert (tmp_path / name).exists()
