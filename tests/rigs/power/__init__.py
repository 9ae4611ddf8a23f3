"""Power cuts: what a traced run wrote is replayed up to some moment, without what no sync had made durable.

The disk's model (disk.py) is harsher than most disks: of the writes since a file's last completed sync any may be missing, whole
or by sectors of 512 bytes; of the changes of a folder since its last completed sync, too, any may be missing, and a file's own
sync keeps no name. Every image is opened by the real ledger and compared with what had left for the server by then.
"""

from tests.rigs.power.campaign import KINDS, campaign

__all__ = ["KINDS", "campaign"]
