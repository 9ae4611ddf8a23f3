"""`python -m tests.rigs.syscalls --first SEED --trials N`; the seeds from 0 on are all there is to strike, mixed by kind."""

from tests.rigs.report import command
from tests.rigs.syscalls import KINDS, campaign

command("syscalls", campaign, len(KINDS))
