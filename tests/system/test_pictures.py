"""README's pictures are those of the present program: `python -m tests.support.pictures` makes them."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.support import ROOT
from tests.support.chromium import CHROMIUM, browser
from tests.support.ledger import in_memory
from tests.support.pictures import FOLDER
from tests.support.pictures.report import SIZE, page_of_the_story, pictures_of, seen
from tests.support.pictures.terminal import COMMAND, ORDERS, lines_of, masked, picture, rehearsal

README = (ROOT / "README.md").read_text(encoding="utf-8")
TERMINAL = (FOLDER / "terminal.svg").read_text(encoding="utf-8")
REPORT = {f"report-{part}-{scheme}.png" for part in ("summary", "time") for scheme in ("light", "dark")}
AGAIN = "is another one today. Make it again: python -m tests.support.pictures"
needs_chromium = pytest.mark.skipif(
    CHROMIUM is None, reason="Chromium is not installed (apt-get install chromium): the report was not looked at"
)
BYTES_MAX = 150_000  # of a picture, since every clone has them
PAPER_PX = 688  # A4 without the margins of the page


@pytest.fixture(scope="module")
def page() -> Iterator[Path]:
    """The page that the pictures of the report show."""
    with in_memory() as folder:
        path = folder / "report.html"
        path.write_text(page_of_the_story(folder / "l.db"), encoding="utf-8")
        yield path


def test_the_terminal_shows_what_the_program_prints(tmp_path: Path) -> None:
    """README's rehearsal, line by line; the time of day and the bar's numbers differ in each run."""
    assert masked(lines_of(picture(rehearsal(tmp_path)))) == masked(lines_of(TERMINAL)), f"terminal.svg {AGAIN}"


def test_the_terminal_is_in_the_middle_of_a_run() -> None:
    """Of the command that README has, with a bar that is as wide as the terminal and has not come to its end."""
    shown = lines_of(TERMINAL)
    assert shown[0] == f"$ {COMMAND}"
    assert f"\n\n    {COMMAND}\n" in README
    bar = re.fullmatch(r"deleting [━╸╺]{20} +(\d+)/(\d+) +\1 deleted +\d+ of 300/min +0:\d\d:\d\d", shown[-1])
    assert bar, shown[-1]
    assert 0 < int(bar[1]) < int(bar[2]) == ORDERS


def test_the_drawing_loads_nothing() -> None:
    """No font, no image, no script, no link; a clip path refers to the drawing itself."""
    elements = list(ElementTree.fromstring(TERMINAL).iter())
    assert {each.tag.rpartition("}")[2] for each in elements} == {
        "svg", "style", "defs", "clipPath", "rect", "g", "text", "circle",
    }  # fmt: skip
    attributes = [(name, value) for each in elements for name, value in each.items()]
    assert {name for name, _ in attributes} & {"href", "src", "{http://www.w3.org/1999/xlink}href"} == set()
    outside = re.compile(r"url\((?!#)|@import|@font-face|https?:")
    assert [pair for pair in attributes if outside.search(pair[1])] == []
    [style] = (each.text or "" for each in elements if each.tag.endswith("}style"))
    assert not outside.search(style)


def test_the_report_says_what_its_pictures_show(page: Path) -> None:
    """The page of the same story has the same words, apart from numbers."""
    now = seen(page.read_text(encoding="utf-8"))
    assert now == (FOLDER / "report.txt").read_text(encoding="utf-8"), f"the report {AGAIN}"
    for words in (
        "presumed deleted",
        "in doubt",
        "The order is invoiced",
        "Responses with status code #",
        "rate limit",
    ):
        assert words in now, "the story has lost something that is worth seeing"


@pytest.mark.parametrize("name", sorted(REPORT))
def test_a_picture_of_the_report(name: str) -> None:
    """It is a PNG of the window's size, and small."""
    data = (FOLDER / name).read_bytes()
    assert size_of(data) == SIZE
    assert len(data) < BYTES_MAX


@needs_chromium
async def test_the_pictures_can_be_made_again(page: Path) -> None:
    """Each of them, in the same size; light and dark are not the same."""
    made = await pictures_of(page)
    assert {f"report-{name}.png" for name in made} == REPORT
    assert {size_of(data) for data in made.values()} == {SIZE}
    assert len(set(made.values())) == len(REPORT)


@needs_chromium
async def test_the_report_has_room(page: Path) -> None:
    """No table is wider than the window of the pictures, nor than paper, where no word of the runs is broken."""
    async with browser() as shown:
        await shown.look(width=SIZE[0], height=SIZE[1])
        await shown.open(page)
        tables = "[...document.querySelectorAll('.wide')].filter(each => each.checkVisibility())"
        assert await shown.value(f"{tables}.length") == 5
        too_wide = f"{tables}.filter(each => each.scrollWidth > each.clientWidth).length"
        assert await shown.value(too_wide) == 0
        await shown.look(width=PAPER_PX, height=1_000)
        await shown.call("Emulation.setEmulatedMedia", media="print")
        assert await shown.value(too_wide) == 0
        assert await shown.value(WORDS) == {"ana@ops-1": 1, "approved": 1, "finished": 1}


WORDS = """
(() => {
  const lines = {};
  for (const cell of document.querySelectorAll("#runs td.text")) {
    for (const word of cell.textContent.trim().split(/\\s+/).filter(Boolean)) {
      const range = new Range();
      const begin = cell.firstChild.data.indexOf(word);
      range.setStart(cell.firstChild, begin);
      range.setEnd(cell.firstChild, begin + word.length);
      lines[word] = range.getClientRects().length;
    }
  }
  return {"ana@ops-1": lines["ana@ops-1"], "approved": lines["approved"], "finished": lines["finished"]};
})()
"""
"""On how many lines some words are."""


def size_of(png: bytes) -> tuple[int, int]:
    """Its width and height, which are in the first chunk."""
    assert png.startswith(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR")
    width, height = struct.unpack(">II", png[16:24])
    return width, height


class Shown(HTMLParser):
    """The pictures of a page in HTML: the file for a light screen, that for a dark one, and the text in its place."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, str, str]] = []
        self._dark = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "source":
            assert given["media"] == "(prefers-color-scheme: dark)"
            self._dark = given["srcset"]
        elif tag == "img":
            self.found.append((given["src"], self._dark, given["alt"]))
            self._dark = ""


def test_readme_shows_each_picture() -> None:
    """The one of the terminal, and those of the report in light and dark; each has a text for whoever does not see it."""
    shown = Shown()
    shown.feed(README)
    drawn = [(path, "", alt) for alt, path in re.findall(r"!\[([^\]]*)\]\(([^)]+)\)", README)]
    pictures = [*drawn, *shown.found]
    files = {path for light, dark, _ in pictures for path in (light, dark) if path}
    assert files == {f"samples/pictures/{name}" for name in ("terminal.svg", *REPORT)}
    assert {path.name for path in FOLDER.iterdir()} == {"terminal.svg", "report.txt", *REPORT}
    assert [light.replace("-light.", "-dark.") for light, _, _ in shown.found] == [dark for _, dark, _ in shown.found]
    assert all(len(alt.split()) >= 5 for *_, alt in pictures), pictures
