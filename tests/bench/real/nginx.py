"""One nginx in front of one server on loopback: its configuration and its process. It never outlives its test.

All of its files are in one folder, it needs no root, and it writes a key nowhere: the key is in the request line, which nginx
would put into its access log, and into its error log for every request that it rejects.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

NGINX = shutil.which("nginx", path=os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin")))
MISSING = "nginx is not installed, so its limit_req was NOT tried against the real program: apt-get install nginx-light"
START_S = 10.0  # it tries five times, for 2.5 s in all, to get its port
STOP_S = 5.0

CONFIGURATION = """
daemon off;
master_process off;  # the one process that we started is all there is to end
worker_processes 1;
pid nginx.pid;
error_log error.log crit;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    client_body_temp_path temp_body;
    proxy_temp_path temp_proxy;
    fastcgi_temp_path temp_fastcgi;
    uwsgi_temp_path temp_uwsgi;
    scgi_temp_path temp_scgi;
    limit_req_zone $arg_API_KEY zone=orders:1m rate={rate_per_s}r/s;
    limit_req_status 429;
    limit_req_log_level info;
    upstream simulator {{
        server 127.0.0.1:{upstream_port};
        keepalive 64;
    }}
    server {{
        listen 127.0.0.1:{port};
        location /v2/orders {{
            limit_req zone=orders burst={burst} nodelay;
            proxy_pass http://simulator;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_next_upstream off;  # it takes DELETE for harmless and would send it again
        }}
    }}
}}
"""


@dataclass(frozen=True, slots=True)
class LimitReq:
    """`limit_req` with `nodelay`. A leaky bucket: `burst` requests over the one that the rate allows."""

    rate_per_s: int
    burst: int

    def best_s(self, n: int) -> float:
        """From the first to the last of `n` requests that pass, at the least.

        ngx_http_limit_req_module: excess = max(0, excess - rate * elapsed + 1), starting from 0 with the first request, and
        a request passes while excess <= burst. So 1 + burst pass at once, and then one every 1 / rate seconds.
        """
        return max(0.0, (n - 1 - self.burst) / self.rate_per_s)


@contextmanager
def nginx(folder: Path, limit: LimitReq, upstream_port: int) -> Iterator[str]:
    """Its URL, once it listens. `folder` must be there; everything nginx writes goes into it."""
    assert NGINX is not None, MISSING
    port = _free_port()
    (folder / "nginx.conf").write_text(
        CONFIGURATION.format(rate_per_s=limit.rate_per_s, burst=limit.burst, upstream_port=upstream_port, port=port)
    )
    # A killed test runner runs no `finally`: on Linux the kernel ends its nginx for it.
    wrapper = [setpriv, "--pdeathsig", "KILL"] if (setpriv := shutil.which("setpriv")) else []
    command = [*wrapper, NGINX, "-p", f"{folder}/", "-c", "nginx.conf", "-e", "error.log"]
    with (folder / "stderr").open("wb") as said:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=said, stderr=said)
    try:
        _wait_until_it_listens(process, port, folder)
        yield f"http://127.0.0.1:{port}"
        assert process.poll() is None, _last_words(folder)
    finally:
        process.terminate()
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_until_it_listens(process: subprocess.Popen[bytes], port: int, folder: Path) -> None:
    """A connection without a request: it takes nothing from the limit."""
    end_s = time.monotonic() + START_S
    while True:
        assert process.poll() is None, _last_words(folder)
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            assert time.monotonic() < end_s, _last_words(folder)
            time.sleep(0.02)
        else:
            return


def _last_words(folder: Path) -> str:
    said = "".join(
        path.read_text(errors="replace") for path in (folder / "stderr", folder / "error.log") if path.exists()
    )
    return f"nginx does not run: {said.strip() or 'it said nothing'}"
