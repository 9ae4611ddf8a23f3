"""A TCP proxy between the real program and the simulator. Every connection draws a fault: on accept, before or after the server acted.

kinds.py is the table of faults and of what each may end in, proxy.py plays them and keeps what it saw, trial.py runs the program
through it in this process, child.py as a command, checks.py compares what the proxy saw with what the ledger says.
"""

from tests.rigs.proxy.campaign import campaign
from tests.rigs.proxy.kinds import KINDS

__all__ = ["KINDS", "campaign"]
