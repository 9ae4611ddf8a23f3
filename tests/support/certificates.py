"""A certificate for 127.0.0.1, made for one test. It is trusted by whoever names it, and by nobody else."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

__all__ = ["certificate"]


def certificate(folder: Path, name: str = "right", alternative: str = "IP:127.0.0.1") -> Path:
    """Certificate and key in one file; the test is skipped where there is no openssl to make it with."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("NOT TESTED: TLS. There is no openssl here to make a certificate with")
    path = folder / f"{name}.pem"
    command = f"req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=test -keyout {path}"
    out = subprocess.run(
        [openssl, *command.split(), "-addext", f"subjectAltName={alternative}"], check=True, capture_output=True
    )
    with path.open("ab") as file:
        file.write(out.stdout)
    return path
