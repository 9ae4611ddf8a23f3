"""The command `profile`: its argument, examples and help. showing.py does the work."""

from __future__ import annotations

from pathlib import Path

from bulkdelete.cli.helping import Example, argument, command

__all__ = ["profile"]

_EXAMPLES = (
    Example("what the profile `shops` of your configuration file gives", "bulkdelete profile shops"),
    Example("the same of another file", "bulkdelete profile shops --config migration.toml"),
)


@command("profile", argument("name"), examples=_EXAMPLES)
def profile(name: str, config: Path | None) -> None:
    """Show what applies with the profile NAME, and where it is set.

    It shows no key, opens no file of a key, and runs no command that prints one."""
    from bulkdelete.cli.configuration import read_profile
    from bulkdelete.cli.showing import profile_text
    from bulkdelete.cli.streams import write_result

    write_result(profile_text(read_profile(name, config)))
