"""An event loop with virtual time and TCP in memory: a day passes at once, a seed repeats the same run."""

from tests.support.virtual.loop import CallbackError, Deadlock, Killed, VirtualLoop, current_loop, run
from tests.support.virtual.net import Listener, VirtualTransport
from tests.support.virtual.process import Process

__all__ = [
    "CallbackError",
    "Deadlock",
    "Killed",
    "Listener",
    "Process",
    "VirtualLoop",
    "VirtualTransport",
    "current_loop",
    "run",
]
