"""The handlers of signals by themselves: what the loop of a run does not hear in time ends the process all the same."""

from __future__ import annotations

import signal
import subprocess
import sys
import time

import pytest

HANGING = """
import os, sys, time
from bulkdelete.cli.signals import Signals
signals = Signals()
signals.on_first = signals.on_second = lambda stop: None  # nobody is there to heed them
read, write = os.pipe()
print("ready", flush=True)
{hangs}
"""
HANGS = {
    "a write": "while True: os.write(write, b'x' * 10**6)",
    "a lock": "import threading; lock = threading.Lock(); lock.acquire(); lock.acquire()",
    "a loop": "while True: pass",
    "a read": "os.read(read, 1)",
    "a sleep": "time.sleep(60)",
}


@pytest.mark.parametrize("where", HANGS)
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 143)])
def test_invariant_36_the_second_signal_ends_what_hangs(where: str, number: signal.Signals, code: int) -> None:
    """In the main thread, in a system call or out of one: within a second, with the exit code of the first signal."""
    process = subprocess.Popen(
        [sys.executable, "-c", HANGING.format(hangs=HANGS[where])], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.stdout.close()
    time.sleep(0.2)  # until it hangs: Python runs no handler between its last look and the system call
    process.send_signal(number)
    time.sleep(0.7)
    assert process.poll() is None
    process.send_signal(number)
    since_s = time.monotonic()
    try:
        assert process.wait(10) == code
    finally:
        process.kill()
        process.wait()
    assert time.monotonic() - since_s < 3.0, "a second, and what a busy machine adds"


def test_a_signal_that_was_ignored_stays_ignored() -> None:
    """nohup wants SIGHUP so, and a shell SIGINT for what it starts in the background."""
    script = (
        "import signal; signal.signal(signal.SIGHUP, signal.SIG_IGN)\n"
        "from bulkdelete.cli.signals import Signals; Signals()\n"
        "assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN\n"
        "assert signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


WAITING = """
import os, signal, sys
from bulkdelete.cli.signals import Signals, wait_for_input
signals = Signals()
signal.signal(signal.SIGWINCH, lambda *_: print("resized", flush=True))
try:
    print("ready", flush=True)
    wait_for_input(sys.stdin)
    print(sys.stdin.readline().strip(), flush=True)
except KeyboardInterrupt:
    print("interrupted", flush=True)
"""


@pytest.mark.parametrize(("number", "said"), [(signal.SIGINT, "interrupted"), (signal.SIGWINCH, "resized")])
def test_a_signal_while_a_person_is_asked(number: signal.Signals, said: str) -> None:
    """Whenever it comes: one that ends the question does so at once, and any other leaves it open."""
    for _ in range(5):
        with subprocess.Popen(
            [sys.executable, "-c", WAITING], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            process.send_signal(number)
            assert process.stdout.readline() == f"{said}\n"
            if said == "resized":
                process.stdin.write("60\n")
                process.stdin.flush()
                assert process.stdout.readline() == "60\n"
