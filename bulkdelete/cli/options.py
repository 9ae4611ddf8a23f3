"""The table of options: each option of each command is one row. click's options, the defaults in the help, the settings, the command
that resumes a run, and the flags in messages are all derived from it. This module opens no file.

To add an option, add a row, and a field of `Settings` if the library has the option, too.
"""

from __future__ import annotations

from collections.abc import Iterator

import click

from bulkdelete.cli.access import Access
from bulkdelete.cli.option import DEFAULTS, Option
from bulkdelete.cli.parameters import (
    CERTIFICATES,
    COUNT,
    COUNT_OR_OFF,
    EXPECTED,
    FAILURES,
    FILE,
    FLAG,
    METRICS,
    NOTE,
    NUMBER,
    OFF,
    OUTPUT,
    PERCENT,
    RATE,
    SECONDS,
    Choice,
    ProxyUrl,
    Text,
    between,
)
from bulkdelete.model import Doubts, State
from bulkdelete.report.formats import Format
from bulkdelete.settings import API_URL, Settings

__all__ = [
    "OPTIONS",
    "Option",
    "option_of",
    "parameters",
    "resume_options",
    "rows",
]


_READ = "run plan"
_TABLES = "run plan verify simulate export"
_SENDING = "run resume"
_ASKING = "run resume plan verify"  # `plan` and `verify` ask a server only with --online
_SETTINGS, _READING = "settings", "reading"
_HEADERS = ("full", "retry-after", "none")

OPTIONS: dict[str, tuple[Option, ...]] = {
    "Input": (
        Option(
            "--join", Text("FILE"), "export", field="joins", many=True,
            help="Write the rows of this input, as they stand, with the result of each order in columns at the end. `run` reads such a file"
            " again. The options below say how it is read, as for `run`. May be repeated for files with the same columns.",
        ),
        Option(
            "--account-id", between(0, name="ID"), _READ, part=_SETTINGS,
            help="The seller account of every order whose row names no account, for example 1234.",
        ),
        Option(
            "--revert-stock/--keep-stock", FLAG, _READ, part=_SETTINGS,
            help="Whether the quantities of the deleted orders return to stock. There is no default: choose one of the two,"
            " unless a column of the input says it for each order.",
        ),
        Option(
            "--column", Text("NAME|N"), _TABLES, part=_READING,
            help="The column that contains the order ids, by its name or its number, which starts at 1."
            "  [default: detected from the header]",
        ),
        Option(
            "--ignore-column", Text("NAME|N"), _TABLES, field="ignored", many=True, part=_READING,
            help="Do not read this column, although its name refers to the account, to the stock or to external numbers. May be repeated.",
        ),
        Option(
            "--sheet", Text("NAME|N"), _TABLES, part=_READING,
            help="The sheet of a workbook that contains the orders, by its name or its number, which starts at 1.",
        ),
        Option(
            "--encoding", Text("NAME"), _TABLES, part=_READING,
            help="The character encoding of a text file, for example cp1252.  [default: detected]",
        ),
        Option(
            "--delimiter", Text("CHAR"), _TABLES, part=_READING,
            help="The character between two cells of a text file; `tab` stands for a tab.  [default: detected]",
        ),
        Option(
            "--thousands", Text(".|,"), _TABLES, part=_READING,
            help="The mark that groups the digits of an order id, as in 1.234.567.  [default: ids with such a mark are rejected]",
        ),
        Option("--rejects", FILE, _READ, "Write every rejected row, with its reason, to this new CSV file."),
        Option("--overwrite", FLAG, "run", "Allow --rejects to replace a file that already exists."),
        Option("--overwrite", FLAG, "plan", "Allow --rejects and --output to replace files that already exist."),
        Option(
            "--ledger", FILE, _READ, part=_SETTINGS, in_profile=True,
            help="The ledger file, which records what happened to every order.  [default: FILE.ledger.db]",
        ),
        Option(
            "--skip-rejected", FLAG, "run plan verify", part=_SETTINGS,
            help="Leave the rejected rows out and continue with the others.",
        ),
        Option("--allow-empty", FLAG, _READ, "Accept an input that names no orders instead of refusing it.", part=_SETTINGS),
    ),
    "Key and server": (
        Option(
            "--api-key-file", Text("PATH|-"), _ASKING, in_resume=True,
            help="The file that contains the API key. Only you may be able to read it. `-` reads the key from the first line of stdin.",
        ),
        Option(
            "--profile", Text("NAME"), _ASKING, in_resume=True,
            help="The profile of the configuration file that gives keys and settings. An option of the command line counts more than it.",
        ),
        Option(
            "--config", FILE, f"{_ASKING} profile", in_resume=True,
            help="The configuration file that contains the profiles.  [default: bulkdelete/config.toml in your configuration folder,"
            " such as ~/.config]",
        ),
        Option(
            "--api-url", Text("URL"), "run resume plan verify", part=_SETTINGS, in_resume=True, in_profile=True,
            help=f"The base URL of the server. It must use https, or http on this machine.  [default: {API_URL}]",
        ),
        Option(
            "--proxy", ProxyUrl("URL"), _ASKING, part=_SETTINGS, in_resume=True, in_profile=True,
            help="The HTTP proxy through which the server is reached, for example http://proxy.example:3128. It does not see the API key,"
            " which passes it inside TLS. A password in the URL belongs into a profile: other users may see the command line."
            "  [default: none; those of the environment are ignored]",
        ),
        Option(
            "--ca-file", CERTIFICATES, _ASKING, part=_SETTINGS, in_resume=True,
            help="Trust the certificates in this PEM file instead of those of the system.",
        ),
    ),
    "Sending": (
        Option(
            "--retry", Text("refused[:STATUS]|not_found"), "resume",
            help="Also send the orders that were refused, or those that were not found, once more. `refused:412` selects"
            " the orders that were refused with status code 412.",
        ),
        Option("--slots", NUMBER, _SENDING, "The maximum number of requests in flight per API key.", part=_SETTINGS, in_resume=True),
        Option(
            "--timeout", SECONDS, _ASKING, field="answer_timeout_s", part=_SETTINGS, in_resume=True,
            help="How long to wait for the response after a request was sent.",
        ),
        Option(
            "--attempts", NUMBER, _SENDING, part=_SETTINGS, in_resume=True,
            help="The maximum number of attempts per order in one run that may leave it in doubt.",
        ),
        Option(
            "--doubts", Choice(Doubts), "run resume plan", part=_SETTINGS, in_resume=True,
            help="What to do with an order that may or may not be deleted: `hold` leaves it to a person, `verify` looks it up and sends"
            " it again only if it is still there and its stock is kept, `resend` sends it again."
            "  [default: hold where stock is returned, otherwise resend]",
        ),
        Option(
            "--patience", SECONDS, _ASKING, field="patience_s", part=_SETTINGS, in_resume=True,
            help="Stop after this long without progress. A run can be resumed.",
        ),
        Option(
            "--grace", SECONDS, _SENDING, field="grace_s", part=_SETTINGS, in_resume=True,
            help="How long to wait for the requests in flight when the run stops. Orders without a response are in doubt.",
        ),
    ),
    "Pacing": (
        Option(
            "--rate", RATE, "run resume plan verify", field="rate_max_per_s", part=_SETTINGS, in_resume=True, in_profile=True,
            help="Never send more requests than this with one key, even if the rate limit allows more, for example 60/min, 1/s or 1800/h."
            " Without it, the rate limit alone decides.",
        ),
        Option(
            "--reserve", PERCENT, _ASKING, part=_SETTINGS, in_resume=True, in_profile=True,
            help="The share of the quota to leave to other users of the key, for example 20%. If no header states the quota,"
            " it is a share of the learned rate.",
        ),
    ),
    "Stopping": (
        Option("--max-orders", NUMBER, "run resume plan", "Send nothing if more than this many orders would be sent.", part=_SETTINGS),
        Option(
            "--max-failures", FAILURES, _SENDING, part=_SETTINGS, share_field="max_failures_percent",
            help="Stop when this many orders are refused or in doubt: a number such as 50, or a share of the orders such as 5%.",
        ),
        Option(
            "--max-time", SECONDS, "run resume plan", field="max_time_s", part=_SETTINGS,
            help="Stop after this long, for example 90min or 8h. The run can be resumed; `plan` and the confirmation say how many"
            " such runs the orders need.",
        ),
        Option(
            "--guard", COUNT_OR_OFF, _SENDING, part=_SETTINGS,
            help="Stop when this many orders of an account have received a response and none of them was deleted.",
        ),
        Option(
            "--max-consecutive-failures", COUNT_OR_OFF, _SENDING, part=_SETTINGS,
            help="Stop when this many orders in a row, of one account or of the whole run, were refused or not found.",
        ),
    ),
    "Looking up": (
        Option(
            "--online", FLAG, "plan",
            help="Look up every order that would be sent: whether it is there, and what the API shows of it. This needs the API key.",
        ),
        Option("--online", FLAG, "verify", "Look up every order of the ledger, and compare. This needs the API key."),
    ),
    "Confirming": (
        Option("-y --yes", FLAG, _SENDING, "Do not ask for confirmation."),
        Option(
            "--limit", NUMBER, _READ, part=_SETTINGS,
            help="Confirm and send only the first N open orders, by account and id, for example 10 to try a file out. The same command"
            " continues with the next N, and `resume` sends no more than these.",
        ),
        Option(
            "--expect", EXPECTED, _SENDING,
            help="Do not ask for confirmation, but send nothing unless there are exactly N orders or, with `run`, unless the list of"
            " orders has the digest that `plan` printed.",
        ),
        Option("--note", NOTE, _SENDING, "What the ledger keeps about this run, such as who approved it; `status` shows it."),
        Option(
            "--as", Choice(["gone", "kept"]), "settle", field="word", required=True,
            help="What is known of these orders: `gone` makes them presumed_deleted, `kept` makes them pending, to be sent again.",
        ),
        Option("--note", NOTE, "settle", "How it is known, for whoever reads the ledger later.", required=True),
        Option(
            "--preview", Choice(["auto", OFF]), "run", default="auto",
            help="Whether to look at a few orders of each account of which this ledger has no deletion, and to send nothing if they are"
            " not those that the input means. `off` sends without a look.",
        ),
        Option(
            "--backup", FILE, "run",
            help="Look up every order first, append its JSON to this file, and send only orders that are in it. The file holds personal"
            " data; the API cannot bring an order back.",
        ),
        Option("-n --dry-run", FLAG, "run", "Show what would be sent, as `plan` does, and send nothing."),
    ),
    "Output": (
        Option("--json", FLAG, "run resume plan status verify settle", "Print the result as JSON on stdout.", field="as_json"),
        Option(
            "--log-format", Choice(["auto", "console", "json"]), _SENDING, default="auto",
            help="The format of the log on stderr. `auto` is `console` on a terminal and `json` elsewhere.",
        ),
        Option("--log-file", FILE, _SENDING, "Append the whole log to this file, as JSON lines."),
        Option(
            "--metrics-file", METRICS, _SENDING,
            help="Replace this file with metrics in the text format of Prometheus, every 15 seconds and at the end, for example"
            " /run/bulkdelete/1234.prom. It needs the extra `metrics`.",
        ),
        Option("--progress/--no-progress", FLAG, _SENDING, "Show a progress bar if stderr is a terminal.  [default: show it]"),
        Option(
            "--color", Choice(["auto", "always", "never"]), _SENDING, default="auto",
            help="Whether the log and the progress bar on stderr are colored. `auto` colors them on a terminal,"
            " unless NO_COLOR is set or TERM is dumb.",
        ),
        Option(
            "-q --quiet", COUNT, _SENDING,
            help="Show no progress bar, log only warnings, and show the proposal only to a person who is asked. `-qq` also hides the"
            " warnings in the log, and the proposal.",
        ),
        Option("-v --verbose", COUNT, _SENDING, "Log every attempt on stderr."),
        Option("--watch", FLAG, "status", "Show the status again every two seconds until you press Ctrl-C."),
        Option(
            "-f --format", Choice(Format), "export", field="form",
            help="The format of the rows; with --join it is that of the input.  [default: as the name of --output ends, otherwise csv]",
        ),
        Option(
            "--outcome", Choice([state.label for state in State]), "export", field="outcomes", many=True,
            help="Write only the orders with this outcome. May be repeated.  [default: all orders]",
        ),
        Option("-o --output", FILE, "plan", "With --online, write a row per order to this new CSV file: present or absent, what was seen."),
        Option("-o --output", OUTPUT, "export", "Write the rows to this new file.  [default: -, which is stdout]"),
        Option("-o --output", OUTPUT, "report", "Write the page to this new file.  [default: -, which is stdout, if it is no terminal]"),
        Option("--overwrite", FLAG, "export report", "Allow --output to replace a file that already exists."),
    ),
    "Options": (
        Option(
            "--orders", Text("FILE"), "simulate", many=True,
            help="The orders that exist at the start: a file, a pattern such as 'exports/*.csv', or `-` for stdin, read as `run`"
            " reads its input. May be repeated.",
        ),
        Option("--account-id", between(1, name="ID"), "simulate", "The account of every order whose row names no account.  [default: 1]"),
        Option("--others", between(0, 10**6), "simulate", "The number of further orders that exist in the same accounts.", default=100),
        Option("--limit", between(1, 10**6), "simulate", "The rate limit in requests per minute, and the size of a burst.", default=30),
        Option(
            "--read-limit", between(1, 10**6), "simulate",
            help="The rate limit of GET orders and of GET accounts, each apart from that of DELETE.  [default: as --limit]",
        ),
        Option("--headers", Choice(_HEADERS), "simulate", "Which rate limit headers the responses have.", default="full"),
        Option(
            "--latency", SECONDS, "simulate", default=0.05,
            help="The median time until a response is sent, at most 30s.",
        ),
        Option(
            "--native", between(1, name="ID"), "simulate", many=True,
            help="The id of an order of an integrated marketplace, which cannot be deleted. May be repeated.",
        ),
        Option("--all-native", FLAG, "simulate", "Every order is one of an integrated marketplace, so none can be deleted."),
        Option(
            "--native-status", between(300, 599), "simulate", default=412,
            help="The status code of the response for an order that cannot be deleted.",
        ),
        Option(
            "--fault", Text("KIND[=SHARE]"), "simulate", field="faults", many=True,
            help="Make a share of the requests fail in this way, for example drop_after=0.05. Kinds that begin with page_ affect"
            " the reading of orders, all others deletions. The share is above 0 and at most 1, which is the default. May be repeated.",
        ),
        Option(
            "--key", Text("KEY[=IDS[:LIMIT]]"), "simulate", field="keys", many=True,
            help="An API key to accept, its accounts, and its own rate limit, for example north=71,72:60. Without accounts it has all of"
            " them. May be repeated. Do not use a real key.  [default: any]",
        ),
        Option("--journal", FILE, "simulate", "Append every request to this file, as JSON lines."),
        Option("--port", between(0, 65535), "simulate", "The TCP port to listen on. 0 takes any free port.", default=8765),
        Option("--seed", NUMBER, "simulate", "The seed of the faults: the same seed makes the same faults.", default=0),
    ),
}  # fmt: skip
"""The options by purpose, in the order in which the help shows them."""


def parameters(command: str) -> list[click.Parameter]:
    """The click options of a command."""
    return [
        option.to_click(purpose)
        for purpose, options in OPTIONS.items()
        for option in options
        if command in option.commands.split()
    ]


def rows() -> Iterator[Option]:
    """Every option, whatever its purpose."""
    return (option for options in OPTIONS.values() for option in options)


def option_of(field: str) -> Option:
    """The option of `run` or `resume` that sets this field. Raises KeyError if there is none."""
    return _OF_FIELD[field]


def resume_options(settings: Settings, access: Access) -> dict[str, list[str]]:
    """The options that the command that resumes a run must repeat, by name, with absolute paths: those that differ from the profile, which
    it names, and from the defaults."""
    values: dict[str, object] = {name: getattr(settings, name) for name in DEFAULTS} | access.resumed
    usual = {**DEFAULTS, **(access.profile.settings if access.profile is not None else {})}
    return {
        option.name: option.words(value)
        for option in rows()
        if option.in_resume
        for value in [values[option.name]]
        if value is not None and value != usual.get(option.name)
    }


_OF_FIELD = {
    field: option
    for option in rows()
    if {"run", "resume"} & set(option.commands.split())
    for field in (option.name, option.share_field)
    if field
}
