"""Which small changes there are, and how some are drawn.

A site is a place and a kind of change; of each site at most one change is drawn, or `+` with its eleven other operators would be
half of the sample. Most operators are cosmic-ray's. Two are ours, for what it never touches: it drops no statement and
reads no SQL. Left out, because no run could tell: annotations (never evaluated), docstrings, what builds the text of an exception,
`__all__`, options of `@dataclass` (slots and frozen are for mypy), `is` for `==` and back, and the interface ledger/__init__.py, which
has only types. Left out, because any test would tell: what is no Python any more, bitwise operators (a float has none), and a
statement of an `__init__` that is missing.
"""

from __future__ import annotations

import ast
import difflib
import io
import random
import re
import tokenize
import warnings
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import islice

from cosmic_ray import plugins
from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code

from tests.support import ROOT

__all__ = ["Mutant", "mutants", "sample", "source_of"]

MODULES = sorted(
    str(path.relative_to(ROOT))
    for pattern in ("core/*.py", "ledger/*.py", "run/*.py")
    for path in (ROOT / "bulkdelete").glob(pattern)
    if path.name != "__init__.py"
)
NOT_USED = (
    *("_Is_Eq", "_IsNot_NotEq", "_Eq_Is", "_NotEq_IsNot"),
    *("_BitOr", "_BitAnd", "_BitXor", "_LShift", "_RShift"),
)
SQL = re.compile(r"\b(SELECT|INSERT|UPDATE|DELETE|WHERE|CREATE|PRAGMA|AND|ORDER BY|total)\b")
SWAPS = {
    "AND": "OR", "OR": "AND", " = ": " <> ", "<>": "=", " > ": " >= ", " < ": " <= ", " >= ": " > ", "<=": "<",
    "IS NOT NULL": "IS NULL", "IS NULL": "IS NOT NULL", "NOT EXISTS": "EXISTS", "ASC": "DESC", "DESC": "ASC",
    "min(": "max(", "max(": "min(", "LEFT JOIN": "JOIN", "DISTINCT ": "", "UNIQUE ": "", "NOT IN": "IN",
    "0": "1", "1": "2", "2": "3", "3": "4", "4": "5",
}  # fmt: skip
SWAP = re.compile("|".join(rf"(?<!\?)\b{re.escape(old)}\b" if old.isalnum() else re.escape(old) for old in SWAPS))
SETS = re.compile(r"(\bSET\b[^()]*|, \w+|PRAGMA [\w.]+|^ +crc)$", re.MULTILINE)  # before a `=` that compares nothing


@dataclass(frozen=True, slots=True, order=True)
class Mutant:
    """One change: the `n`th place of its operator in the file."""

    module: str
    line: int
    column: int
    operator: str
    n: int

    @property
    def site(self) -> tuple[int, int, str]:
        """`ReplaceBinaryOperator_Add_Sub` and `ReplaceBinaryOperator_Add_Mul` are one kind of change."""
        return self.line, self.column, self.operator.split("_")[0]

    @cache  # noqa: B019  # there are some hundred of them
    def source(self) -> str:
        """The whole file, changed."""
        text = source_of(self.module)
        if self.operator in OWN:
            _, start, end, new = list(OWN[self.operator](text))[self.n]
            return text[:start] + new + text[end:]
        changed = mutate_code(text, plugins.get_operator(self.operator)(), self.n)
        assert changed is not None
        return str(changed)

    def valid(self) -> bool:
        try:
            with warnings.catch_warnings(action="error"):  # `is` with a number, for one: it would end every import
                compile(self.source(), self.module, "exec", dont_inherit=True)
        except (SyntaxError, AttributeError):  # the latter: of cosmic-ray, at a dotted name in a tuple of exceptions
            return False
        return True

    def diff(self) -> str:
        old, new = source_of(self.module).splitlines(), self.source().splitlines()
        return "\n".join(
            line for line in difflib.unified_diff(old, new, n=0, lineterm="") if line[:2] not in ("--", "++", "@@")
        )


@cache
def source_of(module: str) -> str:
    return (ROOT / module).read_text(encoding="utf-8")


def mutants(module: str) -> list[Mutant]:
    """All of a file, but those that no run could tell."""
    text = source_of(module)
    tree, untold = get_ast(text), Untold(ast.parse(text))
    found = [
        Mutant(module, line, column, name, n)
        for name in plugins.operator_names()
        if not name.endswith(NOT_USED) and not (operator := plugins.get_operator(name)).arguments()
        for n, ((line, column), _) in enumerate(
            place for node in ast_nodes(tree) for place in operator().mutation_positions(node)
        )
    ]
    found += [
        Mutant(module, line, column, name, n)
        for name, make in OWN.items()
        for n, ((line, column), *_) in enumerate(make(text))
    ]
    return [mutant for mutant in found if (mutant.line, mutant.column) not in untold]


def sample(size: int, seed: int) -> list[Mutant]:
    """So many, from each file in proportion to its sites."""
    drawn: list[tuple[float, Mutant]] = []
    for module in MODULES:
        dice = random.Random(
            f"{seed} {module}"
        )  # of its own: a file that changes does not change what is drawn from others
        sites: defaultdict[tuple[int, int, str], list[Mutant]] = defaultdict(list)
        for mutant in sorted(mutants(module)):
            sites[mutant.site].append(mutant)
        ones = [dice.choice(alike) for _, alike in sorted(sites.items())]
        dice.shuffle(ones)
        drawn += [((at + dice.random()) / len(ones), mutant) for at, mutant in enumerate(ones)]
    return list(islice((mutant for _, mutant in sorted(drawn) if mutant.valid()), size))


class Untold:
    """The places of a file whose change no run could tell."""

    def __init__(self, tree: ast.Module) -> None:
        self._spans = [_span(node) for top in ast.walk(tree) for node in _untold(top)]

    def __contains__(self, place: tuple[int, int]) -> bool:
        return any(start <= place < end for start, end in self._spans)


def _untold(node: ast.AST) -> Iterator[ast.expr | ast.stmt]:
    match node:
        case ast.arg(annotation=ast.expr() as annotation) | ast.AnnAssign(annotation=annotation):
            yield annotation
        case ast.FunctionDef(returns=ast.expr() as returns) | ast.AsyncFunctionDef(returns=ast.expr() as returns):
            yield returns
        case ast.ClassDef():
            yield from (call for call in node.decorator_list if isinstance(call, ast.Call))
        case ast.Raise(exc=ast.Call(args=texts)):
            yield from texts
        case ast.Expr(value=ast.Constant()):
            yield node
        case ast.Assign(targets=[ast.Name(id="__all__")]):
            yield node
        case _:
            pass


def _span(node: ast.expr | ast.stmt) -> tuple[tuple[int, int], tuple[int, int]]:
    assert node.end_lineno is not None
    assert node.end_col_offset is not None
    return (node.lineno, node.col_offset), (node.end_lineno, node.end_col_offset)


Change = tuple[tuple[int, int], int, int, str]  # (line, column), from, to, what stands there instead


def _dropped(text: str) -> Iterator[Change]:
    """A call for its effect, or a change of an object, is left out."""
    lines = _starts(text)
    tree = ast.parse(text)
    makers = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and node.name == "__init__"]
    made = {node for maker in makers for node in ast.walk(maker)}
    for node in ast.walk(tree):
        if node in made:
            continue
        match node:
            case ast.Expr(value=ast.Call() | ast.Await()) | ast.AugAssign() | ast.Assign(targets=[ast.Attribute(), *_]):
                start, end = _span(node)
                yield start, lines[start[0]] + start[1], lines[end[0]] + end[1], "pass"
            case _:
                pass


def _sql(text: str) -> Iterator[Change]:
    """A word of an SQL statement is another."""
    lines = _starts(text)
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type != tokenize.STRING or not SQL.search(token.string):
            continue
        start = lines[token.start[0]] + token.start[1]
        for word in SWAP.finditer(token.string):
            if word[0] == " = " and SETS.search(token.string[: word.start()]):
                continue
            at = start + word.start()
            line = text.count("\n", 0, at) + 1
            yield (line, at - lines[line]), at, start + word.end(), SWAPS[word[0]]


def _starts(text: str) -> list[int]:
    """Where each line begins, the first being number 1. The program's text is ASCII wherever a column is asked for."""
    starts = [0, 0]
    for line in text.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    return starts


OWN = {"DropStatement": _dropped, "ChangeSql": _sql}
