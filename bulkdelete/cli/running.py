"""`run` and `resume`: propose, ask, confirm, delete, say how it ended. Every question stands between two calls of job.py."""

from __future__ import annotations

import asyncio
import json
import os
import shlex
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import click

from bulkdelete import job
from bulkdelete.api.keys import ApiKey, has_source, read_key, seal_process
from bulkdelete.cli import show
from bulkdelete.cli.display import Display
from bulkdelete.cli.files import check_outputs
from bulkdelete.cli.inputs import blaming_the_ledger, fetched, ledger_of, rejects_to, sources_of
from bulkdelete.cli.log import Log
from bulkdelete.cli.streams import echo
from bulkdelete.core.summary import Summary, exit_code
from bulkdelete.errors import NothingSent, UsageError
from bulkdelete.intake.cells import escaped
from bulkdelete.ledger import Retry
from bulkdelete.model import Counts, Doubts, Scope, State, Stop, Why
from bulkdelete.pipeline import Halter
from bulkdelete.settings import API_URL, Settings

__all__ = ["run_files", "run_ledger"]


def run_files(files: tuple[str, ...], options: dict[str, Any]) -> int:
    """The command `run`. Returns its exit code."""
    if "-" in files and options["api_key_file"] == "-":
        raise UsageError("stdin cannot be both the input and the API key: put the key into a file, or the input")
    settings = _settings(ledger_of(files, options["ledger"], options["allow_empty"]), options)
    outputs = {"--rejects": options["rejects"], "--log-file": options["log_file"]}
    check_outputs(outputs, files, settings.ledger, options)
    named = sources_of(files, options)
    if not named:
        return _nothing(settings, options)
    return _run(settings, options, lambda: job.propose(fetched(named), settings))


def _nothing(settings: Settings, options: dict[str, Any]) -> int:
    """No file matches, and that is allowed: nothing is opened, no key is needed, and all is done."""
    _check_expected(0, options)
    if options["quiet"] < 2:
        _talk("no file matches, so there is nothing to send")
    summary = Summary(
        counts=Counts(), stops=(), unproven=(), left_alone=0, rejected=0, requests=0, limited=0, seconds=0.0
    )
    _tell(summary, settings, options)
    return summary.exit_code


def _check_expected(orders: int, options: dict[str, Any]) -> None:
    if options["expect"] is not None and options["expect"] != orders:
        raise NothingSent(f"the input names {orders} orders, --expect says {options['expect']}. Nothing was sent")


def run_ledger(ledger: Path, options: dict[str, Any]) -> int:
    """The command `resume`. Returns its exit code."""
    settings = _settings(ledger, options)
    check_outputs({"--log-file": options["log_file"]}, (), ledger, options)
    retry = _retry(options["retry"])
    return _run(settings, options, lambda: job.reopen(settings, retry))


def _run(settings: Settings, options: dict[str, Any], propose: Callable[[], Any]) -> int:
    log = Log(options["log_format"], options["color"], options["verbose"] - options["quiet"], options["log_file"])
    asks = sys.stdin.isatty() and sys.stderr.isatty()
    unasked = options["yes"] or options["expect"] is not None
    key = _key(options["api_key_file"], asks)
    halter: Halter | None = None
    with asyncio.Runner() as runner:
        with blaming_the_ledger(settings.ledger):
            proposal: job.Proposal = runner.run(propose())
        try:
            facts = proposal.facts
            with rejects_to(options.get("rejects"), options.get("overwrite", False)) as tell:
                if tell is not None:
                    runner.run(job.each_reject(proposal, tell))
            if options["quiet"] < 2 or facts.rejected:
                _talk(show.proposal_text(facts, settings))
            job.check(proposal)
            _check_expected(facts.orders, options)
            if facts.to_send and not unasked:
                _ask(show.question(facts, settings), facts.to_send, asks)
            if facts.to_send and key is None:
                key = read_key(None, {}, str, _prompt)
            if facts.to_send and key is not None:
                armed = runner.run(job.confirm(proposal))
                halter = runner.run(_halter())
                summary = runner.run(_delete(armed, key, halter, log, options))
            else:
                summary = runner.run(job.conclude(proposal))
            _tell(summary, settings, options)
            if halter is not None and halter.leaving.is_set() and halter.stops[0].why in _SIGNALLED:
                _leave_at_once(summary.exit_code)
        except Exception as error:
            error.add_note(f"What was sent stands in the ledger: bulkdelete status {shlex.quote(str(settings.ledger))}")
            raise
        finally:
            runner.run(job.close(proposal))
        if halter is not None:
            _leave_at_once(summary.exit_code)  # a name look-up that hangs in a thread must not hold up the exit
        return summary.exit_code


async def _halter() -> Halter:
    return Halter()


async def _delete(armed: job.Job, key: ApiKey, halter: Halter, log: Log, options: dict[str, Any]) -> Summary:
    settings, to_send = armed.settings, armed.facts.to_send
    bar = sys.stderr.isatty() if options["progress"] is None else bool(options["progress"])
    display = Display(log, to_send, bar and options["quiet"] == 0 and sys.stderr.isatty())
    halter.on_event = display.on_event
    _hear_signals(halter, lambda: _cut_short(halter, display, settings, options), 2 * settings.flush_s)
    log(
        "info",
        "run.started",
        ledger=escaped(str(settings.ledger)),
        host=settings.host,
        orders=to_send,
        key_from=key.source,
    )
    display.start()
    try:
        summary = await job.delete(armed, key, halter, display.on_event)
    finally:
        display.stop()
    log("info", "run.ended", exit_code=summary.exit_code, requests=summary.requests, answered_429=summary.limited)
    return summary


def _hear_signals(halter: Halter, cut_short: Callable[[], None], longest_s: float) -> None:
    """The first signal drains, the second leaves at once, or is `cut_short` after `longest_s`. SIGHUP is as SIGTERM, unless nohup had it
    ignored."""
    loop = asyncio.get_running_loop()
    whys = {signal.SIGINT: Why.INTERRUPTED, signal.SIGTERM: Why.TERMINATED, signal.SIGHUP: Why.TERMINATED}

    first_s: float | None = None

    def hear(number: signal.Signals) -> None:
        nonlocal first_s
        stop = Stop(whys[number], Scope.RUN, number.name)
        if first_s is None:  # whatever else is stopping the run already
            first_s = loop.time()
            halter.drain(stop)
        elif loop.time() - first_s >= _DOUBLE_S:
            halter.now(stop)
            loop.call_later(longest_s, cut_short)

    for number in whys:
        if signal.getsignal(number) is not signal.SIG_IGN:
            loop.add_signal_handler(number, hear, number)


def _cut_short(halter: Halter, display: Display, settings: Settings, options: dict[str, Any]) -> None:
    """A second signal, and the ledger's disk does not answer: leave without the numbers. What is open in the ledger tells the truth."""
    display.stop()
    _talk(f"left at once, while the ledger was still busy. Go on with: {show.go_on(settings, options)}")
    _leave_at_once(exit_code(Counts(), halter.stops, ()))


def _leave_at_once(code: int) -> None:
    """A second signal: wait for no thread. The ledger's lock dies with the process, and its journal is whole."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)


def _tell(summary: Summary, settings: Settings, options: dict[str, Any]) -> None:
    command = show.go_on(settings, options)
    text = (
        json.dumps(show.summary_json(summary, settings, command), ensure_ascii=False)
        if options["as_json"]
        else show.summary_text(summary, settings, command, show.go_on(settings, options | {"doubts": "resend"}))
    )
    with suppress(OSError):  # a closed stdout changes nothing that was done
        echo(text)


def _talk(text: str) -> None:
    with suppress(OSError):  # nobody may be listening any more
        echo(text, err=True)


def _ask(question: str, number: int, asks: bool) -> None:
    if not asks:
        raise NothingSent(
            "nobody can be asked here: say --yes, or --expect N with the number of orders. Nothing was sent"
        )
    echo(question, err=True)
    echo("> ", err=True, nl=False)
    try:
        typed = sys.stdin.readline().strip().replace(",", "")
    except KeyboardInterrupt:
        _talk("\nnothing was sent")
        raise
    if typed != str(number):
        raise NothingSent("not confirmed, so nothing was sent")


def _key(file: str | None, asks: bool) -> ApiKey | None:
    """The key, from the first source that is there; None: it will be asked for, once there is something to send."""
    seal_process()
    if asks and file is None and not has_source(os.environ):
        return None
    return read_key(file, os.environ, sys.stdin.readline, None)


_DOUBLE_S = 0.5  # `timeout` and others signal the process and then its group: that is one signal
_SIGNALLED = (Why.INTERRUPTED, Why.TERMINATED)


def _prompt() -> str:
    return str(click.prompt("API key", hide_input=True, err=True))


def _settings(ledger: Path, options: dict[str, Any]) -> Settings:
    """The settings that were given; what was not keeps its default."""
    given: dict[str, Any] = {
        "api_url": API_URL if options["api_url"] is None else options["api_url"],
        "ca_file": options["ca_file"],
        "account_id": options.get("account_id"),
        "revert_stock": options.get("revert_stock"),
        "allow_empty": options.get("allow_empty", False),
        "skip_rejected": options.get("skip_rejected", False),
        "slots": options["slots"],
        "answer_timeout_s": options["timeout"],
        "attempts": options["attempts"],
        "doubts": Doubts(options["doubts"]) if options["doubts"] else None,
        "patience_s": options["patience"],
        "grace_s": options["grace"],
        "rate_max_per_s": None if options["rate"] is None else options["rate"] / 60,
        "reserve": None if options["reserve"] is None else options["reserve"] / 100,
        "max_orders": options["max_orders"],
        "max_time_s": options["max_time"],
    }
    given = {name: value for name, value in given.items() if value is not None}
    for name in ("guard", "max_consecutive_failures"):
        if options[name] is not None:
            given[name] = None if options[name] == "off" else options[name]
    if options["max_failures"] is not None:
        kind, n = options["max_failures"]
        given |= {"max_failures_percent": n} if kind == "percent" else {"max_failures": int(n)}
    return Settings(ledger=ledger, **given)


def _retry(text: str | None) -> Retry | None:
    if text is None:
        return None
    if text == "not_found":
        return Retry(state=State.NOT_FOUND)
    what, colon, status = text.partition(":")
    if what != "refused" or (colon and not (status.isascii() and status.isdigit() and len(status) == 3)):
        raise UsageError(f"--retry {text}: write refused, refused:412 for one status code, or not_found")
    return Retry(int(status) if status else None)
