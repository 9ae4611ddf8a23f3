"""How a run ended, shown: the next steps as data, and text and JSON that say the same."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Mapping
from pathlib import Path

import pytest

from bulkdelete.core.doubts import DoubtReport
from bulkdelete.core.run_summary import Summary
from bulkdelete.model import Counts, Doubts, Finding, State, Stop, StopReason
from bulkdelete.report.messages import ServerMessage
from bulkdelete.report.summary import ADVICE, Action, Ending, NextStep, Spelling, next_steps, summary_json, summary_text
from bulkdelete.settings import Settings

PLAIN = Spelling(setting=lambda name: f"<{name}>", command=lambda changes: f"continue {dict(changes)}")
VERIFY, RESEND = (
    NextStep(Action.VERIFY, {"doubts": "verify"}),
    NextStep(Action.RESEND, {"doubts": "resend"}),
)
REFUSED = Stop(StopReason.CREDENTIALS, detail="HTTP 403: no")
FAILURES, GUARD, MAX_TIME = (
    Stop(why) for why in (StopReason.FAILURES, StopReason.NOTHING_DELETED, StopReason.MAX_TIME)
)


def ended(states: Mapping[State, int], *stops: Stop, unproven: tuple[int, ...] = ()) -> Summary:
    return Summary(Counts({7: dict(states)}), stops, unproven, 0, 0, 9, 1, 61.0)


def shown(summary: Summary, *messages: ServerMessage) -> Ending:
    return Ending(summary, Settings(Path("l.db")), PLAIN, messages)


def test_every_stop_has_advice_and_names_settings_that_exist() -> None:
    """No stop leaves a person without what to do next."""
    assert set(ADVICE) == set(StopReason)
    assert all(text.strip() and text[-1] in ".?" for text in ADVICE.values())
    named = {name for text in ADVICE.values() for name in re.findall(r"\{(.*?)\}", text)}
    assert named
    assert named <= {field.name for field in dataclasses.fields(Settings)}


@pytest.mark.parametrize(
    ("states", "stops", "doubts", "steps"),
    [
        ({State.DELETED: 5}, (), None, ()),
        ({State.PENDING: 5}, (), None, (NextStep(Action.CONTINUE),)),
        ({State.IN_DOUBT: 5}, (), None, (VERIFY, RESEND)),
        ({State.IN_DOUBT: 5}, (), Doubts.HOLD, (VERIFY, RESEND)),
        ({State.IN_DOUBT: 5}, (), Doubts.VERIFY, (RESEND,)),
        ({State.IN_DOUBT: 5, State.PENDING: 1}, (), Doubts.VERIFY, (NextStep(Action.CONTINUE), RESEND)),
        ({State.IN_DOUBT: 5}, (MAX_TIME,), Doubts.VERIFY, (NextStep(Action.CONTINUE),)),
        (
            {State.IN_DOUBT: 5, State.FAILED: 1},
            (),
            None,
            (NextStep(Action.CONTINUE), VERIFY, RESEND),
        ),
        ({State.IN_DOUBT: 5}, (MAX_TIME,), None, (NextStep(Action.CONTINUE),)),
        ({State.IN_DOUBT: 5}, (MAX_TIME,), Doubts.HOLD, (VERIFY, RESEND)),
        ({State.REFUSED: 5}, (), None, (NextStep(Action.RETRY, {"retry": "refused"}),)),
        ({State.REFUSED: 5}, (FAILURES,), None, (NextStep(Action.RETRY, {"retry": "refused"}),)),
        ({State.NOT_FOUND: 25}, (), None, (NextStep(Action.RETRY, {"retry": "not_found"}),)),
        ({State.REFUSED: 5, State.PENDING: 1}, (GUARD,), None, (NextStep(Action.OVERRIDE, {"guard": "off"}),)),
        ({State.REFUSED: 5}, (GUARD,), None, (NextStep(Action.OVERRIDE, {"retry": "refused", "guard": "off"}),)),
        ({}, (Stop(StopReason.LEDGER),), None, (NextStep(Action.CONTINUE),)),
    ],
)
def test_invariant_46_the_next_steps(
    states: dict[State, int], stops: tuple[Stop, ...], doubts: Doubts | None, steps: tuple[NextStep, ...]
) -> None:
    """What is left is continued, what is in doubt is looked up or sent again only where a person says so, and a stop is lifted by its own
    setting."""
    assert next_steps(ended(states, *stops), doubts) == steps


@pytest.mark.parametrize("doubts", [None, Doubts.HOLD, Doubts.VERIFY])
def test_a_look_is_suggested_where_it_may_tell_more(doubts: Doubts | None) -> None:
    """Not where the key may not read orders: that command would end with the same message. After an outage it may not."""
    refused, outage = (
        dataclasses.replace(ended({State.IN_DOUBT: 5}), looked_up=DoubtReport({}, stop))
        for stop in (REFUSED, Stop(StopReason.OUTAGE, detail="no progress"))
    )
    assert next_steps(refused, doubts) == (RESEND,)
    assert next_steps(outage, doubts) == (VERIFY, RESEND)


def test_a_look_is_suggested_where_none_was_had() -> None:
    """A backup keeps back an order in doubt that is absent: `--doubts verify` has not looked it up yet."""
    kept_back = dataclasses.replace(ended({State.IN_DOUBT: 5}), kept_back=5)
    seen = dataclasses.replace(kept_back, looked_up=DoubtReport({Finding.STOCK: 5}))
    assert next_steps(kept_back, Doubts.VERIFY) == (VERIFY, RESEND)
    assert next_steps(seen, Doubts.VERIFY) == (RESEND,)


def test_why_doubts_stay() -> None:
    """By what was found, in text and JSON, with what to do about it."""
    found = {Finding.STOCK: 1, Finding.HIDDEN: 2, Finding.UNREAD: 1_000, Finding.GONE: 7}
    summary = dataclasses.replace(ended({State.IN_DOUBT: 1_003}), looked_up=DoubtReport(found, REFUSED))
    ending = dataclasses.replace(shown(summary), settings=Settings(Path("l.db"), doubts=Doubts.VERIFY))
    assert summary_text(ending).split("\n")[3:] == [
        "1 order in doubt is still there, but the stock may have been returned: `status` shows the stock movements.",
        "2 orders in doubt are absent, but no order of the account was shown at all: archived orders may be hidden.",
        "1,000 orders in doubt were not decided by what the API showed.",
        "Orders could not be looked up: HTTP 403: no. This API key may not read orders, or not those of this account.",
        "1,003 orders may or may not be deleted. To send them again, which may return their stock a second time where it is returned: "
        "continue {'doubts': 'resend'}",
        "Or look at them in AlephCRM: `settle` records what a person saw.",
    ]
    told = json.loads(json.dumps(summary_json(ending)))
    assert told["looked_up"] == {"gone": 7, "kept": 0, "stock": 1, "hidden": 2, "unread": 1_000}
    assert told["lookup_failure"] == "HTTP 403: no"
    assert (told["verify"], told["resend"]) == (None, "continue {'doubts': 'resend'}")


def test_what_to_do_about_doubts() -> None:
    """A look comes first, since it repeats nothing."""
    text = summary_text(shown(ended({State.IN_DOUBT: 2}))).split("\n")
    assert text[3:] == [
        "2 orders may or may not be deleted. To look them up: continue {'doubts': 'verify'}",
        "To send them again without a look, which may return their stock a second time where it is returned: "
        "continue {'doubts': 'resend'}",
    ]
    kept = dataclasses.replace(shown(ended({State.IN_DOUBT: 2})), settings=Settings(Path("l.db"), revert_stock=False))
    assert summary_text(kept).endswith("To send them again without a look: continue {'doubts': 'resend'}")


def test_text_and_json_say_the_same() -> None:
    """Counts, stops, messages and the command: in both; settings as whoever shows them spells them."""
    summary = ended({State.PENDING: 1_200, State.REFUSED: 5}, Stop(StopReason.FAILURES, detail="5 orders"))
    ending = shown(summary, ServerMessage(7, 412, "is invoiced", 5))
    text, told = summary_text(ending), json.loads(json.dumps(summary_json(ending)))
    assert text == (
        "1,205 orders selected:\n  1,200 pending\n      5 refused\n9 requests in 1 min 1 s, 1 of them with status code 429; ledger l.db\n"
        "Stopped: 5 orders. The limit of <max_failures> is reached. Look at what failed before you continue.\n"
        "The server's messages:\n  account 7, 5 orders: HTTP 412: is invoiced\nContinue with: continue {}\n"
        "5 orders would stay refused: with <retry> refused added, that command sends them, too."
    )
    assert (told["outcomes"]["pending"], told["outcomes"]["refused"], told["exit_code"]) == (1200, 5, 5)
    assert told["accounts"] == [{"account_id": 7, "outcomes": told["outcomes"]}]
    advice = ADVICE[StopReason.FAILURES].replace("{max_failures}", "<max_failures>")
    assert told["stops"] == [{"why": "failures", "detail": "5 orders", "next": advice}]
    assert told["messages"] == [{"account_id": 7, "status": 412, "message": "is invoiced", "orders": 5}]
    assert (told["go_on"], told["resend"], told["all_the_same"]) == ("continue {}", None, None)


def test_an_end_prints_no_control_characters() -> None:
    """A path, a detail or a message may hold anything; a line end in them is no line end."""
    bad = "\x1b]0;x\x07\n\u202e"
    ending = Ending(
        ended({}, Stop(StopReason.LEDGER, detail=bad)),
        Settings(Path(f"l{bad}.db")),
        PLAIN,
        (ServerMessage(7, 412, bad, 1),),
    )
    lines = summary_text(ending).split("\n")
    assert all(line.isprintable() for line in lines)
    assert len(lines) == 6


def test_several_accounts_are_a_table() -> None:
    """A row by outcome, a column by account; what the columns do not show is in the last one. For programs each account is there."""
    few = Counts({71: {State.DELETED: 1_203, State.REFUSED: 10}, 72: {State.DELETED: 5}})
    summary = Summary(few, (), (), 0, 0, 9, 1, 61.0)
    assert summary_text(shown(summary)).split("\n")[:4] == [
        "1,218 orders selected:",
        "           total  account 71  account 72",
        "  deleted  1,208       1,203           5",
        "  refused     10          10           0",
    ]
    told = summary_json(shown(summary))["accounts"]
    assert [each["account_id"] for each in told] == [71, 72]
    assert [(each["outcomes"]["deleted"], each["outcomes"]["refused"]) for each in told] == [(1_203, 10), (5, 0)]
    many = Summary(Counts({n: {State.DELETED: n} for n in range(1, 9)}), (), (), 0, 0, 9, 1, 61.0)
    assert summary_text(shown(many)).split("\n")[1:3] == [
        "           total  account 1  account 2  account 3  account 4  4 others",
        "  deleted     36          1          2          3          4        26",
    ]
