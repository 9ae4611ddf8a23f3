"""Where output goes: in the place of nothing, and in an encoding that holds it."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import socket
import subprocess
from pathlib import Path

import pytest

from bulkdelete.cli.files import check_outputs
from bulkdelete.cli.replacing import needed
from bulkdelete.errors import UsageError
from tests.support.command import IDS, Server, arguments, call, write
from tests.support.ledger import first
from tests.support.mounts import in_own_mounts
from tests.support.process import PROGRAM, environment

GIVEN = ("--account-id", "1", "--keep-stock")


@pytest.fixture
async def scene(tmp_path: Path) -> Path:
    """A folder with an input, a ledger, a key, a credential and a file that is somebody's."""
    write(tmp_path / "o.csv", IDS)
    await first(tmp_path / "l.db")
    os.link(tmp_path / "o.csv", tmp_path / "hard.csv")
    (tmp_path / "soft.csv").symlink_to("o.csv")
    (tmp_path / "soft.db").symlink_to("l.db")
    (tmp_path / "l.db-wal").touch()
    (tmp_path / "credentials").mkdir()
    for name in ("key", "env.key", "credentials/other", "ca.pem"):
        (tmp_path / name).write_text("SENTINEL\n")
        (tmp_path / name).chmod(0o600)
    (tmp_path / "mine.txt").write_text("mine")
    return tmp_path


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


TAKEN = [
    "o.csv", "./o.csv", "hard.csv", "soft.csv", "l.db", "soft.db", "l.db-wal", "l.db-shm", "l.db.lock", "key", "env.key",
    "credentials/other", "new.db", "new.db-wal", "new.db.lock",
]  # fmt: skip


@pytest.mark.parametrize("taken", TAKEN)
@pytest.mark.parametrize("words", [("--rejects",), ("--rejects", "--overwrite"), ("--log-file",)], ids=" ".join)
def test_what_an_output_must_never_be(scene: Path, words: tuple[str, ...], taken: str) -> None:
    """An input (of a pattern, by any of its names), a key, a credential, this ledger or any: exit 2, whatever is said."""
    option, *more = words
    env = environment(BULKDELETE_API_KEY_FILE="env.key", CREDENTIALS_DIRECTORY=str(scene / "credentials"))
    before = contents(scene)
    command = ["run", "o*.csv", *GIVEN, "--yes", "--ledger", "new.db", "--api-key-file", "key"]
    done = call(*PROGRAM, *command, option, taken, *more, cwd=scene, env=env | {"PYTHONPATH": os.getcwd()})
    assert done.returncode == 2, done.stderr
    assert option in done.stderr
    assert "name another file" in done.stderr
    assert contents(scene) == before


def test_certificates_are_no_output(scene: Path) -> None:
    """Nor is the file of --ca-file."""
    ca = scene / "ca.pem"
    with pytest.raises(UsageError, match=r"--rejects .*ca.pem is the file of --ca-file"):
        check_outputs({"--rejects": ca}, (), None, overwrite=True, ca_file=ca)


@pytest.mark.parametrize("taken", ["l.db", "soft.db", "l.db-wal", "env.key", "credentials/other"])
@pytest.mark.parametrize("words", [(), ("--overwrite",)], ids=" ".join)
@pytest.mark.parametrize("command", ["export", "report"])
def test_what_an_export_must_never_be(scene: Path, command: str, words: tuple[str, ...], taken: str) -> None:
    """The same for `export` and `report`."""
    env = environment(BULKDELETE_API_KEY_FILE="env.key", CREDENTIALS_DIRECTORY=str(scene / "credentials"))
    before = contents(scene)
    done = call(*PROGRAM, command, "l.db", "-o", taken, *words, cwd=scene, env=env | {"PYTHONPATH": os.getcwd()})
    assert done.returncode == 2, done.stderr
    assert contents(scene) == before


@pytest.mark.parametrize("command", ["export", "export --join again.csv", "report", "run --rejects"])
async def test_what_a_ledger_was_made_of_is_replaced_by_nothing(server: Server, tmp_path: Path, command: str) -> None:
    """An input that it confirmed, also after it has grown or under another name, and a key that no option names: exit 2 and all files
    as they were, although --overwrite is given."""
    file = write(tmp_path / "o.csv", IDS)
    assert call(*arguments(server, file, "--yes")).returncode == 0
    for name in ("copy.csv", "again.csv"):
        shutil.copy(file, tmp_path / name)
    file.write_text(file.read_text() + "\n9999")
    (tmp_path / "new.csv").write_text("orderId\n77\n")
    (tmp_path / "alephee.key").write_text("SENTINEL-OF-A-KEY\n")
    ledger, before = f"{file.name}.ledger.db", contents(tmp_path)
    for taken in ("o.csv", "copy.csv", "alephee.key"):
        first_word, *more = command.split()
        words = ["run", "new.csv", *GIVEN, "--ledger", ledger, "--yes", *more, taken]
        if first_word != "run":
            words = [first_word, ledger, *more, "-o", taken]
        done = call(*PROGRAM, *words, "--overwrite", cwd=tmp_path, env=environment(PYTHONPATH=os.getcwd()))
        assert (done.returncode, "name another file" in done.stderr) == (2, True), done.stderr
        assert contents(tmp_path) == before


def test_an_input_on_stdin_is_no_output(scene: Path) -> None:
    """`- < o.csv` names the file as well as its name does."""
    with (scene / "o.csv").open() as stdin:
        done = subprocess.run(
            [*PROGRAM, "plan", "-", *GIVEN, "--ledger", scene / "n.db", "--rejects", scene / "o.csv", "--overwrite"],
            stdin=stdin, capture_output=True, text=True, env=environment(), timeout=60,
        )  # fmt: skip
    assert (done.returncode, "is an input" in done.stderr) == (2, True)


def test_a_file_that_exists_is_replaced_only_if_that_is_said(scene: Path) -> None:
    """--rejects and export -o: exit 2 and the file as it was; with --overwrite it is replaced, whole."""
    mine, file = scene / "mine.txt", scene / "o.csv"
    file.write_text("orderId\n5\nx\n")
    for words in (
        ("plan", str(file), *GIVEN, "--rejects", str(mine)),
        ("export", str(scene / "l.db"), "-o", str(mine)),
    ):
        mine.write_text("mine")
        refused = call(*PROGRAM, *words)
        assert (refused.returncode, mine.read_text()) == (2, "mine")
        assert "--overwrite" in refused.stderr
        replaced = call(*PROGRAM, *words, "--overwrite")
        assert replaced.returncode in (0, 3), replaced.stderr
        assert len(mine.read_text().splitlines()) > 1
        assert oct(mine.stat().st_mode)[-3:] == "600"
        mine.unlink()
        assert call(*PROGRAM, *words).returncode in (0, 3)
        assert mine.exists()


@pytest.mark.parametrize("name", ["folder", "fifo", "socket", "dangling"])
def test_what_is_no_plain_file_is_not_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Exit 2, and it stays, with --overwrite as well."""
    there = tmp_path / name
    env = environment(PYTHONPATH=os.getcwd())
    monkeypatch.chdir(tmp_path)  # a socket's name is short
    match name:
        case "folder":
            there.mkdir()
        case "fifo":
            os.mkfifo(there)
        case "socket":
            with socket.socket(socket.AF_UNIX) as bound:
                bound.bind(name)
        case _:
            there.symlink_to("nowhere")
    file = write(tmp_path / "o.csv", IDS)
    for more in ((), ("--overwrite",)):
        done = call(*PROGRAM, "plan", str(file), *GIVEN, "--rejects", str(there), *more, env=env)
        assert done.returncode == 2, done.stderr
        assert os.path.lexists(there)


def test_outputs_are_checked_before_anything_is_read(tmp_path: Path) -> None:
    """An input that is a pipe without a writer is never opened, and no ledger is made."""
    pipe, mine = tmp_path / "pipe.csv", tmp_path / "mine.txt"
    os.mkfifo(pipe)
    mine.write_text("mine")
    for words in (("plan", str(pipe), *GIVEN), ("run", str(pipe), *GIVEN, "--yes")):
        assert call(*PROGRAM, *words, "--rejects", str(mine)).returncode == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine.txt", "pipe.csv"]


def test_two_outputs_are_two_files(tmp_path: Path) -> None:
    """Rejects and log in one file would be neither."""
    file, both = write(tmp_path / "o.csv", IDS), str(tmp_path / "both")
    done = call(*PROGRAM, "run", str(file), *GIVEN, "--yes", "--rejects", both, "--log-file", both)
    assert (done.returncode, "--rejects and --log-file" in done.stderr) == (2, True)


def test_a_dash_is_stdout(scene: Path) -> None:
    """`export -o -` writes what `export` writes, and makes no file of that name."""
    words = (*PROGRAM, "export", str(scene / "l.db"))
    env = environment(PYTHONPATH=os.getcwd())
    assert call(*words, "-o", "-", cwd=scene, env=env).stdout == call(*words).stdout != ""
    assert not (scene / "-").exists()


def test_a_draft_that_was_left_blocks_nobody(tmp_path: Path) -> None:
    """Another process with our number left its draft, or a folder is in its place: the names of drafts are drawn."""
    file, out = write(tmp_path / "o.csv", IDS), tmp_path / "r.csv"
    command = " ".join([*PROGRAM, "plan", str(file), *GIVEN, "--rejects", str(out)])
    script = f"echo mine > {tmp_path}/.r.csv.$$.part; mkdir {tmp_path}/o.csv.ledger.db.plan-$$; exec {command}"
    assert call("bash", "-c", script).returncode == 0
    assert out.exists()


@pytest.mark.parametrize(
    "name", ["/dev/stdout", "/dev/stderr", "/dev/fd/1", "/proc/self/fd/2", "/dev/fd/7", "/dev/null"]
)
def test_a_log_to_a_stream(server: Server, tmp_path: Path, name: str) -> None:
    """The streams by name are streams, although they are links; a pipe, and the result stays what it is."""
    file, seventh = write(tmp_path / "o.csv", IDS), tmp_path / "7"
    command = " ".join([*arguments(server, file, "--yes", "-q", "-q", "--log-file", name)])
    done = call("bash", "-c", f"exec {command} 7>{seventh}")
    assert done.returncode == 0, done.stderr
    logged = {"1": done.stdout, "t": done.stdout, "2": done.stderr, "r": done.stderr, "7": seventh.read_text(), "l": ""}
    text = logged[name[-1]]
    assert ('"event": "run.ended"' in text) == (name != "/dev/null")
    assert "60 deleted" in done.stdout


def test_a_log_to_a_socket_and_to_what_is_not_open(server: Server, tmp_path: Path) -> None:
    """A service's stdout may be a socket, which no name opens. A stream that is not there, or is for reading, is exit 2."""
    file = write(tmp_path / "o.csv", IDS)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        done = subprocess.run(
            arguments(server, file, "--yes", "--log-file", "/dev/stdout"), stdin=subprocess.DEVNULL, stdout=theirs.fileno(),
            stderr=subprocess.PIPE, env=environment(), timeout=60, text=True,
        )  # fmt: skip
        theirs.close()
        assert done.returncode == 0, done.stderr
        assert b"run.ended" in b"".join(iter(lambda: ours.recv(65536), b""))
    command = " ".join(arguments(server, file, "--yes", "--log-file", "/dev/fd/7"))
    assert call("bash", "-c", f"exec {command} 7<{file}").returncode == 2
    for name in ("/dev/fd/99", "/dev/fd/x", "/dev/none/x"):
        assert call(*arguments(server, file, "--yes", "--log-file", name)).returncode == 2, name


def test_a_log_is_appended_to(server: Server, tmp_path: Path) -> None:
    """What is there stays, without --overwrite."""
    file, log = write(tmp_path / "o.csv", IDS), tmp_path / "run.log"
    log.write_text("before\n")
    assert call(*arguments(server, file, "--yes", "--log-file", str(log))).returncode == 0
    assert log.read_text().startswith("before\n{")


ENCODINGS = ("ascii", "utf-8", "cp1252", "latin-1", "ascii:strict", "cp850:strict")  # the first two in every way


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_an_output_that_cannot_hold_a_character_escapes_it(tmp_path: Path, encoding: str) -> None:
    """Names, columns and cells in any script, half a character in a name: no traceback, text is escaped, and JSON stays JSON."""
    file = Path(os.fsdecode(os.fsencode(tmp_path) + b"/pedidos-\xe9-\xf0\x9f\x8d\x8a-\xc3\xb1.csv"))
    file.write_text("orderId,nº 🍊\n5,日本\nжук,ñ\n", encoding="utf-8")
    env = environment(PYTHONIOENCODING=encoding)
    name = encoding.partition(":")[0]
    rejects = tmp_path / "r.csv"
    ways = ((), ("--json",), ("--rejects", str(rejects)), ("--column", "日本"), ("--ledger", str(file) + "/x"))
    for more in ways if encoding in ENCODINGS[:2] else ways[:2]:
        done = subprocess.run(
            [*PROGRAM, "plan", file, *GIVEN, *more], capture_output=True, stdin=subprocess.DEVNULL, env=env, timeout=60
        )
        assert b"Traceback" not in done.stderr
        assert done.returncode in (3, 6)
        said = done.stdout.decode(name) + done.stderr.decode(name)
        assert ("жук" in said or "日本" in said) == (name == "utf-8" and more[:1] != ("--ledger",))
        if more == ("--json",):
            assert json.loads(done.stdout.decode(name))["rejects"][0]["cell"] == "жук"
    assert rejects.exists() == (encoding in ENCODINGS[:2])
    assert not rejects.exists() or "жук" in rejects.read_text(encoding="utf-8")


@pytest.mark.parametrize("locale", [{"LC_ALL": "C"}, {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}])
def test_a_run_in_a_plain_locale(server: Server, tmp_path: Path, locale: dict[str, str]) -> None:
    """LANG=C, with and without Python's own remedy: run, log, status and export end as anywhere."""
    file = write(tmp_path / "pedidos-ñ.csv", IDS)
    env, log, out = environment("plain-key", **locale), tmp_path / "run.log", tmp_path / "out.csv"
    words = arguments(server, file, "--yes", "--log-file", str(log))
    assert call(*words, env=env).returncode == 0
    for line in log.read_text(encoding="utf-8").splitlines():
        json.loads(line)
    ledger = f"{file}.ledger.db"
    assert call(*PROGRAM, "status", ledger, env=env).returncode == 0
    for more in ((), ("-f", "jsonl"), ("-o", str(out))):
        done = call(*PROGRAM, "export", ledger, *more, env=env)
        assert done.returncode == 0, done.stderr
    assert out.exists()
    assert b"plain-key" not in out.read_bytes() + log.read_bytes()


def test_a_stdout_that_is_full_is_told(scene: Path) -> None:
    """Half an export on a full disk never looks whole: exit 2. What fits a screen is said on stderr. Nobody who listens is another
    matter."""
    for words, code in ((("export", "l.db"), 2), (("status", "l.db"), 0), (("plan", "o.csv", *GIVEN), 0)):
        command = " ".join([*PROGRAM, *words])
        done = call("bash", "-c", f"cd {scene}; exec {command} >/dev/full", env=environment(PYTHONPATH=os.getcwd()))
        assert done.returncode == code, words
        assert ("stdout cannot be written" if code else "stdout did not accept the result") in done.stderr
        done = call(
            "bash",
            "-c",
            f"cd {scene}; {command} | true; exit ${{PIPESTATUS[0]}}",
            env=environment(PYTHONPATH=os.getcwd()),
        )
        assert done.returncode == 0, done.stderr


CLOSED = {
    "plan": ("o.csv", *GIVEN, "--json"),
    "resume": ("l.db", "--yes", "--json"),
    "status": ("l.db",),
    "verify": ("l.db", "--json"),
    "settle": ("l.db", f"1:{IDS[0]}", "--as", "gone", "--note", "seen", "--json"),
    "help": ("run",),
    "--version": (),
    "export": ("l.db",),
    "report": ("l.db",),
}


@pytest.mark.parametrize("command", CLOSED)
def test_a_stdout_that_is_closed_is_told(scene: Path, tmp_path_factory: pytest.TempPathFactory, command: str) -> None:
    """As a full disk: what is a result is on stderr, with the exit code that it has elsewhere; half a file is exit 2. With both streams
    closed the exit code is left, and nothing gets into the files that are open. A closed stderr changes nothing on stdout."""
    env = environment(PYTHONPATH=os.getcwd())
    words = shlex.join([*PROGRAM, command, *CLOSED[command]])
    shutil.copytree(scene, again := tmp_path_factory.mktemp("other") / "again", symlinks=True)
    fine = call(*PROGRAM, command, *CLOSED[command], cwd=again, env=env)
    code = 2 if command in ("export", "report") else fine.returncode
    closed = call("bash", "-c", f"cd {scene}; exec {words} >&-", env=env)
    assert closed.returncode == code, closed.stderr
    assert closed.stdout == ""
    assert "it is closed, or not open for writing" in closed.stderr
    if code != 2:
        assert fine.stdout.splitlines()[0][:20] in closed.stderr
    assert call("bash", "-c", f"cd {again}; exec {words} >&- 2>&-", env=env).returncode == code
    silent = call("bash", "-c", f"cd {again}; exec {words} 2>&-", env=env)
    assert (silent.returncode, silent.stdout[:20], silent.stderr) == (fine.returncode, fine.stdout[:20], "")


@pytest.mark.parametrize(("chars", "may_be_key"), [(7, False), (8, True), (4096, True), (4097, False)])
def test_a_word_that_may_be_a_key(tmp_path: Path, chars: int, may_be_key: bool) -> None:
    """A file with nothing but one word is not replaced; a word that is too short or too long for a key is something else."""
    file = tmp_path / "f"
    file.write_text("x" * chars + "\n")
    assert ("may be an API key" in (needed(file, ledger=None) or "")) == may_be_key


WRITTEN = (
    "run --rejects new.csv",
    "run --overwrite --rejects mine.txt",
    "run --backup new.jsonl",
    "run --backup mine.txt",
    "export l.db --output new.csv",
    "report l.db --overwrite --output mine.txt",
)


@pytest.mark.parametrize("words", WRITTEN)
def test_an_output_that_cannot_be_written_is_refused_first(scene: Path, words: str) -> None:
    """Before the input is read, which is not there, and before the ledger is: exit 2, with the reason of the system."""
    command, *more = words.split()
    given = ("/missing.csv", *GIVEN, "--ledger", f"{scene}/new.db", "--yes") if command == "run" else ()
    line = shlex.join([*PROGRAM, command, *given, *more])
    script = f"mount --bind {scene} /mnt && mount -o remount,bind,ro /mnt && cd /mnt && {line}"
    done = in_own_mounts(script)
    option, name = more[-2:]
    assert (done.returncode, done.stdout) == (2, ""), done.stderr
    assert done.stderr == f"bulkdelete: {option}: {name} cannot be written (Read-only file system). Name another file\n"


def test_an_output_on_a_full_disk(scene: Path) -> None:
    """Exit 2, naming the option, and no draft is left."""
    file = write(scene / "many.csv", list(range(1, 10)))
    file.write_text("orderId\n" + "x\n" * 5000)
    command = " ".join([*PROGRAM, "plan", str(file), *GIVEN, "--rejects", "/mnt/r.csv"])
    script = f"mount -t tmpfs -o size=8k none /mnt && {command}; echo code $?; ls -A /mnt"
    done = in_own_mounts(script)
    assert done.stdout == "code 2\n"
    assert "--rejects" in done.stderr
