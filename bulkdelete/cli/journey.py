"""`demo`: a newcomer's whole journey in a minute, with the commands a person would type, against the simulator on this machine.

It needs no key and touches nothing outside a temporary folder that it names. It ends by holding the server's journal against
the ledger, order by order.
"""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from bulkdelete.disk import temporary_folder
from bulkdelete.errors import NothingSent
from bulkdelete.ledger.open import open_ledger
from bulkdelete.model import State

__all__ = ["compare", "demonstrate", "ugly_export"]

_FILE, _LEDGER = "ventas.csv", "ventas.csv.ledger.db"
_FIRST_ID, _ORDERS = 840_001, 300
_GONE = (_FIRST_ID + 7, _FIRST_ID + 120)  # deleted by somebody before
_NATIVE = (_FIRST_ID + 40,)  # of a marketplace
_INTERRUPT_AFTER = 120  # requests
_LONGEST_S = 50.0
_ALL = 100_000  # rows, more than the demo has


def demonstrate() -> int:
    """Run it; 0, or 1 if the journal and the ledger disagree."""
    folder = _furnished(temporary_folder("the demo"))
    _say(f"All of this happens in {folder}, against a server on this machine. Nothing real is touched.")
    server = _Server(folder)
    try:
        return _journey(folder, server)
    finally:
        server.close()


def _furnished(temporary: Path) -> Path:
    """A folder of our own with the files of the journey. Raises NothingSent."""
    exist = [order for order in range(_FIRST_ID, _FIRST_ID + 3 * _ORDERS) if order not in _GONE]
    try:
        folder = Path(tempfile.mkdtemp(prefix="bulkdelete-demo-", dir=temporary))
        (folder / _FILE).write_bytes(ugly_export())
        (folder / "exist.csv").write_text(
            "orderId,ExternalOrderId\n" + "".join(f"{order},{_external(order)}\n" for order in exist), encoding="utf-8"
        )
    except OSError as error:
        raise NothingSent(
            f"{temporary}: the demo needs a temporary folder ({error.strerror}). Set TMPDIR to one that can be written and has room"
        ) from None
    return folder


def _journey(folder: Path, server: _Server) -> int:
    to_server = ["--account-id", "7", "--keep-stock", "--api-url", server.url]
    _step(
        "An export as people send them: semicolons, accents, a total at the end, a few rows that are damaged. What would be sent?"
    )
    _show(folder, "plan", _FILE, *to_server, "--rate", "600/min")
    _step(
        "Rejected rows stop a run before its first request. These are understood, so continue without them. After a while, Ctrl-C."
    )
    command = ["run", _FILE, *to_server, "--skip-rejected", "--expect", str(_ORDERS), "--doubts", "hold"]
    interrupted = _interrupt(folder, command, server)
    _step("What does the ledger say?")
    _show(folder, "status", _LEDGER)
    _step("The same command again continues with what is left, and sends nothing twice.")
    _show(folder, *command)
    _step("One row per order:")
    _show(folder, "export", _LEDGER, "-o", "result.csv")
    if not (folder / "result.csv").exists():
        _out("  there is no ledger to compare")
        return 1
    _out("".join((folder / "result.csv").read_text(encoding="utf-8").splitlines(keepends=True)[:4]), nl=False)
    _step("The ledger compared with itself, with the file, and with what the server still has:")
    _show(folder, "verify", _LEDGER, _FILE, "--skip-rejected", "--online", "--api-url", server.url)
    _step("What the server did, held against what the ledger says:")
    differences = compare(server.journal(), folder / _LEDGER, _ORDERS)
    if interrupted != 130:
        differences.append(f"the interrupted run ended with {interrupted} instead of 130")
    for difference in differences:
        _out(f"  {difference}")
    if not differences:
        _out(f"  {len(server.journal()):,} requests, {_ORDERS:,} orders: no difference.")
    _out(f"\nLook around: {folder}")
    return 1 if differences else 0


def compare(journal: Sequence[Mapping[str, Any]], ledger: Path, orders: int) -> list[str]:
    """Every difference between a simulator's journal and a ledger of so many orders: requests an order, and what became of it."""
    with open_ledger(ledger).read() as reader:
        outcomes = {row.order_id: row.state for row in reader.results((0, 0), _ALL)}
        sent = Counter(row.order_id for row in reader.attempts((0, 0, 0), _ALL) if row.sent is not False)
    asked = Counter(entry["order_id"] for entry in journal)
    deleted = {entry["order_id"] for entry in journal if entry["action"] == "deleted"}
    found = [
        f"order {order}: {asked[order]} requests, {sent[order]} attempts"
        for order in sorted(asked | sent)
        if asked[order] != sent[order]
    ]
    if len(outcomes) != orders:
        found.append(f"{len(outcomes)} orders in the ledger instead of {orders}")
    for order, outcome in sorted(outcomes.items()):
        if outcome is State.PENDING:
            found.append(f"order {order}: still pending")
        said = outcome in (State.DELETED, State.PRESUMED_DELETED)
        if outcome is not State.IN_DOUBT and said != (order in deleted):
            found.append(
                f"order {order}: {outcome.label}, but the server {'deleted it' if order in deleted else 'has it or never had it'}"
            )
    found += [f"order {order}: deleted, but not in the ledger" for order in sorted(deleted - outcomes.keys())]
    return found


def ugly_export() -> bytes:
    """A CSV of 300 orders as a Latin American Excel writes it: cp1252, `;`, quoted newlines, ids in several forms, a totals row."""
    rows = ["Orden ID;Nro. externo;Cliente;Fecha;Total"]
    for n in range(_ORDERS):
        order = _FIRST_ID + 2 * n
        shown = (f"{order}", f'="{order}"', f"{order},00", f" {order} ", f"'{order}")[n % 5 if n % 7 == 0 else 0]
        name = ("Muñoz, José", '"Ibáñez\r\n(sucursal)"', "Peña & Cía.", "Güemes", "")[n % 5]
        rows.append(f"{shown};{_external(order)};{name};{1 + n % 28:02d}/03/2024;{1000 + n},50")
    rows.insert(60, "8,40E+05;MLA-1;Excel lo dañó;01/03/2024;10,00")
    rows.insert(120, "840.001;MLA-2;¿miles o decimales?;01/03/2024;10,00")
    rows.insert(180, f"{_FIRST_ID};MLA-9000000;repetido;01/03/2024;10,00")
    rows.insert(200, "pendiente;MLA-3;sin número;01/03/2024;10,00")
    rows.append(";;;TOTAL;345.678,90")
    return ("\r\n".join(rows) + "\r\n").encode("cp1252")


def _external(order: int) -> str:
    return f"MLA-{9_000_000 + (order - _FIRST_ID) // 2}" if (order - _FIRST_ID) % 2 == 0 else f"MLA-{order}"


class _Server:
    """`bulkdelete simulate` in a process of its own."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "journal.jsonl"
        words = [
            "simulate",
            "--port",
            "0",
            "--orders",
            "exist.csv",
            "--others",
            "0",
            "--account-id",
            "7",
            "--limit",
            "600",
        ]
        words += ["--latency", "0.15", "--journal", self._path.name, "--fault", "drop_after=0.01", "--seed", "4"]
        words += [word for order in _NATIVE for word in ("--native", str(order))]
        self._process = subprocess.Popen(  # noqa: S603 - our own program
            _command(words), cwd=folder, stdout=subprocess.PIPE, text=True, env=_environment()
        )
        out = self._process.stdout
        lines = [out.readline() for _ in range(2)] if out else []
        self.url = lines[-1].split()[-1] if lines and lines[-1].split() else ""

    def journal(self) -> Sequence[Mapping[str, Any]]:
        """What it was asked, apart from what was read: only an entry about a deletion has an action."""
        if not self._path.exists():
            return []
        entries = (json.loads(line) for line in self._path.read_text(encoding="utf-8").splitlines())
        return [entry for entry in entries if "action" in entry]

    def close(self) -> None:
        self._process.terminate()
        self._process.communicate(timeout=10)


def _interrupt(folder: Path, command: list[str], server: _Server) -> int:
    """Run a command, send it a real SIGINT when it has sent a part of its orders, and return its exit code."""
    _out(f"$ bulkdelete {shlex.join(command)}")
    with subprocess.Popen(  # noqa: S603 - our own program
        _command(command), cwd=folder, stdin=subprocess.DEVNULL, env=_environment()
    ) as process:
        end_s = time.monotonic() + _LONGEST_S
        while process.poll() is None and len(server.journal()) < _INTERRUPT_AFTER and time.monotonic() < end_s:
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        return process.wait(30)


def _show(folder: Path, *words: str) -> None:
    _out(f"$ bulkdelete {shlex.join(words)}")
    subprocess.run(  # noqa: S603 - our own program
        _command(list(words)), cwd=folder, stdin=subprocess.DEVNULL, env=_environment(), check=False, timeout=60
    )


def _command(words: list[str]) -> list[str]:
    return [sys.executable, "-m", "bulkdelete", *words]


def _environment() -> dict[str, str]:
    """The caller's environment, without a real key in it."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("BULKDELETE_", "CREDENTIALS_"))}
    return kept | {"BULKDELETE_API_KEY": "demo-key", "PYTHONUNBUFFERED": "1"}


def _step(text: str) -> None:
    _out("")
    _say(text)


def _say(text: str) -> None:
    _out(click.style(text, bold=True))


def _out(text: str, nl: bool = True) -> None:
    """click by itself would take another encoding than a stdout that says ASCII."""
    click.echo(text, file=sys.stdout, nl=nl)
