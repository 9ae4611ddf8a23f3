"""`--proxy` as a user sees it: the run through a tunnel, what stops it, and where the proxy's password does not appear."""

from __future__ import annotations

import asyncio
import contextlib
import json
import shlex
import ssl
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

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
        """The password is in nothing that was said, and not in the ledger."""
        made = b"".join(path.read_bytes() for path in self.folder.glob("o.csv.ledger.db*"))
        assert PASSWORD.encode() not in "".join(said).encode() + made


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
