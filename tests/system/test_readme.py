"""README says what the program does: its help, its exit codes, its table of responses, its options. Nothing in it may drift.

Its commands are run by test_readme_commands.py.
"""

from __future__ import annotations

import re
import subprocess
import sys

import click
import pytest

from bulkdelete.cli.options import OPTIONS
from bulkdelete.cli.program import program
from bulkdelete.core.policy import VERDICTS, Case
from bulkdelete.core.run_summary import EXIT_OF_ERROR, EXIT_OF_REASON, EXIT_UNFORESEEN
from bulkdelete.ledger.sqlite.migrations import MIGRATIONS
from bulkdelete.model import State
from tests.support import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")


def table(heading: str) -> list[list[str]]:
    """The rows of the table under a heading whose first cell is `heading`."""
    rows = re.search(rf"^\| {re.escape(heading)} \|.*\n\|[-| ]+\|\n((?:\|.*\n)+)", README, re.MULTILINE)
    assert rows, f"no table {heading!r}"
    return [[cell.strip() for cell in line.strip("|\n").split("|")] for line in rows[1].splitlines()]


def test_the_table_of_responses_is_the_programs() -> None:
    """Each row of core/policy.py stands there with its outcome, and no others."""
    told = {cells[0]: cells[1] for cells in table("response")}
    assert told.keys() == {case.value for case in Case}
    for case, verdict in VERDICTS.items():
        state = verdict.state.label if verdict.state is not None else "unchanged"
        assert told[case.value].startswith(state), case
        assert ("stops" in told[case.value]) == (verdict.stop is not None), case
        assert ("retried" in told[case.value]) == (verdict.requeue is not None), case


def test_the_exit_codes_are_the_programs() -> None:
    """Every code that can come out stands in the table."""
    told = {int(code) for cells in table("exit") for code in cells[0].split(",")}
    assert told == {0, 1, EXIT_UNFORESEEN, *EXIT_OF_REASON.values(), *EXIT_OF_ERROR.values()}


def test_the_outcomes_are_the_programs() -> None:
    """Every state has its row."""
    assert {cells[0] for cells in table("outcome")} == {state.label for state in State}


def test_the_help_is_the_programs() -> None:
    """The help text in README is what the command prints."""
    shown = subprocess.run(
        [sys.executable, "-m", "bulkdelete", "--help"], capture_output=True, text=True, timeout=30, check=True
    ).stdout
    block = re.search(r"```text\n\$ bulkdelete --help\n(.*?)```", README, re.DOTALL)
    assert block
    assert block[1].strip() == shown.strip()


def test_the_first_part_is_short() -> None:
    """A newcomer reads at most 1,500 words; what is looked up comes after them."""
    first, _, reference = README.partition("\n## Reference\n")
    assert len(first.split()) <= 1500
    assert reference


def test_the_table_of_options_is_the_programs() -> None:
    """Each option stands there by its purpose, and no others."""
    told: dict[str, set[str]] = {}
    for purpose, flags, _ in table("purpose"):
        told.setdefault(purpose or [*told][-1], set()).update(re.findall(r"`(--[a-z-]+)`", flags))
    made = {
        purpose: {flag for each in options for flag in long_flags(each.flag)} for purpose, options in OPTIONS.items()
    }
    assert told == made


def long_flags(text: str) -> list[str]:
    """The long ones of an option's flags."""
    return re.findall(r"--[a-z-]+", text)


def test_the_table_of_commands_is_the_programs() -> None:
    """Each command has its row."""
    assert isinstance(program, click.Group)
    told = {re.sub(r"^`(\w+).*", r"\1", cells[0]) for cells in table("command")}
    assert told == {name for name, command in program.commands.items() if not command.hidden}


def test_the_pacing_rows_are_the_benchmarks() -> None:
    """README shows three rows of the page that the benchmark writes, cell by cell."""
    bench = (ROOT / "tests" / "bench" / "README.md").read_text(encoding="utf-8")
    rows = table("server")
    assert len(rows) == 3
    shown = dict(
        zip(("bulkdelete", "botocore adaptive", "AIMD"), zip(*[row[1:] for row in rows], strict=True), strict=True)
    )
    heading, *measured = (
        [cell.strip() for cell in line.strip("|").split("|")] for line in bench.splitlines() if line.startswith("| ")
    )
    by_server = {row[0]: row for row in measured if len(row) > 3}
    heading = by_server.pop("server")
    for name, cells in shown.items():
        assert list(cells) == [by_server[row[0]][heading.index(name)] for row in rows], name


def test_every_option_in_readme_exists() -> None:
    """An option that README names is an option of some command."""
    known = {flag for options in OPTIONS.values() for each in options for flag in long_flags(each.flag)}
    known |= {"--help", "--version"}
    ours = re.sub(r"```(?:systemd|text)\n.*?```", "", README, flags=re.DOTALL)
    ours = "\n".join(
        line
        for line in ours.splitlines()
        if "systemd-run" not in line and "systemctl" not in line and "pip install" not in line and "sqlite3" not in line
    )
    named = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", ours))
    assert named - known == set()


@pytest.mark.parametrize("view", ["results", "failures", "in_doubt", "summary", "timeline"])
def test_every_view_in_readme_exists(view: str) -> None:
    """The views that README shows are the ledger's."""
    assert f"`{view}`" in README
    assert f"CREATE VIEW {view} " in "".join(MIGRATIONS)


def test_ci_runs_the_commands_of_readme() -> None:
    """.ci/run has the demo, the tests and the campaigns as README says them, word for word."""
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()
    commands = re.findall(r"^ {4}(python3 -m venv .*)$", README, re.MULTILINE)
    rigs = re.findall(r"`(\.venv/bin/python -m pytest [^`]+)`", README)
    assert (len(commands), rigs) == (2, [".venv/bin/python -m pytest tests/rigs tests/bench"])
    assert [line for line in script if line in (*commands, *rigs)] == [*commands, *rigs]
