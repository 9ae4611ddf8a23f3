"""python -m tests.rigs.simulation --first SEED --trials N [--only doubts]"""

from tests.rigs.report import command
from tests.rigs.simulation import STORIES, campaign

command("simulation", campaign, trials=100, kinds=tuple(STORIES))
