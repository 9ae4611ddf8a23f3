"""Determine whether a number format displays the digits of a cell as stored. It renders nothing; an unknown format counts as different.

People delete what they see: 900001 in the format 000000000 is read as 000900001, which is somebody else's number. Only whole
numbers above zero matter here, since no other can be an id.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from bulkdelete.intake.cells import shown

__all__ = ["BUILT_IN", "DATE", "NEVER", "NumberFormat", "built_in", "format_of", "shows_digits"]

GENERAL = "General"
BUILT_IN = {
    0: GENERAL, 1: "0", 2: "0.00", 3: "#,##0", 4: "#,##0.00", 5: "$#,##0", 6: "$#,##0", 7: "$#,##0.00", 8: "$#,##0.00",
    9: "0%", 10: "0.00%", 11: "0.00E+00", 12: "# ?/?", 13: "# ??/??", 14: "m/d/yyyy", 15: "d-mmm-yy", 16: "d-mmm", 17: "mmm-yy",
    18: "h:mm AM/PM", 19: "h:mm:ss AM/PM", 20: "h:mm", 21: "h:mm:ss", 22: "m/d/yyyy h:mm", 37: "#,##0", 38: "#,##0",
    39: "#,##0.00", 40: "#,##0.00", 41: "#,##0", 42: "$#,##0", 43: "#,##0.00", 44: "$#,##0.00", 45: "mm:ss", 46: "[h]:mm:ss",
    47: "mm:ss.0", 48: "##0.0E+0", 49: "@",
}  # fmt: skip
"""The built-in formats, for numbers that a workbook defines no code for, as they apply to numbers above zero. Others are dates or Thai."""

_DATES_OF_SOME_LANGUAGES = (*range(27, 37), *range(50, 59))

DATE = "a format of dates or times"
"""The name of those formats, whatever their code is."""

NEVER = 10_000
"""Digits; more than any number has."""

_CODE_CHARS = 1000  # spreadsheet programs allow 255

_PART = re.compile(
    r"""\\(?P<escaped>.) | "(?P<quoted>[^"]*)" | _(?P<skipped>.) | \*(?P<filled>.) | \[(?P<bracket>[^\]]*)\]
    | (?P<general>General) | (?P<end>;) | (?P<digit>[0\#?]) | (?P<mark>[.,@]) | (?P<other>.)""",
    re.X | re.S | re.I,
)
_COLOUR = re.compile(r"black|blue|cyan|green|magenta|red|white|yellow|colou?r ?[0-9]{1,2}", re.I)
_CONDITION = re.compile(r"(?:[<>]=?|=|<>)\s*-?[0-9.]+")
_LANGUAGE = (  # es-AR, es-419, zh-Hans-CN, ca-ES-valencia, es-ES_tradnl, ja-JP-x-gannen
    "[a-z]{2,3}(?:-[a-z]{4})?(?:-(?:[a-z]{2}|[0-9]{3}))?(?:-[a-z]{5,8})?(?:_[a-z]{6})?(?:-x-(?:gannen|genlower|genupper|nomlower))?"
)
_CURRENCY = re.compile(
    rf"""\$(?P<sign>.*?) (?: -(?P<locale>[0-9a-f]{{1,8}})
    | -(?!\Z)(?:{_LANGUAGE}|x-euro[12]|x-xbt[12])?(?:,(?P<numerals>[0-9a-f]{{1,4}}))? )?""",
    re.X | re.S | re.I,
)
"""A displayed sign and a locale: a number, or a language tag with a number for the calendar and the digits."""
_SYSTEM_DATE = re.compile(r"\$-(?:x-sys(?:date|time)|[0-9a-f]{0,4}f[48]00)(?:,[0-9a-f]*)?", re.I)
"""The date or the time in the system's own format, whatever follows in the code."""
_WESTERN = 2  # from this first byte on, such a number selects digits other than 0-9
_LETTERS = re.compile(r"[A-Za-z!%/]")  # of dates, times, scientific notation and fractions, unless quoted
_DATES = frozenset("yYmMdDhHsS")
_MISLEADING = re.compile(
    r"[\d\u00b2\u00b3\u00b9\u00bc-\u00be\u2070-\u209f\u2150-\u2189%\u2030(\-\u2010-\u2015\u2212]"
)  # digits and signs
_AMOUNT = re.compile(r"(?P<before>\D*)(?P<amount>[0-9]+(?:[., \u00a0\u202f\u2009'’][0-9]+)*)[.,]?(?P<after>\D*)")
_GROUP_MARK = re.compile(r"[., \u00a0\u202f\u2009'’]")
_GROUPS = re.compile(r"(?:(?:[0-9]{2,3}\.)*[0-9]{3})?")  # after the first group: 1.234.567, and in India 12,34,567
_BETWEEN = frozenset(" \u00a0\u202f\u2009'’")  # separators of groups of digits


@dataclass(frozen=True, slots=True)
class NumberFormat:
    """`zeros`: the format displays whole numbers of at least this many digits as stored; NEVER if it displays none so. `text`: it
    displays texts as stored. `code`: the format code, for display. `date`: it has the letters of dates or times."""

    zeros: int
    text: bool
    code: str
    date: bool = False

    @property
    def plain(self) -> bool:
        """Whether every cell is displayed as stored."""
        return self.zeros <= 1 and self.text

    @property
    def how(self) -> str:
        return DATE if self.date else f"format {self.code}"

    def shows_number(self, value: str) -> bool:
        """Whether a number, as written in the file, is displayed with its own digits."""
        return self.zeros <= 1 or len(f"{_whole(value):d}") >= self.zeros


def _whole(value: str) -> int:
    """The digits before the point; 0 if the text is no number."""
    try:
        return int(value) if value.isdigit() else abs(int(float(value)))
    except (ValueError, OverflowError):
        return 0


def format_of(code: str) -> NumberFormat:
    """Parse a format code."""
    if len(code) > _CODE_CHARS:
        return NumberFormat(NEVER, text=False, code=shown(code))
    sections = list(_sections(code))
    numbers = sections[:1] if not any(section.conditional for section in sections) else sections[:3]
    texts = sections[3:4] or [section for section in sections if section.texts]
    return NumberFormat(
        max(section.zeros for section in numbers),
        all((section.texts or section.whole) and section.clean for section in texts),
        shown(code),
        any(section.date for section in sections),
    )


def built_in(number: int) -> NumberFormat:
    """The format of a number for which the workbook defines no code."""
    code = BUILT_IN.get(number)
    if code is None:
        return NumberFormat(NEVER, text=True, code=f"number {number}", date=number in _DATES_OF_SOME_LANGUAGES)
    return format_of(code)


def shows_digits(text: str, value: str) -> bool:
    """Whether the displayed text has the digits of the stored whole number, with or without grouping, a currency or zero decimals. A
    fraction is never an id, however it is displayed."""
    whole = _whole(value)
    if text == value or not whole or float(value) != whole:
        return True
    found = _AMOUNT.fullmatch(text)
    if found is None or _MISLEADING.search(found["before"]) or _MISLEADING.search(found["after"]):
        return False
    first, *groups = _GROUP_MARK.split(found["amount"])
    if groups and first + "".join(groups[:-1]) == str(whole) and not groups[-1].strip("0"):
        groups.pop()
    return first + "".join(groups) == str(whole) and _GROUPS.fullmatch(".".join(groups)) is not None


@dataclass(slots=True)
class _Section:
    """`clean`: the code has nothing unknown, and nothing that looks like a digit or a sign."""

    integers: int = 0  # places for digits before the point
    zeros_: int = 0  # of these, from the first 0 on: they are padded with zeros
    grouped: bool = False  # a comma, which a digit may still follow
    decimals: bool = False
    parted: bool = False  # something follows a digit, so no digit may follow
    texts: bool = False
    whole: bool = False  # General: the number as it is
    clean: bool = True
    date: bool = False
    conditional: bool = False

    @property
    def zeros(self) -> int:
        shows = self.clean and not self.grouped and (self.integers or self.decimals or self.whole or self.texts)
        return self.zeros_ if shows else NEVER

    def digit(self, char: str) -> None:
        if self.whole or (self.parted and not self.decimals):
            self.clean = False
        if self.decimals:
            return
        self.integers += 1
        self.zeros_ += char == "0" or self.zeros_ > 0
        self.grouped = False

    def mark(self, char: str) -> None:
        if char == "@":
            self.clean = self.clean and not self.texts
            self.texts = True
        elif char == ".":
            self.clean = self.clean and not self.decimals
            self.decimals = True
        else:  # between digits it groups; after them it divides by a thousand
            self.clean = self.clean and self.integers > 0 and not self.decimals
            self.grouped = True

    def literal(self, text: str) -> None:
        self.clean = self.clean and _MISLEADING.search(text) is None
        if self.integers and not _BETWEEN.issuperset(text):
            self.parted = True

    def bracket(self, text: str) -> None:
        if _CONDITION.fullmatch(text):
            self.conditional = True
        elif _SYSTEM_DATE.fullmatch(text):
            self.clean, self.date = False, True
        elif currency := _CURRENCY.fullmatch(text):
            self.literal(currency["sign"])
            self.clean = self.clean and int(currency["locale"] or "0", 16) >> 24 < _WESTERN
            self.clean = self.clean and int(currency["numerals"] or "0", 16) >> 8 < _WESTERN
        elif not _COLOUR.fullmatch(text):
            self.clean = False
            self.date = self.date or _DATES.issuperset(text)


def _sections(code: str) -> Iterator[_Section]:
    section = _Section()
    for part in _PART.finditer(code):
        text = part[part.lastgroup or 0]
        match part.lastgroup:
            case "end":
                yield section
                section = _Section()
            case "digit":
                section.digit(text)
            case "mark":
                section.mark(text)
            case "general":
                section.clean = section.clean and not section.integers and not section.whole
                section.whole = True
            case "bracket":
                section.bracket(text)
            case "other" if _LETTERS.match(text) or text in '"\\[_*':
                section.clean = False
                section.date = section.date or text in _DATES
            case "skipped":
                pass
            case _:
                section.literal(text)
    yield section
