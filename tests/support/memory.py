"""Where files are held in memory, if there is such a place: for what makes many commits and needs no disk."""

import os

__all__ = ["MEMORY"]

_SHARED = "/dev/shm"
MEMORY = _SHARED if os.access(_SHARED, os.W_OK | os.X_OK) else None
"""A folder for `tempfile`'s `dir`; None: its own choice."""
