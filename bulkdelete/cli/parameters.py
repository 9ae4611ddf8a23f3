"""click's options and arguments as this program uses them, and the types of their values.

Every option of every command refuses an empty value, and two values that contradict each other. Only the file of --ca-file is opened
here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any, cast

import click
from click.core import ParameterSource

from bulkdelete.cli.secrecy import know_proxy
from bulkdelete.settings import without_credentials
from bulkdelete.words import number, span

__all__ = [
    "CERTIFICATES",
    "COUNT",
    "COUNT_OR_OFF",
    "EXPECTED",
    "FAILURES",
    "FILE",
    "FLAG",
    "METRICS",
    "NOTE",
    "NUMBER",
    "OFF",
    "OUTPUT",
    "PERCENT",
    "RATE",
    "SECONDS",
    "CheckedArgument",
    "CheckedOption",
    "Choice",
    "Pattern",
    "ProxyUrl",
    "Text",
    "between",
]

_MAY_BE_BLANK = ("delimiter",)  # a space or a tab is a delimiter


class _AllValues:
    """A parser that keeps every value that an option was given; click would keep only the last."""

    _KEEPING = {"store": "append", "store_const": "append_const"}  # noqa: RUF012  # never changed

    def __init__(self, parser: Any) -> None:
        self._parser = parser

    def add_option(self, *, action: str, **rest: Any) -> None:
        self._parser.add_option(action=self._KEEPING.get(action, action), **rest)


class CheckedOption(click.Option):
    """An option that refuses an empty value and two different values. `purpose`: its heading in the help."""

    def __init__(self, *args: Any, purpose: str = "Options", **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.purpose = purpose

    def add_to_parser(self, parser: Any, ctx: click.Context) -> None:
        super().add_to_parser(cast(Any, _AllValues(parser)), ctx)

    def consume_value(self, ctx: click.Context, opts: Mapping[str, Any]) -> tuple[Any, ParameterSource]:
        name = self.name or ""
        given = opts.get(name)
        if isinstance(given, list):
            _check_filled(given, self, ctx)
            self._check_no_option(given, ctx)
            if not self.multiple:
                if any(value != given[0] for value in given) and not ctx.resilient_parsing:
                    raise click.UsageError(self._contradiction(), ctx)
                opts = {**opts, name: given[-1]}
        return super().consume_value(ctx, opts)

    def _check_no_option(self, values: list[Any], ctx: click.Context) -> None:
        """`--rejects $UNSET --skip-rejected` would name a file --skip-rejected, and skip nothing."""
        flags = {flag for each in ctx.command.get_params(ctx) for flag in (*each.opts, *each.secondary_opts)}
        for value in values:
            if isinstance(value, str) and _is_flag(value, flags) and not ctx.resilient_parsing:
                raise click.UsageError(
                    f"{self.opts[-1]} has {value} as its value, which is an option itself: give {self.opts[-1]} a value (is a variable"
                    " unset?), or leave it out",
                    ctx,
                )

    def value_is_missing(self, value: Any) -> bool:
        return value is None or super().value_is_missing(value)  # None: the table's default

    def _contradiction(self) -> str:
        if self.secondary_opts:
            return f"{self.opts[0]} and {self.secondary_opts[0]} contradict each other. Give one of them"
        return f"{self.opts[-1]} is given twice, with different values. Give it once"


class CheckedArgument(click.Argument):
    """An argument that refuses an empty value."""

    def process_value(self, ctx: click.Context, value: Any) -> Any:
        _check_filled(value if isinstance(value, list | tuple) else [value], self, ctx)
        return super().process_value(ctx, value)


def _is_flag(word: str, flags: Collection[str]) -> bool:
    """Whether a word is an option, also with its value or as several short ones: --rate=5, -qq."""
    if word[:1] != "-":
        return False
    return word.partition("=")[0] in flags or (len(word) > 1 and all(f"-{char}" in flags for char in word[1:]))


def _check_filled(values: list[Any] | tuple[Any, ...], parameter: click.Parameter, ctx: click.Context) -> None:
    for value in values:
        blank = value == "" or (isinstance(value, str) and value.isspace() and parameter.name not in _MAY_BE_BLANK)
        if blank and not ctx.resilient_parsing:
            named = parameter.opts[-1] if isinstance(parameter, click.Option) else parameter.make_metavar(ctx)
            raise click.UsageError(f"{named} is empty: give a value (is a variable unset?), or leave it out", ctx)


OFF = "off"
"""Instead of a number: no limit. The setting is then None."""


class Text(click.ParamType[str]):
    """Any text. `name`: its placeholder in the help."""

    def __init__(self, name: str) -> None:
        self.name = name

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:
        return self.name


class ProxyUrl(Text):
    """The URL of a proxy, which may contain a password: it is hidden from now on, and `written` leaves it out."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        know_proxy(str(value))
        return value

    def written(self, setting: object) -> str:
        return without_credentials(str(setting))


class Pattern(click.ParamType[Any]):
    """A number in ASCII digits and its unit, by one pattern: `int` and `float` would take 1_000, +5 and the digits of other scripts.

    `form` has two groups, the number and the unit. `units`: the factor from each unit to the option's own unit; the product of two whole
    numbers is a whole number. `wrong`: the message for any other text. `per`: how many of the option's units are one of the setting's
    (60 requests per minute are 1 per second). `write` renders a value as the option accepts it.
    """

    def __init__(
        self,
        name: str,
        form: str,
        units: Mapping[str, float],
        wrong: str,
        *,
        per: float = 1,
        write: Callable[[float], str] = number,
        words: tuple[str, ...] = (),
        bounds: tuple[int, int] | None = None,
    ) -> None:
        self.name = name
        self.words = words
        self._form, self._units, self._wrong = re.compile(form, re.ASCII), units, wrong
        self._per, self._write, self._bounds = per, write, bounds

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:
        return self.name

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if not isinstance(value, str) or value in self.words:  # a default, or a word such as `off`
            return value
        found = self._form.fullmatch(value)
        if found is None:
            self.fail(f"{value!r} {self._wrong}", param, ctx)
        unit = self._units[found[2] or ""]
        result = (int(found[1]) if isinstance(unit, int) else float(found[1])) * unit
        if self._bounds is not None and not self._bounds[0] <= result <= self._bounds[1]:
            low, high = self._bounds
            self.fail(f"{value} is out of range; give a number from {low} to {high}", param, ctx)
        return result

    def setting(self, value: Any) -> Any:
        """The value of the setting for this value of the option."""
        if value in self.words:
            return None
        return value if self._per == 1 else value / self._per

    def written(self, setting: Any) -> str:
        """A setting as the option accepts it; rounded if its unit differs, since 2000 / 60 * 60 is not 2000."""
        if setting is None and self.words:
            return self.words[0]
        return self._write(setting if self._per == 1 else round(setting * self._per, 9))


_WHOLE = r"(\d{1,19})()"
_NO_NUMBER = "is not a whole number; write it with the digits 0 to 9 only"


def between(low: int, high: int = 2**63 - 1, name: str = "N") -> Pattern:
    """A whole number within these bounds."""
    return Pattern(name, _WHOLE, {"": 1}, _NO_NUMBER, bounds=(low, high))


def _percent(value: float) -> str:
    return f"{number(value)}%"


NUMBER = between(0)
SECONDS = Pattern(
    "DURATION",
    r"(\d+(?:\.\d+)?)\s*(s|min|m|h|d|)",
    {"": 1.0, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0},
    "is not a duration; write 90, 90s, 15m, 2h or 1d",
    write=span,
)
RATE = Pattern(
    "N/min",
    r"(?=.*[1-9])(\d{1,7}(?:\.\d+)?)\s*(?:/\s*(s|min|h))?",
    {"": 1.0, "s": 60.0, "min": 1.0, "h": 1 / 60},
    "is not a rate; write 30/min, 5/s or 1800/h",
    per=60,
)
PERCENT = Pattern("N%", r"(\d{1,3}(?:\.\d+)?)\s*(%)", {"%": 1.0}, "is not a share; write 20%", per=100, write=_percent)
COUNT_OR_OFF = Pattern("N|off", r"(\d{1,9})()", {"": 1}, "is neither a number nor off", words=(OFF,))
FAILURES = Pattern(
    "N|N%",
    r"(\d{1,9}|\d{1,9}(?:\.\d+)?(?=%))(%?)",
    {"": 1, "%": 1.0},  # a share is a float
    "is neither a number like 50 nor a share like 5%",
)


class _Expected(click.ParamType[Any]):
    """What a person approved: a number of orders, or the digest of their list. The value is an int or a text in lower case."""

    _DIGEST = re.compile(r"sha256:[0-9a-f]{64}", re.ASCII | re.IGNORECASE)

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:
        return "N|sha256:DIGEST"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if not isinstance(value, str):
            return value
        digest = self._DIGEST.fullmatch(value)
        if digest is None and not re.fullmatch(r"[0-9]{1,19}", value):
            wanted = "write a number such as 400, or sha256: and 64 digits, as `plan` prints them"
            self.fail(f"{value!r} is neither a number of orders nor a digest; {wanted}", param, ctx)
        return int(value) if digest is None else value.lower()


class _Note(click.ParamType[str]):
    """What a person writes for others to read later: on one line, with a visible character, and not long."""

    name = "TEXT"
    _CHARS_MAX = 500

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:
        return self.name

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        text = " ".join(str(value).encode("utf-8", "backslashreplace").decode().split())  # a word may be no UTF-8
        if not any(char.isprintable() and not char.isspace() for char in text):
            self.fail("it shows nothing; write what others should know", param, ctx)
        if len(text) > self._CHARS_MAX:
            self.fail(f"it has {len(text):,} characters; write at most {self._CHARS_MAX}", param, ctx)
        return text


class Choice(click.Choice[str]):
    """One of a few words, or the member of an enum with that value. The error for any other word suggests the nearest."""

    def normalize_choice(self, choice: object, ctx: click.Context | None) -> str:
        return str(choice)  # click would use a member's name

    def get_missing_message(self, param: click.Parameter, ctx: click.Context | None) -> str:
        return f"Give one of: {', '.join(self.choices)}."

    def get_invalid_choice_message(self, value: Any, ctx: click.Context | None) -> str:
        from difflib import get_close_matches

        message = super().get_invalid_choice_message(value, ctx)
        nearest = get_close_matches(str(value), self.choices, n=1)
        return f"{message} Did you mean {nearest[0]!r}?" if nearest else message


class _File(click.Path):
    """The path of a file. `-` is refused: options that accept stdin or stdout have another type."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if str(value) == "-":
            self.fail(
                "`-` does not stand for stdin or stdout here; name a file, or write ./- for a file of that name",
                param,
                ctx,
            )
        return super().convert(value, param, ctx)


class _Metrics(_File):
    """The path of a file of metrics: node_exporter reads no other names."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        path = super().convert(value, param, ctx)
        if Path(path).suffix != ".prom":
            self.fail(
                f"{str(value)!r} does not end in .prom, so node_exporter would not read it: name a file that does",
                param,
                ctx,
            )
        return path


class _Certificates(_File):
    """A file of certificates. It is read here once, since a wrong file must be detected before the selection is confirmed."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        import ssl  # 10 ms that `--help` need not take

        path = super().convert(value, param, ctx)
        try:
            ssl.create_default_context(cafile=str(path))
        except (OSError, ValueError) as error:  # an SSLError is an OSError
            why = getattr(error, "strerror", None) or error
            self.fail(f"{str(value)!r} cannot be read as certificates ({why}); name a file in PEM format", param, ctx)
        return path


FLAG, COUNT = click.BOOL, click.IntRange(min=0)
EXPECTED, NOTE = _Expected(), _Note()
FILE, CERTIFICATES = _File(path_type=Path, readable=False), _Certificates(path_type=Path)
METRICS = _Metrics(path_type=Path, readable=False)
OUTPUT = click.Path(path_type=Path, allow_dash=True)
