"""The pictures that README shows, made by the program: `python -m tests.support.pictures` writes them anew into samples/pictures.

`terminal.py` plays README's rehearsal on a terminal; `report.py` plays two nights on a virtual clock and opens the page about them in
Chromium. tests/system/test_pictures.py says what must hold of them.
"""

from __future__ import annotations

from tests.support import ROOT

__all__ = ["FOLDER"]

FOLDER = ROOT / "samples" / "pictures"
"""Where they are."""
