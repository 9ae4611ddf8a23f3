"""`simulate` by itself: what it reads, what it refuses, what its help says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from bulkdelete.simulator import FaultKind, PageFaultKind
from tests.support.command import call, serving, started
from tests.support.process import PROGRAM

TABLES = {
    "accounts": ("accountId,orderId\n7,1\n8,2\n", ()),
    "accounts and stock": ("accountId,orderId,revertStock\n7,1,true\n8,2,false\n", ()),
    "stock": ("orderId,revertStock\n1,true\n2,no\n", ()),
    "a column of its own": ("numero,accountId\n1,7\n2,8\n", ("--column", "numero")),
    "another delimiter": ("accountId^orderId\n7^1\n8^2\n", ("--delimiter", "^")),
    "grouped digits": ('accountId,orderId\n7,"1.000"\n8,2\n', ("--thousands", ".")),
}


@pytest.mark.parametrize("table", TABLES)
def test_orders_are_read_as_a_run_reads_them(tmp_path: Path, table: str) -> None:
    """Several accounts, columns of stock, and the options of reading: a run of the same file finds every order there."""
    text, words = TABLES[table]
    file = tmp_path / "o.csv"
    file.write_text(text)
    given = [*(() if "accountId" in text else ("--account-id", "1")), *(() if "revert" in text else ("--keep-stock",))]
    with serving("--orders", str(file), *words, "--others", "0") as url:
        run = call(*PROGRAM, "run", str(file), *words, *given, "--yes", "--api-url", url, "--json")
    assert run.returncode == 0, run.stderr
    assert json.loads(run.stdout)["outcomes"]["deleted"] == 2


def test_orders_of_several_files(tmp_path: Path) -> None:
    """A pattern, and the option again."""
    for n in (1, 2, 3):
        (tmp_path / f"{n}.csv").write_text(f"orderId\n{n}\n")
    with serving("--orders", str(tmp_path / "[12].csv"), "--orders", str(tmp_path / "3.csv"), "--others", "0") as url:
        words = ("--account-id", "1", "--keep-stock", "--yes", "--api-url", url, "--ledger", str(tmp_path / "l.db"))
        run = call(*PROGRAM, "run", str(tmp_path / "?.csv"), *words, "--json")
    assert json.loads(run.stdout)["outcomes"]["deleted"] == 3


async def test_keys_have_accounts_and_limits(tmp_path: Path) -> None:
    """Each key is admitted to its accounts alone, at its own limit; the first line says the limits and no key."""
    words = ["--key", "north=7,8:60", "--key", "south=9", "--key", "=odd=7:", "--limit", "5", "--latency", "0"]
    seen = {}
    with serving(*words) as url:
        async with aiohttp.ClientSession(base_url=url) as client:
            for key, account in (("north", 8), ("north", 9), ("south", 9), ("=odd=7:", 7), ("other", 7)):
                asked = {"API_KEY": key, "accountId": str(account), "orderId": "1", "revertStock": "false"}
                async with client.delete("/v2/orders", params=asked) as response:
                    seen[key, account] = (response.status, response.headers.get("x-ratelimit-limit"))
    assert seen == {
        ("north", 8): (404, "60"),
        ("north", 9): (403, "60"),
        ("south", 9): (404, "5"),
        ("=odd=7:", 7): (404, "5"),
        ("other", 7): (401, "5"),
    }
    with started([*PROGRAM, "simulate", "--port", "0", *words]) as process:
        assert process.stdout is not None
        told = process.stdout.readline()
        process.terminate()
    assert told.endswith(
        "requests per minute: 60 for account 7, 8; 5 for account 9; 5 for all accounts. Add to bulkdelete run:\n"
    )


def test_a_key_is_given_once() -> None:
    """Its accounts and its limit would contradict each other."""
    done = call(*PROGRAM, "simulate", "--port", "0", "--key", "north=7", "--key", "north=8:60")
    assert (done.returncode, done.stdout) == (2, "")
    assert "--key: one key is given twice" in done.stderr
    assert "north" not in done.stderr


@pytest.mark.parametrize(
    "words",
    [
        ("--limit", "0"), ("--limit", "-5"), ("--limit", "1_0"), ("--limit", "9999999"), ("--read-limit", "0"),
        ("--others", "-1"), ("--account-id", "0"),
        ("--native", "0"), ("--native", "-1"), ("--native-status", "999"), ("--native-status", "99"), ("--native-status", "204"),
        ("--latency", "-1"), ("--latency", "nan"), ("--latency", "1h"), ("--port", "70000"), ("--port", "-1"), ("--seed", "x"),
        ("--fault", "drop_after=1.5"), ("--fault", "drop_after=-0.1"), ("--fault", "drop_after=nan"), ("--fault", "drop_after=inf"),
        ("--fault", "drop_after=0"), ("--fault", "drop_after="), ("--fault", "drop_after=1_0"), ("--fault", "drop_after=0,5"),
        ("--fault", "drop_after=٠.٥"), ("--fault", "drop_after= 0.5"), ("--fault", "drop_after=1e-2"), ("--fault", "no_such=0.1"),
        ("--fault", "page_cut=2"), ("--key", "a=1:0"), ("--key", "a=1:1000001"),
        ("--fault", "=0.1"), ("--headers", "some"), ("--journal", "/none/x"), ("--journal", "/"),
    ],
    ids=" ".join,
)  # fmt: skip
def test_an_impossible_value(words: tuple[str, str]) -> None:
    """Exit 2, naming the option, and no port is opened."""
    done = call(*PROGRAM, "simulate", *words, *(() if words[0] == "--port" else ("--port", "0")))
    assert (done.returncode, done.stdout) == (2, ""), done.stderr
    assert words[0] in done.stderr


def test_a_journal_is_no_input(tmp_path: Path) -> None:
    """It would be appended to the orders."""
    file = tmp_path / "o.csv"
    file.write_text("orderId\n1\n")
    assert call(*PROGRAM, "simulate", "--port", "0", "--orders", str(file), "--journal", str(file)).returncode == 2
    assert file.read_text() == "orderId\n1\n"


def test_the_help_lists_the_kinds_of_faults() -> None:
    """All of them."""
    shown = call(*PROGRAM, "simulate", "--help").stdout
    listed = shown.partition("Kinds of --fault:")[2].replace("\n", " ").split(",")
    assert [kind.strip() for kind in listed] == [kind.value for kind in (*FaultKind, *PageFaultKind)]


async def page(url: str, **query: Any) -> tuple[int, list[Any]]:
    """Status and results of a page of orders, or of the accounts if nothing is asked for."""
    target = f"{url}/v2/{'orders' if query else 'accounts'}"
    async with aiohttp.ClientSession() as session, session.get(target, params={"API_KEY": "k", **query}) as response:
        return response.status, (await response.json(content_type=None)).get("Results", [])


async def test_what_can_be_read(tmp_path: Path) -> None:
    """The orders of a file with their external numbers, a marketplace's apart, the others generated; and the accounts."""
    file = tmp_path / "o.csv"
    file.write_text("accountId,orderId,Nro. externo\n7,10, MLA-1 \n7,11,\n8,12,5\n7,13,6\n")
    with serving("--orders", str(file), "--others", "2", "--native", "13") as url:
        _, own = await page(url, accountId=7)
        _, native = await page(url, accountId=7, Integrated="true")
        _, accounts = await page(url)
    assert {order["Id"]: order["ExternalOrderId"] for order in (*own, *native) if order["Id"] != 11} == {
        10: "MLA-1",
        13: "6",
        14: own[-1]["ExternalOrderId"],
    }
    assert [order["Id"] for order in own] == [10, 11, 14]
    assert own[1]["ExternalOrderId"]
    assert [account["Id"] for account in accounts] == [7, 8]


async def test_reading_has_a_limit_and_faults_of_its_own() -> None:
    """`--read-limit` is apart from `--limit`, and a kind that begins with page_ affects pages alone."""
    with serving("--limit", "1", "--read-limit", "3", "--fault", "page_no_results") as url:
        assert [await page(url, accountId=1) for _ in range(4)] == [*([(200, [])] * 3), (429, [])]
        async with aiohttp.ClientSession() as session:
            query = {"API_KEY": "k", "accountId": "1", "orderId": "1", "revertStock": "false"}
            async with session.delete(f"{url}/v2/orders", params=query) as response:
                assert response.status == 204
    with serving("--limit", "2") as url:
        shown = [await page(url, accountId=1) for _ in range(3)]
    assert [(status, len(results)) for status, results in shown] == [(200, 100), (200, 100), (429, 0)]


def test_a_port_that_is_in_use() -> None:
    """Exit 2, and what to do about it, without the system's numbers."""
    with serving() as url:
        port = url.rpartition(":")[2]
        done = call(*PROGRAM, "simulate", "--port", port)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        f"bulkdelete: port {port} is in use: end the program that uses it, or name another with --port\n"
    )
