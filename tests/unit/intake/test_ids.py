"""The ids of a file alone, to compare it with what was done: no account and no stock rule is needed, and none contradicts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bulkdelete.errors import InputRefused
from bulkdelete.intake import ReadOptions, Source
from bulkdelete.model import Order, Origin, Reject
from tests.support import ROOT

SAMPLES = ROOT / "samples"
EXPECT = ".expect.json"


def ids(tmp_path: Path, text: str, reading: ReadOptions | None = None) -> list[int | str]:
    """The ids, and why a row has none."""
    path = tmp_path / "a.csv"
    path.write_text(text, encoding="utf-8")
    rows = Source(str(path), reading or ReadOptions()).ids()
    return [row.why if isinstance(row, Reject) else row[0] for row in rows]


@pytest.mark.parametrize(
    "text",
    [
        "orderId\n11\n12\n",
        "orderId,accountId\n11,7\n12,8\n",
        "orderId,accountId\n11,7\n12,\n",
        "orderId,accountId,revertStock\n11,7,si\n12,8,no\n",
        "orderId,revertStock\n11,\n12,true\n",
        "orderId,cuenta\n11,Ana\n12,Luis\n",
        "Cuenta: 99\norderId,total\n11,1\n12,1\n",
        "orderId\n11\n12\n11\n",
    ],
    ids=["alone", "accounts", "an empty account", "all", "an empty stock", "names", "a title", "a repeated row"],
)
def test_no_option_is_needed(tmp_path: Path, text: str) -> None:
    """Columns of the account and of the stock may say anything that `run` understands with some option, or be absent."""
    assert ids(tmp_path, text)[:2] == [11, 12]


def test_a_row_has_its_place(tmp_path: Path) -> None:
    """As the user named the file, and the line."""
    path = tmp_path / "a.csv"
    path.write_text("orderId\n11\n\n12\n")
    source = Source(str(path))
    assert list(source.ids()) == [(11, Origin(str(path), 2)), (12, Origin(str(path), 4))]
    assert (source.data_rows, source.column) == (2, "orderId")


def test_what_names_no_order_is_rejected_as_by_a_run(tmp_path: Path) -> None:
    """A damaged id, a damaged account, and a file that speaks of the account in a column that is not understood."""
    assert ids(tmp_path, "orderId\n1.5E5\n12\n") == [ids(tmp_path, "orderId\n1.5E5\n")[0], 12]
    assert isinstance(ids(tmp_path, "orderId,accountId\n11,x\n")[0], str)
    with pytest.raises(InputRefused, match="may be the account"):
        ids(tmp_path, "orderId,subcuenta\n11,7\n")
    assert ids(tmp_path, "orderId,subcuenta\n11,7\n", ReadOptions(ignored=("subcuenta",))) == [11]


def cases() -> list[Any]:
    return [
        pytest.param(path.name.removesuffix(EXPECT), case, id=f"{path.name}-{number}")
        for path in sorted(SAMPLES.glob(f"*{EXPECT}"))
        for number, case in enumerate(json.loads(path.read_text(encoding="utf-8"))["cases"])
        if "refused" not in case
    ]


@pytest.mark.parametrize(("name", "case"), cases())
def test_every_order_of_a_sample_is_found(name: str, case: dict[str, Any]) -> None:
    """Whatever account and stock options a run needs to read a file: its orders are found without them."""
    options = dict(case["options"])
    account_id, revert_stock = options.pop("account_id", None), options.pop("revert_stock", None)
    reading = ReadOptions(**options | {"ignored": tuple(options.get("ignored", ()))})
    path = str(SAMPLES / name)
    read = {row.order_id for row in Source(path, reading).read(account_id, revert_stock) if isinstance(row, Order)}
    found = {row[0] for row in Source(path, reading).ids() if not isinstance(row, Reject)}
    assert read <= found
