"""What the reader's messages suggest works when it is followed: the edit or the option leads to the orders, or one step further.

A new message that suggests something belongs into SUGGESTIONS.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.support.reads import Told, message_of, read_or_refusal

Edit = Callable[[bytes], bytes]


@dataclass(frozen=True)
class Suggestion:
    """An input, how it is read, words of the message, and what it suggests: an `edit` of the file, or `options` in addition."""

    content: str | bytes
    says: str
    ids: list[int]
    edit: Edit | None = None
    options: dict[str, Any] = field(default_factory=dict)
    before: dict[str, Any] = field(default_factory=dict)


def replaced(old: str, new: str) -> Edit:
    """An editor's replace."""

    def edit(content: bytes) -> bytes:
        assert old.encode() in content
        return content.replace(old.encode(), new.encode())

    return edit


def without_lines(first: int, last: int) -> Edit:
    return lambda content: b"".join(
        line for number, line in enumerate(content.splitlines(keepends=True), 1) if not first <= number <= last
    )


def headed(name: str) -> Edit:
    return lambda content: name.encode() + b"\n" + content


def command_of(message: str) -> Edit:
    """The command that a message shows, run by a shell."""
    command = re.search(r"\((sed .*) does\)|((?:sed|awk) '.*') FILE", message)
    assert command
    return lambda content: (
        subprocess.run(["sh", "-c", command[1] or command[2]], input=content, capture_output=True, check=True).stdout
    )


QUOTED = '"orderId,total"\r\n"700001,""a, b"""\r\n'
ITEMS = "Name,Paid,Id\n#1,yes,5501\n#1,,\n#2,yes,5502\n"

SUGGESTIONS = (
    Suggestion(
        "orderId\n5001\n<<<<<<< HEAD\n5002\n=======\n5003\n>>>>>>> b\n5004\n",
        "Keep one of them",
        [5001, 5002, 5004],
        lambda content: without_lines(3, 3)(without_lines(5, 7)(content)),
    ),
    Suggestion("Id,Cuenta\n5,9\n", "rename it", [5], replaced("Cuenta", "otra")),
    Suggestion("Id,Cuenta\n5,9\n", "`settings.ignored` Cuenta", [5], options={"ignored": ("Cuenta",)}),
    Suggestion("Id,Cuenta\n5,9\n", "Take the option away", [5], options={"account_id": None}),
    Suggestion("Id,Cuenta\n5,9\n6,7\n", "or the row out", [6], without_lines(2, 2)),
    Suggestion("Id,Cuenta\n5,ab\n6,9\n", "rename it accountId", [5, 6], replaced("ab", "7"), {"account_id": None}),
    Suggestion("Id,Cuenta\n5,ab\n6,9\n", "use `settings.ignored` Cuenta", [5, 6], options={"ignored": ("Cuenta",)}),
    Suggestion("Id,Cuenta's\n5,ab cd\n6,9\n", "`settings.ignored`", [5, 6], options={"ignored": ("Cuenta's",)}),
    Suggestion("Id,accountId,account id\n5,7,9\n", "use `settings.ignored` 2", [], options={"ignored": ("2",)}),
    Suggestion("Id,accountId,account id\n5,7,9\n", "or `settings.ignored` 3", [5], options={"ignored": ("3",)}),
    Suggestion("Id,accountId,Cuenta\n5,7,9\n", "use `settings.ignored` Cuenta", [5], options={"ignored": ("Cuenta",)}),
    Suggestion("Id,Stock devuelto\n5,no\n", "rename it revertStock", [5], replaced("Stock devuelto", "revertStock")),
    Suggestion("Id,Stock devuelto\n5,no\n", "rename it to something else", [5], replaced("Stock devuelto", "x")),
    Suggestion("Id,keep stock\n5,no\n", "rename it to something else", [5], replaced("keep stock", "x")),
    Suggestion("Id,keep stock\n5,no\n", "use `settings.ignored` 'keep stock'", [5], options={"ignored": ("keep stock",)}),
    Suggestion("Id,free stock\n5,no\n", "use `settings.ignored` 'free stock'", [5], options={"ignored": ("free stock",)}),
    Suggestion("Cuenta: 9\nId;x\n5;a\n", "take the line out, and use `settings.account_id` 9", [5], without_lines(1, 1), {"account_id": 9}),
    Suggestion("Stock: si\nId;x\n5;a\n", "take it out, and use `settings.revert_stock`", [5], without_lines(1, 1), {"revert_stock": True}),
    Suggestion("Id,stock\n5,no\n", "use `settings.ignored` stock", [5], options={"ignored": ("stock",)}),
    Suggestion("Id,revertStock\n5,yes\n", "Take the option away", [5], options={"revert_stock": None}),
    Suggestion("Id,revertStock\n5,maybe\n", "write true or false", [5], replaced("maybe", "false")),
    Suggestion("Id,accountId\n5,\n", "give `settings.account_id`", [5], options={"account_id": 7}, before={"account_id": None}),
    Suggestion("Id\n5\n", "give `settings.account_id`", [5], options={"account_id": 7}, before={"account_id": None}),
    Suggestion("Id,Cuenta\n5,ab\n", "give `settings.account_id`", [5], options={"account_id": 7}, before={"account_id": None}),
    Suggestion("Id\n5\n", "`settings.revert_stock`", [5], options={"revert_stock": False}, before={"revert_stock": None}),
    Suggestion("Id,x\n5,9\n", "Give `settings.ignored` one", [5], options={"ignored": ("x",)}, before={"ignored": ("y",)}),
    Suggestion("Id,x\n5,9\n", "cannot be ignored. Leave", [5], options={"ignored": ()}, before={"ignored": ("Id",)}),
    Suggestion("Id,x\n5,9\n", "another one with `settings.column`", [9], options={"column": "x"}, before={"ignored": ("Id",)}),
    Suggestion("5\n", "Leave `settings.ignored` out", [5], options={"ignored": ()}, before={"ignored": ("Id",)}),
    Suggestion("1,700001,x\n2,700002,x\n", "`settings.column` N", [700001, 700002], options={"column": "2"}),
    Suggestion("1,700001,x\n", "put a header row on top", [700001], headed("n,orderId,x")),
    Suggestion("700001,700002\n", "put one id on each line", [700001, 700002], replaced(",", "\n")),
    Suggestion("700001 700002\n", "on a line of its own", [700001, 700002], replaced(" ", "\n")),
    Suggestion("Id\n700001,700002\n", "each id on a line of its own", [700001, 700002], replaced(",", "\n")),
    Suggestion("1,a\n2,b\n", "Put a header row on top", [1, 2], headed("orderId,x")),
    Suggestion("1,a\n2,b\n", "`settings.column` N", [1, 2], options={"column": "1"}),
    Suggestion("a,5\n", "Put a header row on top", [5], headed("x,orderId")),
    Suggestion("a,5\n", "Put a header row on top", [5], headed("x,orderId"), before={"column": "2"}),
    Suggestion("1.234.567\n", "orderId over the ids", [1234567], headed("orderId"), {"thousands": "."}),
    Suggestion("5,x\n", "a number from 1 to 2", [5], options={"column": "1"}, before={"column": "orderId"}),
    Suggestion("a,b\n5,6\n", "Give `settings.column` one of these names", [6], options={"column": "b"}, before={"column": "c"}),
    Suggestion("a,b\n5,6\n", "choose it with `settings.column`", [6], options={"column": "b"}),
    Suggestion("a,b\n5,6\n", "Name the column of the ids orderId", [6], replaced("b", "orderId")),
    Suggestion("id,orderId\n5,6\n", "`settings.column` NAME or `settings.column` N", [6], options={"column": "orderId"}),
    Suggestion("a,a\n5,6\n", "Choose one with `settings.column` and its number", [6], options={"column": "2"}, before={"column": "a"}),
    Suggestion("# de venta,x\n5,6\n", "use `settings.column` '# de venta'", [5], options={"column": "# de venta"}),
    Suggestion("Nro pedido,x\n5,6\n", "export the column orderId as well", [6], replaced("x", "orderId")),
    Suggestion("PackId,x\n5,6\n", "Export the column orderId", [6], replaced("x", "orderId")),
    Suggestion("Id,Cuenta\n5,7\n", "Name the column of order ids", [5], options={"column": "Id"}, before={"column": "2"}),
    Suggestion("Reporte\npedidos;x\n700001;a\n", "take line 1 out", [700001], without_lines(1, 1), {"column": "pedidos"}),
    Suggestion("Ventas;;\n;;\nVentas;;Otros\n# de venta;x;y\n5;a;b\n", "take lines 1-3 out", [5], without_lines(1, 3),
               {"column": "# de venta"}),
    Suggestion('Id;x\n"5;a"\n', "Take the quotes at both ends out", [5], replaced('"', "")),
    Suggestion("Desde;mayo\nid;x\n5;a\n", "Take the lines above the header out", [5], without_lines(1, 1)),
    Suggestion(QUOTED, "Take the quotes at both ends", [700001]),
    Suggestion("Id\n700001,00\n", "use `settings.delimiter` ';'", [700001], options={"delimiter": ";"}),
    Suggestion("Id\n1,234\n", "`settings.delimiter` ';' `settings.thousands` ,", [1234], options={"delimiter": ";", "thousands": ","}),
    Suggestion("1,234\n", "`settings.delimiter` ';' `settings.thousands` ,", [1234], options={"delimiter": ";", "thousands": ","}),
    Suggestion("1,234\n", "`settings.delimiter` , `settings.column` N", [234], options={"delimiter": ",", "column": "2"}),
    Suggestion("Id\n1.234\n", "use `settings.thousands` .", [1234], options={"thousands": "."}),
    Suggestion('Id\n"1,234"\n', "use `settings.thousands` ,", [1234], options={"thousands": ","}),
    Suggestion("a;b,c\n1;2,3\n", "Choose one with `settings.delimiter`", [3], options={"delimiter": ",", "column": "c"}),
    Suggestion("Id;x\n5;a\n", "Leave `settings.delimiter` out", [5], options={"delimiter": None}, before={"delimiter": "tab"}),
    Suggestion("sep=;\nId,x\n5,a\n", "Use `settings.delimiter` ','", [5], options={"delimiter": ","}),
    Suggestion("900001 12 x\n900002 13 y\n", "keep these: awk", [900001, 900002]),
    Suggestion("N  ORDERID  TOTAL\n1  900001   12\n", "keep these: awk", [900001]),
    Suggestion("      1 900001\n      2 900002\n", "keep these: awk", [900001, 900002]),
    Suggestion("1. 900001\n2. 900002\n", "keep these: awk", [900001, 900002]),
    Suggestion("- 900001\n- 900002\n", "keep these: awk", [900001, 900002]),
    Suggestion("id: 900001\nid: 900002\n", "Keep the ids alone", [900001, 900002]),
    Suggestion("orderId=900001\norderId=900002\n", "Keep the ids alone", [900001, 900002]),
    Suggestion("900001 12 x\n", "Save the table as CSV", [900001], replaced("900001 12 x", "Id,n,m\n900001,12,x")),
    *(Suggestion(f"Id{mark}n\n900001{mark}x\n", f"Use `settings.delimiter` '{mark}'", [900001], options={"delimiter": mark})
      for mark in "^~:#!"),
    Suggestion("Id\n12,34,567\n", "without thousands separators", [1234567], replaced(",", "")),
    Suggestion("12,34,567\n", "without thousands separators", [1234567], replaced(",", "")),
    Suggestion("12,34,567\n", "use `settings.column` N", [567], options={"column": "3"}),
    Suggestion("orderId,orderId.1\n5,6\n", "`settings.column` NAME or `settings.column` N", [6], options={"column": "orderId.1"}),
    Suggestion("Id_x,Id\n5,6\n", "`settings.column` NAME or `settings.column` N", [6], options={"column": "Id"}),
    Suggestion("Id_x,Id_y\n5,6\n", "choose it with `settings.column`", [6], options={"column": "Id_y"}),
    Suggestion("+----+---+\n| Id | n |\n+----+---+\n| 51 | x |\n+----+---+\n", "put a comma between the cells", [51],
               lambda content: b"".join(line.strip(b"| \n").replace(b"|", b",") + b"\n"
                                        for line in content.splitlines() if line[:1] != b"+")),
    Suggestion("2024\nId,x\n5,a\n", "take the line out", [5], without_lines(1, 1)),
    Suggestion("2024\nId\n5\n", "put it below the header", [2024, 5], replaced("2024\nId", "Id\n2024")),
    Suggestion("# de venta,x\n2000008123456789,6\n", "Export the column orderId", [6], replaced("x", "orderId")),
    Suggestion("Ventas,,\nn,Total,x\n5,6,7\n", "If line 2 is the header, take line 1 out", [6], without_lines(1, 1), {"column": "Total"}),
    Suggestion("Id\n007\n", "without the zeros", [7], replaced("007", "7")),
    Suggestion("Id\n0\n5\n", "take the row out", [5], without_lines(2, 2)),
    Suggestion("Id,x\n,a\n5,\n", "Fill in the id", [4, 5], replaced(",a", "4,a")),
    Suggestion(ITEMS, "take this row out", [5501, 5502], without_lines(3, 3)),
    Suggestion("Id\n5\n6\n11\n", "take the row out", [5, 6], without_lines(4, 4)),
    Suggestion("Id\n5\n6\n11\n", "put it above the others", [11, 5, 6], replaced("5\n6\n11", "11\n5\n6")),
    Suggestion("Id,x\n500,a\n600,b\n2,a Count\n7,c\n", "take the row out", [500, 600, 7], without_lines(4, 4)),
    Suggestion("Id,x\n500,a\n600,b\n2,a Count\n7,c\n", "put it above the others", [2, 500, 600, 7], replaced(
        "500,a\n600,b\n2,a Count", "2,a Count\n500,a\n600,b")),
    Suggestion("Id,x,y\n1,2,3\n5,a,b\n", "Take the row out", [5], without_lines(2, 2)),
    Suggestion("Id,x,y\n1,2,3\n5,a,b\n", "put it below another row", [5, 1], replaced("1,2,3\n5,a,b", "5,a,b\n1,2,3")),
    Suggestion("1\n70000\n70001\n", "put a header row on top", [1, 70000, 70001], headed("orderId")),
    Suggestion("Id\n500\n\t600\n", "take the tabs out", [500, 600], replaced("\t", "")),
    Suggestion("Id\n700001\n7000", "end the line", [700001, 7000], lambda content: content + b"\n"),
    Suggestion("Id,accountId\n5,77\n6,7", "end the line", [5, 6], lambda content: content + b"\n", {}, {"account_id": None}),
    Suggestion("Id,x\n5\n", "Correct the row", [5], replaced("5", "5,")),
    Suggestion("Id\n5,x\n", "or the header", [5], replaced("Id", "Id,n")),
    Suggestion('Id,n\n5,"a\n6,b"\n', "put the cell on one line", [5], replaced("a\n6", "a 6")),
    Suggestion('Id,n\n5,"a\n', "Close it, or take the quote out", [5], replaced('"a', "a")),
    Suggestion('Id,n\n5,"a"b\n', "or take them out", [5], replaced('"', "")),
    Suggestion('Id,n\n5,"a"b"\n', "Double the quotes", [5], replaced('a"b', 'a""b')),
    Suggestion("Id\n5\nId\n6\n", "Take the row out", [5, 6], without_lines(3, 3)),
    Suggestion("Id,x\n5,Total\n", "or the word", [5], replaced("Total", "")),
    Suggestion("Id\r5\r", "with ordinary line ends", [5], replaced("\r", "\n")),
    Suggestion(b"Id,n\n5,\xe9\n", "Save the file as CSV UTF-8", [5], lambda content: content.decode("cp1252").encode(),
               before={"encoding": "utf-8"}),
)  # fmt: skip


@pytest.mark.parametrize("one", SUGGESTIONS, ids=lambda one: one.says[:40])
def test_invariant_46_a_suggestion_works_when_it_is_followed(one: Suggestion, tmp_path: Path) -> None:
    """The message has the words; after the edit, or with the option, the orders come out and nothing is rejected."""
    content = one.content.encode() if isinstance(one.content, str) else one.content
    message = message_of(read_or_refusal(tmp_path, content, one.before))
    assert one.says in message
    edit = command_of(message) if "(sed " in message or " FILE > " in message else one.edit
    followed = read_or_refusal(tmp_path, edit(content) if edit else content, one.before | one.options)
    assert isinstance(followed, Told), followed
    assert message_of(followed) == "" or one.ids == []
    assert followed.ids == one.ids
