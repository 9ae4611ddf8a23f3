"""What `run` and `resume` share: propose, ask, confirm, delete, report the end. Each question is asked between two calls of job.py."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

import click

from bulkdelete.cli.confirming import ask, check_terminal, show_preview
from bulkdelete.cli.descriptors import requests_that_fit
from bulkdelete.cli.display import BackupDisplay, Display
from bulkdelete.cli.files import check_inputs, check_outputs
from bulkdelete.cli.given import Output, RunOptions
from bulkdelete.cli.inputs import NOTHING, blaming_the_ledger, fetched, rejects_to
from bulkdelete.cli.key import Keys, asked_key, given_keys, sources_of
from bulkdelete.cli.log import Log
from bulkdelete.cli.metrics import MetricsFile, measured
from bulkdelete.cli.planning import paced_keys, paces_for
from bulkdelete.cli.secrecy import hidden
from bulkdelete.cli.signals import Interrupted, Signals, leave
from bulkdelete.cli.spelling import command, resuming, spelling
from bulkdelete.cli.streams import drain_stderr, dropped_lines, say, write_json, write_result
from bulkdelete.cli.terminal import draws, is_colored
from bulkdelete.core.run_summary import EXIT_OF_REASON, Summary, exit_code
from bulkdelete.errors import BulkDeleteError, NothingSent, UsageError
from bulkdelete.events import Event
from bulkdelete.intake import sources
from bulkdelete.job import Job, Proposal, Session
from bulkdelete.ledger import Plan, Retry
from bulkdelete.model import Counts, State, Stop, StopReason
from bulkdelete.report.backup import backup_text
from bulkdelete.report.messages import ServerMessage, read_messages
from bulkdelete.report.progress import log_line
from bulkdelete.report.proposal import proposal_text, question
from bulkdelete.report.summary import Ending, summary_json, summary_text
from bulkdelete.run.backup_file import check_usable
from bulkdelete.run.stop import StopSwitch
from bulkdelete.settings import Settings
from bulkdelete.words import counted, escaped

__all__ = ["delete_files", "delete_selection"]


def delete_files(options: RunOptions) -> int:
    """The command `run`. Returns its exit code."""
    settings, given = options.settings, options.input
    outputs = {
        "--rejects": given.rejects,
        "--log-file": options.output.log_file,
        "--metrics-file": options.output.metrics_file,
        "--backup": options.backup,
    }
    check_inputs(given.files, options.access)
    check_outputs(
        outputs,
        given.files,
        settings.ledger,
        overwrite=given.overwrite,
        access=options.access,
        ca_file=settings.ca_file,
    )
    if options.backup is not None:
        check_usable(options.backup)  # before a person types a key, and before anything is read from the server
    with measured(options.output.metrics_file, settings.ledger) as metrics:
        named = sources(given.files, given.reading, settings.allow_empty)
        if not named:
            return _nothing(options, metrics)
        return _run(options, metrics, lambda session: session.propose(*fetched(named)))


def _nothing(options: RunOptions, metrics: MetricsFile) -> int:
    """No file matches, and that is allowed: no file is opened, no key is needed, and the run is complete."""
    _check_expected("the input names", NOTHING, options.expect)
    if not options.output.quiet:
        say("no file matches, so there is nothing to send")
    summary = Summary(
        counts=Counts(), stops=(), unproven=(), left_alone=0, rejected=0, requests=0, limited=0, seconds=0.0
    )
    metrics.end(summary)
    _report(summary, options)
    return summary.exit_code


def _check_expected(what: str, plan: Plan, expected: int | str | None) -> None:
    """Raises NothingSent unless these are the orders that a person approved, by their number or by their digest."""
    if expected is None or expected in (plan.orders, plan.digest):
        return
    orders = counted(plan.orders, "order")
    if isinstance(expected, int):
        raise NothingSent(
            f"{what} {orders}, --expect says {expected}. Nothing was sent. If these are the right orders, give --expect {plan.orders}"
        )
    raise NothingSent(
        f"{what} {orders} ({plan.to_send:,} to send) with the digest {plan.digest}, --expect says {expected}. Nothing was sent: another"
        " order, account or stock rule makes another digest. `plan` with the options of this run shows what it would send"
    )


def delete_selection(options: RunOptions) -> int:
    """The command `resume`. Returns its exit code."""
    settings = options.settings
    if isinstance(options.expect, str):
        raise UsageError("--expect: a digest is that of an input, and `resume` reads none. Give the number of orders")
    check_outputs(
        {"--log-file": options.output.log_file, "--metrics-file": options.output.metrics_file},
        (),
        settings.ledger,
        access=options.access,
        ca_file=settings.ca_file,
    )
    retry = _retry(options.retry)
    with measured(options.output.metrics_file, settings.ledger) as metrics:
        return _run(options, metrics, lambda session: session.resume(retry))


def _run(
    options: RunOptions, metrics: MetricsFile, propose: Callable[[Session], Coroutine[None, None, Proposal]]
) -> int:
    signals, log = Signals(), _log(options.output)
    try:
        keys = given_keys(options.access)
        with asyncio.Runner() as runner:
            deletion = _Deletion(runner, signals, options, log, metrics, _fitting(options, keys))
            with blaming_the_ledger(options.settings.ledger):
                proposal = signals.run(runner, propose(deletion.session))
            try:
                armed = deletion.confirmed(proposal, keys)
                ending = armed.conclude() if isinstance(armed, Proposal) else deletion.deleted(*armed)
                summary = signals.run(runner, ending)
            except Exception as error:
                if not isinstance(error, BulkDeleteError):
                    log("warning", "run.crashed", **_place(error))
                error.add_note(f"The ledger records what was sent: {command('status', options.settings.ledger)}")
                raise
            finally:
                deletion.close()
            metrics.end(summary)
            deletion.report(summary)
            if not isinstance(armed, Proposal):
                # A name look-up that hangs in a thread must not delay the exit.
                _leave_at_once(log, summary.exit_code)
            return summary.exit_code
    except (KeyboardInterrupt, click.Abort):
        raise Interrupted(signals.code or EXIT_OF_REASON[StopReason.INTERRUPTED]) from None
    finally:
        log.drain()


def _fitting(options: RunOptions, keys: Keys | None) -> Settings:
    """The settings, with no more requests in flight than the descriptors of this process allow."""
    settings = options.settings
    wanted = min(settings.slots * (len(keys) if isinstance(keys, tuple) else 1), settings.slots_in_all)
    fit, descriptors = requests_that_fit(wanted)
    if fit == wanted:
        return settings
    say(
        f"warning: this process may open only {counted(descriptors, 'file')}, so at most {counted(fit, 'request')} will be in flight at"
        " once. `ulimit -n` shows and raises that limit"
    )
    return replace(settings, slots_in_all=fit)


@dataclass
class _Deletion:
    """One run from its proposal to its end. Each step sets what a signal does. `settings`: those of its session."""

    runner: asyncio.Runner
    signals: Signals
    options: RunOptions
    log: Log
    metrics: MetricsFile
    settings: Settings
    exits: AsyncExitStack = field(init=False, default_factory=AsyncExitStack)  # closed by `close`: the session
    session: Session = field(init=False)
    display: Display | None = field(init=False, default=None)
    backup: BackupDisplay | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        session = Session(self.settings, self._on_event)
        self.session = self.signals.run(self.runner, self.exits.enter_async_context(session))

    def confirmed(self, proposal: Proposal, keys: Keys | None) -> tuple[Job, Keys] | Proposal:
        """The job that a person or an option confirmed, and its keys; the proposal if there is nothing to send. Raises NothingSent."""
        facts, options, given = proposal.plan, self.options, self.options.input
        for warning in proposal.warnings:
            say(f"warning: {warning}")
        with rejects_to(given.rejects, given.overwrite) as on_reject:
            if on_reject is not None:
                self.signals.run(self.runner, proposal.each_reject(on_reject))
        if self._explains or facts.rejected:
            say(proposal_text(facts, options.settings))
        proposal.check()
        _check_expected("the input names" if facts.inputs else "the ledger's selection has", facts, options.expect)
        if not (facts.to_send or facts.to_look_up):
            return proposal
        if keys is not None:
            self.signals.run(self.runner, proposal.check_keys(keys))
        asks = self._asks and bool(facts.to_send)
        if asks:
            check_terminal()
        if options.backup is not None or (options.previews and facts.to_send):
            keys = asked_key() if keys is None else keys
            proposal = self._looked_at(proposal, keys)
            if not ((facts := proposal.plan).to_send or facts.to_look_up):
                return proposal
        if asks and facts.to_send:
            paces = paces_for(options.settings, paced_keys(keys, options.settings.host))
            ask(question(facts, options.settings, paces), facts.to_send)
        keys = asked_key() if keys is None else keys
        self.session.note = hidden(self.options.note or "")  # by now the keys are known
        return self.signals.run(self.runner, proposal.confirm(expect=facts.orders)), keys

    def _looked_at(self, proposal: Proposal, keys: Keys) -> Proposal:
        """The proposal after a look at the orders, as far as options ask for it. Raises LooksWrong, KeyRefused and what a backup raises."""
        options, quiet = self.options, not self._explains
        if options.previews and proposal.plan.to_send:
            show_preview(self.signals.run(self.runner, proposal.preview(keys)), self.log, quiet)
        if options.backup is not None:
            self.backup = backup = BackupDisplay(
                self.log, options.backup, self._bar, options.output.quiet, is_colored(options.output.color)
            )
            try:
                proposal, result = self.signals.run(self.runner, proposal.back_up(options.backup, keys))
            finally:
                self.backup = None
                backup.stop()
            if not quiet or result.lacking:
                say(backup_text(result))
        return proposal

    @property
    def _asks(self) -> bool:
        """Whether a person confirms, and no option."""
        return not self.options.yes and self.options.expect is None

    @property
    def _explains(self) -> bool:
        """Whether it is shown what would be sent: with -q only to a person who is asked."""
        return self.options.output.quiet < (2 if self._asks else 1)

    @property
    def _bar(self) -> bool:
        """Whether progress is shown as a bar."""
        return draws() and self.options.output.quiet == 0 and self.options.output.progress is not False

    async def deleted(self, armed: Job, keys: Keys) -> Summary:
        """Delete the orders and return how the run ended. A first signal stops it in order, a second one ends the process."""
        settings, log = self.options.settings, self.log
        loop, switch = asyncio.get_running_loop(), armed.switch
        self.display = display = Display(log, armed, self._bar, is_colored(self.options.output.color), settings.grace_s)
        self.signals.on_first = lambda stop: _call_soon(loop, switch.drain, stop)
        self.signals.on_second = lambda stop: _call_soon(loop, switch.now, stop)
        self.signals.on_deadline = lambda: self._cut_short(switch)
        log(
            "info",
            "run.started",
            ledger=escaped(str(settings.ledger)),
            host=settings.host,
            orders=armed.plan.to_send,
            key_from=sources_of(keys),
        )
        display.start()
        try:
            with self.metrics.repeated(armed.counts):
                summary = await armed.delete(keys)
        finally:
            display.stop()
        log(
            "info",
            "run.ended",
            exit_code=summary.exit_code,
            requests=summary.requests,
            answered_429=summary.limited,
            lines_not_shown=dropped_lines(),
        )
        return summary

    def _cut_short(self, switch: StopSwitch) -> None:
        """After a second signal something hangs, such as the ledger's disk: end the process without a summary. The ledger's open
        intents are the record."""
        command = resuming(self.options.settings, self.options.access)
        say(f"stopped at once, while the ledger was still busy. Continue with: {command}")
        drain_stderr(_STDERR_DRAIN_S)
        # The event loop may have hung before it received the signal.
        leave(exit_code(Counts(), switch.stops, ()) if switch.stops else self.signals.code or 0)

    def _on_event(self, event: Event) -> None:
        self.metrics.on_event(event)
        if self.display is not None:
            self.display.on_event(event)
        elif self.backup is not None:
            self.backup.on_event(event)
        else:  # of a preview
            line = log_line(event)
            self.log("debug", line.event, **line.fields)

    def close(self) -> None:
        """Close the ledger before the result is written, since the reader of the result may be slow."""
        twice = self.signals.twice
        self.signals.on_first = self.signals.start_deadline
        with suppress(TimeoutError):  # asked to leave at once: the lock ends with the process
            self.runner.run(_closed(self.exits, self.options.settings.flush_s / 2 if twice else None))
            if self.session.remaining_files:
                self.log("warning", "ledger.remains", detail=self.session.remaining_files)

    def report(self, summary: Summary) -> None:
        """Write the result. All work is done, so that any signal may end the process now."""
        code = summary.exit_code
        self.signals.on_first = self.signals.on_second = lambda _: leave(code)
        self.signals.on_deadline = lambda: leave(code)
        _report(summary, self.options)


def _report(summary: Summary, options: RunOptions) -> None:
    settings = options.settings
    if summary.saved is not None:
        settings = replace(settings, ledger=Path(summary.saved))
    messages: tuple[ServerMessage, ...] = ()
    if summary.explained_by_server:
        with suppress(BulkDeleteError):  # another run may have begun and may hold the ledger
            messages = read_messages(settings.ledger)
    ending = Ending(summary, settings, spelling(settings, options.access), messages, dropped_lines())
    if options.output.as_json:
        write_json(summary_json(ending))
    else:
        write_result(summary_text(ending))


def _place(error: BaseException) -> dict[str, object]:
    """Where a crash happened, frame by frame, without the error's message and without local variables: they may contain the key."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    frames = traceback.extract_tb(error.__traceback__)
    return {
        "error": type(error).__name__,
        "trace": [f"{Path(frame.filename).name}:{frame.lineno} {frame.name}" for frame in frames],
    }


def _call_soon(loop: asyncio.AbstractEventLoop, handler: Callable[[Stop], None], stop: Stop) -> None:
    with suppress(RuntimeError):  # the loop is closed: the run is over
        loop.call_soon_threadsafe(handler, stop)


async def _closed(exits: AsyncExitStack, longest_s: float | None) -> None:
    async with asyncio.timeout(longest_s):
        await exits.aclose()


def _leave_at_once(log: Log, code: int) -> None:
    log.drain()
    drain_stderr()
    leave(code)


_STDERR_DRAIN_S = 0.05


def _log(output: Output) -> Log:
    return Log(output.log_format, output.color, output.verbose - output.quiet, output.log_file)


def _retry(text: str | None) -> Retry | None:
    if text is None:
        return None
    if text == "not_found":
        return Retry(state=State.NOT_FOUND)
    what, colon, status = text.partition(":")
    if what != "refused" or (colon and not (status.isascii() and status.isdigit() and len(status) == 3)):
        raise UsageError(f"--retry {text}: write refused, refused:412 for one status code, or not_found")
    return Retry(int(status) if status else None)
