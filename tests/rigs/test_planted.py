"""A rig that cannot fail proves nothing: each planted bug is caught, whatever the seed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.rigs import strace
from tests.rigs.planted import PLANTED, Planted
from tests.rigs.tree import Tree


def caught(planted: Planted, folder: Path, first: int) -> None:
    if planted.rig in ("power", "syscalls") and (why := strace.missing()) is not None:
        pytest.skip(why)
    tree = Tree(folder, planted.edits)
    seeds = ("--first", str(first), "--trials", str(planted.trials), "--until", *map(str, sorted(planted.breaks)))
    if planted.only:
        seeds += ("--only", *planted.only)
    done = tree.run("-m", f"tests.rigs.{planted.rig}", *seeds, timeout_s=600)
    broken = {int(number) for number in re.findall(r"^invariant (\d+):", done.stdout, re.MULTILINE)}
    assert done.returncode == 1, f"{planted.name} was not caught\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
    assert broken & planted.breaks, f"{planted.name}: another promise broke: {done.stdout[-2000:]}"


@pytest.mark.parametrize("planted", PLANTED, ids=lambda planted: planted.name)
def test_a_planted_bug_is_caught(planted: Planted, tmp_path: Path) -> None:
    """The rig reports the promise that the bug breaks."""
    caught(planted, tmp_path, 1)


@pytest.mark.soak
@pytest.mark.parametrize("first", [1_001, 2_001, 3_001])
@pytest.mark.parametrize("planted", PLANTED, ids=lambda planted: planted.name)
def test_a_planted_bug_is_caught_three_times(planted: Planted, first: int, tmp_path: Path) -> None:
    """The same with three other ranges of seeds."""
    caught(planted, tmp_path, first)
