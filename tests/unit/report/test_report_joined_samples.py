"""Every sample, copied with results beside its rows: the rows of the refused orders are a file that names exactly these."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from random import Random
from typing import Any

import pytest

from bulkdelete.errors import InputRefused
from bulkdelete.intake import ReadOptions
from tests.support import ROOT
from tests.support.copies import judge

SAMPLES = ROOT / "samples"
EXPECT = ".expect.json"


def cases() -> list[Any]:
    return [
        pytest.param(path.name.removesuffix(EXPECT), case, id=f"{path.name.removesuffix(EXPECT)}-{number}")
        for path in sorted(SAMPLES.glob(f"*{EXPECT}"))
        for number, case in enumerate(json.loads(path.read_text(encoding="utf-8"))["cases"])
        if "refused" not in case
    ]


@pytest.mark.parametrize(("name", "case"), cases())
def test_invariant_48_the_copy_of_a_sample(tmp_path: Path, name: str, case: dict[str, Any]) -> None:
    """With the same options, but for the sheet: exactly the refused orders, each with its account and its flag, and no reject. A copy of
    all rows has the same orders, rejects and totals as the sample. A file without a header has no copy."""
    options = dict(case["options"])
    account_id, stock = options.pop("account_id", None), options.pop("revert_stock", None)
    reading = ReadOptions(**options | {"ignored": tuple(options.get("ignored", ()))})
    path = tmp_path / name
    shutil.copy(SAMPLES / name, path)
    if case.get("column") == "":
        with pytest.raises(InputRefused, match="has no rows"):
            judge(path, reading, account_id, stock, Random(0))
        return
    for seed in range(4):
        judge(path, reading, account_id, stock, Random(seed))
