"""Bugs that such a program could have, and the rig that must see each one. A rig that sees none proves nothing."""

from __future__ import annotations

from dataclasses import dataclass

from tests.rigs.tree import Edit

__all__ = ["PLANTED", "Planted"]


@dataclass(frozen=True, slots=True)
class Planted:
    """A bug, as edits of the product; `rig` (a module of tests.rigs) must report one of `breaks` within `trials` seeds.

    `only`: the kinds of fault that can show it, where a rig takes some of its kinds.
    """

    name: str
    rig: str
    breaks: frozenset[int]
    trials: int
    edits: tuple[Edit, ...]
    only: tuple[str, ...] = ()


def _planted(name: str, rig: str, breaks: set[int], trials: int, *edits: Edit, only: tuple[str, ...] = ()) -> Planted:
    return Planted(name, rig, frozenset(breaks), trials, edits, only)


_HAS_RECEIVED = (
    "return protocol is None or protocol.should_close or (isinstance(protocol, _Recorder) and protocol.has_received)"
)

_EVERY = 10_000  # strikes, more than there are: few of them are of the kind that shows the bug, and they stand together

PLANTED = (
    _planted(
        "no intent", "simulation", {1}, 10,
        Edit("ledger/sqlite/run_use.py", "await self._commits.do(lambda db: rows.intend(db, intent, self._run_id))", "await self.flush()"),
        Edit("ledger/sqlite/rows.py", '"DELETE FROM intents WHERE account_id = ? AND order_id = ?", key).rowcount != 1',
             '"DELETE FROM intents WHERE account_id = ? AND order_id = ?", key).rowcount > 1'),
    ),
    _planted(
        "late intent", "simulation", {1}, 10,
        Edit("run/pipeline.py", "    intent = await lane.ledger.intend(task)  # durable from here on\n",
             "    sending = asyncio.ensure_future(lane.client.delete(task.order, may_leave))\n"
             "    intent = await lane.ledger.intend(task)\n"),
        Edit("run/pipeline.py", "await lane.client.delete(task.order, may_leave) if lane.may_send(permit) else _WITHHELD",
             "await sending"),
    ),
    _planted(
        "a last word that is none", "simulation", {5}, 20,
        Edit("core/policy.py", "Case.REFUSED: Verdict(State.REFUSED, signal=Signal.GUARD)",
             "Case.REFUSED: Verdict(State.IN_DOUBT, Requeue.LATER)"),
        Edit("ledger/sqlite/rules.py", "count(*) + :max * coalesce(max(a.status IN ({_REFUSALS})), 0)", "count(*)"),
    ),
    _planted(
        "doubts repeated at once", "simulation", {6}, 20,
        Edit("run/feed.py", "max(0.0, self._last_doubt_s + delay_s - now_s)", "0.0"),
    ),
    _planted(
        "a refused key goes on", "simulation", {17}, 100,
        Edit("core/policy.py", "Case.UNAUTHORIZED: Verdict(stop=Stop(StopReason.CREDENTIALS, Scope.LANE))",
             "Case.UNAUTHORIZED: Verdict(State.REFUSED)"),
    ),
    _planted(
        "a dead server stormed", "simulation", {18}, 300,
        Edit("core/pace.py", "FAILURES_IN_A_ROW = 10  #", "FAILURES_IN_A_ROW = 10**9  #"),
    ),
    _planted(
        "aiohttp's own re-send", "proxy", {23}, 1,
        Edit("api/client.py", 'raise _Failed(NoResponseReason.DISCONNECTED, "the connection was lost before a response") from None',
             "raise"),
    ),
    _planted(
        "doubt forgotten", "simulation", {2}, 10,
        Edit("ledger/sqlite/rows.py", "doubtful=bool(doubtful)", "doubtful=False"),
    ),
    _planted(
        "lost attempts forgotten", "kill", {1, 2, 4}, 5,
        Edit("ledger/sqlite/rows.py", "None, None, None, State.IN_DOUBT, message,", "None, None, None, State.PENDING, message,"),
    ),
    _planted(
        "lost attempts taken for deleted", "kill", {2}, 5,
        Edit("ledger/sqlite/rows.py", "None, None, None, State.IN_DOUBT, message,", "None, None, None, State.DELETED, message,"),
    ),
    _planted(
        "synchronous NORMAL", "power", {8}, 300,
        Edit("ledger/sqlite/opened.py",
             'connection.pragma(db, "journal_mode", "wal")\n        connection.pragma(db, "synchronous", "full", 2)',
             'connection.pragma(db, "journal_mode", "wal")\n        connection.pragma(db, "synchronous", "normal", 1)'),
    ),
    _planted(
        "a log that is not synced", "syscalls", {9}, _EVERY,
        Edit("ledger/sqlite/opened.py",
             'connection.pragma(db, "journal_mode", "wal")\n        connection.pragma(db, "synchronous", "full", 2)',
             'connection.pragma(db, "journal_mode", "wal")\n        connection.pragma(db, "synchronous", "normal", 1)'),
        only=("ftruncate ENOSPC",),
    ),
    _planted(
        "a log that cannot be folded in is passed over", "syscalls", {9}, _EVERY,
        Edit("ledger/sqlite/opened.py", "& 0xFF not in _LOCKED:", "& 0xFF < 0:"),
        only=("ftruncate EIO", "ftruncate lasting ENOSPC"),
    ),
    _planted(
        "no lock", "kill", {12}, 6,
        Edit("ledger/sqlite/locks.py", "fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)", "pass"),
        Edit("ledger/sqlite/locks.py", "fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)", "pass"),
    ),
    _planted(
        "herd after a pause", "simulation", {19}, 30,
        Edit("core/pace.py", "        in_flight_now=0,\n        cold=True,\n", "        in_flight_now=0,\n        cold=False,\n"),
    ),
    _planted(
        "full bucket after a restart", "simulation", {20}, 40,
        Edit("run/execute.py", "Throttle(bounds, learned, spent_s, on_event,", "Throttle(bounds, learned, [], on_event,"),
    ),
    _planted(
        "limiter bypassed", "simulation", {20}, 15,
        Edit("run/throttle.py", "        if limiter.has_capacity(amount):\n            await limiter.acquire(amount)\n",
             "        if amount:\n"),
    ),
    _planted(
        "key in a log line", "proxy", {29}, 1,
        Edit("api/client.py", "        url = self._urls.deletion(order)\n",
             "        url = self._urls.deletion(order)\n        __import__('logging').getLogger(__name__).debug(url)\n"),
    ),
    _planted(
        "the environment's proxy", "proxy", {27}, 1,
        Edit("api/client.py", "trust_env=False", "trust_env=True"),
    ),
    _planted(
        "csv without strict", "reader", {28}, 60,
        Edit("intake/table.py", "delimiter=self._delimiter, strict=True)", "delimiter=self._delimiter)"),
    ),
    _planted(
        "hidden rows are read", "workbooks", {28}, 300,
        Edit("intake/workbook/xlsx.py", "self._hidden = truth(attributes.get(\"hidden\")) or", "self._hidden ="),
    ),
    _planted(
        "formulas without a value at the end of a sheet", "workbooks", {3}, 400,
        Edit("intake/sheet.py", "    for line in survey.rows_after(last):", "    for line in ():"),
    ),
    _planted(
        "number formats are ignored", "workbooks", {28}, 60,
        Edit("intake/sheet.py", "if otherwise := survey.otherwise(line):", "if otherwise := {}:"),
    ),
    _planted(
        "the library's word is enough", "workbooks", {28}, 200,
        Edit("intake/sheet.py", "    if read == there:", "    if True:"),
    ),
    _planted(
        "account column ignored", "reader", {45}, 20,
        Edit("intake/column_names.py",
             "return Meaning.ACCOUNT if account & _ID and not account & _ORDER else Meaning.PERHAPS_ACCOUNT",
             "return Meaning.OTHER"),
    ),
    _planted(
        "stock in doubt ignored", "reader", {45}, 20,
        Edit("intake/column_names.py", "else Meaning.PERHAPS_STOCK\n", "else Meaning.OTHER\n"),
    ),
    _planted(
        "first of several columns without a header", "reader", {45}, 20,
        Edit("intake/header.py", "if asked is None and len(found :=", "if asked == '' and len(found :="),
        Edit("intake/row_parser.py", "elif self.columns.headless and self.columns.width > 1 and not self.columns.asked:",
             "elif self.columns.width < 0:"),
        Edit("intake/row_parser.py", "not self.columns.asked and self.counting:", "not self.columns.asked and self.orders < 0:"),
    ),
    _planted(
        "cut id accepted", "reader", {45}, 60,
        Edit("intake/end_checks.py", "cut=row is last[-1].row and unended()", "cut=False"),
    ),
    _planted(
        "a copy's rows judged among themselves", "reader", {48}, 60,
        Edit("intake/own_columns.py", "else _BEFORE.get(outcome),", "else None,"),
    ),
    _planted(
        "a copy's columns of ours read as others", "reader", {48}, 60,
        Edit("intake/own_columns.py", "if fold(name) in _FOLDED)", "if not name.isascii())"),
    ),
    _planted(
        "sum accepted", "reader", {45}, 30,
        Edit("intake/end_checks.py", "if order_id in sums:", "if order_id in ():"),
    ),
    _planted(
        "subtotal accepted", "reader", {45}, 20,
        Edit("intake/row_parser.py", "self.totals.could_be(order_id) and", "order_id < 0 and"),
    ),
    _planted(
        "half an id on top accepted", "reader", {45}, 20,
        Edit("intake/end_checks.py", "if self.below < _CUT_ABOVE:", "if self.below >= 0:"),
    ),
    _planted(
        "account above the header dropped", "reader", {45}, 20,
        Edit("intake/preamble.py", "and _names_account(text[: number.start()])", "and not text"),
    ),
    _planted(
        "leading zeros accepted", "reader", {28, 45}, 20,
        Edit("intake/cells.py", "    if zeros:\n        return NoValue(", "    if zeros and not digits:\n        return NoValue("),
    ),
    _planted(
        "pooled connections with a stray 204", "proxy", {2, 25}, 2,
        Edit("api/client.py", "force_close=True,", "force_close=False,"),
        Edit("api/wire.py", _HAS_RECEIVED, "return protocol is None"),
    ),
    _planted(
        "an early 204 credited", "proxy", {25}, 3,
        Edit("api/wire.py", _HAS_RECEIVED, "return protocol is None"),
        only=("unasked_204",),
    ),
    _planted(
        "no question before the first byte", "simulation", {37}, 60,
        Edit("api/wire.py", "if self.may_leave is not None and not self.may_leave():",
             "if self.may_leave is not None and self.may_leave() is None:"),
    ),
    _planted(
        "no question in a slow handshake", "outside", {37}, 3,
        Edit("api/wire.py", "if self.may_leave is not None and not self.may_leave():",
             "if self.may_leave is not None and self.may_leave() is None:"),
        only=("a stop in slow handshakes",),
    ),
    _planted(
        "a refusal after a doubt is final", "simulation", {39}, 40,
        Edit("core/policy.py", "Case.REFUSED_AFTER_DOUBT: Verdict(State.IN_DOUBT, signal=Signal.GUARD)",
             "Case.REFUSED_AFTER_DOUBT: Verdict(State.REFUSED, signal=Signal.GUARD)"),
    ),
    _planted(
        "absence is trusted where nothing was ever shown", "simulation", {51}, 60,
        Edit("core/doubts.py", "return Finding.GONE if shown else Finding.HIDDEN", "return Finding.GONE"),
        only=("doubts",),
    ),
    _planted(
        "a lookup before the settling delay", "simulation", {51}, 20,
        Edit("run/feed.py", "                await self._doubts.wait()\n                self._pass.page.extend(await self._judged(",
             "                self._pass.page.extend(await self._judged("),
        only=("doubts",),
    ),
    _planted(
        "one look settles a doubt", "simulation", {51}, 200,
        Edit("core/doubts.py", "return finding_of(order, sighting, shown=True) in RULED", "return sighting is None"),
        only=("doubts",),
    ),
    _planted(
        "stock to return is sent again once it was seen", "simulation", {6, 51}, 20,
        Edit("core/doubts.py", "return Finding.KEPT if resends(order.revert_stock, Doubts.VERIFY) else Finding.STOCK",
             "return Finding.KEPT"),
        only=("doubts",),
    ),
    _planted(
        "a firewall's page refuses", "simulation", {38}, 80,
        Edit("core/policy.py", "Case.STRANGE_REFUSAL: Verdict(stop=_NOT_UNDERSTOOD)",
             "Case.STRANGE_REFUSAL: Verdict(State.REFUSED, signal=Signal.GUARD)"),
    ),
    _planted(
        "no end to a row that deletes nothing", "simulation", {40}, 150,
        Edit("core/guard.py", "in_a_row >= limits.consecutive_failures", "in_a_row < 0"),
    ),
    _planted(
        "one order is the probe for ever", "simulation", {43}, 150,
        Edit("core/policy.py", "LIMITED_MAX = 3  #", "LIMITED_MAX = 10**9  #"),
    ),
    _planted(
        "deadlines win after SIGCONT", "outside", {44}, 3,
        Edit("api/wire.py", "self._handle = None if at_s is None else self._loop.call_at(at_s, self._due, 0, 0)",
             "self._scope.reschedule(at_s)"),
        only=("stopped and continued",),
    ),
    _planted(
        "an alert ends the run", "outside", {27}, 3,
        Edit("api/client.py", "raise _Failed(NoResponseReason.CONNECT, _tls_reason(error)) from None",
             "raise _Failed(NoResponseReason.CERTIFICATE, _tls_reason(error)) from None"),
        only=("alerts in handshakes",),
    ),
    _planted(
        "a key in pieces is shown", "proxy", {29}, 3,
        Edit("api/text.py", "if (mark := self._in_pieces(hidden)) is not None:", "if (mark := None) is not None:"),
        only=("echo_split",),
    ),
    _planted(
        "log written in the loop", "outside", {36}, 1,
        Edit("cli/streams.py", "if (fd := _descriptor(sys.stderr)) is not None:", "if (fd := None) is not None:"),
        only=("stderr full",),
    ),
    _planted(
        "a full queue waits", "outside", {36}, 1,
        Edit("cli/writer.py", "_WAITING_BYTES = 256 * 1024", "_WAITING_BYTES = 1024"),
        Edit("cli/writer.py", """            else:
                self._drop(data.count(b"\\n"))
""", """            else:
                self._changed.wait()
"""),
        only=("stderr full",),
    ),
    _planted(
        "the end waits for stderr", "outside", {36}, 1,
        Edit("cli/streams.py", "drain_stderr()  # on a terminal", "drain_stderr(3600.0)  # on a terminal"),
        only=("stderr full, SIGTERM",),
    ),
    _planted(
        "result before the ledger is closed", "outside", {36}, 1,
        Edit("cli/deletion.py", "            deletion.report(summary)\n", ""),
        Edit("cli/deletion.py", "                summary = signals.run(runner, ending)\n",
             "                summary = signals.run(runner, ending)\n                deletion.report(summary)\n"),
        only=("stdout full, SIGTERM after the run",),
    ),
    _planted(
        "exit code of a stream", "outside", {36}, 1,
        Edit("cli/streams.py", """        sys.stderr.write(f"stdout did not accept""", """        os._exit(1)
        sys.stderr.write(f"stdout did not accept"""),
        only=("stdout without a reader, SIGTERM",),
    ),
    _planted(
        "no signal is heard while the result is written", "outside", {36}, 1,
        Edit("cli/deletion.py", "self.signals.on_first = self.signals.on_second = lambda _: leave(code)",
             "self.signals.on_first = self.signals.on_second = lambda _: None"),
        only=("stdout full, SIGINT after the run",),
    ),
    _planted(
        "no deadline after the second signal", "outside", {36}, 1,
        Edit("cli/signals.py", "        deadline.start()\n", "        deadline.cancel()\n"),
        only=("stdout full, SIGTERM twice",),
    ),
    _planted(
        "a commit that nobody checks", "outside", {34}, 1,
        Edit("ledger/sqlite/opened.py", "        self._raise_if_changed(what or self._look(wrote=db.total_changes != changes))\n", ""),
        Edit("ledger/sqlite/opened.py", "                what = self._look()\n        except", "        except"),
        only=("ledger removed",),
    ),
    _planted(
        "a truncated ledger is taken for whole", "outside", {34}, 1,
        Edit("ledger/sqlite/watch.py", "if found.st_size < min(self._bytes, self._held_bytes):", "if found.st_size < 0:"),
        only=("ledger truncated",),
    ),
    _planted(
        "a truncated log is taken for whole", "outside", {34}, 1,
        Edit("ledger/sqlite/watch.py", "cut = path == self._wal.path and self", "cut = False and self"),
        only=("write-ahead log truncated",),
    ),
    _planted(
        "a lock of the name alone", "outside", {12}, 1,
        Edit("ledger/sqlite/locks.py", "fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)", "pass"),
        Edit("ledger/sqlite/place.py", "if found.st_nlink > 1:", "if found.st_nlink > 2:"),
        only=("ledger hard-linked",),
    ),
    _planted(
        "a trigger is taken for ours", "outside", {35}, 1,
        Edit("ledger/sqlite/check.py", "found = _schema(db, name) - _STATISTICS\n",
             "found = {row for row in _schema(db, name) - _STATISTICS if row[0] != 'trigger'}\n"),
        only=("a trigger between two runs",),
    ),
    _planted(
        "a reader that believes every row", "outside", {42}, 1,
        Edit("ledger/sqlite/moments.py", "if crc32(repr(row[: _ORDER_WIDTH - 1])", "if False and crc32(repr(row[: _ORDER_WIDTH - 1])"),
        Edit("report/walk.py", "and tally != _counted(reader)", "and False"),
        only=("a row changed between two runs",),
    ),
    _planted(
        "a lock taken for damage", "outside", {41}, 1,
        Edit("ledger/sqlite/rows.py", "if code & 0xFF != sqlite3.SQLITE_BUSY:", "if code:"),
        only=("write-locked",),
    ),
    _planted(
        "a backup that keeps nothing back", "backup", {49}, 2,
        Edit("run/backup.py", "await staging.keep_back(file.holds)", "await staging.keep_back(lambda _account, _order: True)"),
    ),
    _planted(
        "a torn line of a backup that stays", "backup", {49}, 2,
        Edit("run/backup_file.py", "self._cut_off(whole, number, line)", "pass"),
    ),
    _planted(
        "nobody looks what remains", "outside", {41}, 1,
        Edit("ledger/sqlite/ending.py", "    return (\n        f\"{path}: somebody", "    return \"\" and (\n        f\"{path}: somebody"),
        only=("reader held open",),
    ),
)  # fmt: skip
