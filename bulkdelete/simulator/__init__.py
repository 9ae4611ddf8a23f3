"""A simulation of the AlephCRM API on loopback, with rate limit, orders, stock and faults, for trials and tests. It never
connects to a real server.
"""

from bulkdelete.simulator.changes import Change, ChangeKind
from bulkdelete.simulator.config import HeaderMode, Latency, Simulation
from bulkdelete.simulator.faults import Fault, FaultKind, Wait
from bulkdelete.simulator.gcra import Decision, Gcra, Rounding
from bulkdelete.simulator.journal import Entry, ReadEntry
from bulkdelete.simulator.key_quota import OtherClient
from bulkdelete.simulator.order_facts import PERSONAL_MARK, AccountFacts, OrderFacts
from bulkdelete.simulator.page_faults import UNDETECTABLE, PageFault, PageFaultKind
from bulkdelete.simulator.server import Simulator

__all__ = [
    "PERSONAL_MARK",
    "UNDETECTABLE",
    "AccountFacts",
    "Change",
    "ChangeKind",
    "Decision",
    "Entry",
    "Fault",
    "FaultKind",
    "Gcra",
    "HeaderMode",
    "Latency",
    "OrderFacts",
    "OtherClient",
    "PageFault",
    "PageFaultKind",
    "ReadEntry",
    "Rounding",
    "Simulation",
    "Simulator",
    "Wait",
]
