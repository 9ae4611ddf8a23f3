"""Export: every order once, as CSV or JSON lines, and safe to open in a spreadsheet."""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path
from typing import Any

import openpyxl  # type: ignore[import-untyped]
import pytest

from bulkdelete.errors import LedgerRefused
from bulkdelete.model import Response, State, Verdict
from bulkdelete.report.export import Format, export
from bulkdelete.report.formats import WRITERS
from bulkdelete.report.spreadsheet import safe_cell
from tests.support.ledger import arm, ask, first, names, opened, order, orders, pending, send

COLUMNS = [
    "account_id",
    "order_id",
    "outcome",
    "http_status",
    "message",
    "attempts",
    "revert_stock",
    "file",
    "line",
    "first_seen",
    "changed",
]


def exported(path: Path, form: Format, *outcomes: State) -> tuple[int, str]:
    out = io.StringIO()
    return export(path, out, form, frozenset(outcomes)), out.getvalue()


def ids_of(path: Path, form: Format, *outcomes: State) -> list[int]:
    """The orders that an export writes, in the order of its rows."""
    out: Any = io.StringIO() if form.is_text else io.BytesIO()
    written = export(path, out, form, frozenset(outcomes))
    match form:
        case Format.CSV:
            found = [int(row["order_id"]) for row in csv.DictReader(io.StringIO(out.getvalue()))]
        case Format.JSONL:
            found = [json.loads(line)["order_id"] for line in out.getvalue().splitlines()]
        case Format.XLSX:
            sheet = openpyxl.load_workbook(out)["orders"]
            found = [int(str(row[1])) for row in sheet.iter_rows(min_row=2, values_only=True)]
    assert written == len(found)
    return found


async def settled_with(path: Path, *messages: str) -> None:
    """Order n was refused with the nth message."""
    async with opened(path) as ledger:
        await arm(ledger, [order(n, file="=ventas;1.csv") for n in range(1, len(messages) + 1)])
        await ledger.begin("")
        for task, message in zip(await pending(ledger), messages, strict=True):
            ledger.settle(await ledger.intend(task), Response(412, message), Verdict(State.REFUSED))
        await ledger.flush()


def test_each_format_has_a_writer() -> None:
    """A name that the command line offers is one that is written."""
    assert set(WRITERS) == set(Format)


async def test_csv(tmp_path: Path) -> None:
    """A header, then a row an order, ordered by account and id; an answer that never came is an empty cell."""
    path = tmp_path / "l.db"
    await first(path)
    written, text = exported(path, Format.CSV)
    header, *rows = csv.reader(io.StringIO(text), strict=True)
    assert header == COLUMNS
    assert written == len(rows) == 2
    assert [row[:9] for row in rows] == [
        ["7", "1", "deleted", "204", "", "1", "false", "a.csv", "2"],
        ["7", "2", "pending", "", "", "0", "false", "a.csv", "3"],
    ]
    assert names(tmp_path) == ["l.db"]


async def test_json_lines(tmp_path: Path) -> None:
    """An object a line, numbers as numbers, flags as flags, text as it is: the same facts as the view `results`."""
    path = tmp_path / "l.db"
    await settled_with(path, 'ñ "quoted", 😀', "=1+1")
    written, text = exported(path, Format.JSONL)
    rows = [json.loads(line) for line in text.splitlines()]
    assert written == len(rows) == 2
    kept = ask(path, "SELECT * FROM results ORDER BY account_id, order_id")
    assert [(*row[:6], row[6] == "true", *row[7:]) for row in kept] == [tuple(row.values()) for row in rows]
    assert list(rows[0]) == COLUMNS
    assert {type(rows[0][name]) for name in ("account_id", "order_id", "http_status", "attempts", "line")} == {int}
    assert rows[0]["revert_stock"] is False
    assert [row["message"] for row in rows] == ['ñ "quoted", 😀', "=1+1"]
    assert "ñ" in text


@pytest.mark.parametrize("form", list(Format))
async def test_outcomes(tmp_path: Path, form: Format) -> None:
    """Named outcomes, one or several, are all that is written; what is in flight is exported as in doubt."""
    path = tmp_path / "l.db"
    async with opened(path) as ledger:
        await arm(ledger, orders(*range(1, 9)))
        await ledger.begin("")
        await send(ledger, {n: State(n) for n in range(1, 7)})
        await ledger.intend((await pending(ledger))[-1])
        for outcomes, wanted in (
            ({State.REFUSED}, [6]),
            ({State.IN_DOUBT, State.DELETED}, [2, 3, 8]),
            ({State.PENDING}, [7]),
            (set(State), list(range(1, 9))),
            (set(), list(range(1, 9))),
        ):
            assert ids_of(path, form, *outcomes) == wanted


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\0"])
def test_invariant_30_a_formula_is_text(start: str) -> None:
    """A cell of server text that a spreadsheet would take for a formula is led by an apostrophe; other text is not."""
    assert safe_cell(start + "1+1") == "'" + start + "1+1"
    assert safe_cell("1" + start) == "1" + start
    assert safe_cell("") == ""


async def test_invariant_30_formulas_in_csv(tmp_path: Path) -> None:
    """Messages and file names are neutralised, and quotes, newlines and separators come back as they were."""
    path = tmp_path / "l.db"
    messages = ('=HYPERLINK("http://x";1)', "+1", "-1", "@SUM(1)", "a,b", 'a"b', "a\nb", "fine")
    await settled_with(path, *messages)
    _, text = exported(path, Format.CSV)
    rows = list(csv.DictReader(io.StringIO(text, newline=""), strict=True))
    assert [row["message"] for row in rows] == [safe_cell(message) for message in messages]
    assert [row["message"][0] for row in rows[:4]] == ["'"] * 4
    assert {row["file"] for row in rows} == {"'=ventas;1.csv"}


@pytest.mark.parametrize("form", list(Format))
async def test_a_message_is_spelled_for_its_reader(tmp_path: Path, form: Format) -> None:
    """A setting that a message names is written as the caller says, in every format; the name of a file is not touched."""
    path = tmp_path / "l.db"
    async with opened(path) as ledger:
        await arm(ledger, [order(1, file="`settings.ledger`.csv")])
        await ledger.begin("")
        task = (await pending(ledger))[0]
        ledger.settle(await ledger.intend(task), Response(412, "see `settings.ledger`"), Verdict(State.REFUSED))
        await ledger.flush()
    out: Any = io.StringIO() if form.is_text else io.BytesIO()
    export(path, out, form, frozenset(), lambda text: text.replace("`settings.ledger`", "--ledger"))
    if form is Format.XLSX:
        text = " ".join(map(str, next(openpyxl.load_workbook(out).active.iter_rows(min_row=2, values_only=True))))
    else:
        text = out.getvalue()
    assert "see --ledger" in text
    assert text.count("`settings.ledger`") == 1


def test_no_ledger_there(tmp_path: Path) -> None:
    """A missing or foreign file is refused, and nothing is written or made."""
    (tmp_path / "text").write_text("orderId\n1\n")
    for name in ("nothing", "text"):
        out = io.StringIO()
        with pytest.raises(LedgerRefused, match=name):
            export(tmp_path / name, out, Format.CSV, frozenset())
        assert out.getvalue() == ""
    assert names(tmp_path) == ["text"]


SPLITS = (";", "\t", "|", "\n", "\r", "\r\n")


@pytest.mark.parametrize("split", SPLITS, ids=ascii)
@pytest.mark.parametrize(
    "formula", ["=cmd()", "+1", "-1", "@SUM(1)", " =1+1", '"=1"', '" =1', "\u00a0=1", "＝1", "\0=1"], ids=ascii
)
def test_invariant_30_a_formula_inside_a_cell_is_text(split: str, formula: str) -> None:
    """Where a spreadsheet splits at another sign than the comma, or at a line end inside a cell, no part is a formula either."""
    for text in (
        f"x{split}{formula}",
        f"{split}{formula}",
        f"{formula}{split}{formula}",
        f"a{split}{split}{formula}{split}b",
    ):
        parts = re.split(r"[;|\t\r\n]", safe_cell(text))
        assert not [part for part in parts if part.strip(' "\u00a0\0').startswith(("=", "+", "-", "@", "＝"))]
        assert safe_cell(safe_cell(text)) == safe_cell(text)
        assert safe_cell(text).replace("'", "") == text


@pytest.mark.parametrize(
    "text", ["a; b | c", "1-2", "a=b;c+d", "e-mail@shop.com; x", "line\nline", "a;b\tc|d", "it's", "5 - 3"]
)
def test_invariant_30_other_text_stays_as_it_is(text: str) -> None:
    """Signs inside a word are no formula, and what is readable stays so."""
    assert safe_cell(text) == text
