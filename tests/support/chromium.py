"""A page as Chromium shows it, through its DevTools protocol: what is on it, what it complains about, and pictures of it."""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

__all__ = ["CHROMIUM", "Browser", "browser"]

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
"""The program, where there is one."""

_DEADLINE_S = 60.0  # to start, and for each answer: two cores may be busy with other tests
_OPTIONS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--disable-extensions",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-proxy-server", "--hide-scrollbars",
    "--host-resolver-rules=MAP * ~NOTFOUND", "--remote-debugging-port=0",
)  # fmt: skip


class Browser:
    """One page. `complaints`: what its console, its scripts and its policy said; `requests`: the addresses that it asked for."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._numbers = itertools.count(1)
        self.complaints: list[str] = []
        self.requests: list[str] = []
        self._loaded = False

    async def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Call a method of the protocol."""
        number = next(self._numbers)
        await self._socket.send_json({"id": number, "method": method, "params": parameters})
        while True:
            message = await self._next()
            if message.get("id") == number:
                assert "error" not in message, (method, message["error"])
                return dict(message["result"])

    async def _next(self) -> dict[str, Any]:
        message: dict[str, Any] = json.loads(await self._socket.receive_str(timeout=_DEADLINE_S))
        told = message.get("params", {})
        match message.get("method"):
            case "Runtime.exceptionThrown":
                self.complaints.append(f"exception: {told['exceptionDetails']}")
            case "Runtime.consoleAPICalled":
                self.complaints.append(f"console: {told['type']} {told['args']}")
            case "Log.entryAdded":
                self.complaints.append(f"{told['entry']['level']}: {told['entry']['text']}")
            case "Audits.issueAdded":
                self.complaints.append(f"issue: {told['issue']}")
            case "Network.requestWillBeSent":
                self.requests.append(told["request"]["url"])
            case "Page.loadEventFired":
                self._loaded = True
        return message

    async def open(self, page: Path) -> None:
        """Show a file, and wait until it is loaded."""
        self._loaded = False
        await self.call("Page.navigate", url=page.as_uri())
        while not self._loaded:
            await self._next()

    async def value(self, expression: str) -> Any:
        """What this JavaScript comes to; a promise is waited for. It runs past the page's policy, as a person at the console does."""
        found = await self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    async def look(self, *, dark: bool = False, width: int = 1280, height: int = 900) -> None:
        """How the page is looked at."""
        features = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        await self.call("Emulation.setEmulatedMedia", features=features)
        await self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False
        )

    async def picture(self, *, whole: bool = True) -> bytes:
        """The page as PNG: the whole of it, or what its window shows."""
        found = await self.call("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        return base64.b64decode(found["data"])

    async def printed(self) -> bytes:
        """The page as PDF, on paper of A4."""
        found = await self.call(
            "Page.printToPDF", preferCSSPageSize=True, printBackground=False, paperWidth=8.27, paperHeight=11.69
        )
        return base64.b64decode(found["data"])


@asynccontextmanager
async def browser(*options: str) -> AsyncIterator[Browser]:
    """A browser without a window, which reaches nothing but files and this machine."""
    assert CHROMIUM is not None
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        process = await asyncio.create_subprocess_exec(
            CHROMIUM, *_OPTIONS, f"--user-data-dir={profile}", *options, "about:blank",
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        try:
            async with asyncio.timeout(_DEADLINE_S):
                port = await _port(process)
            async with aiohttp.ClientSession(trust_env=False) as session:
                async with session.get(f"http://127.0.0.1:{port}/json/list") as response:
                    page = next(each for each in await response.json() if each["type"] == "page")
                async with session.ws_connect(page["webSocketDebuggerUrl"], max_msg_size=0) as socket:
                    found = Browser(socket)
                    for domain in ("Page", "Runtime", "Log", "Network", "Audits"):
                        await found.call(f"{domain}.enable")
                    yield found
                    await found.call("Browser.close")
        finally:
            if process.returncode is None:
                try:
                    async with asyncio.timeout(5):
                        await process.communicate()
                except TimeoutError:
                    process.kill()
            await process.wait()


async def _port(process: asyncio.subprocess.Process) -> int:
    assert process.stderr is not None
    while line := await process.stderr.readline():
        if b"DevTools listening on" in line:
            return int(line.split(b"127.0.0.1:")[1].split(b"/")[0])
    raise AssertionError("Chromium ended before it listened")
