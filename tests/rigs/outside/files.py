"""What befalls the ledger's files while a run works: removed, replaced, truncated, linked, as sync clients and restores do it."""

from __future__ import annotations

import os
import re
import shutil
import stat
from collections.abc import Callable
from pathlib import Path

from tests.rigs.kill.process import QUICK, Child
from tests.rigs.outside.scene import Event, Scene
from tests.rigs.report import Broken
from tests.support.process import until

__all__ = ["EVENTS", "INVARIANT"]

INVARIANT = 34
_RESUME = re.compile(r"^(?:Go on with|Continue with): .* resume (\S+)", re.MULTILINE)


def _while_held(act: Callable[[Scene], object]) -> Callable[[Scene], bool]:
    """Strike while requests are out, and let the responses come in afterwards."""

    def strike(scene: Scene) -> bool:
        if not scene.in_mid_run():
            return False
        act(scene)
        scene.arrived = scene.server.arrived
        scene.server.let_go()
        return True

    return strike


def _remove(suffix: str) -> Callable[[Scene], None]:
    return lambda scene: scene.file(suffix).unlink()


def _truncate(suffix: str) -> Callable[[Scene], None]:
    """In place, as a client does it that writes into the file it finds."""
    return lambda scene: os.truncate(scene.file(suffix), scene.rng.choice((0, scene.file(suffix).stat().st_size // 2)))


def _older_copy(scene: Scene) -> bool:
    """A copy of the ledger from an earlier moment of the run takes its place, as a restore does it."""
    copy = scene.folder / "older"
    if not scene.sees(lambda: scene.server.arrived >= 1):
        return False
    shutil.copy(scene.ledger, copy)
    return _while_held(lambda scene: copy.replace(scene.ledger))(scene)


def _copied_back(scene: Scene) -> None:
    """Removed, and the same bytes put back under the name, as a sync client does it."""
    content = scene.ledger.read_bytes()
    scene.ledger.unlink()
    scene.ledger.write_bytes(content)


def _renamed_over(scene: Scene) -> None:
    (scene.folder / "other").write_text("orderId\n1\n")
    (scene.folder / "other").replace(scene.ledger)


def _moved_away(scene: Scene) -> None:
    scene.ledger.rename(scene.folder / "moved.db")


def _other_log(scene: Scene) -> None:
    content = scene.file("-wal").read_bytes()
    scene.file("-wal").unlink()
    scene.file("-wal").write_bytes(content)


def _second(scene: Scene, ledger: Path) -> None:
    """Another run on what is the same ledger says so and sends nothing. It has a key of its own: requests of the first run may still
    arrive."""
    words, key = ("resume", str(ledger), "--api-url", scene.server.url, "--yes"), "another-key"
    with Child(scene.folder / "second", words, program=QUICK, key=key) as second:
        until(lambda: second.gone() or scene.server.arrived_by_key[key])
        if scene.server.arrived_by_key[key]:
            raise Broken(12, "a second run on the same file has sent requests")
        if second.code != 75:
            raise Broken(12, f"a second run on the same file, exit code {second.code}: {second.text()[-300:]}")


def _no_lock_and_a_second_run(scene: Scene) -> None:
    scene.file(".lock").unlink()
    _second(scene, scene.ledger)


def _linked(scene: Scene) -> None:
    os.link(scene.ledger, scene.folder / "link.db")
    _second(scene, scene.folder / "link.db")


def _saved(scene: Scene) -> None:
    """The command that goes on names a new file beside the ledger, for its owner alone; that one is gone on with."""
    text = scene.child.text()
    if scene.server.arrived != scene.arrived:
        raise Broken(INVARIANT, f"{scene.server.arrived - scene.arrived} requests after the ledger was gone")
    found = _RESUME.findall(text)
    if not found or not any(f"was {what}" in text for what in ("removed", "replaced", "truncated")):
        raise Broken(INVARIANT, f"nothing says what became of the ledger: {text[-500:]}")
    saved = Path(found[-1])
    if saved == scene.ledger or saved.parent != scene.folder or not saved.is_file():
        raise Broken(INVARIANT, f"what the run knew is not saved: {text[-500:]}")
    if stat.S_IMODE(saved.stat().st_mode) != 0o600:
        raise Broken(INVARIANT, f"{saved} is not for its owner alone")
    scene.ledger = saved


def _unlinked(scene: Scene) -> None:
    """The run was not disturbed; the next one is refused until the other name is gone, and says how that is found."""
    words = ("resume", str(scene.ledger), "--api-url", scene.server.url, "--yes")
    with Child(scene.folder / "second", words, program=QUICK) as refused:
        code = refused.wait()
    if code != 6 or not refused.says("-samefile"):
        raise Broken(35, f"a ledger with two names, exit code {code}: {refused.text()[-300:]}")
    (scene.folder / "link.db").unlink()


def _gone(strike: Callable[[Scene], bool]) -> Event:
    return Event(INVARIANT, strike, frozenset({6}), _saved)


EVENTS = {
    "ledger removed": _gone(_while_held(_remove(""))),
    "ledger moved away": _gone(_while_held(_moved_away)),
    "ledger replaced by an older copy": _gone(_older_copy),
    "ledger copied back": _gone(_while_held(_copied_back)),
    "another file renamed over the ledger": _gone(_while_held(_renamed_over)),
    "write-ahead log removed": _gone(_while_held(_remove("-wal"))),
    "write-ahead log replaced": _gone(_while_held(_other_log)),
    "ledger truncated": _gone(_while_held(_truncate(""))),
    "write-ahead log truncated": _gone(_while_held(_truncate("-wal"))),
    "lock file removed": _gone(_while_held(_no_lock_and_a_second_run)),
    "ledger hard-linked": Event(INVARIANT, _while_held(_linked), frozenset({0}), _unlinked),
}
