"""`python -m tests.rigs.proxy --first SEED --trials N`."""

from tests.rigs.proxy import campaign
from tests.rigs.report import command

command("proxy", campaign, 5)
