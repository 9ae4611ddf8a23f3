"""`python -m tests.rigs.outside --first SEED --trials N --only EVENT...`."""

from tests.rigs.outside.events import EVENTS
from tests.rigs.outside.story import campaign
from tests.rigs.report import command

command("outside", campaign, trials=len(EVENTS), kinds=tuple(EVENTS))
