"""tests/README.md lists every invariant, and each has tests of its number."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
ROWS = re.findall(r"^\| (\d+) \| (.+?) \| (.+?) \|$", (TESTS / "README.md").read_text(encoding="utf-8"), re.MULTILINE)
NUMBERS = range(1, 34)


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
    """Thirty-three rows, in order."""
    assert [int(number) for number, _, _ in ROWS] == list(NUMBERS)


@pytest.mark.parametrize("number", NUMBERS)
def test_an_invariant_has_the_tests_that_are_listed(number: int) -> None:
    """At least one, and README names all of them."""
    listed = {name for n, _, cell in ROWS if int(n) == number for name in re.findall(r"`([^`]+)`", cell)}
    there = {name for n, name in numbered() if n == number}
    assert there
    assert listed == there
