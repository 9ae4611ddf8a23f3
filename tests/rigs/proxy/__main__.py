"""`python -m tests.rigs.proxy --first SEED --trials N --only KIND...`."""

from tests.rigs.proxy import KINDS, campaign
from tests.rigs.report import command

command("proxy", campaign, 5, tuple(kind.name for kind in KINDS))
