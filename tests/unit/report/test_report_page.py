"""The page of a report: what it says is what the ledger says, and nothing in it is more than text."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import bulkdelete.report.page
from bulkdelete.errors import LedgerRefused
from bulkdelete.ledger import Caller, Ruling, RulingSource
from bulkdelete.ledger.open import open_ledger
from bulkdelete.ledger.sqlite.run_use import SqliteRun
from bulkdelete.model import Endpoint, Learned, Response, SeenOrder, Sighting, State, Stop, StopReason, Verdict
from bulkdelete.report.page import page_about
from bulkdelete.report.page.render import embedded_json
from bulkdelete.report.page.times import Zone
from bulkdelete.words import shortened
from tests.support.ledger import arm, first, names, opened, order, orders, pending, send
from tests.support.memory_ledger import MemoryLedger, Store
from tests.support.page import HOSTILE, Parsed, page, refused, settle, settled

FOLDER = Path(bulkdelete.report.page.__file__).parent


async def test_a_page_says_what_the_ledger_says(tmp_path: Path) -> None:
    """Each outcome with its number, each doubt, each refusal with its place, the run with its end, the input with its rows."""
    path = tmp_path / "l.db"
    async with opened(path) as ledger:
        await arm(ledger, [*orders(*range(1001, 1011)), order(1001)])
        ledger.run = await SqliteRun.begin(ledger.commits, "", None, Caller("ana", "ops1", "the January clean-up"))
        await send(ledger, {1000 + n: State(n) for n in range(1, 7)} | {1009: None, 1010: State.DELETED})
        await ledger.end((Stop(StopReason.MAX_TIME, detail="8 h are over"),))
    found = Parsed.of(page(path))
    text = found.text
    assert "3 of 10 orders are deleted, 1 of them presumably." in text
    rows = re.findall(r"^([a-z ]+)\n(\d+)\n([\d.]+ %)\n", text, re.MULTILINE)
    assert [(name, n) for name, n, _ in rows[:8]] == [
        ("deleted", "2"), ("presumed deleted", "1"), ("not found", "1"), ("refused", "1"), ("in doubt", "1"), ("failed", "1"),
        ("pending", "3"), ("all orders", "10"),
    ]  # fmt: skip
    for said in (
        "1 order is in doubt: it may or may not be deleted.", "4 orders are not settled yet: a later run can send them.",
        "https://api.test:443", "timeout", "a.csv:1003", "already invoiced", "HTTP 412, account 7", "max time: 8 h are over",
        "ana@ops1", "the January clean-up", "All times are UTC+01:00.", "Responses with status code 429",
        "Each of the 10 orders has exactly one outcome, and the outcomes add up to 10.",
    ):  # fmt: skip
        assert said in text, said
    assert names(tmp_path) == ["l.db"]


async def test_a_page_of_any_ledger(tmp_path: Path) -> None:
    """The contract is all that it needs: a ledger in memory, of which no run has begun, and one that never was confirmed."""
    store = Store(host="https://api.test:443")
    ledger = MemoryLedger(store, store.host)
    with pytest.raises(LedgerRefused):
        page_about(ledger, "l.db", 0, Zone(), str)
    async with ledger.stage() as staging:
        await staging.add(0, orders(1, 2))
        await staging.confirm()
    store.inputs = 1
    html, n = page_about(ledger, "l.db", 0, Zone(), str)
    text = Parsed.of(html).text
    assert n == 0
    assert "This ledger has no orders." in text
    assert "No run has begun." in text


async def test_nothing_was_sent_yet(tmp_path: Path) -> None:
    """There is no chart to draw, no library to draw it with, and nothing to search."""
    path = tmp_path / "l.db"
    async with opened(path) as ledger:
        await arm(ledger, orders(1, 2))
    html = page(path)
    assert "0 of 2 orders are deleted." in html
    assert "uPlot" not in html
    assert len(html) < 40_000
    assert "No order was refused." in html


@pytest.mark.parametrize(
    ("n", "ends", "headline"),
    [
        (1, {1: State.DELETED}, "The order is deleted."),
        (2, {1: State.DELETED, 2: State.DELETED}, "All 2 orders are deleted."),
        (2, {1: State.DELETED, 2: State.PRESUMED_DELETED}, "All 2 orders are deleted, 1 of them presumably."),
        (1, {1: State.PRESUMED_DELETED}, "The order is presumably deleted."),
        (1, {1: State.NOT_FOUND}, "0 of 1 order is deleted."),
    ],
)
async def test_the_headline(tmp_path: Path, n: int, ends: dict[int, State | None], headline: str) -> None:
    """A sentence that is true of few orders, too."""
    path = tmp_path / "l.db"
    async with opened(path) as ledger:
        await arm(ledger, orders(*range(1, n + 1)))
        await ledger.begin("")
        await send(ledger, ends)
    assert headline in Parsed.of(page(path)).text


async def test_what_makes_a_ledger_suspicious(tmp_path: Path) -> None:
    """An account of which nothing was deleted, and more orders that were not found than deleted, are said before the numbers."""
    path = tmp_path / "l.db"
    async with opened(path) as ledger:
        await arm(ledger, orders(*range(1, 31)))
        await ledger.begin("")
        await send(ledger, dict.fromkeys(range(1, 31), State.NOT_FOUND))
    text = Parsed.of(page(path)).text
    assert "Nothing of account 7 was ever deleted with this ledger" in text
    assert "More orders were not found than were deleted" in text


async def test_beside_a_run(tmp_path: Path) -> None:
    """A page can be made while a run works: it says so, and what is in flight is in doubt."""
    path = tmp_path / "l.db"
    async with opened(path) as ledger:
        await arm(ledger, orders(1, 2, 3))
        await ledger.begin("")
        await send(ledger, {1: State.DELETED})
        await ledger.intend((await pending(ledger))[0])
        text = Parsed.of(page(path)).text
        assert "A run was in progress while this page was made" in text
        assert "in flight when this page was made" in text
        assert "in progress" in text.split("Why it stopped")[1]
        assert "attempt in the ledger" not in text, "what is compared only at rest is not claimed"
    text = Parsed.of(page(path)).text
    assert "did not record its end" in text
    assert "The 1 attempt in the ledger" in text


async def test_a_limit_and_429s_have_their_places(tmp_path: Path) -> None:
    """The limit is a line over the throughput, and 429s have a panel of their own; without any, that is said."""
    path = tmp_path / "l.db"
    await first(path)
    html = page(path)
    assert "No response had status code 429." in html
    assert 'id="limited"' not in html
    assert 'class="limit"' not in html
    async with opened(path) as ledger:
        await ledger.begin("")
        task = (await pending(ledger))[0]
        ledger.settle(await ledger.intend(task), Response(429, "slow down", latency_s=0.1), Verdict())
        await ledger.flush()
    html = page(path)
    assert "No response had status code 429." not in html
    assert 'id="limited"' in html


async def test_what_lookups_and_people_say(tmp_path: Path) -> None:
    """A doubt is shown with what the API showed of it, deleted orders by what they were, and whoever decided about an order is named."""
    path = tmp_path / "l.db"
    async with opened(path) as ledger:
        await arm(ledger, orders(*range(1001, 1011)))
        await ledger.begin("")
        await send(
            ledger, dict.fromkeys(range(1001, 1006), State.DELETED) | dict.fromkeys(range(1006, 1010), State.IN_DOUBT)
        )
        web, shop = (
            SeenOrder(1, channel="Web", status="Cancelled", created="2026-03-01T10:00:00"),
            SeenOrder(1, marketplace="Shop"),
        )
        there = SeenOrder(1006, status="Invoiced", stock="1 movement, last 2026-03-02 +1")
        seen = [(1001, web), (1002, web), (1003, shop), (1004, None), (1006, there), (1007, None), (1010, web)]
        ledger.saw([Sighting(7, order_id, each) for order_id, each in seen])
        for order_id, source, who in ((1008, RulingSource.LOOKUP, ""), (1009, RulingSource.PERSON, "ana@ops1")):
            ledger.rule(Ruling(7, order_id, State.PRESUMED_DELETED, source, who, "asked the shop" if who else ""))
        await ledger.end(())
    text = Parsed.of(page(path)).text
    assert "3 of the deleted orders had been looked up before" in text
    profile = text[text.index("What was deleted") : text.index("Decided without a request")]
    assert re.findall(r"^(.*)\n(\d)\n[\d.]+ %$", profile, re.MULTILINE) == [
        ("Web", "2"), ("Shop", "1"), ("Cancelled", "2"), ("not told", "1"), ("2026-03", "2"), ("not told", "1"),
    ]  # fmt: skip
    assert "present, Invoiced, stock: 1 movement, last 2026-03-02 +1" in text
    assert "\nabsent\n" in text
    assert "absent when looked up\n1\n50.0 %" in text
    assert "gone, says ana@ops1: asked the shop\n1\n50.0 %" in text


# Everything that came from a server, a file or a person is text.


async def hostile(path: Path, texts: tuple[str, ...]) -> str:
    """A page in which these texts stand wherever a text can."""
    async with opened(path) as ledger:
        names_of = [f"{text}.csv".replace("/", "|") for text in texts]
        for n, name in enumerate(names_of):
            await arm(ledger, [order(1000 + 2 * n, file=name), order(1001 + 2 * n, file=name)])
            ledger.run = await SqliteRun.begin(ledger.commits, texts[n], None, Caller(texts[n], texts[n], texts[n]))
            one, other = await pending(ledger)
            seen = SeenOrder(
                1001 + 2 * n, marketplace=texts[n], channel=texts[n], status=texts[n], created=texts[n], stock=texts[n]
            )
            ledger.saw([Sighting(7, 1000 + 2 * n, seen), Sighting(7, 1001 + 2 * n, seen)])
            ledger.settle(await ledger.intend(one), Response(412, texts[n], latency_s=0.1), Verdict(State.REFUSED))
            ledger.settle(await ledger.intend(other), Response(503, texts[n]), Verdict(State.IN_DOUBT))
            await ledger.end((Stop(StopReason.OUTAGE, detail=texts[n]),))
        gone = order(5000, file=names_of[0])
        await arm(ledger, [gone])
        await ledger.begin("")
        await send(ledger, {5000: State.IN_DOUBT})
        ledger.saw([Sighting(7, 5000, seen)])
        ledger.rule(Ruling(7, 5000, State.PRESUMED_DELETED, RulingSource.PERSON, texts[0], texts[1]))
        await ledger.flush()
    return page(path, texts[0], lambda state: texts[0])


async def test_hostile_text_is_text(tmp_path: Path) -> None:
    """The page has the same elements and attributes, whatever its texts are, and each text stands in it as it is."""
    harmless = Parsed.of(await hostile(tmp_path / "a.db", tuple(f"text {n}" for n in range(len(HOSTILE)))))
    html = await hostile(tmp_path / "b.db", HOSTILE)
    found = Parsed.of(html)
    assert found.shape() == harmless.shape()
    for text in HOSTILE:
        assert any(text == each for each in found.texts), text
        assert any(f"outage: {text}" == each for each in found.texts), text
        assert any(shortened(f"{text}@{text}", 60) == each for each in found.texts), text
        assert any(f"present, {text}, stock: {text}" == each for each in found.texts), text
    assert shortened(f"gone, says {HOSTILE[0]}: {HOSTILE[1]}", 60) in found.texts
    assert list(found.executed()) == list(harmless.executed())
    assert found.styles == harmless.styles


@pytest.mark.parametrize(
    "text", ["\u2028", "\u2029", "\u202egnp.exe", "\x1b[31m", "\x00", "\ud800", "\ufeff"], ids=ascii
)
async def test_invisible_text_is_escaped(tmp_path: Path, text: str) -> None:
    """What cannot be seen, or turns what is seen around, is shown by its number: anybody may have made the ledger."""
    path = tmp_path / "l.db"
    await refused(path, "message")
    html = page_about(open_ledger(path), f"a{text}b", 0, Zone(), lambda _: f"a{text}b")[0]
    assert text not in html
    assert f"a{text!r}b".replace("'", "") in Parsed.of(html).text


JSON: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text()
    | st.sampled_from([*HOSTILE, "\u2028", "\u2029", "<!--<script>"]),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(JSON)
def test_json_in_a_page_is_only_json(value: Any) -> None:
    """It reads back as it was, and has no character that HTML or an older JavaScript would take for its own."""
    text = embedded_json(value)
    assert json.loads(text) == value
    assert not set(text) & set("<>&\u2028\u2029")
    assert text.isascii()


async def test_the_policy_admits_what_is_on_the_page_and_nothing_else(tmp_path: Path) -> None:
    """Each script and style by its hash, before any of them; no attribute runs, styles or loads anything."""
    path = tmp_path / "l.db"
    await refused(path, *HOSTILE)
    html = page(path)
    found = Parsed.of(html)
    [policy] = [each["content"] for _, each in found.elements if each.get("http-equiv") == "Content-Security-Policy"]
    rules = {rule.split()[0]: rule.split()[1:] for rule in policy.split(";")}
    assert rules["default-src"] == rules["base-uri"] == rules["form-action"] == ["'none'"]
    assert rules["script-src"] == [source(text) for text in found.executed()]
    assert rules["style-src"] == [source(text) for text in found.styles]
    assert len(found.styles) == 1
    assert "unsafe" not in policy
    assert html.index("Content-Security-Policy") < html.index("<style") < html.index("<script")
    for tag, attributes in found.elements:
        assert not [
            name for name in attributes if name.startswith("on") or name in ("style", "src", "href", "action")
        ], tag


def source(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


@pytest.mark.parametrize("name", ["page.js", "page.css"])
def test_scripts_and_styles_can_stand_in_a_page(name: str) -> None:
    """Nothing in them ends their element, and their bytes are those of their hash, whatever a file system does to line ends."""
    text = (FOLDER / "templates" / name).read_bytes()
    assert text.isascii()
    assert b"\r" not in text
    assert not re.search(rb"</|<!--", text)


def test_the_vendored_library_is_what_was_published() -> None:
    """Its files have the sums that its page states, and its licence is beside them."""
    folder = FOLDER / "uplot"
    stated = dict(re.findall(r"^\| (\S+) \| ([0-9a-f]{64}) \|$", (folder / "README.md").read_text(), re.MULTILINE))
    assert set(stated) == {path.name for path in folder.iterdir()} - {"LICENSE", "README.md"}
    for name, sha256 in stated.items():
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == sha256
    assert "MIT License" in (folder / "LICENSE").read_text()


# Bounds.


async def test_more_refusals_than_a_page_lists(tmp_path: Path) -> None:
    """5,000 are listed, all are counted, and the command that writes all of them is named."""
    path = tmp_path / "l.db"
    await refused(path, *["order is invoiced"] * 5_200)
    html = page(path)
    text = Parsed.of(html).text
    assert "5,000 of 5,200 orders are listed here." in text
    assert "The first 5,000 of 5,200." in text
    assert "export refused" in text
    assert html.count("<tr><td>70") == 5_000
    assert len(html.encode()) < 600_000


async def test_refusals_with_a_long_message_each(tmp_path: Path) -> None:
    """A server that says something else each time, in many words and another file each, does not make the page larger than promised."""
    path = tmp_path / "l.db"
    async with opened(path) as ledger:
        await arm(
            ledger, [order(700_000 + n, file=f"/exports/a-long-name-of-a-file-{n % 7}.csv") for n in range(5_000)]
        )
        await ledger.begin("")
        said = "was refused for a reason of many words " * 10
        await settle(ledger, State.REFUSED, 412, *(f"request {n:08x} {said}" for n in range(5_000)))
    html = page(path)
    assert len(html.encode()) < 700_000
    assert "Other messages" in html


async def test_more_doubts_than_a_page_lists(tmp_path: Path) -> None:
    """1,000 are listed, all are counted, and the command that writes all of them is named."""
    path = tmp_path / "l.db"
    await settled(path, State.IN_DOUBT, 503, *["unavailable"] * 1_100)
    text = Parsed.of(page(path)).text
    assert "These are the first 1,000 of 1,100." in text
    assert "950 more orders in doubt" in text
    assert "export in_doubt" in text


async def test_a_page_of_something_else(tmp_path: Path) -> None:
    """A missing or foreign file is refused."""
    (tmp_path / "text").write_text("orderId\n1\n")
    for name in ("nothing", "text"):
        with pytest.raises(LedgerRefused, match=name):
            page(tmp_path / name)


async def test_a_limit_that_was_learned(tmp_path: Path) -> None:
    """It is a fact, and a line over the throughput."""
    path = tmp_path / "l.db"
    await first(path)
    async with opened(path) as ledger:
        await ledger.begin("")
        ledger.learn("00ff00ff00ff00ff", Endpoint.DELETE_ORDERS, Learned(0.5, 30.0))
        await ledger.end(())
    html = page(path)
    assert "30 per minute" in html
    assert 'class="limit"' in html
