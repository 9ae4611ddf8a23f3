"""samples/scheduled: what systemd, cron, Kubernetes and Docker would read is valid as far as this machine can tell, and what they would
start deletes the orders of a folder, with its paths below a scratch folder."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import stat
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from bulkdelete.cli.program import program
from bulkdelete.core.run_summary import EXIT_OF_ERROR, EXIT_OF_REASON, EXIT_UNFORESEEN
from bulkdelete.settings import Settings
from tests.support import ROOT
from tests.support.command import IDS, Server, call, write
from tests.support.placed import placed
from tests.support.process import KEY, PROGRAM, environment

SAMPLES = ROOT / "samples" / "scheduled"
ACCOUNT = "1234"
GRACE_S = Settings(ledger=Path("l.db")).grace_s
CODES = {1, EXIT_UNFORESEEN, *EXIT_OF_REASON.values(), *EXIT_OF_ERROR.values()}
CONTINUED = {75, 130, 143}  # the next run continues, and nobody has to look
INSTANCES = ("day", "night")
SERVED = ("--account-id", ACCOUNT, "--limit", "6000")


def text_of(name: str) -> str:
    return (SAMPLES / name).read_text(encoding="utf-8")


def unit(name: str) -> dict[str, dict[str, str]]:
    """A unit's entries by section; an entry stands once."""
    sections: dict[str, dict[str, str]] = {}
    for line in text_of(name).splitlines():
        if found := re.fullmatch(r"\[(\w+)\]", line):
            sections[found[1]] = entries = {}
        elif line and not line.startswith("#"):
            key, equals, value = line.partition("=")
            assert equals, line
            assert key not in entries, line
            entries[key] = value
    return sections


def pace_of(instance: str) -> list[str]:
    (line,) = (line for line in text_of(f"{instance}.conf").splitlines() if not line.startswith("#"))
    assert line.startswith("PACE=")
    return line.removeprefix("PACE=").split()


def started_by_systemd(instance: str) -> list[str]:
    """The words of ExecStart, as systemd reads them: $PACE becomes as many words as it has."""
    words = shlex.split(unit("bulkdelete@.service")["Service"]["ExecStart"])
    assert words[-1] == "$PACE"
    return [*words[:-1], *pace_of(instance)]


def container() -> dict[str, Any]:
    (found,) = pod()["containers"]
    return dict(found)


def pod() -> dict[str, Any]:
    return dict(yaml.safe_load(text_of("cronjob.yaml"))["spec"]["jobTemplate"]["spec"]["template"]["spec"])


def docker_run() -> tuple[list[str], list[str]]:
    """The words of `docker run`, and those that its container gets."""
    (line,) = re.findall(r"^# (docker run .*)$", text_of("Dockerfile"), re.MULTILINE)
    words = shlex.split(line)
    at = words.index("bulkdelete")
    return words[:at], words[at:]


def started_by_the_script() -> list[str]:
    script = text_of("scheduled.sh").replace("\\\n", "")
    (found,) = re.findall(r"result=\$\((bulkdelete .*) \"\$@\" 2>&1\)", script)
    return shlex.split(found)


COMMANDS = {
    "systemd by day": started_by_systemd("day"),
    "systemd by night": started_by_systemd("night"),
    "cron": started_by_the_script(),
    "kubernetes": ["bulkdelete", *container()["args"]],
    "docker": docker_run()[1],
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A machine's folders, with the program, a key, and a file with three orders."""
    for name in (
        "opt/bulkdelete/bin",
        "etc/bulkdelete",
        "var/lib/bulkdelete",
        "run/bulkdelete",
        "exports",
        "data/ledgers",
    ):
        (tmp_path / name).mkdir(parents=True)
    installed = tmp_path / "opt/bulkdelete/bin/bulkdelete"
    installed.write_text(f'#!/bin/sh\nexec {sys.executable} -m bulkdelete "$@"\n')
    installed.chmod(0o755)
    for name in ("etc/bulkdelete/alephee.key", "data/alephee.key"):
        (tmp_path / name).write_text(KEY + "\n")
        (tmp_path / name).chmod(0o600)
    for name in (*(f"{instance}.conf" for instance in INSTANCES),):
        shutil.copy(SAMPLES / name, tmp_path / "etc/bulkdelete")
    write(tmp_path / "exports" / "gone-1.csv", IDS[:3])
    return tmp_path


def installed_env(folder: Path, **more: str) -> dict[str, str]:
    path = f"{folder / 'tools'}:{folder / 'opt/bulkdelete/bin'}:{os.environ['PATH']}"
    return environment(None, PYTHONPATH=str(ROOT), PATH=path, **more)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_is_one_of_the_program(name: str) -> None:
    """click takes every word of a command in a sample."""
    command, *words = COMMANDS[name]
    assert Path(command).name == "bulkdelete"
    assert words[0] == "run"
    parent = click.Context(program, **program.context_settings)
    with program.commands["run"].make_context("run", words[1:], parent=parent) as ctx:
        assert ctx.args == []


@pytest.mark.parametrize("server", [SERVED], indirect=True)
@pytest.mark.parametrize("name", [name for name in COMMANDS if name != "cron"])
def test_what_a_scheduler_starts_deletes_the_orders(server: Server, folder: Path, name: str) -> None:
    """Run as it stands, without a terminal and with the key where the scheduler puts it."""
    credentials = folder / "credentials"
    credentials.mkdir()
    shutil.copy(folder / "etc/bulkdelete/alephee.key", credentials / "bulkdelete-api-key")
    (credentials / "bulkdelete-api-key").chmod(0o440)  # as systemd and Kubernetes make it
    words = [placed(word, folder) for word in COMMANDS[name][1:] if not word.startswith("--rate")]
    done = call(
        *PROGRAM,
        *(word for word in words if word != "10/min"),
        *("--api-url", server.url),
        env=installed_env(folder, CREDENTIALS_DIRECTORY=str(credentials)),
    )
    assert done.returncode == 0, done.stderr
    assert "3 deleted" in done.stdout
    assert len(server.journal()) == 3


# systemd


def test_the_units_are_valid(folder: Path) -> None:
    """systemd reads them without a complaint."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("there is no systemd-analyze")
    names = [path.name for path in SAMPLES.iterdir() if path.suffix in (".service", ".timer")]
    assert len(names) == 4
    for name in names:
        (folder / name).write_text(placed(text_of(name), folder))
    for name in names:
        done = subprocess.run(
            ["systemd-analyze", "verify", "--man=no", name], cwd=folder, capture_output=True, text=True, timeout=60
        )
        assert "bulkdelete" not in done.stderr, done.stderr


def test_a_unit_that_ends_well_reports_nothing() -> None:
    """OnFailure names a unit that is there, and 75 is no failure: the timer comes again. Requests in flight get their grace."""
    service = unit("bulkdelete@.service")
    reported = service["Unit"]["OnFailure"]
    assert reported == "bulkdelete-failed@%n.service"
    assert (SAMPLES / reported.replace("%n", "")).exists()
    assert {int(code) for code in service["Service"]["SuccessExitStatus"].split()} == {75, 143}
    assert int(service["Service"]["TimeoutStopSec"]) > GRACE_S


def test_both_instances_have_one_user_and_private_folders() -> None:
    """A ledger belongs to one user. The key is not an option, nor in the environment."""
    service = unit("bulkdelete@.service")["Service"]
    assert (service["User"], service["StateDirectoryMode"]) == ("bulkdelete", "0700")
    assert service["LoadCredential"].startswith("bulkdelete-api-key:/")
    assert "--api-key-file" not in service["ExecStart"]


def test_another_user_can_read_the_metrics() -> None:
    """They outlive the run, in a folder that node_exporter may enter. systemd moves the folders of a dynamic user below a private one,
    except a runtime directory that ends with its unit (`exec_directory_is_private` in its source)."""
    service, words = unit("bulkdelete@.service")["Service"], started_by_systemd("night")
    metrics = Path(words[words.index("--metrics-file") + 1])
    assert metrics.parent == Path("/run", service["RuntimeDirectory"])
    assert (service["RuntimeDirectoryPreserve"], service["RuntimeDirectoryMode"]) == ("yes", "0755")
    assert service.get("DynamicUser", "no") == "no"


def test_a_slow_day_ends_before_a_fast_night() -> None:
    """Each run leaves in time for the next one, and only the day has a rate: with systemd as with cron."""
    starts = {name: unit(f"bulkdelete@{name}.timer")["Timer"]["OnCalendar"].split()[-1] for name in INSTANCES}
    by_systemd = [(minutes(start), pace_of(name)) for name, start in starts.items()]
    by_cron = [
        (60 * int(hour) + int(minute), shlex.split(command)[1:])
        for minute, hour, command in re.findall(
            r"^(\d+) (\d+) \* \* \* bulkdelete (.*)$", text_of("crontab"), re.MULTILINE
        )
    ]
    assert by_systemd == by_cron
    for (start, pace), (following, _) in zip(by_cron, by_cron[1:] + by_cron[:1], strict=True):
        longest = int(pace[pace.index("--max-time") + 1].removesuffix("min"))
        assert longest + GRACE_S / 60 < (following - start) % (24 * 60)
    assert [("--rate" in pace) for _, pace in by_cron] == [True, False]


def minutes(time: str) -> int:
    hour, minute = time.split(":")
    return 60 * int(hour) + int(minute)


def test_a_missed_run_is_not_made_up_for() -> None:
    """A night that begins in the morning would be fast by day."""
    assert not any("Persistent" in unit(f"bulkdelete@{name}.timer")["Timer"] for name in INSTANCES)


# cron and the shell


def test_the_crontab_is_valid() -> None:
    """Times, a user and a command in each line; no % in it, which is a line's end to cron."""
    lines = [line for line in text_of("crontab").splitlines() if line and not line.startswith(("#", "MAILTO="))]
    assert len(lines) == 2
    for line in lines:
        assert re.fullmatch(r"(?:[\d*]+ ){5}bulkdelete /opt/bulkdelete/scheduled\.sh [^%]+", line)


def tools(folder: Path, *names: str) -> None:
    """Commands that keep what they are given: their words, and their stdin."""
    (folder / "tools").mkdir(exist_ok=True)
    for name in names:
        tool = folder / "tools" / name
        tool.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" >{folder}/{name}.words\ncat >{folder}/{name}.stdin\n')
        tool.chmod(0o755)


def scheduled(folder: Path, *words: str, **env: str) -> subprocess.CompletedProcess[str]:
    script = folder / "scheduled.sh"
    script.write_text(placed(text_of("scheduled.sh"), folder))
    return subprocess.run(
        ["/bin/sh", str(script), *words],
        env=installed_env(folder, **env), cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60,
    )  # fmt: skip


@pytest.mark.parametrize("server", [SERVED], indirect=True)
def test_a_scheduled_run_that_ends_well_is_silent(server: Server, folder: Path) -> None:
    """No mail by cron or by itself; the log is private."""
    tools(folder, "mail", "curl")
    done = scheduled(folder, "--rate", "3000/min", "--api-url", server.url, CHAT_URL="http://127.0.0.1:9/")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert len(server.journal()) == 3
    assert not list(folder.glob("*.words"))
    log = folder / "var/lib/bulkdelete/scheduled.log"
    assert "run.ended" in log.read_text()
    assert stat.S_IMODE(log.stat().st_mode) == 0o600


@pytest.mark.skipif(shutil.which("jq") is None, reason="there is no jq")
@pytest.mark.parametrize("server", [(*SERVED, "--native", str(IDS[1]))], indirect=True)
def test_a_scheduled_run_that_somebody_must_see_is_mailed_and_posted(server: Server, folder: Path) -> None:
    """One order is refused: the exit code is in the subject, the counts are in the chat, and the key is in neither."""
    tools(folder, "mail", "curl")
    done = scheduled(folder, "--api-url", server.url, CHAT_URL="http://127.0.0.1:9/")
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "")
    assert "bulkdelete: exit code 1 on " in (folder / "mail.words").read_text()
    assert '"refused": 1' in (folder / "mail.stdin").read_text()
    said = json.loads((folder / "curl.stdin").read_text())["text"]
    assert said.startswith("bulkdelete: exit code 1, ")
    assert json.loads(said[said.index("{") :])["deleted"] == 2
    assert all(KEY not in path.read_text() for path in folder.glob("*.stdin"))


@pytest.mark.skipif(shutil.which("jq") is None, reason="there is no jq")
def test_a_scheduled_run_that_does_not_begin_says_why(folder: Path) -> None:
    """No key: the error is in the chat."""
    tools(folder, "mail", "curl")
    (folder / "etc/bulkdelete/alephee.key").unlink()
    assert scheduled(folder, CHAT_URL="http://127.0.0.1:9/").returncode == 2
    assert "cannot be read" in json.loads((folder / "curl.stdin").read_text())["text"]


@pytest.mark.parametrize("code", sorted(CODES | {0}))
def test_a_scheduled_run_tells_a_person_what_a_person_must_see(folder: Path, code: int) -> None:
    """Every exit code but those after which the next run continues."""
    tools(folder, "mail")
    faked = folder / "tools" / "bulkdelete"
    faked.write_text(f"#!/bin/sh\nexit {code}\n")
    faked.chmod(0o755)
    told = code not in {0, *CONTINUED}
    assert scheduled(folder).returncode == (code if told else 0)
    assert (folder / "mail.words").exists() == told


# Kubernetes


def test_the_job_stops_and_repeats_as_the_program_needs_it() -> None:
    """One pod at a time, time for what is in flight, and no second pod after an exit code that a second pod would repeat."""
    spec = yaml.safe_load(text_of("cronjob.yaml"))["spec"]
    job = spec["jobTemplate"]["spec"]
    assert (spec["concurrencyPolicy"], job["podReplacementPolicy"]) == ("Forbid", "Failed")
    assert pod()["restartPolicy"] == "Never"  # a podFailurePolicy needs it
    assert pod()["terminationGracePeriodSeconds"] > GRACE_S
    codes = [rule["onExitCodes"] for rule in job["podFailurePolicy"]["rules"] if rule["action"] == "FailJob"]
    assert [each["containerName"] for each in codes] == [container()["name"]]
    assert set(codes[0]["values"]) == CODES - {130, 143}


def test_the_pod_is_restricted() -> None:
    """Not root, nothing writable but its volumes, no token of the cluster."""
    spec = pod()
    assert spec["securityContext"]["runAsNonRoot"]
    assert spec["automountServiceAccountToken"] is False
    for each in (*spec["initContainers"], *spec["containers"]):
        context = each["securityContext"]
        assert (context["allowPrivilegeEscalation"], context["readOnlyRootFilesystem"]) == (False, True)
        assert context["capabilities"] == {"drop": ["ALL"]}


def test_what_the_pod_mounts_is_there() -> None:
    """Each mount has its volume, and each path of the command a mount."""
    spec = pod()
    volumes = {each["name"] for each in spec["volumes"]}
    mounts = {each["mountPath"]: each["name"] for each in container()["volumeMounts"]}
    assert set(mounts.values()) == volumes
    paths = re.findall(r"(?:^|=)(/\S+)", "\n".join(container()["args"]), re.MULTILINE)
    assert len(paths) == 2
    for path in (*paths, *(each["value"] for each in container()["env"])):
        assert any(path.startswith(mount) for mount in mounts), path


@pytest.mark.parametrize("server", [SERVED], indirect=True)
def test_a_ledger_on_the_volume_warns_of_nothing(server: Server, folder: Path) -> None:
    """Everybody may write to an empty volume; what the init container makes of it is private, also the second time."""
    (folder / "data/ledgers").rmdir()
    (folder / "data").chmod(0o777)
    (first,) = pod()["initContainers"]
    for _ in range(2):
        subprocess.run([placed(word, folder) for word in first["command"]], check=True, timeout=60)
        assert stat.S_IMODE((folder / "data/ledgers").stat().st_mode) == 0o700
    words = [placed(word, folder) for word in container()["args"]]
    done = call(*PROGRAM, *words, "--api-url", server.url, env=environment(PYTHONPATH=str(ROOT)))
    assert done.returncode == 0, done.stderr
    assert "warning" not in done.stderr


def test_kubernetes_knows_every_field() -> None:
    """kubectl reads the file into its own types and writes it again: an unknown field would be lost."""
    if shutil.which("kubectl") is None:
        pytest.skip("there is no kubectl")
    command = ["kubectl", "set", "image", "--local", "-f", "cronjob.yaml", "bulkdelete=bulkdelete:other", "-o", "json"]
    done = subprocess.run(command, cwd=SAMPLES, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    written = json.loads(done.stdout)

    def lost(ours: Any, theirs: Any, place: str) -> list[str]:
        match ours:
            case dict():
                return [at for key, value in ours.items() for at in lost(value, theirs.get(key), f"{place}.{key}")]
            case list():
                return [at for n, value in enumerate(ours) for at in lost(value, theirs[n], f"{place}[{n}]")]
        return [] if theirs is not None else [place]

    assert lost(yaml.safe_load(text_of("cronjob.yaml")), written, "") == []


# Docker


def instructions() -> list[tuple[str, str]]:
    lines = [line for line in text_of("Dockerfile").splitlines() if line and not line.startswith("#")]
    return [(name, rest) for line in lines for name, _, rest in [line.partition(" ")]]


def test_the_image_is_slim_and_its_user_is_not_root() -> None:
    """Its command is the program itself, which gets Docker's SIGTERM and time for what is in flight."""
    found = instructions()
    last = [name for name, _ in found].index("FROM", 1)
    assert all("-slim" in rest for name, rest in found if name == "FROM")
    final = dict(found[last:])
    assert all(int(part) > 0 for part in final["USER"].split(":"))
    assert final["STOPSIGNAL"] == "SIGTERM"
    assert json.loads(final["ENTRYPOINT"]) == ["bulkdelete"]
    options, _ = docker_run()
    assert int(options[options.index("--stop-timeout") + 1]) > GRACE_S
    known = {"FROM", "COPY", "RUN", "USER", "WORKDIR", "ENV", "STOPSIGNAL", "ENTRYPOINT", "CMD"}
    assert {name for name, _ in found} == known


def test_the_image_is_built_of_what_the_package_needs() -> None:
    """What pyproject.toml names is copied, and the extras of `pip install` exist."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    copied = {word for name, rest in instructions() if name == "COPY" for word in rest.split()[:-1]}
    needed = {
        "pyproject.toml",
        project["project"]["readme"],
        *project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"],
    }
    assert needed <= copied
    (extras,) = re.findall(r"'/src\[([\w,]+)\]'", text_of("Dockerfile"))
    assert set(extras.split(",")) <= project["project"]["optional-dependencies"].keys()
