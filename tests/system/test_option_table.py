"""The table of options: each is one row, and what follows from a row is what a user meets."""

from __future__ import annotations

import re
import shlex
from dataclasses import fields
from pathlib import Path

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bulkdelete.cli.access import Access
from bulkdelete.cli.flags import flagged
from bulkdelete.cli.given import run_options
from bulkdelete.cli.log import Log
from bulkdelete.cli.option import Option
from bulkdelete.cli.options import OPTIONS, option_of, resume_options
from bulkdelete.cli.parameters import CheckedOption, Pattern
from bulkdelete.cli.program import program
from bulkdelete.cli.spelling import resuming
from bulkdelete.cli.streams import say, write_json, write_result
from bulkdelete.intake import ReadOptions
from bulkdelete.model import Doubts, StopReason
from bulkdelete.report.summary import ADVICE
from bulkdelete.settings import Settings

ROWS = [option for options in OPTIONS.values() for option in options]
LEDGER = Path("/var/lib/l.db")


def settings_of(command: str, *words: str) -> Settings:
    """The settings that a command line means."""
    found = program.commands[command]
    with found.make_context(command, ["x", *words], parent=click.Context(program, **program.context_settings)) as ctx:
        return run_options({name: value for name, value in ctx.params.items() if name != "files"}, LEDGER).settings


def test_every_option_is_a_row() -> None:
    """click knows no other, and a row is an option of a command that exists."""
    made = {
        (name, parameter.name)
        for name, command in program.commands.items()
        for parameter in command.params
        if isinstance(parameter, CheckedOption)
    }
    rows = [(command, option.name) for option in ROWS for command in option.commands.split()]
    assert len(rows) == len(set(rows))
    assert set(rows) == made
    assert not any(isinstance(each, click.Option) and not isinstance(each, CheckedOption) for command in
                   program.commands.values() for each in command.params)  # fmt: skip


@pytest.mark.parametrize("option", [each for each in ROWS if each.part], ids=lambda option: option.flag)
def test_a_row_of_a_setting_names_one(option: Option) -> None:
    """Its field is one of Settings or of ReadOptions; a default is written nowhere but there."""
    known = {field.name for field in fields({"settings": Settings, "reading": ReadOptions}[option.part])}
    assert {option.name, option.share_field or option.name} <= known
    assert option.default is None


@pytest.mark.parametrize("name", ["run", "resume"])
def test_nothing_given_is_the_defaults(name: str) -> None:
    """Without an option every setting is what Settings says."""
    assert settings_of(name) == Settings(ledger=LEDGER)


DEFAULTS = [
    (option.long, found[1])
    for option in ROWS
    if option.part == "settings" and isinstance(option.type, Pattern)
    if (found := re.search(r"\[default: (.*)\]", option.to_click("").help or ""))
]


@pytest.mark.parametrize(("flag", "written"), DEFAULTS)
def test_a_default_in_the_help_is_what_holds(flag: str, written: str) -> None:
    """Given as the help writes it, an option changes nothing."""
    assert settings_of("run", flag, written) == Settings(ledger=LEDGER)


def test_the_help_has_the_defaults_of_settings() -> None:
    """As they are written for people."""
    assert dict(DEFAULTS) == {
        "--slots": "64",
        "--timeout": "30s",
        "--attempts": "3",
        "--patience": "12h",
        "--grace": "20s",
        "--reserve": "0%",
        "--guard": "20",
        "--max-consecutive-failures": "50",
    }


def test_plan_has_what_a_plan_depends_on() -> None:
    """Each option of `plan` is one of `run`, of the same row, apart from the look-up and its file."""
    own = {option.long for option in ROWS if "plan" in option.commands.split() and "run" not in option.commands.split()}
    assert own == {"--online", "--output", "--overwrite"}


KEPT = st.fixed_dictionaries(
    {},
    optional={
        "slots": st.integers(1, 512),
        "answer_timeout_s": st.floats(0.1, 3600).map(lambda s: round(s, 3)),
        "attempts": st.integers(1, 100),
        "doubts": st.sampled_from(Doubts),
        "patience_s": st.integers(1, 30 * 86400).map(float),
        "grace_s": st.integers(0, 3600).map(float),
        "rate_max_per_s": st.integers(1, 600_000).map(lambda per_min: per_min / 60),
        "reserve": st.integers(0, 900).map(lambda per_mille: per_mille / 10 / 100),
        "api_url": st.just("http://127.0.0.1:8080/staging"),
        "guard": st.sampled_from([None, 7]),
        "max_time_s": st.just(5.0),
    },
)


@given(KEPT)
def test_the_command_that_resumes_has_the_same_settings(values: dict[str, object]) -> None:
    """Those that are kept are the same, whatever they were; those that lift or set a stop are not handed on."""
    settings = Settings(ledger=LEDGER, **values)  # type: ignore[arg-type]
    words = shlex.split(resuming(settings, Access()))
    found = settings_of("resume", *words[words.index("resume") + 2 :])
    for name in values.keys() - {"guard", "max_time_s"}:
        assert getattr(found, name) == getattr(settings, name), words
    assert (found.guard, found.max_time_s) == (20, None)


def test_the_key_is_named_by_its_file() -> None:
    """From any folder; stdin is not named."""
    assert resume_options(Settings(LEDGER), Access("a key")) == {
        "api_key_file": ["--api-key-file", str(Path("a key").absolute())]
    }
    assert resume_options(Settings(LEDGER), Access("-")) == resume_options(Settings(LEDGER), Access()) == {}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("more than `settings.max_orders` 5.", "more than --max-orders 5."),
        ("`settings.rate_max_per_s` is 0/h", "--rate is 0/h"),
        ("`settings.max_failures_percent` is 0%", "--max-failures is 0%"),
        ("give `settings.revert_stock`, or", "give --revert-stock or --keep-stock, or"),
        ("`settings.revert_stock=False` says", "--keep-stock says"),
        ("`settings.revert_stock=True` says", "--revert-stock says"),
        ("`settings.of_next_year` is", "`settings.of_next_year` is"),
        ("Unknown column `ledger` in settings.ledger", "Unknown column `ledger` in settings.ledger"),
    ],
)
def test_a_setting_is_said_as_its_option(text: str, said: str) -> None:
    """What a server or a cell says in backticks is left as it is, and so is a name that nobody knows."""
    assert flagged(text) == said


@pytest.mark.parametrize("reason", ADVICE)
def test_advice_names_settings_that_have_an_option(reason: StopReason) -> None:
    """A name in braces is one of the table."""
    for name in re.findall(r"\{(\w+)\}", ADVICE[reason]):
        assert option_of(name)


def test_every_stream_says_options(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """stderr, a result, JSON, the log on stderr and in its file; tests/unit/report has what an export writes."""
    text = "use `settings.ledger`"
    say(text)
    write_result(text)
    write_json({"error": text})
    log = Log("json", "never", 0, tmp_path / "log")
    log("warning", "w", detail=text)
    log.drain()
    shown = capsys.readouterr()
    for written, times in ((shown.out, 2), (shown.err, 2), ((tmp_path / "log").read_text(), 1)):
        assert written.count("use --ledger") == times
        assert "settings" not in written


OF_THE_TABLE = (
    "test_option_table.py",
    "test_options.py",
    "test_refused_values.py",
)  # these name options without using them


@pytest.mark.parametrize("flag", sorted({flag for each in ROWS for flag in each.flag.replace("/", " ").split()}))
def test_every_option_is_used_by_a_test_of_the_command(flag: str) -> None:
    """In each of its spellings; tests/system/test_refused_values.py has what each one refuses."""
    used = re.compile(rf"""["' ]{re.escape(flag)}(?![\w-])""")
    tests = [path for path in Path(__file__).parent.glob("test_*.py") if path.name not in OF_THE_TABLE]
    assert any(used.search(path.read_text("utf-8")) for path in tests)
