"""`--proxy` as a user sees it: the run through a tunnel, what stops it, and where the proxy's password does not appear."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import shlex
import ssl
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import quote

import pytest

from bulkdelete.simulator import Simulation, Simulator
from tests.support.certificates import certificate
from tests.support.command import IDS, call, write
from tests.support.connect_proxy import ConnectProxy
from tests.support.process import KEY, PROGRAM, environment

PASSWORD = "s3cret-of-the-proxy"
USER = f"ana:{PASSWORD}"
BUSY = b"HTTP/1.1 502 No\r\n\r\n"


class Scene:
    """A simulator with TLS, and three orders to delete there."""

    def __init__(self, folder: Path, url: str, pem: Path, simulator: Simulator) -> None:
        self.folder, self.url, self.pem, self.simulator = folder, url, pem, simulator
        write(folder / "o.csv", IDS[:3])

    async def run(self, *more: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        """`run` in a process of its own, while this one serves."""
        given = ["--account-id", "1", "--keep-stock", "--yes", "--json", "--preview", "off", "--ca-file", str(self.pem)]
        words = [*PROGRAM, "run", str(self.folder / "o.csv"), *given, "--api-url", self.url, *more]
        return await asyncio.to_thread(call, *words, env=env)

    def profile(self, proxy: str) -> tuple[str, ...]:
        path = self.folder / "p.toml"
        path.write_text(f'[profiles.far]\nproxy = "{proxy}"\n')
        path.chmod(0o600)
        return ("--profile", "far", "--config", str(path))

    def silent(self, *said: str) -> None:
        """The password is in nothing that was said, and not in the ledger, nor what the header has of it."""
        made = b"".join(path.read_bytes() for path in self.folder.glob("o.csv.ledger.db*"))
        for form in (PASSWORD.encode(), base64.b64encode(USER.encode())):
            assert form not in "".join(said).encode() + made


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    pem = certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    simulator = Simulator(Simulation(orders=[(1, order, 1) for order in IDS], keys={KEY: {1}}, limit=6000))
    listener = await asyncio.get_running_loop().create_server(simulator.server, "127.0.0.1", 0, ssl=context)
    with contextlib.closing(listener):
        yield Scene(tmp_path, f"https://127.0.0.1:{listener.sockets[0].getsockname()[1]}", pem, simulator)
        await simulator.close()


async def test_a_run_through_a_proxy(scene: Scene) -> None:
    """Each order has its tunnel; a tunnel that is refused was no attempt, and is asked for again."""
    async with ConnectProxy(BUSY, user=USER) as proxy:
        done = await scene.run(*scene.profile(proxy.url.replace("//", f"//{USER}@")))
        assert done.returncode == 0, done.stderr
        assert len(proxy.heads) == 4
        assert KEY.encode() not in proxy.passed
    assert len(scene.simulator.journal) == 3
    scene.silent(done.stdout, done.stderr)


async def test_a_proxy_that_refuses_its_password_stops_the_run(scene: Scene) -> None:
    """Exit 2 at the first order, nothing is sent, and the same command continues once the password is right."""
    async with ConnectProxy(user=USER) as proxy:
        wrong = await scene.run(*scene.profile(proxy.url.replace("//", "//ana:wrong-password@")))
        assert wrong.returncode == 2, wrong.stderr
        assert [stop["why"] for stop in json.loads(wrong.stdout)["stops"]] == ["proxy"]
        assert "Correct --proxy, or `proxy` of the profile, or let" in wrong.stdout
        assert "wrong-password" not in wrong.stdout + wrong.stderr
        assert scene.simulator.journal == []
        words = shlex.split(json.loads(wrong.stdout)["go_on"])
        assert not any("://ana" in word for word in words), "the profile has it"
        scene.profile(proxy.url.replace("//", f"//{USER}@"))
        done = await asyncio.to_thread(call, *PROGRAM, *words[words.index("resume") :], "--yes")
        assert done.returncode == 0, done.stderr


async def test_a_proxy_that_refuses_the_tunnel_stops_the_run(scene: Scene) -> None:
    """By its rules, which are the same a minute later: exit 2 at the first order, not 75 after a while, and the command that continues."""
    async with ConnectProxy(*[b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n"] * 3) as proxy:
        done = await scene.run("--proxy", proxy.url, "--rate", "30/min")
        assert done.returncode == 2, done.stderr
        (stop,) = json.loads(done.stdout)["stops"]
        assert (stop["why"], "refuses the tunnel to the server (HTTP 403)" in stop["detail"]) == ("proxy", True)
        assert "let the proxy admit the server" in stop["next"]
        assert scene.simulator.journal == []
        proxy.admit()
        words = shlex.split(json.loads(done.stdout)["go_on"])
        again = await asyncio.to_thread(call, *PROGRAM, *words[words.index("resume") :], "--yes")
        assert again.returncode == 0, again.stderr


async def test_a_password_on_the_command_line_is_not_printed(scene: Scene) -> None:
    """The command that continues has a mark in its place, and says what to do if it is pasted as it is."""
    async with ConnectProxy(user=USER) as proxy:
        given = ("--proxy", proxy.url.replace("//", f"//{USER}@"))
        done = await scene.run(*given, "--max-time", "1s", "--rate", "60/min")
    assert done.returncode == 75, done.stderr
    scene.silent(done.stdout, done.stderr)
    words = shlex.split(json.loads(done.stdout)["go_on"])
    assert words[words.index("--proxy") + 1] == proxy.url.replace("//", "//[credentials]@")
    again = await asyncio.to_thread(call, *PROGRAM, *words[words.index("resume") :], "--yes")
    assert again.returncode == 2
    assert "--proxy has [credentials] in place of the user and the password. Write them there" in again.stderr


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("run", "o.csv", "--api-url", "http://127.0.0.1:1", "--yes"), "--proxy is for a server with https"),
        (("plan", "o.csv"), "--proxy is for looking up the orders, which needs --online"),
        (("verify", "l.db"), "--proxy is for looking up the orders, which needs --online"),
    ],
)
def test_where_a_proxy_makes_no_sense(tmp_path: Path, words: tuple[str, ...], why: str) -> None:
    """Exit 2, without its password."""
    write(tmp_path / "o.csv", IDS[:3])
    done = call(*PROGRAM, *words, "--proxy", f"http://{USER}@127.0.0.1:1", cwd=tmp_path, env=environment())
    assert done.returncode == 2
    assert why in done.stderr
    assert PASSWORD not in done.stdout + done.stderr


def test_profile_does_not_show_the_password(tmp_path: Path) -> None:
    """It shows that there is one."""
    (tmp_path / "p.toml").write_text(f'[profiles.far]\nproxy = "http://{USER}@p.test:3128"\n')
    (tmp_path / "p.toml").chmod(0o600)
    done = call(*PROGRAM, "profile", "far", "--config", str(tmp_path / "p.toml"), env=environment(key=None))
    assert done.returncode == 0, done.stderr
    assert "http://[credentials]@p.test:3128" in done.stdout
    assert PASSWORD not in done.stdout


ECHOED = {
    "refused for good": b"HTTP/1.1 403 No tunnel for {}\r\nX-Was: {}\r\nContent-Length: {n}\r\n\r\n{}",
    "asked for another": b'HTTP/1.1 407 Not {}\r\nProxy-Authenticate: Basic realm="{}"\r\nContent-Length: {n}\r\n\r\n{}',
    "busy": b"HTTP/1.1 503 {}\r\nRetry-After: 1\r\nContent-Length: {n}\r\n\r\n{}",
    "no HTTP": b"{} {}\r\n\r\n{}",
    "a header that is none": b"HTTP/1.1 200 OK\r\n{}\r\n\r\n",
}
"""What a proxy says instead of a tunnel; {} is what it repeats."""


def echoes(answer: bytes) -> bytes:
    """With everything that the proxy has been told, as it may repeat it."""
    basic = base64.b64encode(USER.encode())
    said = b"%s %s %s %s" % (basic, USER.encode(), PASSWORD.encode(), quote(PASSWORD, safe="").encode())
    return answer.replace(b"{}", said).replace(b"{n}", b"%d" % len(said))


@pytest.mark.parametrize("kind", ECHOED)
async def test_a_proxy_that_repeats_its_password(scene: Scene, kind: str) -> None:
    """In its reason, its headers and its body: neither the password nor the header that carries it is said, logged or recorded."""
    answer = echoes(ECHOED[kind])
    async with ConnectProxy(*[answer] * 40) as proxy:
        log = scene.folder / "log"
        done = await scene.run(
            *scene.profile(proxy.url.replace("//", f"//{USER}@")), "-v", "--log-file", str(log), "--patience", "2s"
        )
        assert len(proxy.heads) >= 1
    assert done.returncode in (2, 75), done.stderr
    scene.silent(done.stdout, done.stderr, log.read_text())


class Inspecting(ConnectProxy):
    """A proxy that opens TLS with a certificate that is trusted, and answers in place of the server. It repeats all that it was told."""

    def __init__(self, pem: Path, status: int, form: str) -> None:
        super().__init__(user=USER)
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(pem)
        self._status, self._form = status, form

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError), contextlib.closing(writer):
            self.heads.append(await reader.readuntil(b"\r\n\r\n"))
            writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            await writer.start_tls(self._context)
            await reader.readuntil(b"\r\n\r\n")
            basic = base64.b64encode(USER.encode()).decode()
            said = self._form.format(basic=basic, user=USER, password=PASSWORD, percent=quote(USER, safe=""))
            body = json.dumps({"Status": self._status, "Message": said}).encode()
            head = f"HTTP/1.1 {self._status} {said}\r\nX-Was: {said}\r\nContent-Length: {len(body)}\r\n\r\n"
            writer.write(head.encode() + body)
            await writer.drain()


REPEATED = (
    "Proxy-Authorization: Basic {basic}",
    "user {user}",
    "the password was {password}",
    "http://{percent}@proxy/",
    "<b>{basic}</b>{password}",
)


@pytest.mark.parametrize("status", [400, 404, 502])
@pytest.mark.parametrize("form", REPEATED)
async def test_an_inspecting_proxy_that_repeats_its_password(scene: Scene, status: int, form: str) -> None:
    """Its responses are those of the server, and recorded as such, without what it was told."""
    log = scene.folder / "log"
    async with Inspecting(scene.pem, status, form) as proxy:
        given = scene.profile(proxy.url.replace("//", f"//{USER}@"))
        done = await scene.run(*given, "-v", "--log-file", str(log), "--max-time", "2s")
        assert len(proxy.heads) >= 3
    assert "refused" in done.stdout or "not_found" in done.stdout or "in_doubt" in done.stdout
    said = [done.stdout, done.stderr, log.read_text()]
    for words in (("status",), ("export",), ("export", "-f", "jsonl"), ("report",)):
        shown = await asyncio.to_thread(
            call, *PROGRAM, *words, str(scene.folder / "o.csv.ledger.db"), env=environment()
        )
        assert shown.returncode == 0, shown.stderr
        said.append(shown.stdout)
    scene.silent(*said)


@pytest.mark.parametrize("command", ["run", "plan"])
def test_an_input_that_contains_the_password(tmp_path: Path, command: str) -> None:
    """Messages quote what they read, but not this."""
    (tmp_path / "o.csv").write_text(f"orderId\n5\nhttp://{USER}@p.test:3128\n")
    words = (command, "o.csv", "--account-id", "1", "--keep-stock", "--proxy", f"http://{USER}@p.test:3128")
    done = call(
        *PROGRAM, *words, *(("--online",) if command == "plan" else ("--yes",)), cwd=tmp_path, env=environment()
    )
    assert done.returncode == 3, done.stderr
    assert "[credentials]" in done.stdout + done.stderr
    assert PASSWORD not in done.stdout + done.stderr
