"""tests/README.md lists every invariant, and each has tests of its number; of every rig it lists which of them it judges."""

from __future__ import annotations

import ast
import functools
import re
from pathlib import Path

import pytest

from tests.rigs.simulation.promises import PROMISES

TESTS = Path(__file__).parent
README = (TESTS / "README.md").read_text(encoding="utf-8")
ROWS = re.findall(r"^\| (\d+) \| (.+?) \| (.+?) \|$", README, re.MULTILINE)
RIGS = re.findall(r"^\| \w? ?\| `tests\.rigs\.(\w+)` \|.*\| ([\d, ]+) \|$", README, re.MULTILINE)
NUMBERS = (*range(1, 34), 34, 35, 36, 37, 38, 39, 40, 41, 42, 43, 44, 45, 46, 47)
NUMBERED = {"Broken": 0, "require": 0, "_require": 1}  # which argument says the number


@functools.cache
def numbered() -> set[tuple[int, str]]:
    """Every test of an invariant: its number, and its name as README writes it."""
    found = set()
    for path in sorted(TESTS.rglob("test_*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and (
                name := re.match(r"test_invariant_(\d\d)_", node.name)
            ):
                found.add((int(name[1]), f"{path.relative_to(TESTS)}::{node.name}"))
    return found


def test_every_invariant_is_listed_once() -> None:
    """One row each, in order."""
    assert [int(number) for number, _, _ in ROWS] == list(NUMBERS)


@pytest.mark.parametrize("number", NUMBERS)
def test_an_invariant_has_the_tests_that_are_listed(number: int) -> None:
    """At least one, and README names all of them."""
    listed = {name for n, _, cell in ROWS if int(n) == number for name in re.findall(r"`([^`]+)`", cell)}
    there = {name for n, name in numbered() if n == number}
    assert there
    assert listed == there


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
    """A function of promises.py is named after its number, and README lists these and no others."""
    named = {int(promise.__name__.split("_")[1]) for promise in PROMISES}
    assert len(named) == len(PROMISES)
    assert judged("simulation") == named
