"""A fault at each system call that writes: the command dies there, or the disk says no there, once or from there on.

One run is traced to learn its writes; then it is done again for each of them, with strace striking just there. Every trial goes
on with a run that nothing disturbs. Reads are not struck, nor are the -shm file's changes, which go through memory.

After a failed write to the ledger or its journals nothing may be sent, and the run may not claim an end. Three things may go on:
SQLite passes over a failed sync of the folder, and over a log that cannot be cut behind the frames that it has just synced; and when
all is durable what only tidies up may fail.
"""

from tests.rigs.syscalls.campaign import KINDS, campaign, traced

__all__ = ["KINDS", "campaign", "traced"]
