"""Delete AlephCRM orders listed in CSV files: paced to the rate limit, recorded, resumable.

The names in `__all__` are the library's interface; every other name may change. job.py shows how to use them, and events.py lists what a
run reports. Each name is loaded when it is first used, so that `import bulkdelete` is fast.

The enumerations (`State`, `StopReason`, `NoResponseReason`) are open: a later version may add members.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from bulkdelete.version import __version__

if TYPE_CHECKING:
    from bulkdelete.api.keys import ApiKey, Credential
    from bulkdelete.core.backup import BackupResult
    from bulkdelete.core.preview import Preview
    from bulkdelete.core.progress import KeyProgress, Progress, Wait, WaitReason
    from bulkdelete.core.run_summary import Summary
    from bulkdelete.core.verification import Verification
    from bulkdelete.errors import (
        BulkDeleteError,
        InputRefused,
        KeyRefused,
        LedgerBroken,
        LedgerBusy,
        LedgerLocked,
        LedgerRefused,
        LedgerReplaced,
        LooksWrong,
        NothingSent,
        UsageError,
    )
    from bulkdelete.events import (
        AttemptEnded,
        BackupBegins,
        DoubtJudged,
        DoubtWait,
        Event,
        LedgerGrows,
        LedgerWaits,
        LookupFailed,
        LookupGrows,
        PaceChanged,
        PageRead,
        Stopped,
    )
    from bulkdelete.intake import ReadOptions, Source
    from bulkdelete.job import Job, Proposal, Readable, Session, plan, settle
    from bulkdelete.ledger import InputReport, Plan, Retry, Ruling, RulingSource
    from bulkdelete.model import (
        Counts,
        Doubts,
        Finding,
        NoResponse,
        NoResponseReason,
        Order,
        Origin,
        Quota,
        Reject,
        Requeue,
        Response,
        Result,
        Scope,
        SeenOrder,
        State,
        Stop,
        StopReason,
        Verdict,
    )
    from bulkdelete.run.stop import StopSwitch
    from bulkdelete.run.verify import verify
    from bulkdelete.settings import Settings

_HOMES = {
    "api.keys": ("ApiKey", "Credential"),
    "core.backup": ("BackupResult",),
    "core.preview": ("Preview",),
    "core.progress": ("KeyProgress", "Progress", "Wait", "WaitReason"),
    "core.run_summary": ("Summary",),
    "errors": (
        *("BulkDeleteError", "InputRefused", "LedgerBroken", "LedgerBusy", "LedgerLocked", "LedgerRefused"),
        *("LedgerReplaced", "KeyRefused", "LooksWrong", "NothingSent", "UsageError"),
    ),
    "events": (
        "AttemptEnded",
        "BackupBegins",
        "DoubtJudged",
        "DoubtWait",
        "Event",
        "LedgerGrows",
        "LedgerWaits",
        "LookupFailed",
        "LookupGrows",
        "PaceChanged",
        "PageRead",
        "Stopped",
    ),
    "intake": ("ReadOptions", "Source"),
    "core.verification": ("Verification",),
    "job": ("Job", "Proposal", "Readable", "Session", "plan", "settle"),
    "ledger": ("InputReport", "Plan", "Retry", "Ruling", "RulingSource"),
    "model": (
        *(
            "Counts",
            "Doubts",
            "Finding",
            "NoResponse",
            "NoResponseReason",
            "Order",
            "Origin",
            "Quota",
            "Reject",
            "Requeue",
        ),
        *("Response", "Result", "Scope", "SeenOrder", "State", "Stop", "StopReason", "Verdict"),
    ),
    "run.stop": ("StopSwitch",),
    "run.verify": ("verify",),
    "settings": ("Settings",),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "ApiKey",
    "AttemptEnded",
    "BackupBegins",
    "BackupResult",
    "BulkDeleteError",
    "Counts",
    "Credential",
    "DoubtJudged",
    "DoubtWait",
    "Doubts",
    "Event",
    "Finding",
    "InputRefused",
    "InputReport",
    "Job",
    "KeyProgress",
    "KeyRefused",
    "LedgerBroken",
    "LedgerBusy",
    "LedgerGrows",
    "LedgerLocked",
    "LedgerRefused",
    "LedgerReplaced",
    "LedgerWaits",
    "LooksWrong",
    "LookupFailed",
    "LookupGrows",
    "NoResponse",
    "NoResponseReason",
    "NothingSent",
    "Order",
    "Origin",
    "PaceChanged",
    "PageRead",
    "Plan",
    "Preview",
    "Progress",
    "Proposal",
    "Quota",
    "ReadOptions",
    "Readable",
    "Reject",
    "Requeue",
    "Response",
    "Result",
    "Retry",
    "Ruling",
    "RulingSource",
    "Scope",
    "SeenOrder",
    "Session",
    "Settings",
    "Source",
    "State",
    "Stop",
    "StopReason",
    "StopSwitch",
    "Stopped",
    "Summary",
    "UsageError",
    "Verdict",
    "Verification",
    "Wait",
    "WaitReason",
    "__version__",
    "plan",
    "settle",
    "verify",
]


def __getattr__(name: str) -> object:
    """PEP 562: load the module that a name lives in when it is first asked for."""
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(import_module(f"{__name__}.{_HOME_OF[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
