"""`python -m tests.rigs.syscalls --first SEED --trials N`; the seeds from 0 on are all there is to strike, mixed by kind."""

from collections.abc import Sequence

from tests.rigs.report import Report, command
from tests.rigs.syscalls import KINDS, campaign


def of_kinds(first: int, trials: int, kinds: Sequence[str] = KINDS) -> Report:
    return campaign(first, trials, lambda strike: strike.kind in kinds)


command("syscalls", of_kinds, len(KINDS), KINDS)
