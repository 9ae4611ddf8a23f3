"""File systems that a single command sees, below /mnt."""

from __future__ import annotations

import os
import shutil
import subprocess

import pytest

from tests.support.command import call
from tests.support.process import environment


def in_own_mounts(script: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a script of bash that may mount what it likes; where nobody may, the test is skipped."""
    if shutil.which("unshare") is None or subprocess.run(["unshare", "-rm", "true"], check=False).returncode:
        pytest.skip("NOT TESTED: no name space of our own here")
    return call("unshare", "-rm", "bash", "-c", script, env=environment(**variables, PYTHONPATH=os.getcwd()))


def mounted(
    options: str, command: list[str], before: str = "true", **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run a command where /mnt is a file system in memory with these options."""
    return in_own_mounts(f"mount -t tmpfs -o {options} none /mnt && {before} && {' '.join(command)}", **variables)
