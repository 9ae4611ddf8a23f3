"""samples/scheduled with a profile: one configuration file with its keys beside it, where systemd, cron and Kubernetes put them."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support import ROOT
from tests.support.command import Server, call
from tests.support.placed import placed
from tests.support.process import PROGRAM, environment

SAMPLES = ROOT / "samples" / "scheduled"
KEYS = {"north.key": "north-of-the-sample", "south.key": "south-of-the-sample"}
ACCOUNTS = {71: 710_001, 72: 720_001, 73: 730_001}
PROFILE = "--profile shops --config /etc/bulkdelete/config.toml"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folders of a machine, and an order of each account."""
    for name in ("etc/bulkdelete", "var/lib/bulkdelete", "run/bulkdelete", "exports", "data/ledgers", "credentials"):
        (tmp_path / name).mkdir(parents=True)
    rows = "".join(f"{account},{order}\n" for account, order in ACCOUNTS.items())
    (tmp_path / "exports/gone-1.csv").write_text("accountId,orderId\n" + rows)
    return tmp_path


@pytest.fixture
def shops(tmp_path: Path) -> Server:
    """A server with both keys."""
    exist = tmp_path / "shops.csv"
    exist.write_text("accountId,orderId\n" + "".join(f"{account},{order}\n" for account, order in ACCOUNTS.items()))
    keys = (f"{KEYS['north.key']}=71,72", f"{KEYS['south.key']}=73")
    return Server(
        tmp_path, *(word for key in keys for word in ("--key", key)), "--orders", str(exist), "--limit", "6000"
    )


def put(folder: Path, where: Path, mode: int) -> None:
    """The configuration file and its keys, with the mode that a scheduler gives them."""
    (where / "config.toml").write_text(placed((SAMPLES / "config.toml").read_text(), folder))
    for name, key in KEYS.items():
        (where / name).write_text(key + "\n")
    for name in ("config.toml", *KEYS):
        (where / name).chmod(mode)


def drop_in() -> str:
    return (SAMPLES / "profile.conf").read_text(encoding="utf-8")


def of_systemd(folder: Path) -> list[str]:
    """The words of the drop-in's ExecStart, after what systemd expands in them."""
    (line,) = re.findall(r"^ExecStart=(.+)$", drop_in(), re.MULTILINE)
    line = (
        placed(line, folder)
        .replace("${CREDENTIALS_DIRECTORY}", str(folder / "credentials"))
        .replace("$PACE", "--max-time 530min")
    )
    return shlex.split(line)[1:]


def of_cron(folder: Path) -> list[str]:
    """Those of the script, changed as its first lines say."""
    script = (SAMPLES / "scheduled.sh").read_text(encoding="utf-8")
    assert PROFILE in script.replace("\n# ", " ")
    (found,) = re.findall(r"result=\$\(bulkdelete (.*) \"\$@\" 2>&1\)", script.replace("\\\n", ""))
    return shlex.split(placed(without(found, "ledger", "account-id", "api-key-file") + " " + PROFILE, folder))


def of_kubernetes(folder: Path) -> list[str]:
    """Those of the container, changed as the first lines say."""
    text = (SAMPLES / "cronjob.yaml").read_text(encoding="utf-8")
    named = "--profile=shops with --config=/run/secrets/bulkdelete/config.toml stands in place of --account-id"
    assert named in text.replace("\n# ", " ")
    words = re.findall(r"^ +- (run|--\S+|/exports\S+)$", text, re.MULTILINE)
    secret = f"--profile=shops --config={folder / 'credentials/config.toml'}"
    return shlex.split(placed(without(shlex.join(words), "account-id"), folder) + " " + secret)


def without(line: str, *names: str) -> str:
    return re.sub(rf"--(?:{'|'.join(names)})[= ]\S+ ?", "", line)


STARTED = {"systemd": (of_systemd, 0o400), "cron": (of_cron, 0o600), "kubernetes": (of_kubernetes, 0o440)}


@pytest.mark.parametrize("kind", STARTED)
def test_a_scheduled_profile_deletes_the_orders_of_its_accounts(shops: Server, folder: Path, kind: str) -> None:
    """Each key is found beside the configuration file, and nothing else is named."""
    words_of, mode = STARTED[kind]
    where = folder / ("etc/bulkdelete" if kind == "cron" else "credentials")
    put(folder, where, mode)
    if kind == "kubernetes":  # a secret is a folder that everybody may write to, and links
        where.chmod(0o1777)
        hidden = where / "..data"
        hidden.mkdir()
        for name in ("config.toml", *KEYS):
            (where / name).rename(hidden / name)
            (where / name).symlink_to(f"..data/{name}")
    more = {} if kind == "cron" else {"CREDENTIALS_DIRECTORY": str(where)}
    try:
        done = call(
            *PROGRAM, *words_of(folder), "--api-url", shops.url, env=environment(None, PYTHONPATH=os.getcwd(), **more)
        )
        assert done.returncode == 0, done.stderr
        assert {entry["order_id"] for entry in shops.journal()} == set(ACCOUNTS.values())
    finally:
        shops.close()
    assert not any(key in done.stdout + done.stderr for key in KEYS.values())


def test_the_drop_in_takes_the_single_key_away() -> None:
    """A run with two kinds of keys is refused, so the unit's own credential has to go, and its command with it."""
    entries = re.findall(r"^(LoadCredential|ExecStart)=(.*)$", drop_in(), re.MULTILINE)
    for name in ("LoadCredential", "ExecStart"):
        assert next(value for entry, value in entries if entry == name) == ""
    loaded = {
        value.partition(":")[0]: value.partition(":")[2]
        for name, value in entries
        if name == "LoadCredential" and value
    }
    assert loaded == {name: f"/etc/bulkdelete/{name}" for name in ("config.toml", *KEYS)}


def test_systemd_takes_the_drop_in(folder: Path) -> None:
    """Without a complaint, for both instances."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("there is no systemd-analyze")
    (folder / "opt/bulkdelete/bin").mkdir(parents=True)
    (folder / "opt/bulkdelete/bin/bulkdelete").touch(0o755)
    (folder / "units/bulkdelete@.service.d").mkdir(parents=True)
    for path in (*SAMPLES.glob("*.service"), *SAMPLES.glob("*.timer")):
        (folder / "units" / path.name).write_text(placed(path.read_text(), folder))
    (folder / "units/bulkdelete@.service.d/profile.conf").write_text(placed(drop_in(), folder))
    for instance in ("day", "night"):
        unit = f"bulkdelete@{instance}.service"
        done = subprocess.run(
            ["systemd-analyze", "verify", "--man=no", unit],
            cwd=folder / "units",
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert "bulkdelete" not in done.stderr, done.stderr
