"""The values of options: none is empty, none contradicts another, and a number is written in ASCII digits."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from bulkdelete.cli.parameters import EXPECTED, CheckedArgument, CheckedOption, Pattern
from bulkdelete.cli.program import program

assert isinstance(program, click.Group)
BUILT_IN = ("help", "version")
PARAMETERS = [
    (name, parameter)
    for name, command in sorted(program.commands.items())
    for parameter in command.params
    if parameter.name not in BUILT_IN
]
VALUED = [
    (name, parameter)
    for name, parameter in PARAMETERS
    if not (isinstance(parameter, click.Option) and (parameter.is_flag or parameter.count))
]


def said(*words: str) -> str:
    """What a command says that ends with exit code 2."""
    done = CliRunner().invoke(program, words)
    assert done.exit_code == 2, (words, done.output, done.exception)
    return done.output


def words_of(command: str, parameter: click.Parameter, *values: str) -> list[str]:
    if isinstance(parameter, click.Option):
        return [command, *(word for value in values for word in (parameter.opts[-1], value))]
    return [command, *values]


def test_every_option_is_made_here() -> None:
    """The rules below hold for whatever is made by parameters.py; nothing is made elsewhere."""
    assert len(VALUED) > 40
    for name, parameter in PARAMETERS:
        assert isinstance(parameter, CheckedOption | CheckedArgument), (name, parameter.name)


EMPTY = [
    (name, parameter, value)
    for name, parameter in VALUED
    for value in ("", " ", "\t")
    if not (value and parameter.name == "delimiter")
]


@pytest.mark.parametrize(
    ("command", "parameter", "value"), EMPTY, ids=lambda part: str(getattr(part, "name", ascii(part)))
)
def test_an_empty_value_is_refused(command: str, parameter: click.Parameter, value: str) -> None:
    """An unset variable of a script never becomes the default: exit 2, naming the option. A blank is as empty, but for a delimiter."""
    named = parameter.opts[-1] if isinstance(parameter, click.Option) else parameter.human_readable_name
    output = said(*words_of(command, parameter, value))
    assert "is empty" in output
    assert named.strip("[]") in output


def test_an_empty_value_behind_an_equals_sign_or_among_others_is_refused() -> None:
    """However it is written, and also as one of several values."""
    assert "--api-url is empty" in said("run", "a.csv", "--api-url=")
    assert "FILES" in said("run", "a.csv", "", "b.csv")
    assert "--outcome is empty" in said("export", "l.db", "--outcome", "deleted", "--outcome", "")


SINGLE = [
    (name, parameter) for name, parameter in VALUED if isinstance(parameter, click.Option) and not parameter.multiple
]


@pytest.mark.parametrize(("command", "parameter"), SINGLE, ids=lambda part: getattr(part, "name", part))
def test_an_option_with_two_values_is_refused(command: str, parameter: click.Parameter) -> None:
    """The last one does not win: whoever put the first there meant it."""
    assert f"{parameter.opts[-1]} is given twice" in said(*words_of(command, parameter, "1", "2"))


SWITCHES = [
    (name, parameter)
    for name, parameter in PARAMETERS
    if isinstance(parameter, click.Option) and parameter.secondary_opts
]


@pytest.mark.parametrize(("command", "switch"), SWITCHES, ids=lambda part: getattr(part, "name", part))
def test_a_switch_in_both_positions_is_refused(command: str, switch: click.Option) -> None:
    """--keep-stock with --revert-stock, in either order: exit 2, and the message names both."""
    on, off = switch.opts[0], switch.secondary_opts[0]
    for words in ((on, off), (off, on), (on, off, on)):
        output = said(command, *words)
        assert on in output
        assert off in output
    assert {"--keep-stock", "--no-progress"} <= {name for _, each in SWITCHES for name in each.secondary_opts}


def test_the_same_value_twice_is_fine(tmp_path: Path) -> None:
    """A wrapper that repeats what is said contradicts nothing."""
    file = tmp_path / "o.csv"
    file.write_text("orderId\n5\n")
    words = ["plan", str(file), "--account-id", "1", "--account-id", "1", "--keep-stock", "--keep-stock"]
    done = CliRunner().invoke(program, words, standalone_mode=False)
    assert (done.return_value, done.exception) == (0, None)


def number_options() -> Iterator[tuple[str, click.Parameter]]:
    """Those of whole numbers without a unit."""
    return (
        (name, parameter)
        for name, parameter in VALUED
        if (isinstance(parameter.type, Pattern) and parameter.type.name in ("N", "ID")) or parameter.type is EXPECTED
    )


@pytest.mark.parametrize(
    "value", ["1_2", "١٢", "１２", " 12", "12 ", "+12", "1e3", "0x12", "12.0", "1,000", "²", "twelve", "9" * 20]
)
def test_a_number_is_written_in_ascii_digits(value: str) -> None:
    """`int` reads many of these as another number, and that could be another account."""
    options = list(number_options())
    assert {"account_id", "expect", "slots", "attempts", "max_orders", "port", "native"} <= {
        parameter.name for _, parameter in options
    }
    for command, parameter in options:
        assert parameter.opts[-1] in said(*words_of(command, parameter, value))


@pytest.mark.parametrize(
    "words",
    [
        ("--timeout", "١٢s"), ("--timeout", " 12s"), ("--timeout", "1_2"), ("--patience", "+2h"), ("--grace", "1e3"),
        ("--rate", "٣٠/min"), ("--rate", "3_0"), ("--rate", " 30"), ("--reserve", "٢٠%"), ("--reserve", "2_0%"),
        ("--guard", "2_0"), ("--guard", "٢٠"), ("--max-failures", "1_0"), ("--max-failures", "٥%"), ("--max-time", "²h"),
    ],
    ids=" ".join,
)  # fmt: skip
def test_durations_rates_and_shares_are_written_in_ascii_digits(words: tuple[str, str]) -> None:
    """As whole numbers are."""
    assert words[0] in said("run", "a.csv", *words)


def test_no_option_takes_pythons_numbers() -> None:
    """click's own int and float read more than digits."""
    own = (click.types.IntParamType, click.types.FloatParamType)
    assert [parameter.name for _, parameter in VALUED if isinstance(parameter.type, own)] == []


@pytest.mark.parametrize("option", ["--rejects", "--ledger", "--ca-file", "--log-file"])
def test_a_dash_is_no_file(option: str) -> None:
    """Where neither stdin nor stdout is meant, `-` is not the name of a file by accident."""
    assert option in said("run", "a.csv", option, "-")
