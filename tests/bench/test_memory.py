"""How much memory a command takes, however much it is given to read, and what a large input does where there is no room for it."""

from __future__ import annotations

import asyncio
import gzip
import io
import json
import subprocess
import sys
import tracemalloc
import zipfile
from pathlib import Path
from typing import Any, cast

import pytest

from bulkdelete.intake import Source
from bulkdelete.ledger import InputReport, Ledger, ResultRow
from bulkdelete.ledger.sqlite.ledger import SqliteLedger
from bulkdelete.model import Order, Origin, State
from bulkdelete.report.export import Format, export
from bulkdelete.report.joined import Join
from bulkdelete.simulator import OrderFacts, Simulation
from tests.rigs.kill.server import serving
from tests.support.command import call, write
from tests.support.copies import Results, result
from tests.support.ledger import arm, opened, order, orders
from tests.support.mounts import mounted
from tests.support.peak import TELLS, peak_in
from tests.support.process import PROGRAM, environment

MEASURED = f"""{TELLS}
from bulkdelete.cli import main
main()
"""
FEW, MANY = 20_000, 200_000
BOMB_MIB = 100
MORE_KIB = 24_000  # the ledger's page cache fills up to 16,000

CODES = {"plan": 0, "run": 3}  # the run reads, checks and stages everything, and nobody confirms it


def peak_kib(command: str, file: Path) -> tuple[int, subprocess.CompletedProcess[str]]:
    """That of a command that reads a file of orders."""
    return peak_of(command, str(file), "--account-id", "1", "--keep-stock")


def peak_of(*words: str) -> tuple[int, subprocess.CompletedProcess[str]]:
    """The most memory that the command took of the machine at once, and how it ended."""
    done = call(sys.executable, "-c", MEASURED, *words, env=environment())
    return peak_in(done.stderr), done


def ledger(file: Path, rows: int) -> Path:
    """A ledger with so many orders, as a confirmation leaves it."""

    async def fill() -> None:
        async with SqliteLedger(file, "https://api.test:443").stage() as staging:
            await staging.add(0, (Order(1, 700_000 + n, False, Origin("a.csv", n)) for n in range(rows)))
            await staging.facts((InputReport("a.csv", "", "orderId", rows, 0, 0, 0),), None)
            await staging.confirm()

    asyncio.run(fill())
    return file


def table(file: Path, rows: int) -> Path:
    """Wide rows: of 200,000 of them no copy goes by unseen."""
    with file.open("w") as out:
        out.write("orderId,note\n")
        out.writelines(f"{700_000 + n},{n:0100}\n" for n in range(rows))
    return file


def bombs(folder: Path) -> list[Path]:
    """Less than 200 KiB that unpack to 100 MiB: as gz and as zip, in short lines and as one line without end."""
    files = []
    for name, mib in (("lines", b"7000001\n" * 131_072), ("line", b"7" * 1_048_576)):
        packed, archive = folder / f"{name}.gz", folder / f"{name}.zip"
        with (
            gzip.open(packed, "wb") as one,
            zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as archived,
            archived.open("a.csv", "w") as other,
        ):
            for out in (one, other):
                out.write(b"orderId\n")
                for _ in range(BOMB_MIB):
                    out.write(mib)
        files += [packed, archive]
    return files


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="NOT TESTED: there is no /proc to read a peak from")
@pytest.mark.parametrize("command", CODES)
def test_invariant_26_memory_does_not_grow_with_the_input(command: str, tmp_path: Path) -> None:
    """Ten times the rows, and 100 MiB in a small file, take no more than what the ledger's cache may grow by; bombs are refused."""
    few_kib, few = peak_kib(command, table(tmp_path / "few.csv", FEW))
    many_kib, many = peak_kib(command, table(tmp_path / "many.csv", MANY))
    for done, rows in ((few, FEW), (many, MANY)):
        assert done.returncode == CODES[command], done.stderr
        assert f"{rows:,} new" in done.stdout + done.stderr
    assert few_kib > 10_000
    assert many_kib < few_kib + MORE_KIB
    for bomb in bombs(tmp_path):
        bomb_kib, done = peak_kib(command, bomb)
        assert done.returncode == 3, done.stderr
        assert bomb.name in done.stderr
        assert bomb_kib < few_kib + MORE_KIB, bomb.name


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="NOT TESTED: there is no /proc to read a peak from")
def test_invariant_26_memory_does_not_grow_with_what_is_verified(tmp_path: Path) -> None:
    """Ten times the orders, in the ledger and in a file of which it knows none: all are counted, and a bounded number is kept."""
    peaks = []
    for rows in (FEW, MANY):
        path, file = ledger(tmp_path / f"{rows}.db", rows), tmp_path / f"{rows}.csv"
        file.write_text("orderId\n" + "".join(f"{n}\n" for n in range(1, rows)))
        peak, done = peak_of("verify", str(path), str(file), "--json")
        assert done.returncode == 1, done.stderr
        told = json.loads(done.stdout)
        assert (told["orders"], told["found"]["unknown"], len(told["differences"])) == (rows, rows - 1, 1000)
        assert told["differences_not_listed"] == rows - 1001
        peaks.append(peak)
    assert peaks[1] < peaks[0] + MORE_KIB


BACKED_UP = """
import asyncio, sys
from pathlib import Path
from bulkdelete import ApiKey, Session, Settings, Source

async def main(file, backup, url):
    settings = Settings(ledger=Path(file + ".db"), api_url=url, account_id=1, revert_stock=False)
    async with Session(settings) as session:
        proposal, result = await (await session.propose(Source(file))).back_up(Path(backup), ApiKey("a-key"))
        print(proposal.plan.to_send, result.orders)

asyncio.run(main(*sys.argv[1:]))
print(Path("/proc/self/status").read_text(), file=sys.stderr)
"""
FEW_BACKED_UP, MANY_BACKED_UP = 250, 6_000
PAYMENTS = (("1.00", "ARS"),) * 200  # 9 KB for each order: 54 MB in the second file


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="NOT TESTED: there is no /proc to read a peak from")
def test_invariant_26_memory_does_not_grow_with_a_backup(tmp_path: Path) -> None:
    """Ten times the orders take no more: neither their JSON nor what was seen of them is kept, while it is written and while it is read."""
    peaks = []
    for rows in (FEW_BACKED_UP, MANY_BACKED_UP):
        ids = range(700_000, 700_000 + rows)
        facts = dict.fromkeys(ids, OrderFacts(further_payments=PAYMENTS))
        simulation = Simulation(orders=[(1, order, 1) for order in ids], limit=60_000, facts=facts)
        with serving(simulation) as server:
            words = (str(table(tmp_path / f"{rows}.csv", rows)), str(tmp_path / f"{rows}.jsonl"), server.url)
            done = call(sys.executable, "-c", BACKED_UP, *words)
        assert done.stdout == f"{rows} {rows}\n", done.stderr
        assert (tmp_path / f"{rows}.jsonl").stat().st_size > rows * 8_000
        peaks.append(peak_in(done.stderr))
    assert peaks[1] < peaks[0] + MORE_KIB


@pytest.mark.parametrize("form", list(Format))
async def test_invariant_26_memory_does_not_grow_with_an_export(tmp_path: Path, form: Format) -> None:
    """Three times as many orders go out in the same memory: that of a page."""

    class Sink(io.TextIOBase):
        chars = 0

        def write(self, text: Any) -> int:
            self.chars += len(text)
            return len(text)

    peaks = []
    for n in (6_000, 18_000):
        path = tmp_path / f"{n}.db"
        async with opened(path) as ledger:
            await arm(ledger, orders(*range(1, n + 1)))
        sink: Any = Sink()
        tracemalloc.start()
        try:
            assert export(path, sink, form, frozenset()) == n
            peaks.append(tracemalloc.get_traced_memory()[1])
        finally:
            tracemalloc.stop()
    assert peaks[1] < 1.5 * peaks[0]


def test_invariant_26_memory_does_not_grow_with_a_joined_copy(tmp_path: Path) -> None:
    """Three times as many rows are copied in the same memory, and the ledger is asked for a page at a time."""

    class Sink(io.BytesIO):
        def write(self, data: Any) -> int:
            return len(data)

    class Everything(dict[int, ResultRow]):
        def __contains__(self, key: object) -> bool:
            return True

        def __missing__(self, key: int) -> ResultRow:
            return result(order(key, file="a.csv"), State.REFUSED, "no")

    peaks = []
    for count in (6_000, 18_000):
        path = tmp_path / f"{count}.csv"
        path.write_text("orderId,n\n" + "".join(f"{n},x\n" for n in range(700_001, 700_001 + count)))
        results = Results(Everything())
        join = Join(cast(Ledger, results), [Source(str(path))], frozenset())
        tracemalloc.start()
        try:
            join.read()
            assert join.write(Sink()).rows == count
            peaks.append(tracemalloc.get_traced_memory()[1])
        finally:
            tracemalloc.stop()
        assert results.asked == 2_000
    assert peaks[1] < 1.5 * peaks[0]


def test_a_run_that_cannot_sort_its_input(tmp_path: Path) -> None:
    """SQLite sorts a large input in the temporary folder: where that is full, exit 3 and a message that names TMPDIR. The ledger's disk is
    not to blame, and with room the same command goes on."""
    file = write(tmp_path / "o.csv", [n * 7_919 % 600_011 for n in range(1, 600_000)])
    words = [
        *PROGRAM,
        "run",
        str(file),
        "--account-id",
        "1",
        "--keep-stock",
        "--expect",
        "5",
        "--api-url",
        "http://127.0.0.1:9",
    ]
    done = mounted("size=64k", words, TMPDIR="/mnt")
    assert (done.returncode, "TMPDIR" in done.stderr, "/mnt" in done.stderr) == (3, True, True), done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["o.csv"]
    done = mounted("size=100m", words, TMPDIR="/mnt")
    assert (done.returncode, "--expect says 5" in done.stderr) == (3, True), done.stderr
