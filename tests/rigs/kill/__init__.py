"""Rig K: the real command is killed with SIGKILL at chosen and at random moments, started again until it comes to its end, and
its ledger compared with the server's journal after every kill.

The server is the simulator, in a thread of the rig's process, so its journal outlives every kill.
"""

from tests.rigs.kill.moments import Moment
from tests.rigs.kill.story import campaign, seed_of

__all__ = ["Moment", "campaign", "seed_of"]
