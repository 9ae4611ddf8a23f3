"""`report`: a page in a file of its own, and what a browser makes of it."""

from __future__ import annotations

import asyncio
import html
import os
import pty
import re
import shlex
import shutil
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from bulkdelete.model import Response, State, Verdict
from tests.support.chromium import CHROMIUM, Browser, browser
from tests.support.command import call
from tests.support.ledger import arm, in_memory, opened, order, pending
from tests.support.page import HOSTILE, refused, settle, settled
from tests.support.process import PROGRAM, environment

needs_chromium = pytest.mark.skipif(
    CHROMIUM is None, reason="Chromium is not installed (apt-get install chromium): the page of a report was not opened"
)
MESSAGES = ("Order {} cannot be deleted: it is invoiced", "La orden {} pertenece a un marketplace", "in transit")


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """Ledgers of 5,000 refusals, `l.db`, of 1,001 doubts, `d.db`, of a 429, `q.db`, and one whose texts are hostile, `<h>.db`."""

    async def made(path: Path) -> None:
        await refused(path / "l.db", *(MESSAGES[n % 3].format(700_000 + n) for n in range(1, 5_001)))
        await settled(path / "d.db", State.IN_DOUBT, 503, *["unavailable"] * 1_001)
        await limited(path / "q.db")
        await refused(path / "<h>.db", *HOSTILE, file='"><script>alert(1)<|script>.csv')

    with in_memory() as path:
        asyncio.run(made(path))
        yield path


async def limited(path: Path) -> None:
    """A ledger of one order, whose first response has status code 429."""
    async with opened(path) as ledger:
        await arm(ledger, [order(700_001, line=2)])
        await ledger.begin("")
        [task] = await pending(ledger)
        ledger.settle(await ledger.intend(task), Response(429, "slow down", latency_s=0.1), Verdict())
        await settle(ledger, State.DELETED, 204, "")
        await ledger.end(())


@pytest.fixture
async def shown() -> AsyncIterator[Browser]:
    async with browser() as found:
        yield found


def reported(ledger: Path, page: Path) -> Path:
    """The page about a ledger, made by the command."""
    done = call(*PROGRAM, "report", str(ledger), "-o", str(page), "--overwrite")
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    return page


# The command.


def test_a_page_is_a_private_file(folder: Path, tmp_path: Path) -> None:
    """It is written whole, for its owner alone, and the ledger is left as it was; 5,000 refusals are less than 600 kB."""
    page = tmp_path / "report.html"
    before = (folder / "l.db").read_bytes()
    done = call(*PROGRAM, "report", str(folder / "l.db"), "-o", str(page))
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr == f"a report about 5,000 orders was written to {page}\n"
    assert page.stat().st_mode & 0o777 == 0o600
    assert page.stat().st_size < 600_000
    assert page.read_text().endswith("</html>\n")
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]
    assert (folder / "l.db").read_bytes() == before


def test_a_page_replaces_nothing_unless_that_is_said(folder: Path, tmp_path: Path) -> None:
    """An existing file: exit 2 and the file as it was; with --overwrite it is replaced. A ledger never is."""
    page = tmp_path / "mine.html"
    page.write_text("mine")
    words = (*PROGRAM, "report", str(folder / "l.db"), "-o")
    done = call(*words, str(page))
    assert (done.returncode, page.read_text()) == (2, "mine")
    assert "--overwrite" in done.stderr
    assert call(*words, str(page), "--overwrite").returncode == 0
    assert page.read_text().startswith("<!doctype html>")
    ledger = Path(shutil.copy(folder / "l.db", tmp_path / "l.db"))
    before = ledger.read_bytes()
    done = call(*PROGRAM, "report", str(ledger), "-o", str(ledger), "--overwrite")
    assert (done.returncode, ledger.read_bytes()) == (2, before)


def test_a_page_on_stdout(folder: Path) -> None:
    """The same page, in UTF-8 whatever the locale is, if stdout is no terminal; on a terminal it is refused, with what to add."""
    words = (*PROGRAM, "report", str(folder / "l.db"))
    done = subprocess.run(
        (*words, "-o", "-"), capture_output=True, env=environment(LC_ALL="C", PYTHONUTF8="0"), timeout=60
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.decode("utf-8").endswith("</html>\n")
    ours, theirs = pty.openpty()
    try:
        refusal = subprocess.run(
            words, stdin=subprocess.DEVNULL, stdout=theirs, stderr=subprocess.PIPE, env=environment(), timeout=60
        )
    finally:
        os.close(ours)
        os.close(theirs)
    assert refusal.returncode == 2
    assert b"-o report.html" in refusal.stderr


@pytest.mark.parametrize("name", ["missing", "text", "damaged", "changed"])
def test_what_is_no_sound_ledger_has_no_page(folder: Path, tmp_path: Path, name: str) -> None:
    """Missing, foreign, cut off or with one row changed: exit 6, the message says which, and no file is left."""
    path = tmp_path / name
    match name:
        case "text":
            path.write_text("orderId\n1\n")
        case "damaged":
            path.write_bytes((folder / "l.db").read_bytes()[:20_000])
        case "changed":
            data = (folder / "l.db").read_bytes()
            path.write_bytes(data.replace(b"is invoiced", b"is invoicee", 1))
    done = call(*PROGRAM, "report", str(path), "-o", str(tmp_path / "report.html"))
    assert done.returncode == 6, done.stderr
    assert name in done.stderr
    assert not (tmp_path / "report.html").exists()


def test_the_command_for_the_rest_works(folder: Path, tmp_path: Path) -> None:
    """Where a list is cut off, the page names a command that writes all of it, from any folder."""
    page = reported(folder / "d.db", tmp_path / "report.html").read_text()
    [command] = re.findall(r"This command writes all of them: <code>(.*?)</code>", page)
    words = shlex.split(html.unescape(command))
    done = call(*PROGRAM, *words[words.index("export") :], cwd=tmp_path, env=environment(PYTHONPATH=os.getcwd()))
    assert done.returncode == 0, done.stderr
    assert len((tmp_path / "in_doubt.csv").read_text().splitlines()) == 1_002


# In a browser.


async def until(shown: Browser, holds: Callable[[], bool]) -> None:
    """Wait for what the browser reports by itself, a few seconds at most: the checks that follow say what is missing."""
    for _ in range(100):
        await shown.value("new Promise(done => setTimeout(done, 50))")
        if holds():
            return


async def visible(shown: Browser) -> list[str]:
    """The order ids of refusals that a person sees."""
    rows: list[str] = await shown.value(
        "[...document.querySelectorAll('#refused tbody tr')].filter(r => r.checkVisibility()).map(r => r.cells[0].textContent)"
    )
    return rows


async def searched(shown: Browser, text: str) -> list[str]:
    """What a search shows, after typing."""
    await shown.value(
        "document.querySelector('#refused input').value = ''; document.querySelector('#refused input').focus()"
    )
    await shown.call("Input.insertText", text=text)
    await shown.value("new Promise(done => setTimeout(done, 300))")
    return await visible(shown)


@needs_chromium
async def test_a_page_in_a_browser(folder: Path, tmp_path: Path, shown: Browser) -> None:
    """It complains about nothing and asks for nothing; its charts are drawn; the search finds orders by id, line and message."""
    page = reported(folder / "l.db", tmp_path / "report.html")
    await shown.look()
    await shown.open(page)
    assert await shown.value("document.querySelectorAll('figure.live canvas').length") == 2
    assert await visible(shown) == [], "three long lists are closed at first"
    assert await searched(shown, "704999") == ["704999"]
    assert await searched(shown, "MARKETPLACE 70002") == ["700022", "700025", "700028"]
    assert await shown.value("document.querySelector('#refused output').textContent") == "3 orders"
    assert await searched(shown, "no such thing") == []
    assert await shown.value("document.querySelector('#refused .none').checkVisibility()")
    assert await searched(shown, "transit") == [], "a message that matches is shown, with its list closed"
    assert await shown.value("document.querySelector('#refused output').textContent") == "1,667 orders"
    assert await searched(shown, " ") == []
    assert await shown.value("[...document.querySelectorAll('#refused details')].every(d => d.checkVisibility())")
    zoomed = "(() => { const plot = uPlot.sync('time').plots[1]; return plot.scales.x.max - plot.scales.x.min; })()"
    whole = await shown.value(zoomed)
    x, y, width = await shown.value(
        "(() => { const over = document.querySelector('#throughput .u-over'); over.scrollIntoView();"
        " const box = over.getBoundingClientRect(); return [box.left, box.top + 50, box.width]; })()"
    )
    for kind, share in (("mouseMoved", 0.3), ("mousePressed", 0.3), ("mouseMoved", 0.6), ("mouseReleased", 0.6)):
        await shown.call("Input.dispatchMouseEvent", type=kind, x=x + share * width, y=y, button="left", clickCount=1)
    assert await shown.value(zoomed) == pytest.approx(0.3 * whole, rel=0.05), "all panels show what was chosen in one"
    assert shown.requests == [page.as_uri()]
    assert shown.complaints == []


@needs_chromium
async def test_the_charts_of_a_page(folder: Path, tmp_path: Path, shown: Browser) -> None:
    """An axis of responses has whole numbers; the legend has values as soon as there is something to tell, and no dashes before."""
    await shown.open(reported(folder / "q.db", tmp_path / "report.html"))
    assert await shown.value("uPlot.sync('time').plots.length") == 3
    assert await shown.value("uPlot.sync('time').plots[1].axes[1]._values") == ["0", "1"]
    visible = (
        "[...document.querySelectorAll('#limited .u-series')].map(e => e.checkVisibility() ? e.innerText.trim() : '')"
    )
    assert await shown.value(visible) == ["", "responses with status code 429"]
    x, y = await shown.value(
        "(() => { const over = document.querySelector('#limited .u-over'); over.scrollIntoView();"
        " const box = over.getBoundingClientRect(); return [box.left + 0.5 * box.width, box.top + 50]; })()"
    )
    await shown.call("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)
    begin, said = await shown.value(visible)
    assert re.fullmatch(r"from\s*\d+ \w{3} \d{4}, [\d:]+", begin)
    assert re.fullmatch(r"responses with status code 429\s*1", said)
    assert shown.complaints == []


@needs_chromium
async def test_hostile_text_does_nothing_in_a_browser(folder: Path, tmp_path: Path, shown: Browser) -> None:
    """Nothing runs, nothing is asked for, no element comes of it, and the text is read as it was sent."""
    page = reported(folder / "<h>.db", tmp_path / "report.html")
    await shown.open(page)
    assert shown.requests == [page.as_uri()]
    assert shown.complaints == []
    assert await shown.value("document.title") == "Deletion report: <h>.db"
    assert (
        await shown.value(
            "document.querySelectorAll('img, iframe, base, script[src], link, [onload], [onerror]').length"
        )
        == 0
    )
    said = await shown.value("[...document.querySelectorAll('#refused summary span')].map(each => each.textContent)")
    assert set(said) == {text.replace("`settings.ledger`", "--ledger") for text in HOSTILE}


@needs_chromium
@pytest.mark.parametrize(
    "injected",
    [
        "document.body.append(Object.assign(document.createElement('script'), {textContent: 'window.ran = 1'}))",
        "document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=\"window.ran = 1\">')",
        "document.body.append(Object.assign(document.createElement('img'), {src: 'http://127.0.0.1:9/x.png'}))",
        "document.body.append(Object.assign(document.createElement('style'), {textContent: 'body {color: red}'}))",
    ],
    ids=["script", "markup", "image", "style"],
)
async def test_the_policy_stops_what_would_get_in(folder: Path, tmp_path: Path, shown: Browser, injected: str) -> None:
    """If a text became an element after all, the browser would refuse to run, load or apply it: the check above can fail."""
    await shown.open(reported(folder / "<h>.db", tmp_path / "report.html"))
    await shown.value(f"try {{ {injected} }} catch (error) {{ console.error(error.message) }}")
    await until(shown, lambda: bool(shown.complaints))
    assert await shown.value("window.ran") is None
    assert any("Content Security Policy" in each or "requires 'Trusted" in each for each in shown.complaints), (
        shown.complaints
    )
    assert await shown.value("getComputedStyle(document.body).color") != "rgb(255, 0, 0)"


@needs_chromium
async def test_light_and_dark(folder: Path, tmp_path: Path, shown: Browser) -> None:
    """The page follows the system, also when it changes; paper is always light."""
    await shown.look(dark=False)
    await shown.open(reported(folder / "l.db", tmp_path / "report.html"))
    ground = "getComputedStyle(document.documentElement).backgroundColor"
    line = "uPlot.sync('time').plots[0].axes[0].stroke()"
    light, light_line = await shown.value(ground), await shown.value(line)
    await shown.look(dark=True)
    redrawn = f"new Promise(done => setInterval(() => {line} === '{light_line}' || done(true), 20))"
    assert await shown.value(redrawn)
    dark = await shown.value(ground)
    assert sum(map(int, light[4:-1].split(","))) > 600 > 300 > sum(map(int, dark[4:-1].split(",")))
    await shown.call("Emulation.setEmulatedMedia", media="print")
    assert (
        await shown.value("getComputedStyle(document.documentElement).getPropertyValue('--card').trim()") == "#ffffff"
    )
    assert await shown.value("document.querySelector('.uplot').checkVisibility()") is False
    assert await shown.value("document.querySelector('figure > svg').checkVisibility()") is True
    assert shown.complaints == []


@needs_chromium
async def test_without_javascript(folder: Path, tmp_path: Path, shown: Browser) -> None:
    """Each chart is a drawing with labels, each list can be opened, and no field is shown that does nothing."""
    await shown.call("Emulation.setScriptExecutionDisabled", value=True)
    await shown.open(reported(folder / "l.db", tmp_path / "report.html"))
    assert (
        await shown.value("[...document.querySelectorAll('figure > svg')].filter(s => s.checkVisibility()).length") == 2
    )
    assert await shown.value("document.querySelectorAll('figure > svg text').length") > 10
    assert await shown.value("document.querySelector('#refused input').checkVisibility()") is False
    assert await shown.value("document.querySelector('#refused tbody').rows.length") > 1_000
    assert shown.complaints == []


@needs_chromium
@pytest.mark.parametrize("width", [1280, 900, 390])
async def test_nothing_is_cut_off(folder: Path, tmp_path: Path, shown: Browser, width: int) -> None:
    """On a screen, a tablet and a phone, the page is as wide as the window, and the paper as the page."""
    await shown.look(width=width)
    await shown.open(reported(folder / "l.db", tmp_path / "report.html"))
    assert await shown.value("document.documentElement.scrollWidth") <= width
    paper = await shown.printed()
    assert paper.startswith(b"%PDF")
    assert 1 <= paper.count(b"/Type /Page\n") <= 6, "long lists are closed on paper, too"
