"""`python -m tests.rigs.kill --first SEED --trials N`."""

from tests.rigs.kill.story import campaign
from tests.rigs.report import command

command("kill", campaign, trials=7)
