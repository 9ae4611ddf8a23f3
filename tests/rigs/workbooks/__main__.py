"""python -m tests.rigs.workbooks --first SEED --trials N"""

from tests.rigs.report import command
from tests.rigs.workbooks import campaign

command("workbooks", campaign, 2_000)
