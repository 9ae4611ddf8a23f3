"""The page of a report: how it is made of a ledger in a known state, and what it consists of."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path

from bulkdelete.ledger.open import open_ledger
from bulkdelete.model import Response, State, Verdict
from bulkdelete.report.page import page_about
from bulkdelete.report.page.times import Zone
from tests.support.ledger import Held, arm, opened, order, pending

__all__ = ["HOSTILE", "Parsed", "page", "refused", "settle", "settled"]

MADE_MS = 1_800_000_000_000

HOSTILE = (
    "<script>alert(1)</script>", "</script><script>alert(1)</script>", "<img src=x onerror=alert(1)>", '" onmouseover="alert(1)',
    "' autofocus onfocus='alert(1)", "<!--", "--><b>bold</b>", "]]>", "{{ 7 * 7 }}{% raw %}", "</style><b>", "</title></svg>",
    "<svg onload=alert(1)>", "<base href=//evil.test>", '<meta http-equiv="refresh" content="0;url=//evil.test">', "&lt;b&gt;&#60;",
    "<iframe srcdoc='<script>alert(1)</script>'>", "<style>*{display:none}</style>", "javascript:alert(1)", "`settings.ledger`",
)  # fmt: skip
"""What a server, a file's name or a person could put into a ledger. Each is printable: the ledger keeps it as it is."""


@dataclass
class Parsed(HTMLParser):
    """The elements of a page, each with its attributes, and its texts."""

    elements: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    scripts: list[tuple[dict[str, str], str]] = field(default_factory=list)
    styles: list[str] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    _inside: str = ""

    def __post_init__(self) -> None:
        super().__init__(convert_charrefs=True)

    @classmethod
    def of(cls, html: str) -> Parsed:
        found = cls()
        found.feed(html)
        found.close()
        return found

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = {name: value or "" for name, value in attrs}
        self.elements.append((tag, attributes))
        self._inside = tag
        if tag == "script":
            self.scripts.append((attributes, ""))

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""

    def handle_data(self, data: str) -> None:
        if self._inside == "script":
            attributes, before = self.scripts[-1]
            self.scripts[-1] = (attributes, before + data)
        elif self._inside == "style":
            self.styles.append(data)
        elif data.strip():
            self.texts.append(data.strip())

    def handle_comment(self, data: str) -> None:
        raise AssertionError(f"a comment: {data}")

    @property
    def text(self) -> str:
        return "\n".join(self.texts)

    def shape(self) -> list[tuple[str, tuple[str, ...]]]:
        """The elements and the names of their attributes."""
        return [(tag, tuple(attributes)) for tag, attributes in self.elements]

    def executed(self) -> Iterator[str]:
        """The scripts that a browser would run."""
        return (text for attributes, text in self.scripts if attributes.get("type") != "application/json")


def page(path: Path, name: str = "l.db", export: Callable[[State], str] = lambda state: f"export {state.label}") -> str:
    """The page about this ledger."""
    return page_about(open_ledger(path), name, MADE_MS, Zone(3600), export)[0]


async def settle(ledger: Held, state: State, status: int, *messages: str) -> None:
    """End an attempt of as many pending orders like this, one for each message."""
    tasks = (await pending(ledger, page=10_000))[: len(messages)]
    intents = await asyncio.gather(*map(ledger.intend, tasks))
    for intent, message in zip(intents, messages, strict=True):
        ledger.settle(intent, Response(status, message, latency_s=0.2), Verdict(state))
    await ledger.flush()


async def settled(path: Path, state: State, status: int, *messages: str, file: str = "a.csv") -> None:
    """A ledger at rest, in which an attempt of order 700,001 ended like this with the first message, and so on."""
    async with opened(path) as ledger:
        await arm(ledger, [order(700_000 + n, file=file, line=n + 1) for n in range(1, len(messages) + 1)])
        await ledger.begin("")
        await settle(ledger, state, status, *messages)
        await ledger.end(())


async def refused(path: Path, *messages: str, file: str = "a.csv") -> None:
    """The same for refusals."""
    await settled(path, State.REFUSED, 412, *messages, file=file)
