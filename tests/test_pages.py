"""The pages of the house speak of files and packages that are there, and the glossary stays short."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.support import ROOT

HOUSE = ROOT / "bulkdelete"
PAGES = sorted(HOUSE.rglob("*.md"))
PAGE = (HOUSE / "README.md").read_text(encoding="utf-8")


def rows(heading: str) -> list[list[str]]:
    """The rows of the table whose first heading this is."""
    table = re.search(rf"^\| {heading} \|.*\n\|[-| ]+\|\n((?:\|.*\n)+)", PAGE, re.MULTILINE)
    assert table, f"no table {heading!r}"
    return [[cell.strip() for cell in line.strip("|\n").split("|")] for line in table[1].splitlines()]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(HOUSE)))
def test_every_file_on_a_page_is_there(page: Path) -> None:
    """What looks like a path is one: from the page's folder, from the package or from the repository."""
    text = page.read_text(encoding="utf-8")
    paths = set(re.findall(r"`((?:[\w.-]+/)*[\w-]+\.(?:py|md))`", text)) | set(re.findall(r"`((?:[\w.-]+/)+)`", text))
    assert paths
    missing = {path for path in paths if not any((place / path).exists() for place in (page.parent, HOUSE, ROOT))}
    assert missing == set()


def test_every_package_has_its_row() -> None:
    """The table of packages is what lies in bulkdelete/."""
    told = {name for cells in rows("package") for name in re.findall(r"`([\w.]+)/?`", cells[0])}
    packages = {path.parent.name for path in HOUSE.glob("*/__init__.py")}
    modules = {path.name for path in HOUSE.glob("*.py")} - {"__init__.py", "__main__.py"}
    assert told == packages | modules


def test_the_glossary_is_short() -> None:
    """At most 25 words, in the order of the alphabet, each in plain sentences."""
    words = rows("word")
    assert len(words) <= 25
    assert [word.lower() for word, _ in words] == sorted(word.lower() for word, _ in words)
    assert all(meaning.endswith(".") for _, meaning in words)


def test_nothing_points_outside_the_repository() -> None:
    """A link leads to a file that is there, or to the web."""
    for page in [*PAGES, ROOT / "README.md", *(ROOT / "tests").rglob("*.md"), *(ROOT / ".github").glob("*.md")]:
        for target in re.findall(r"\]\(([^)#]+)", page.read_text(encoding="utf-8")):
            assert target.startswith("https://") or (page.parent / target).exists(), f"{page}: {target}"
