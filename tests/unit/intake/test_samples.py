"""samples/: every file there yields what its neighbour NAME.expect.json says, no more and no less."""

from __future__ import annotations

import hashlib
import json
from dataclasses import fields
from typing import Any

import pytest

from bulkdelete.cli.flags import flagged
from bulkdelete.errors import BulkDeleteError, NothingSent, UsageError
from bulkdelete.intake import ReadOptions, Source
from bulkdelete.model import Order, Reject
from tests.support import ROOT

SAMPLES = ROOT / "samples"
EXPECT = ".expect.json"
NAMES = sorted(path.name for path in SAMPLES.iterdir() if path.is_file() and not path.name.endswith(EXPECT))
BYTES_MAX = 20_000


def cases() -> list[Any]:
    return [
        pytest.param(name, case, id=f"{name}-{number}")
        for name in NAMES
        if (SAMPLES / (name + EXPECT)).exists()
        for number, case in enumerate(json.loads((SAMPLES / (name + EXPECT)).read_text(encoding="utf-8"))["cases"])
    ]


def test_every_sample_says_what_it_must_yield() -> None:
    """A sample without a neighbour proves nothing, and a neighbour without a sample neither; none is large."""
    neighbours = {path.name.removesuffix(EXPECT) for path in SAMPLES.iterdir() if path.name.endswith(EXPECT)}
    assert set(NAMES) == neighbours
    assert [name for name in NAMES if (SAMPLES / name).stat().st_size > BYTES_MAX] == []


@pytest.mark.parametrize(("name", "case"), cases())
def test_sample(name: str, case: dict[str, Any]) -> None:
    """Orders, rejects, what was left out, what was noticed; or why the file is refused, as the command says it."""
    options = dict(case["options"])
    account_id, revert_stock = options.pop("account_id", None), options.pop("revert_stock", None)
    options["ignored"] = tuple(options.get("ignored", ()))
    source = Source(str(SAMPLES / name), ReadOptions(**options))
    if "refused" in case:
        with pytest.raises(BulkDeleteError) as refused:
            list(source.read(account_id, revert_stock))
        assert case["refused"] in flagged(str(refused.value))
        assert name in str(refused.value)
        assert isinstance(refused.value, UsageError if case["exit"] == 2 else NothingSent)
        return
    rows = list(source.read(account_id, revert_stock))
    orders = [[row.account_id, row.order_id, row.revert_stock] for row in rows if isinstance(row, Order)]
    rejects = [row for row in rows if isinstance(row, Reject)]
    match case["orders"]:
        case list(expected):
            assert orders == expected
        case summary:
            assert (len(orders), orders[0], orders[-1]) == (summary["count"], summary["first"], summary["last"])
            assert len({order for _, order, _ in orders}) == summary.get("distinct", len(orders))
    expected = case.get("rejects", [])
    assert [[row.origin.line, row.cell] for row in rejects] == [[line, cell] for line, cell, _ in expected]
    assert all(why in flagged(row.why) for row, (_, _, why) in zip(rejects, expected, strict=True))
    assert source.data_rows == len(rows) + source.skipped
    assert source.sha256 == hashlib.sha256((SAMPLES / name).read_bytes()).hexdigest()
    assert dict(source.notices) == case.get("notices", dict(source.notices))
    told = {field.name for field in fields(source)} & case.keys()
    assert {key: getattr(source, key) for key in told - {"notices"}} == {key: case[key] for key in told - {"notices"}}
