"""tests/README.md lists every invariant, and each has a test of its number; of every rig it lists which of them it judges."""

from __future__ import annotations

import ast
import functools
import re
from pathlib import Path

import pytest

from tests.rigs.simulation.doubt_promises import DOUBT_PROMISES
from tests.rigs.simulation.promises import PROMISES

TESTS = Path(__file__).parent
README = (TESTS / "README.md").read_text(encoding="utf-8")
LISTED = [int(number) for number in re.findall(r"^\| (\d+) \| .+ \|$", README, re.MULTILINE)]
RIGS = re.findall(r"^\| \w? ?\| `tests\.rigs\.(\w+)` \|.*\| ([\d, ]+) \|$", README, re.MULTILINE)
NUMBERED = {"Broken": 0, "require": 0, "_require": 1}  # which argument says the number


def numbered() -> set[int]:
    """The numbers that tests have in their names."""
    names = (
        name
        for path in TESTS.rglob("test_*.py")
        for name in re.findall(r"def test_invariant_(\d\d)_", path.read_text("utf-8"))
    )
    return {int(name) for name in names}


def test_every_invariant_is_listed_once() -> None:
    """One row each, in order."""
    assert list(range(1, len(LISTED) + 1)) == LISTED


def test_every_invariant_has_a_test() -> None:
    """And no test has a number that README does not list."""
    assert numbered() == set(LISTED)


@functools.cache
def judged(rig: str) -> set[int]:
    """The numbers that a rig's code can call broken, as literals or as its module's INVARIANT."""
    found = set()
    for path in [*(TESTS / "rigs").glob(f"{rig}.py"), *(TESTS / "rigs" / rig).glob("*.py")]:
        nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
        calls = [
            (node.func.id, node.args)
            for node in nodes
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
        ]
        said: list[ast.AST] = [arguments[NUMBERED[name]] for name, arguments in calls if name in NUMBERED]
        said += [
            node.value for node in nodes if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "INVARIANT"
        ]
        found |= {leaf.value for node in said for leaf in ast.walk(node) if isinstance(leaf, ast.Constant)}
    return {number for number in found if isinstance(number, int)}


def test_every_rig_is_listed() -> None:
    """One row for each module or package of tests/rigs that can call a promise broken."""
    rigs = {path.stem for path in (TESTS / "rigs").iterdir()} - {"report"}
    assert sorted(rig for rig, _ in RIGS) == sorted(rig for rig in rigs if judged(rig))


@pytest.mark.parametrize(("rig", "numbers"), RIGS)
def test_a_rig_judges_what_is_listed(rig: str, numbers: str) -> None:
    """README's last column is what its code can call broken."""
    assert [int(number) for number in numbers.split(",")] == sorted(judged(rig))


def test_rig_s_has_a_function_for_each_of_its_numbers() -> None:
    """A function of promises.py is named after its number, several of doubt_promises.py after one, and README lists these and no others."""
    named, of_doubts = (
        {int(promise.__name__.split("_")[1]) for promise in promises} for promises in (PROMISES, DOUBT_PROMISES)
    )
    assert len(named) == len(PROMISES)
    assert judged("simulation") == named | of_doubts
