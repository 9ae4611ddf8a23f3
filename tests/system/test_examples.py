"""What `--help` of each command shows works: its examples, its short flags, `help`, and what a mistyped word is told."""

from __future__ import annotations

import os
import re
import shlex
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from bulkdelete.cli.helping import Command
from bulkdelete.cli.program import program
from tests.support.command import IDS, Server, arguments, call, write
from tests.support.process import PROGRAM, environment

COMMANDS = sorted(program.commands)
EXAMPLES = [
    pytest.param(name, example.command, id=example.command)
    for name, found in program.commands.items()
    if isinstance(found, Command)
    for example in found.examples
]
GIVEN = ("--account-id", "1", "--keep-stock")


def shown(*words: str) -> str:
    done = CliRunner().invoke(program, words)
    assert done.exit_code == 0, done.output
    return done.output


def refused(*words: str) -> str:
    done = CliRunner().invoke(program, words)
    assert done.exit_code == 2, (words, done.output, done.exception)
    return done.output


@pytest.mark.parametrize("name", COMMANDS)
def test_a_commands_help_has_examples(name: str) -> None:
    """Two to four of each command, one line each, as they can be pasted."""
    found = program.commands[name]
    assert isinstance(found, Command)
    assert 2 <= len(found.examples) <= 4
    lines = shown(name, "--help").splitlines()
    for example in found.examples:
        assert f"  {example.command}" in lines
        assert f"  # {example.purpose}" in lines


def words_of(command: str) -> list[str]:
    """The words after the program's name, with variables that are set before it taken away."""
    words = shlex.split(command)
    return words[words.index("bulkdelete") + 1 :]


@pytest.mark.parametrize(("name", "command"), EXAMPLES)
def test_an_example_is_understood(name: str, command: str) -> None:
    """click takes every word of it."""
    words = words_of(command)
    assert words[0] == name
    found = program.commands[name]
    with found.make_context(name, words[1:], parent=click.Context(program, **program.context_settings)) as ctx:
        assert ctx.args == []


ENDING = [each for each in EXAMPLES if each.values[0] not in ("demo", "simulate") and "--watch" not in str(each.id)]


SIMULATED = ("--limit", "3000", "--account-id", "1234")
LOSING = (*SIMULATED, "--fault", "drop_after=1")  # every order is in doubt


@pytest.mark.parametrize(
    ("server", "name", "command"),
    [(LOSING if each.values[0] == "settle" else SIMULATED, *each.values) for each in ENDING],
    indirect=["server"],
    ids=[str(each.id) for each in ENDING],
)
def test_an_example_does_what_it_says(server: Server, tmp_path: Path, name: str, command: str) -> None:
    """Run as it is printed, in a folder with its files, against a server on this machine: it ends well."""
    key = tmp_path / "alephee.key"
    key.write_text("key\n")
    key.chmod(0o600)
    (tmp_path / "exports").mkdir()
    for file in (tmp_path / "gone.csv", tmp_path / "exports" / "a.csv"):
        write(file, IDS[:4])
    _profiles(tmp_path)
    env = environment(PYTHONPATH=os.getcwd(), XDG_CONFIG_HOME=str(tmp_path / "config"))
    words = words_of(command)
    contacts = name in ("run", "resume", "plan") or "--online" in words
    url = ["--api-url", server.url] if contacts else []
    if name in ("status", "export", "report", "resume", "settle", "verify"):
        given = [
            "run",
            "gone.csv",
            "--account-id",
            "1234",
            "--keep-stock",
            "--yes",
            "--doubts",
            "hold",
            "--api-url",
            server.url,
        ]
        assert call(*PROGRAM, *given, cwd=tmp_path, env=env).returncode == (1 if name == "settle" else 0)
        words = [re.sub(r"^1234:70000(\d)$", lambda found: f"1234:{IDS[int(found[1]) - 1]}", word) for word in words]
    if "--expect" in words:
        words[words.index("--expect") + 1] = "4"
        words[words.index("--rate") + 1] = "600/min"
    asks = name in ("run", "resume") and not {"-y", "--expect", "-n"} & set(words)
    done = call(*PROGRAM, *words, *url, *(["--yes"] if asks else []), cwd=tmp_path, env=env)
    assert done.returncode == 0, done.stdout + done.stderr


def _profiles(folder: Path) -> None:
    """The user's configuration file, and another one."""
    users = folder / "config" / "bulkdelete" / "config.toml"
    users.parent.mkdir(parents=True)
    for file in (users, folder / "migration.toml"):
        file.write_text('[profiles.shops]\nrate = "60/min"\n')
        file.chmod(0o600)


@pytest.mark.parametrize("name", COMMANDS)
def test_help_of_a_command_is_its_help(name: str) -> None:
    """`help COMMAND` and `COMMAND --help` are one text; `help` alone is the program's."""
    assert shown("help", name) == shown(name, "--help") == shown(name, "-h")
    assert shown("help") == shown("--help")


def test_short_flags() -> None:
    """-V is --version."""
    assert shown("-V") == shown("--version")


def test_yes_is_y(server: Server, tmp_path: Path) -> None:
    """-y confirms."""
    file = write(tmp_path / "o.csv", IDS[:3])
    assert call(*arguments(server, file, "-y")).returncode == 0
    assert len(server.journal()) == 3


@pytest.mark.parametrize("more", [(), ("--json",), ("--rate", "90/min", "--json"), ("--max-orders", "2")], ids=" ".join)
@pytest.mark.parametrize("flag", ["-n", "--dry-run"])
def test_a_dry_run_is_a_plan(server: Server, tmp_path: Path, flag: str, more: tuple[str, ...]) -> None:
    """The same output and exit code, with options that only a run has, and no key; nothing is sent and nothing is left behind."""
    file = write(tmp_path / "o.csv", IDS[:3])
    words = (str(file), *GIVEN, "--api-url", server.url, *more)
    planned = call(*PROGRAM, "plan", *words, env=environment(key=None))
    dry = call(*PROGRAM, "run", flag, *words, "--yes", "--slots", "3", "--guard", "off", env=environment(key=None))
    assert (dry.returncode, dry.stdout) == (planned.returncode, planned.stdout)
    assert dry.returncode == (3 if "--max-orders" in more else 0)
    assert server.journal() == []
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["o.csv"]


@pytest.mark.parametrize(
    ("words", "nearest"),
    [
        (("pln",), "plan"),
        (("help", "stauts"), "status"),
        (("run", "a.csv", "--acount-id", "1"), "--account-id"),
        (("resume", "l.db", "--max-consecutive-failure", "1"), "--max-consecutive-failures"),
        (("simulate", "--latncy", "1"), "--latency"),
        (("run", "a.csv", "--doubts", "resent"), "resend"),
        (("export", "l.db", "--outcome", "in-doubt"), "in_doubt"),
        (("export", "l.db", "-f", "jsonlines"), "jsonl"),
        (("--versoin",), "--version"),
    ],
    ids=" ".join,
)  # fmt: skip
def test_a_mistyped_word_has_the_nearest_named(words: tuple[str, ...], nearest: str) -> None:
    """A command, an option, or the value of a choice."""
    output = refused(*words)
    assert "Did you mean" in output
    assert repr(nearest) in output
