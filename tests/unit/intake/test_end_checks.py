"""The ends of files: totals without a label, ids that were cut off, and good files that look alike."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import pytest

from bulkdelete.errors import InputRefused, UsageError
from tests.support.reads import orders, tell


def last_is_rejected(folder: Path, text: str) -> bool:
    told = tell(folder, text)
    lines = [row.origin.line for row in told.rejects]
    assert lines in ([], [told.rows[-1].origin.line])
    return bool(lines)


@pytest.mark.parametrize(
    "ids",
    [
        (700001, 700002, 1400003),
        (700001, 700002, 2),
        (9, 8, 7, 3),
        (700001, 700001, 1400002),
        (5, 1, 6, 3),
        (1, 2, 4, 7),
    ],
)
def test_a_total_without_a_label(ids: tuple[int, ...], tmp_path: Path) -> None:
    """The last id is the sum or the number of those above, and does not stand above."""
    assert last_is_rejected(tmp_path, "orderId,total\n" + "".join(f"{order},\n" for order in ids))
    assert last_is_rejected(tmp_path, "orderId,total\n" + "".join(f"{order},1\n" for order in ids) + ",\n\n")


@pytest.mark.parametrize(
    "ids",
    [
        (1, 2, 3),
        (700001, 700001),
        (700001, 2, 2),
        (5, 2, 2),
        (3, 5, 9, 3),
        (1, 2, 3, 4, 5),
        (700001, 1),
        (2, 3, 4),
        (12,),
    ],
)
def test_no_total(ids: tuple[int, ...], tmp_path: Path) -> None:
    """A repeated id, ids that count up, one row above."""
    assert not last_is_rejected(tmp_path, "orderId\n" + "".join(f"{order}\n" for order in ids))


def test_a_total_above_rejected_rows(tmp_path: Path) -> None:
    """A line of text below the total hides nothing."""
    told = tell(tmp_path, "orderId\n700001\n700002\n1400003\nfin del reporte\n")
    assert [row.origin.line for row in told.rejects] == [4, 5]


LINES = "orderId\n700001\n700002\n700003\n"


@pytest.mark.parametrize(
    ("below", "rejected"),
    [
        ("2100006\n3\n", [5, 6]),
        ("3\n2100006\n", [5, 6]),
        ("2100006\nfin\n3\n", [5, 6, 7]),
        ("2100006\n4\n", [5, 6]),
        ("2100006\n2100006\n", [5, 6]),
        ("2100006\n700009\n", [5]),
        ("3\n700009\n", [5]),
        ("700009\n4\n", [6]),
    ],
)
def test_two_totals_without_a_label(below: str, rejected: list[int], tmp_path: Path) -> None:
    """The sum and the number, in either order; a number that only stands in the last row but one is an order."""
    told = tell(tmp_path, LINES + below)
    assert sorted(row.origin.line for row in told.rejects) == rejected


@pytest.mark.parametrize(
    ("text", "rejected"),
    [
        ("orderId\n700001\n700002\nabc\n700003\n4\n", [4, 6]),
        ("orderId\n700001\nabc\n2\n", [3]),
        ("orderId\n700001\n700002\nabc\n700003\n3\n", [4, 6]),
        ("id,accountId\n700001,7\n700002,9\n700003,7\n3,\n", [3, 5]),
        ("id,accountId\n700001,7\n700002,9\n700003,7\n2,\n", [3, 5]),
        ("id,accountId\n700001,7\n700002,9\n700003,7\n2100006,\n", [3, 5]),
        ("id,accountId\n700002,9\n700001,7\n700001,7\n", [2]),
        ("id\n3\nx\ny\n5\n4\n", [3, 4]),
    ],
)
def test_totals_below_rows_that_were_rejected(text: str, rejected: list[int], tmp_path: Path) -> None:
    """A sheet counts every row and adds up every number, this program's rejects as well. Ids as short as the others are orders."""
    assert sorted(row.origin.line for row in tell(tmp_path, text).rejects) == rejected


@pytest.mark.parametrize(
    ("above", "below"),
    [
        ("700001 700002 700003", "3 2100006 700002"),
        ("700001 700002 700003", "700002 3 2100006"),
        ("700001 700005", "2 1400006 700003"),
        ("700001 700005", "700003 2 1400006"),
        ("700001 700009 700005", "3 700001 700009 700005 2100015"),
        ("700001 700009 700005", "2100015 3 4"),
        ("9 8 7 4 2", "5 30 6"),
        ("5 1 6", "3 12 4"),
    ],
)
def test_several_totals_without_a_label(above: str, below: str, tmp_path: Path) -> None:
    """The number, the sum, the average and others of the same rows, in any order: none of them is an order."""
    ids = list(map(int, above.split()))
    told = tell(tmp_path, "\n".join(["orderId", *above.split(), *below.split(), ""]))
    assert told.ids == ids
    assert len(told.rejects) == len(below.split())


@pytest.mark.parametrize(
    ("ids", "total"), [((700001, 700002, 700001), 2), ((9, 9, 8, 7, 8), 3), ((700001, 700002, 700001, 700001), 2)]
)
def test_the_number_of_the_different_ids(ids: tuple[int, ...], total: int, tmp_path: Path) -> None:
    """As the last row, alone or beside others."""
    text = "orderId\n" + "".join(f"{order}\n" for order in ids)
    assert tell(tmp_path, text + f"{total}\n").ids == list(ids)
    assert tell(tmp_path, text + f"{len(ids)}\n{sum(ids)}\n{total}\n").ids == list(ids)


def test_the_number_of_very_many_different_ids(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond what is counted one by one, a short id at the end that may be their number is rejected."""
    monkeypatch.setattr("bulkdelete.intake.end_checks._DISTINCT", 10)
    text = "orderId\n" + "".join(f"{700001 + n % 50}\n" for n in range(70))
    assert last_is_rejected(tmp_path, text + "50\n")
    assert not last_is_rejected(tmp_path, text + "700500\n")
    assert not last_is_rejected(tmp_path, text + "9\n")


@pytest.mark.parametrize(
    ("rows", "rejected"),
    [
        ("700001 700009 700005 3 700002 700008 700004 700003 4", [5, 10]),
        ("700001 700009 700005 2100015 700002 700008 700004 2100014 900001", [5, 9]),
        ("700001 700009 700005 3 2100015 700002", [5, 6]),
        ("700001 700009 700005 3 700005 2100015 700002", [5, 6, 7]),
        ("700001 700009 2 700005 700002", []),
        ("5 9 2 3 8 1", []),
        ("1 2 3 4 5 6", []),
    ],
)
def test_subtotals_without_a_label(rows: str, rejected: list[int], tmp_path: Path) -> None:
    """At least three rows, their sum, or their number with fewer digits than every id above: no order, wherever it stands."""
    told = tell(tmp_path, "\n".join(["orderId", *rows.split(), ""]))
    assert [row.origin.line for row in told.rejects] == rejected


GROUPS = "day,orderId\n1,700001\n1,700002\n{0}\n2,700003\n2,700009\n2,700005\n{1}\n{2}\n"


@pytest.mark.parametrize(
    "rows",
    [
        ("1 Count,2", "2 Count,3", "Grand Count,5"),
        ("Cuenta 1,2", "Cuenta 2,3", "Cuenta general,5"),
        ("1 Total,1400003", "2 Total,2100017", "Total 2024,3500020"),
        ("Suma:,1400003", "Suma:,2100017", "Suma:,3500020"),
        ("Contagem de 1,2", "Contagem de 2,3", "Soma,3500020"),
        ("RECUENTO,2", "Recuento,3", "quantidade,5"),
    ],
)
def test_totals_between_the_rows(rows: tuple[str, str, str], tmp_path: Path) -> None:
    """A word says so, and the number is that of the rows above, in whole or since the last such row: no orders."""
    told = tell(tmp_path, GROUPS.format(*rows) + "9,700008\n")
    assert told.ids == [700001, 700002, 700003, 700009, 700005, 700008]
    assert [row.origin.line for row in told.rejects] == [4, 8, 9]


def test_a_duplicate_below_a_labelled_total(tmp_path: Path) -> None:
    """Below a total with a label orders follow, also those that stand above it."""
    told = tell(tmp_path, "day,orderId\n1,700001\n1,700003\n1,700005\nTotal,\n2,700001\n3,700005\n")
    assert not told.rejects
    assert told.ids == [700001, 700003, 700005, 700001, 700005]


def test_an_average_between_the_rows(tmp_path: Path) -> None:
    """The same of an average that happens to be a whole number."""
    text = "day,orderId\n1,700001\n1,700005\nPromedio,700003\n2,700009\n2,700019\nAvg,700014\n"
    assert tell(tmp_path, text).ids == [700001, 700005, 700009, 700019]


def test_a_group_of_one(tmp_path: Path) -> None:
    """Once a row has added up others, a group may have a single order."""
    text = "day,orderId\n1,700001\n1,700002\n1 Count,2\n2,700003\n2 Count,1\n3,700004\n"
    assert tell(tmp_path, text).ids == [700001, 700002, 700003, 700004]


@pytest.mark.parametrize(
    "row",
    [
        "Count Dracula,700003",
        "Total enero,700004",
        "Cuenta nueva,4",
        "Discount,2",
        "Contado,2",
        "Account,1400003",
        "sumario,2",
        "la media docena,2",
        "Media luna,700002",
        "Suma,700003",
    ],
)
def test_words_that_add_up_nothing(row: str, tmp_path: Path) -> None:
    """A word with another number, a number with another word, or an id that goes on counting: an order."""
    assert not tell(tmp_path, f"name,orderId\na,700001\nb,700002\n{row}\nc,800003\nd,800009\n").rejects


@pytest.mark.parametrize("text", ["1\n700002\n700003\n", "9\n700004\n700003\nabc\n", "12;a\n1300;b\n1200;c\n"])
def test_a_first_id_that_was_cut(text: str, tmp_path: Path) -> None:
    """Without a header, and shorter than all below: no order, and the tallies hold."""
    told = tell(tmp_path, text)
    assert 1 in [row.origin.line for row in told.rejects]
    assert len(told.ids) == 2
    assert tell(tmp_path, "orderId" + ";n" * (";" in text) + "\n" + text).ids[0] < 13


@pytest.mark.parametrize(
    "ids", [(999, 1000, 1001), (1, 700002), (95, 103, 120), (1, 700002, 700003, 5), (9, 10, 11), (700001, 700002), (7,)]
)
def test_a_first_id_that_was_not_cut(ids: tuple[int, ...], tmp_path: Path) -> None:
    """Ids that count up, a list with other short ids, and one that says too little."""
    told = tell(tmp_path, "".join(f"{order}\n" for order in ids))
    assert not told.rejects
    assert sorted(told.ids) == sorted(ids)


@pytest.mark.parametrize(
    "text",
    [
        "orderId\n700001\n700002\n7000",
        "orderId\r\n700001\r\n7000",
        "orderId\n12\n9",
        "n,orderId\nx,700001\nx,70000",
        "orderId,\n700001,\n7",
        "orderId,accountId\n700001,\n700002,\n7",
        "orderId\n1003\n1002\n1001\n100",
        "orderId\n1000\n999",
        "orderId\n1001\n1000\n99",
        "700001\n700002\n70",
    ],
)
def test_a_cut_id(text: str, tmp_path: Path) -> None:
    """The last line has no end, and its id has fewer digits than all others."""
    assert last_is_rejected(tmp_path, text)


@pytest.mark.parametrize(
    "text",
    [
        "orderId\n700001\n7000\n",
        "orderId\n700001\n7000\r",
        "orderId\n7000",
        "orderId\n99\n100\n10",
        "orderId\n1002\n1001\n1000\n999",
        "orderId\n100002\n100001\n99999",
        "orderId\n1001\n1000\n999\n",
        "orderId,n\n700001,x\n70000,y",
        "orderId\n700001\n7000\n\n",
    ],
)
def test_no_cut(text: str, tmp_path: Path) -> None:
    """A line that has its end, a single row, a list that falls below a power of ten, a cut elsewhere."""
    assert not last_is_rejected(tmp_path, text)


def test_a_cut_account_or_flag(tmp_path: Path) -> None:
    """What ends a row may be cut as well: the row would go to another account, or take the option's."""
    told = tell(tmp_path, "orderId,accountId\n700001,99\n700002,9", account_id=None)
    assert [row.origin.line for row in told.rejects] == [3]
    assert last_is_rejected(tmp_path, "orderId,Cuenta\n700001,7\n700002,")
    assert last_is_rejected(tmp_path, "orderId,revertStock\n700001,no\n700002,")
    assert not last_is_rejected(tmp_path, "orderId,revertStock\n700001,false\n700002,no")
    assert not last_is_rejected(tmp_path, "orderId,accountId\n700001,\n700002,")


WHOLE = (
    "orderId\n700001\n700012\n700023\n",
    "n,orderId\r\na,700001\r\nb,700012\r\nc,700023\r\n",
    "orderId,accountId\n700001,71\n700012,71\n700023,71\n",
    "accountId;orderId;\n71;700001;\n71;700012;\n71;700023;\n",
    '"orderId","n"\n"700001","a"\n"700012","b\nc"\n"700023","c"\n',
    "orderId,revertStock\n700001,true\n700012,true\n700023,true\n",
)


@pytest.mark.parametrize("whole", WHOLE)
@pytest.mark.parametrize("packed", [False, True])
def test_invariant_45_cut_at_every_byte(whole: str, packed: bool, tmp_path: Path) -> None:
    """What comes out of a file that was cut anywhere is in the whole file, unless only its first row is left."""
    named = ("accountId" in whole, "revertStock" in whole)
    given: dict[str, Any] = {"account_id": None if named[0] else 7, "revert_stock": None if named[1] else False}
    content = gzip.compress(whole.encode(), mtime=0) if packed else whole.encode()
    all_orders = orders(tmp_path, whole, **given)
    assert len(all_orders) == 3
    for at in range(len(content)):
        try:
            found = orders(tmp_path, content[:at], **given)
        except (InputRefused, UsageError):
            continue
        assert set(found[1:] if len(found) == 1 else found) <= set(all_orders), content[:at]
