"""Every command of README is run as printed, in the order of the page, from a fresh virtual environment.

The blocks are pasted one after the other into one interactive bash, in a scratch copy of what a clone holds. Nothing but this machine is
contacted, so four things differ from what is printed, and nothing else does:

- a command that would go to the API gets `--api-url` with the address of a simulator at its end;
- the simulator has another port than the printed one, which somebody else on this machine may use;
- paths outside the home of a user (/opt, /etc, /var/lib, /exports) are put below the scratch folder;
- cron and systemd-run are not run: their commands are, as they would be. test_scheduled.py has the samples for other schedulers.

The command that tests the program is not run here: `.ci/run` has it word for word (test_readme.py).
"""

from __future__ import annotations

import json
import re
import shlex
import shutil
import socket
import subprocess
import sys
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import click
import pytest

from bulkdelete.cli.program import program
from tests.support import ROOT
from tests.support.placed import placed
from tests.support.process import PROGRAM, environment
from tests.support.shell import Shell

README = (ROOT / "README.md").read_text(encoding="utf-8")
PORT = 8765  # of the simulator, as printed
ACCOUNT = 1234  # of the first real run
KEY = "a-key-of-nobody"
NO_INDEX = re.compile(
    r"No matching distribution|Could not find a version|Temporary failure in name resolution|Connection"
)


@dataclass(frozen=True, slots=True)
class Block:
    """A block of README: its kind (shell, text, sh, crontab), its lines, and its place on the page."""

    kind: str
    text: str
    line: int


def blocks() -> list[Block]:
    """All blocks of code: indented ones are shell commands, fenced ones are named."""
    found = [
        Block(
            match["kind"] or "shell",
            match["fenced"] or re.sub(r"^ {4}", "", match["indented"], flags=re.MULTILINE),
            line,
        )
        for match in re.finditer(
            r"^```(?P<kind>\w+)\n(?P<fenced>.*?)^```$|(?<=\n\n)(?P<indented>(?: {4}[^\n]*\n)+)",
            README,
            re.DOTALL | re.MULTILINE,
        )
        for line in [README.count("\n", 0, match.start()) + 1]
    ]
    return sorted(found, key=lambda block: block.line)


BLOCKS = blocks()


def those(kind: str) -> list[Block]:
    return [block for block in BLOCKS if block.kind == kind]


def the(words: str, kind: str = "shell") -> Block:
    """The block that has these words, of which there is one."""
    (block,) = (block for block in those(kind) if words in block.text)
    return block


# A person does not run these one after the other: they wait for an end that does not come, or are checked below.
CHECKED_OTHERWISE = ("systemd-run", "-m pytest")
CONTACTING = ("bulkdelete run", "bulkdelete plan", "--online")  # or compared with a ledger of the API
ANSWERS = {
    "bulkdelete simulate": {"--api-url http": "\n"},
    "bulkdelete run orders.csv --account-id 1 ": {"API key": KEY + "\n", "> ": "400\n"},
    "--keep-stock --api-key-file alephee.key": {"> ": "400\n"},
    "read -rs key": {"\n": KEY + "\n"},
}
"""What is typed once a command has shown a text."""


def test_every_command_of_readme_runs_as_printed(tmp_path: Path) -> None:
    """One person, one terminal, the whole page; then what a timer would run, and what programs read."""
    folder = tmp_path / "clone"
    for name in ("bulkdelete", "samples"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "samples/orders.csv"):
        shutil.copy(ROOT / name, folder)  # the last one is a person's own
    with _api(folder) as url, Shell(folder, _env(folder)) as shell:
        for block in those("shell"):
            if not any(words in block.text for words in CHECKED_OTHERWISE):
                _play(shell, block, url)
        assert shell.paste("complete -p bulkdelete")[0] == 0  # the last block's work
        _check_fields(folder, url)
        _check_timers(folder, url)


def _play(shell: Shell, block: Block, url: str) -> None:
    """Paste a block: it ends well, and shows what README says that it shows."""
    code, shown = _pasted(shell, block, url)
    assert code == (130 if "--watch" in block.text else 0), f"README line {block.line}: exit {code}\n{shown}"
    following = next((other for other in BLOCKS if other.line > block.line), None)
    if following is None or following.kind != "text" or following.text.startswith("$"):
        return
    lines = iter(_masked(shown))
    for wanted in _masked(following.text):
        assert wanted in lines, f"README line {following.line}: {wanted!r} is not shown, or not at its place\n{shown}"


def _masked(text: str) -> list[str]:
    """The lines, without what differs in each run: times, and how far a bar has come."""
    text = re.sub(r"\d{4}-\d\d-\d\dT[\d:.]+Z", "TIME", text)
    text = re.sub(r"in \d+ s,", "in N s,", text)
    text = re.sub(r"^deleting [━╸╺]+ +\d+/(\d+) +\d+ deleted .*$", r"deleting BAR /\1", text, flags=re.MULTILINE)
    return [line.rstrip() for line in text.splitlines()]


def _check_fields(folder: Path, url: str) -> None:
    """The fields of README's table are those of `run --json`; nothing is left to send here."""
    rows = re.search(r"^\| field \|.*\n\|[-| ]+\|\n((?:\|.*\n)+)", README, re.MULTILINE)
    assert rows
    told = {name for line in rows[1].splitlines() for name in re.findall(r"`(\w+)`", line.split("|")[1])}
    words = (
        f"run orders.csv --account-id {ACCOUNT} --keep-stock --yes --json --api-key-file alephee.key --api-url {url}"
    )
    done = _installed(folder, [str(folder / ".venv/bin/bulkdelete"), *words.split()])
    assert told == json.loads(done.stdout).keys(), done.stderr


def _check_timers(folder: Path, url: str) -> None:
    """What the crontab would start deletes the orders of the folder, and what the session would start is understood."""
    for name in ("exports", "etc/bulkdelete", "var/lib/bulkdelete"):
        (folder / name).mkdir(parents=True)
    shutil.copy(folder / "exported.csv", folder / "exports" / "gone-1.csv")
    shutil.copy(folder / "alephee.key", folder / "etc" / "bulkdelete")

    (folder / "opt/bulkdelete").mkdir(parents=True)
    (folder / "opt/bulkdelete/bin").symlink_to(folder / ".venv/bin")
    script = folder / "opt/bulkdelete/scheduled.sh"
    script.write_text("#!/bin/sh\n" + placed(the("mail -s", "sh").text, folder))
    script.chmod(0o755)
    for line in the("scheduled.sh", "crontab").text.splitlines():
        *times, command = line.split(" ", 5)
        assert all(re.fullmatch(r"\d+|\*", each) for each in times)
        assert "%" not in command  # a line's end to cron
        cron = _installed(folder, ["/bin/sh", "-c", f"{placed(command, folder)} --api-url {url}"])
        assert (cron.returncode, cron.stdout, cron.stderr) == (0, "", "")  # nobody is told anything
    exported = [str(folder / ".venv/bin/bulkdelete"), "export", str(folder / "var/lib/bulkdelete/1234.db")]
    assert _installed(folder, exported).stdout.count(",deleted,") == 1

    words = shlex.split(
        the("systemd-run").text.replace("$PWD", str(folder)).replace("$(command -v bulkdelete)", "bulkdelete")
    )
    begin = words.index("bulkdelete")
    assert "LoadCredential=bulkdelete-api-key:" + str(folder / "alephee.key") in words[:begin]
    assert isinstance(program, click.Group)
    parent = click.Context(
        program, **program.context_settings
    )  # click keeps what it made of -h for the tests that follow
    program.commands[words[begin + 1]].make_context("run", words[begin + 2 :], parent=parent)


def _installed(folder: Path, command: list[str], **more: str) -> subprocess.CompletedProcess[str]:
    env = environment(None, **more)
    return subprocess.run(
        command, cwd=folder, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60
    )


def _env(folder: Path) -> dict[str, str]:
    """A login's environment: the python that is there before any virtual environment, and no key."""
    base = Path(getattr(sys, "_base_executable", sys.executable)).parent
    home = folder.parent / "home"
    home.mkdir()
    kept = {name: value for name, value in environment(None).items() if not name.startswith(("VIRTUAL_ENV", "PYTHON"))}
    del kept["NO_COLOR"]
    return kept | {
        "PATH": f"{base}:/usr/local/bin:/usr/bin:/bin",
        "HOME": str(home),
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    }


class _api:  # noqa: N801  # a context manager, named as what it stands for
    """The simulator in the API's place, with the orders of the first real run."""

    def __init__(self, folder: Path) -> None:
        (folder / "exported.csv").write_text("orderId\n900001\n")
        orders = [word for name in ("orders.csv", "exported.csv") for word in ("--orders", str(folder / name))]
        more = ("--account-id", str(ACCOUNT), "--limit", "6000", "--port", "0")
        self._server = subprocess.Popen(
            [*PROGRAM, "simulate", *orders, *more], stdout=subprocess.PIPE, text=True, env=environment(None), cwd=ROOT
        )

    def __enter__(self) -> str:
        assert self._server.stdout
        found = re.search(r"--api-url (\S+)", self._server.stdout.readline() + self._server.stdout.readline())
        assert found
        return found[1]

    def __exit__(self, *_: object) -> None:
        self._server.terminate()
        self._server.communicate()


def _pasted(shell: Shell, block: Block, url: str) -> tuple[int, str]:
    """The exit code of a block's last line, and what all of its lines showed."""
    port, text, shown, code = _port(), block.text, "", 0
    text = text.replace(f":{PORT}", f":{port}").replace("simulate ", f"simulate --port {port} ")
    for line in text.strip().splitlines():
        if any(words in line for words in CONTACTING) and "--api-url" not in line:
            line = f"{line} --api-url {url}"
        answers = next((typed for words, typed in ANSWERS.items() if words in line), None)
        code, more = shell.paste(line, answers, interrupt_after_s=3.0 if "--watch" in line else None)
        if "pip install" in line and code and NO_INDEX.search(more):
            pytest.skip("no package index can be reached, and README's first command needs one")
        assert code == 0 or line == text.strip().splitlines()[-1], f"{line}: exit {code}\n{more}"
        shown += more + "\n"
    return code, shown.replace(f":{port}", f":{PORT}")


@lru_cache(maxsize=1)
def _port() -> int:
    """A port for the simulator, that is free now."""
    with socket.socket() as tried:
        tried.bind(("127.0.0.1", 0))
        return int(tried.getsockname()[1])
