"""`python -m tests.rigs.power --first SEED --trials N`. The runs are traced anew: a seed's cut is at the same share of them."""

from tests.rigs.power import campaign
from tests.rigs.report import command

command("power", campaign, 300)
