"""A copy of the project with a bug planted in it, to show that a rig sees the bug."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.support import ROOT

__all__ = ["Edit", "Tree"]


@dataclass(frozen=True, slots=True)
class Edit:
    """One change of one product file. `old` is there exactly once, so that no edit misses unseen."""

    path: str  # below bulkdelete/
    old: str
    new: str


class Tree:
    """bulkdelete/ and tests/ copied to `folder`: a command that runs there imports the copy."""

    def __init__(self, folder: Path, edits: tuple[Edit, ...] = ()) -> None:
        self.folder = folder
        for name in ("bulkdelete", "tests", "samples"):
            shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(ROOT / "pyproject.toml", folder)
        for edit in edits:
            path = folder / "bulkdelete" / edit.path
            text = path.read_text(encoding="utf-8")
            assert text.count(edit.old) == 1, f"{edit.path}: {text.count(edit.old)} times: {edit.old!r}"
            path.write_text(text.replace(edit.old, edit.new), encoding="utf-8")

    def run(self, *arguments: str, timeout_s: float) -> subprocess.CompletedProcess[str]:
        """`python ARGUMENTS` in the copy."""
        given = {**os.environ, "PYTHONPATH": str(self.folder), "PYTHONDONTWRITEBYTECODE": "1"}
        return subprocess.run(
            [sys.executable, *arguments],
            cwd=self.folder, env=given, capture_output=True, text=True, timeout=timeout_s, check=False,
        )  # fmt: skip
