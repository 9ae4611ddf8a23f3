"""Replaces the settings in messages by options: the packages below the command line name settings, but people here type options.
It is applied where text leaves the program, and nowhere else, so that no text leaves without it.
"""

from __future__ import annotations

import re

from bulkdelete.cli.options import option_of

__all__ = ["flagged"]

_BEGIN = "`settings."
_SETTING = re.compile(r"`settings\.(\w+)(?:=(True|False))?`")


def flagged(text: str) -> str:
    """The text with `--max-orders` instead of `settings.max_orders` in backticks, a form that no server, file or cell has by chance."""
    return _SETTING.sub(_flag, text) if _BEGIN in text else text


def _flag(found: re.Match[str]) -> str:
    try:
        on, *off = option_of(found[1]).switches
    except KeyError:  # a newer version recorded this message: show it unchanged
        return found[0]
    if not off:
        return on
    return {"True": on, "False": off[0]}.get(found[2], f"{on} or {off[0]}")
