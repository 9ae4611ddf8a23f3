"""python -m tests.rigs.reader --first SEED --trials N"""

from tests.rigs.reader import campaign
from tests.rigs.report import command

command("reader", campaign, 2_000)
