"""The house keeps its order: who may import whom, what lies where, and how little `--help` loads."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from bulkdelete.cli.flags import flagged
from bulkdelete.cli.options import OPTIONS, option_of
from bulkdelete.settings import _BOUNDS
from tests.rigs.planted import PLANTED
from tests.support import ROOT

PRODUCT = ROOT / "bulkdelete"

# Rooms from the ground up. A room sees those below it, and of its own storey only itself.
STOREYS = (
    {"model", "events", "settings", "errors", "words", "disk", "version"},
    {"core"},
    {"intake", "api", "ledger"},
    {"run", "report"},
    {"job"},
    {""},  # bulkdelete/__init__.py: the library, whose names are loaded when they are used
    {"simulator"},
    {"cli"},
    {"__main__"},
)
BASE = STOREYS[0]
MAY_ALSO_SEE = {
    ("disk", "errors"),
    ("disk", "words"),
    ("events", "model"),
    ("settings", "errors"),
    ("settings", "model"),
    ("settings", "words"),
}  # the base's own order
SEES_ONLY_BASE = {"core", "simulator"}

# What a core of values needs: nothing here tells the time, draws lots, waits, reads or writes.
VALUE_MODULES = {
    "__future__",
    "bisect",
    "collections",
    "collections.abc",
    "dataclasses",
    "datetime",
    "decimal",
    "email.utils",
    "enum",
    "functools",
    "itertools",
    "json",
    "math",
    "re",
    "typing",
}
ONLY_HERE = {
    "aiohttp": {"api", "simulator"},
    "aiolimiter": {"run"},
    "click": {"cli"},
    "jinja2": {"report"},
    "prometheus_client": {"report"},
    "rich": {"cli"},
    "structlog": {"cli"},
    "xlsxwriter": {"report"},
}


def files() -> list[Path]:
    found = sorted(PRODUCT.rglob("*.py"))
    assert len(found) > 30
    return found


def name_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {name_of(path): path for path in files()}


def room_of(module: str) -> str:
    """`core` for bulkdelete.core.pace, `` for bulkdelete itself."""
    return f"{module}..".split(".")[1]


def imports_of(path: Path) -> Iterator[tuple[str, str]]:
    """Every import of a file, wherever it stands: (module, name or ``). A name that is a module counts as the module."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            assert node.module is not None
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                yield (full, "") if full in MODULES else (node.module, alias.name)


def ours(path: Path) -> set[str]:
    return {module for module, _ in imports_of(path) if module.split(".")[0] == "bulkdelete"}


def storey_of(room: str) -> int:
    return next(n for n, rooms in enumerate(STOREYS) if room in rooms)


def test_every_room_has_its_place() -> None:
    """A new room is put into this table, and the table names no room that is not there."""
    assert {room_of(module) for module in MODULES} == set().union(*STOREYS)


@pytest.mark.parametrize("module", MODULES)
def test_imports_go_down_only(module: str) -> None:
    """base < core < intake, api, ledger < run, report < job < the library < cli; neighbours do not know each other."""
    room = room_of(module)
    for seen in ours(MODULES[module]):
        assert seen in MODULES, f"{module} imports {seen}, which is no module"
        other = room_of(seen)
        allowed = other == room or storey_of(other) < storey_of(room) or (room, other) in MAY_ALSO_SEE
        assert allowed, f"{module} must not import {seen}"
        if room in SEES_ONLY_BASE and other != room:
            assert other in BASE, f"{module} must not import {seen}"


def test_model_and_errors_stand_on_nothing() -> None:
    """The nouns and the errors import nothing of ours."""
    assert ours(MODULES["bulkdelete.model"]) == ours(MODULES["bulkdelete.errors"]) == set()


@pytest.mark.parametrize("module", [module for module in MODULES if room_of(module) == "core"])
def test_the_core_is_pure(module: str) -> None:
    """Time comes in as a value: no clock, no random, no I/O, no logging, no asyncio; and nobody asks datetime what time it is."""
    foreign = {seen for seen, _ in imports_of(MODULES[module]) if seen.split(".")[0] != "bulkdelete"}
    assert foreign <= VALUE_MODULES
    from_email = {name for seen, name in imports_of(MODULES[module]) if seen == "email.utils"}
    assert from_email <= {"parsedate_to_datetime"}
    for node in ast.walk(ast.parse(MODULES[module].read_text(encoding="utf-8"))):
        if isinstance(node, ast.Attribute):
            assert node.attr not in ("now", "utcnow", "today"), f"{module}:{node.lineno}"
        if isinstance(node, ast.Name):
            assert node.id not in ("open", "print", "input", "exec", "eval", "__import__"), f"{module}:{node.lineno}"
        assert not isinstance(node, ast.AsyncFunctionDef | ast.Await | ast.Global), module


@pytest.mark.parametrize("module", [module for module in MODULES if room_of(module) == "report"])
def test_a_rendering_knows_no_command_line(module: str) -> None:
    """It is a function of values: it looks at no stream and no argument, and names no option. The command line passes such words."""
    seen = {seen.split(".")[0] for seen, _ in imports_of(MODULES[module])}
    assert not seen & {"asyncio", "click", "rich", "shlex", "shutil", "structlog", "subprocess", "sys"}
    assert not re.search(r"(?<![\w-])--[a-z]", MODULES[module].read_text(encoding="utf-8"))


def test_only_the_embedded_ledger_knows_sqlite() -> None:
    """`sqlite3` is imported in ledger/sqlite/ alone, and that package by ledger/open.py alone: everything else uses the contract."""
    backend = {module for module in MODULES if module.startswith("bulkdelete.ledger.sqlite")}
    users = {module for module, path in MODULES.items() if any(seen == "sqlite3" for seen, _ in imports_of(path))}
    assert users, "nobody imports sqlite3: this test checks nothing"
    assert users <= backend
    outside = {module for module, path in MODULES.items() if ours(path) & backend} - backend
    assert outside == {"bulkdelete.ledger.open"}


@pytest.mark.parametrize("library", ONLY_HERE)
def test_a_library_has_one_owner(library: str) -> None:
    """HTTP belongs to api/ and the simulator, the token bucket to the run, the terminal to cli/."""
    users = {
        room_of(module)
        for module, path in MODULES.items()
        if any(seen.split(".")[0] == library for seen, _ in imports_of(path))
    }
    assert users, f"nobody imports {library}: this test checks nothing"
    assert users <= ONLY_HERE[library]


def test_no_module_imports_itself_round_a_corner() -> None:
    """No cycle among modules, those for type checkers and inside functions included."""
    graph = {module: ours(path) - {module} for module, path in MODULES.items()}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


def test_an_attempt_is_cancelled_in_one_place() -> None:
    """Of the run, only the slots cancel a task that sends; the throttle, the time limit and a lookup end their own waits."""
    cancelling = {
        module
        for module in MODULES
        if room_of(module) == "run"
        for node in ast.walk(ast.parse(MODULES[module].read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute) and node.attr == "cancel"
    }
    assert cancelling == {
        "bulkdelete.run.lookup",
        "bulkdelete.run.slots",
        "bulkdelete.run.throttle",
        "bulkdelete.run.time_limit",
    }


@pytest.mark.parametrize("module", [module for module in MODULES if room_of(module) == "run"])
def test_a_class_of_the_run_can_be_held_in_mind(module: str) -> None:
    """No class of the run has more than ten attributes."""
    for node in ast.walk(ast.parse(MODULES[module].read_text(encoding="utf-8"))):
        if isinstance(node, ast.ClassDef):
            names = {
                field.target.id
                for field in node.body
                if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)
            }
            names |= {
                part.attr
                for part in ast.walk(node)
                if isinstance(part, ast.Attribute)
                and isinstance(part.ctx, ast.Store)
                and ast.unparse(part.value) == "self"
            }
            assert len(names) <= 10, f"{module}.{node.name}: {sorted(names)}"


@pytest.mark.parametrize("module", MODULES)
def test_a_file_says_what_it_owns(module: str) -> None:
    """Every product file of more than 20 lines starts with a docstring."""
    text = MODULES[module].read_text(encoding="utf-8")
    if len(text.splitlines()) > 20:
        assert ast.get_docstring(ast.parse(text)), f"{module} does not say what it owns"


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="not a checkout")
def test_the_top_level_stays_small() -> None:
    """pyproject.toml, README.md, bulkdelete, tests, samples and dotfiles. Nothing else."""
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    top = {line.split("/")[0].strip('"') for line in listed.splitlines()}
    assert {"pyproject.toml", "README.md", "bulkdelete", "tests"} <= top
    assert {name for name in top if not name.startswith(".")} <= {
        "pyproject.toml",
        "README.md",
        "bulkdelete",
        "tests",
        "samples",
    }


def test_no_test_is_left_out() -> None:
    """README's two commands run every test file: the first one those of `testpaths`, the second one tests/rigs and tests/bench."""
    paths = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["pytest"]["ini_options"]["testpaths"]
    run = {
        file
        for path in (*paths, "tests/rigs", "tests/bench")
        for place in ROOT.glob(path)
        for file in (place, *place.rglob("*"))
    }
    assert {file for file in (ROOT / "tests").rglob("test_*.py") if file not in run} == set()


def test_tests_share_only_what_support_holds() -> None:
    """No test is imported by another: what two of them use stands in tests/support, or with the rig that it belongs to."""
    for path in (ROOT / "tests").rglob("*.py"):
        parts = {part for module, name in imports_of(path) for part in (*module.split("."), name)}
        assert not {part for part in parts if part.startswith("test_")}, path


LOADED = """
import sys
from bulkdelete.cli import main
sys.argv = ["bulkdelete", *sys.argv[1:]]
try:
    main()
except SystemExit as end:
    assert not end.code, end.code
finally:
    print(*sorted(sys.modules), file=sys.stderr)
"""


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["run", "--help"]])
def test_help_loads_little(arguments: list[str]) -> None:
    """`--help` is quick: what only a run needs is not loaded for it."""
    done = subprocess.run(
        [sys.executable, "-c", LOADED, *arguments], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
    )
    loaded = set(done.stderr.split())
    assert "click" in loaded
    assert "bulkdelete" in done.stdout
    assert not loaded & {"aiohttp", "asyncio", "jinja2", "prometheus_client", "structlog", "rich"}


def test_the_command_line_passes_values_with_names() -> None:
    """No bag of anything goes from one function of cli/ to the next: each value has a class, and mypy knows it."""
    named = [
        module for module, path in MODULES.items() if room_of(module) == "cli" and "dict[str, Any]" in path.read_text()
    ]
    assert named == []


BELOW = [module for module in MODULES if room_of(module) not in ("cli", "__main__")]
SETTING = re.compile(r"`settings\.([^`]*)`")


def texts_of(path: Path) -> Iterator[str]:
    """Every text in a file, docstrings and parts of f-strings included."""
    return (
        node.value
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    )


@pytest.mark.parametrize("module", BELOW)
def test_what_lies_below_the_command_line_speaks_of_settings(module: str) -> None:
    """No message names an option; a setting that it names is one of the table of options, so that the command line can say it. Only
    `settings.NAME` is written by code, for a name of Settings."""
    flags = {flag for options in OPTIONS.values() for option in options for flag in option.switches}
    for text in texts_of(MODULES[module]):
        assert not flags & set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", text)), text
        for named in SETTING.findall(text):
            assert option_of(named.partition("=")[0]).part or named in (
                "api_key_file",
                "metrics_file",
                "retry",
                "rejects",
            ), text
            assert flagged(f"`settings.{named}`").startswith("--")


def test_the_marks_of_settings_are_seen() -> None:
    """The test above reads what messages are made of."""
    found = {named for module in BELOW for text in texts_of(MODULES[module]) for named in SETTING.findall(text)}
    assert {"column", "ledger", "max_orders", "revert_stock", "api_key_file"} <= found
    assert {name for name in _BOUNDS if not option_of(name)} == set()


def test_each_planted_bug_has_its_place() -> None:
    """A change of the product must not take the text away that a planted bug changes: its rig would prove nothing."""
    lost = [
        f"{planted.name}: {edit.path}"
        for planted in PLANTED
        for edit in planted.edits
        if edit.old not in (PRODUCT / edit.path).read_text("utf-8")
    ]
    assert lost == []
