"""A simulation of the AlephCRM API on loopback, with rate limit, orders, stock and faults, for trials and tests. It never
connects to a real server.
"""

from bulkdelete.simulator.config import HeaderMode, Latency, Simulation
from bulkdelete.simulator.faults import Fault, FaultKind, Wait
from bulkdelete.simulator.gcra import Decision, Gcra, Rounding
from bulkdelete.simulator.journal import Entry
from bulkdelete.simulator.key_quota import OtherClient
from bulkdelete.simulator.server import Simulator

__all__ = [
    "Decision",
    "Entry",
    "Fault",
    "FaultKind",
    "Gcra",
    "HeaderMode",
    "Latency",
    "OtherClient",
    "Rounding",
    "Simulation",
    "Simulator",
    "Wait",
]
