"""Replaces the settings in messages by options: the packages below the command line name settings, but people here type options.
It is applied where text leaves the program, and nowhere else, so that no text leaves without it.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterable
from typing import TextIO, cast

from bulkdelete.cli.options import option_of

__all__ = ["flagged", "flagging"]

_BEGIN = "`settings."
_SETTING = re.compile(r"`settings\.(\w+)(?:=(True|False))?`")


def flagged(text: str) -> str:
    """The text with `--max-orders` instead of `settings.max_orders` in backticks, a form that no server, file or cell has by chance."""
    return _SETTING.sub(_flag, text) if _BEGIN in text else text


def flagging(out: TextIO) -> TextIO:
    """A file that applies `flagged` to all that is written to it."""
    return cast(TextIO, _Flagging(out))


class _Flagging(io.TextIOBase):
    def __init__(self, out: TextIO) -> None:
        self._out = out

    def write(self, text: str) -> int:
        return self._out.write(flagged(text))

    def writelines(self, lines: Iterable[str]) -> None:  # type: ignore[override]  # of text, which the base leaves open
        self._out.writelines(map(flagged, lines))


def _flag(found: re.Match[str]) -> str:
    try:
        on, *off = option_of(found[1]).switches
    except KeyError:  # a newer version recorded this message: show it unchanged
        return found[0]
    if not off:
        return on
    return {"True": on, "False": off[0]}.get(found[2], f"{on} or {off[0]}")
