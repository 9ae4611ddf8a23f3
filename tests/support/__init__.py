"""What several tests use: where the repository is, processes, servers, a virtual clock, and the scenes that they play on."""

from __future__ import annotations

from pathlib import Path

__all__ = ["ROOT"]

ROOT = Path(__file__).parents[2]
"""The repository's folder."""
