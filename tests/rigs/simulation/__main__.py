"""python -m tests.rigs.simulation --first SEED --trials N"""

from tests.rigs.report import command
from tests.rigs.simulation import campaign

command("simulation", campaign, trials=100)
