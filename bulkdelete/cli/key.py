"""Where the API key of a command comes from: an option, the environment, or a person who is asked. From then on it is hidden."""

from __future__ import annotations

import os
import sys

import click

from bulkdelete.api.keys import ApiKey, has_source, read_key, seal_process
from bulkdelete.cli.secrecy import know
from bulkdelete.cli.streams import drain_stderr

__all__ = ["asked_key", "given_key", "is_terminal"]


def is_terminal() -> bool:
    """Whether a person can be asked."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def given_key(file: str | None) -> ApiKey | None:
    """The key from the first source that exists; None: there is none, and a person can be asked. Raises UsageError."""
    seal_process()
    if file is None and is_terminal() and not has_source(os.environ):
        return None
    return _known(read_key(file, os.environ, sys.stdin.readline, None))


def asked_key() -> ApiKey:
    """The key that a person types. Raises UsageError, click.Abort."""
    drain_stderr()  # the prompt is written to the terminal itself, and what was said before it is read first
    return _known(read_key(None, {}, str, lambda: str(click.prompt("API key", hide_input=True, err=True))))


def _known(key: ApiKey) -> ApiKey:
    know(key.reveal())
    return key
