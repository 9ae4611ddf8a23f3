"""Where a key comes from, what is refused as one, and that the process keeps it to itself."""

from __future__ import annotations

import hashlib
import os
import re
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bulkdelete.api.keys import ApiKey, Credential, credentials_of, read_key, seal_process, source_in
from bulkdelete.errors import UsageError

KEY = "k+/=&%é-SENTINEL"


def no_stdin() -> str:
    raise AssertionError("stdin was read")


def key_file(folder: Path, value: str | bytes = KEY, mode: int = 0o600, name: str = "key") -> Path:
    path = folder / name
    path.write_bytes(value if isinstance(value, bytes) else value.encode())
    path.chmod(mode)
    return path


def from_file(path: Path) -> ApiKey:
    return read_key(str(path), {}, no_stdin, None)


def test_precedence(tmp_path: Path) -> None:
    """The option, then the variable with a file, then the variable with a key, then the service's credential, then a prompt."""
    credentials = tmp_path / "credentials"
    credentials.mkdir()
    key_file(credentials, "key-5", name="bulkdelete-api-key")
    environ = {
        "BULKDELETE_API_KEY_FILE": str(key_file(tmp_path, "key-3", name="variable")),
        "BULKDELETE_API_KEY": "key-4",
        "CREDENTIALS_DIRECTORY": str(credentials),
    }
    option = str(key_file(tmp_path, "key-2", name="option"))
    found = [
        read_key("-", environ, lambda: "key-1\n", lambda: "key-6"),
        read_key(option, environ, no_stdin, lambda: "key-6"),
        read_key(None, environ, no_stdin, lambda: "key-6"),
    ]
    for name in list(environ):
        del environ[name]
        found.append(read_key(None, environ, no_stdin, lambda: "key-6"))
    assert [key.reveal() for key in found] == ["key-1", "key-2", "key-3", "key-4", "key-5", "key-6"]
    assert [key.source for key in found] == [
        "stdin",
        f"`settings.api_key_file` {option}",
        f"BULKDELETE_API_KEY_FILE {tmp_path / 'variable'}",
        "BULKDELETE_API_KEY",
        f"CREDENTIALS_DIRECTORY {credentials / 'bulkdelete-api-key'}",
        "the prompt",
    ]


def test_empty_sources_are_none(tmp_path: Path) -> None:
    """An empty variable, or a credentials folder of another service, is no source."""
    environ = {"BULKDELETE_API_KEY_FILE": "", "BULKDELETE_API_KEY": "", "CREDENTIALS_DIRECTORY": str(tmp_path)}
    assert read_key("", environ, no_stdin, lambda: KEY).reveal() == KEY


def test_no_source() -> None:
    """Without a source and without anybody to ask, the error says what to do; an argument with the key is no way."""
    with pytest.raises(UsageError, match=r"`settings.api_key_file` or BULKDELETE_API_KEY_FILE"):
        read_key(None, {}, no_stdin, None)


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o660, 0o601, 0o610, 0o777])
def test_open_file(tmp_path: Path, mode: int) -> None:
    """A key that others can reach is refused, with the command that mends it."""
    path = key_file(tmp_path, mode=mode)
    with pytest.raises(UsageError, match=rf"can be read by others. Run: chmod 600 {path}"):
        from_file(path)


@pytest.mark.parametrize("mode", [0o600, 0o400, 0o700])
def test_closed_file(tmp_path: Path, mode: int) -> None:
    """A file for its owner alone is read."""
    assert from_file(key_file(tmp_path, mode=mode)).reveal() == KEY


def test_mode_of_the_linked_file(tmp_path: Path) -> None:
    """Behind a link, the file's mode counts."""
    link = tmp_path / "link"
    link.symlink_to(key_file(tmp_path, mode=0o644))
    with pytest.raises(UsageError, match="can be read by others"):
        from_file(link)


def test_pipe(tmp_path: Path) -> None:
    """A pipe, as of a shell's `<(command)`, is read whatever its mode."""
    reading, writing = os.pipe()
    try:
        os.fchmod(reading, 0o644)
        os.write(writing, KEY.encode())
        os.close(writing)
        assert from_file(Path(f"/dev/fd/{reading}")).reveal() == KEY
    finally:
        os.close(reading)


@pytest.mark.parametrize("value", [f"{KEY}\n", f"{KEY}\r\n", f"\n\t {KEY} \n\n", f"{KEY}\u00a0"])
def test_white_space_around(tmp_path: Path, value: str) -> None:
    """What an editor leaves around a key does not belong to it, from whatever source."""
    assert from_file(key_file(tmp_path, value)).reveal() == KEY
    assert read_key("-", {}, lambda: value, None).reveal() == KEY
    assert read_key(None, {"BULKDELETE_API_KEY": value}, no_stdin, None).reveal() == KEY
    assert read_key(None, {}, no_stdin, lambda: value).reveal() == KEY


NO_KEYS = {
    "is empty": ("", " \n", "\t\r\n"),
    "begins with a comment": (f"# the key of June\n{KEY}", f"#x\n{KEY}", f"# {KEY}"),
    "has several lines": (f"{KEY}\n{KEY}", f"{KEY}\r\n\r\n{KEY}", f"{KEY}\n# of June", f"orderId\n{KEY}\n"),
    "has a blank in it": (f"{KEY} {KEY}", f"a\t{KEY}", f"{KEY}\u00a0{KEY}"),
    "such as Bearer": (f"Bearer {KEY}", f"bearer  {KEY}", f"Basic {KEY}", f"token {KEY}", f"API key {KEY}"),
    "has control or invisible characters": (f"{KEY}\x00", f"\x1b[31m{KEY}", f"\ufeff{KEY}", f"{KEY[:4]}\u200b{KEY[4:]}", "\udcff"),
    "is too long": ("k" * 4097,),
    "is a placeholder": (
        "${API_KEY}", "${{ secrets.SENTINEL }}", "$API_KEY", "$SENTINEL", "$(cat SENTINEL)", "%API_KEY%", "{{ SENTINEL }}", "<SENTINEL>",
        "***", "••••••••", "null", "None", "undefined", "changeme", "YOUR_API_KEY", "your-key-here",
    ),
    "is a URL": (
        f"https://api.alephcrm.com/v2/orders?API_KEY={KEY}", f"HTTP://x/?api_key={KEY}", f"/v2/orders?accountId=1&API_KEY={KEY}",
        f"?apikey={KEY}", "https://example.com/SENTINEL",
    ),
    "is HTML or XML": ("<html><body>SENTINEL</body>", "<!DOCTYPE html>\n<p>SENTINEL</p>", "<?xml version='1.0'?><k>SENTINEL</k>"),
    "is JSON": ('{"key": "SENTINEL"}', '{\n  "SENTINEL": 1}', '["SENTINEL"]', "{}", "[]", "{'key': 'SENTINEL'}"),
    "(PEM)": ("-----BEGIN PRIVATE KEY-----\nSENTINEL\n-----END PRIVATE KEY-----",),
}  # fmt: skip


@pytest.mark.parametrize(
    ("why", "value"), [(why, value) for why, values in NO_KEYS.items() for value in values], ids=ascii
)
def test_not_a_key(tmp_path: Path, why: str, value: str) -> None:
    """From whatever source: what it is instead, what to do, and nothing of it, since half of it may be a key."""
    sources: list[Callable[[], ApiKey]] = [lambda: read_key("-", {}, lambda: value, None)]
    if value and "\udcff" not in value:
        file = key_file(tmp_path, value if value[0] != "\ufeff" else "\ufeff" + value)  # one such mark is the file's
        sources.append(lambda: from_file(file))
    if value:
        sources.append(lambda: read_key(None, {"BULKDELETE_API_KEY": value}, no_stdin, None))
    for read in sources:
        with pytest.raises(UsageError) as caught:
            read()
        said = str(caught.value)
        assert why in said
        assert re.search(r"\. (Put|Leave|Copy|Name) ", said.replace("? ", ". "))
        assert "SENTINEL" not in said.replace(str(tmp_path), "")


def test_what_a_caller_gives(tmp_path: Path) -> None:
    """Nobody wrote it by hand, so any word is a key; what is no word is none."""
    assert ApiKey(" `a` \n").reveal() == "`a`"
    for value in ("", f"{KEY} {KEY}", f"{KEY}\n{KEY}", f"{KEY}\x00", "k" * 4097):
        with pytest.raises(UsageError, match="from the caller ") as caught:
            ApiKey(value)
        assert "SENTINEL" not in str(caught.value)


@pytest.mark.parametrize(
    "value",
    [
        "$abc", "$2a$10$N9qo8uLOickgx2ZMRZoMye", "%41%42", "#1key", "k#1", "a{b}c", "{abc}", "[abc]", "<>x",
        "null1", "nonesuch", "Bearer", "token",
        "ab*cd***", "http-key", "true-key", "k?x=1", "0", "-----", "ключ", "a&b", "%API", "x" * 4096,
    ],
)  # fmt: skip
def test_a_plain_odd_key_stays_a_key(tmp_path: Path, value: str) -> None:
    """Only what is certainly no key is refused: the server knows its keys, and this program does not."""
    for read in from_everywhere(tmp_path, value):
        assert read().reveal() == value


def test_the_name_of_a_file_where_the_key_is_meant(tmp_path: Path) -> None:
    """The other variable is named. A key that looks like a path, and is none, is a key."""
    file = key_file(tmp_path)
    with pytest.raises(UsageError, match="Use BULKDELETE_API_KEY_FILE instead"):
        read_key(None, {"BULKDELETE_API_KEY": str(file)}, no_stdin, None)
    assert read_key(None, {"BULKDELETE_API_KEY": "/a/key/that/is/no/file"}, no_stdin, None).reveal()[0] == "/"


def test_longest_key(tmp_path: Path) -> None:
    """4096 characters are a key; of a file that has more, no more is read."""
    assert len(from_file(key_file(tmp_path, "k" * 4096 + "\n")).reveal()) == 4096
    with pytest.raises(UsageError, match="too long"):
        from_file(key_file(tmp_path, "k" * 1_000_000))


@pytest.mark.parametrize("value", [b"\xff\xfe", KEY.encode("latin-1"), KEY.encode("utf-16")], ids=[*"abc"])
def test_not_utf8(tmp_path: Path, value: bytes) -> None:
    """A file in another encoding is refused and not quoted."""
    with pytest.raises(UsageError, match=r"key cannot be read \(it is not UTF-8 text\)") as caught:
        from_file(key_file(tmp_path, value))
    assert caught.value.__suppress_context__
    assert "SENTINEL" not in str(caught.value)


@pytest.mark.parametrize("end", ["", "\n", "\r\n", "\r\n\r\n"], ids=ascii)
@pytest.mark.parametrize("start", [b"", b"\xef\xbb\xbf"], ids=["plain", "with a byte order mark"])
def test_what_windows_writes_around_a_key(tmp_path: Path, start: bytes, end: str) -> None:
    """A byte order mark at the start and CR LF at the end are no part of the key."""
    assert from_file(key_file(tmp_path, start + f"{KEY}{end}".encode())).reveal() == KEY


def test_half_a_character_at_the_end(tmp_path: Path) -> None:
    """A file that was cut inside a character is no key, however good its rest looks."""
    with pytest.raises(UsageError, match="not UTF-8"):
        from_file(key_file(tmp_path, b"SENTINEL\xc3"))


def from_everywhere(folder: Path, value: str) -> Iterator[Callable[[], ApiKey]]:
    yield lambda: from_file(key_file(folder, value))
    yield lambda: read_key(None, {"BULKDELETE_API_KEY_FILE": str(key_file(folder, value))}, no_stdin, None)
    yield lambda: read_key(None, {"BULKDELETE_API_KEY": value}, no_stdin, None)
    yield lambda: read_key("-", {}, lambda: value, None)
    yield lambda: read_key(None, {}, no_stdin, lambda: value)


@pytest.mark.parametrize(
    "value",
    [
        "API_KEY=SENTINEL", "BULKDELETE_API_KEY=SENTINEL", "export X=SENTINEL", "key=SENTINEL", "api-key=SENTINEL", "api.key=SENTINEL",
        "API_KEY = SENTINEL", "API_KEY: SENTINEL", "$env:API_KEY=SENTINEL", "set API_KEY=SENTINEL", "API_KEY='SENTINEL'",
        "API_KEY=SENTINEL==",
    ],
)  # fmt: skip
def test_a_key_with_its_name(tmp_path: Path, value: str) -> None:
    """A line of a shell or of a .env file is no key: the reason says so, and nothing of it is repeated."""
    for read in from_everywhere(tmp_path, value):
        with pytest.raises(UsageError, match=r"NAME=value\. Leave only the value") as caught:
            read()
        assert "SENTINEL" not in str(caught.value)


@pytest.mark.parametrize(
    "value",
    ['"SENTINEL"', "'SENTINEL'", "`SENTINEL`", "“SENTINEL”", "«SENTINEL»", '"SENTINEL', "SENTINEL'"],
    ids=range(7),
)
def test_a_key_in_quotes(tmp_path: Path, value: str) -> None:
    """Quotes that a shell would have taken away are no part of a key."""
    for read in from_everywhere(tmp_path, value):
        with pytest.raises(UsageError, match=r"in quotes\. Take the quotes away") as caught:
            read()
        assert "SENTINEL" not in str(caught.value)


@pytest.mark.parametrize(
    "value", ["c2VjcmV0=", "c2VjcmV0cw==", "_w-x.y=", "a+b=c", "k/=x", "9=x", "user:pass", "it's", "=x", "a=="]
)
def test_a_key_with_signs_in_it(tmp_path: Path, value: str) -> None:
    """The padding of base64, and signs inside a key, are the key's own."""
    for read in from_everywhere(tmp_path, value):
        assert read().reveal() == value


@pytest.mark.parametrize("mode", [0o440, 0o400, 0o600, 0o640])
@pytest.mark.parametrize("name", ["bulkdelete-api-key", "another"])
def test_a_credential_of_systemd(tmp_path: Path, name: str, mode: int) -> None:
    """A group may read it under $CREDENTIALS_DIRECTORY, whoever names it: the mode is an ACL's mask there."""
    path = key_file(tmp_path, mode=mode, name=name)
    environ = {"CREDENTIALS_DIRECTORY": str(tmp_path)}
    if name == "bulkdelete-api-key":
        assert read_key(None, environ, no_stdin, None).reveal() == KEY
    assert read_key(str(path), environ, no_stdin, None).reveal() == KEY
    assert read_key(None, environ | {"BULKDELETE_API_KEY_FILE": str(path)}, no_stdin, None).reveal() == KEY


@pytest.mark.parametrize("mode", [0o444, 0o441, 0o460, 0o450])
def test_a_credential_that_others_can_reach(tmp_path: Path, mode: int) -> None:
    """More than reading by the group is refused there, too."""
    key_file(tmp_path, mode=mode, name="bulkdelete-api-key")
    with pytest.raises(UsageError, match="can be read by others"):
        read_key(None, {"CREDENTIALS_DIRECTORY": str(tmp_path)}, no_stdin, None)


def test_a_file_that_is_no_credential(tmp_path: Path) -> None:
    """Elsewhere, and behind a link that leads out of $CREDENTIALS_DIRECTORY, a group may not read it."""
    credentials = tmp_path / "credentials"
    credentials.mkdir()
    outside = key_file(tmp_path, mode=0o440)
    (credentials / "bulkdelete-api-key").symlink_to(outside)
    environ = {"CREDENTIALS_DIRECTORY": str(credentials)}
    for file in (None, str(outside)):
        with pytest.raises(UsageError, match="can be read by others"):
            read_key(file, environ, no_stdin, None)


@pytest.mark.parametrize(
    "value", ["SENTINEL", "SENTINEL" * 40, "SENT/SENTINEL=", "/SENTINEL", "//SENTINEL", "SENTINEL+/k="]
)
def test_a_key_where_a_file_is_meant(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, value: str) -> None:
    """A key in the variable for its file is not repeated: what names no place may be the key itself."""
    monkeypatch.chdir(tmp_path)
    for file, environ in ((value, {}), (None, {"BULKDELETE_API_KEY_FILE": value})):
        with pytest.raises(UsageError, match="cannot be read") as caught:
            read_key(file, environ, no_stdin, None)
        assert "SENTINEL" not in str(caught.value)
        assert "`settings.api_key_file`" in str(caught.value) or "BULKDELETE_API_KEY_FILE" in str(caught.value)


def test_missing_file(tmp_path: Path) -> None:
    """A file that is not there is an error, whatever the other sources have: a typing mistake must not pick another key."""
    with pytest.raises(
        UsageError, match=r"`settings.api_key_file`: .*absent cannot be read \(No such file or directory\)"
    ):
        read_key(str(tmp_path / "absent"), {"BULKDELETE_API_KEY": KEY}, no_stdin, lambda: KEY)
    with pytest.raises(UsageError, match=r"BULKDELETE_API_KEY_FILE: .*absent cannot be read"):
        read_key(None, {"BULKDELETE_API_KEY_FILE": str(tmp_path / "absent")}, no_stdin, lambda: KEY)


def test_a_path_that_only_a_shell_understands() -> None:
    """A service's unit, a container's environment and a cron table expand no ~; a blank is no name."""
    for file, environ in (("~/a.key", {}), (None, {"BULKDELETE_API_KEY_FILE": "~root/a.key"})):
        with pytest.raises(UsageError, match="Write the whole path"):
            read_key(file, environ, no_stdin, None)
    with pytest.raises(UsageError, match="BULKDELETE_API_KEY_FILE is blank"):
        read_key(None, {"BULKDELETE_API_KEY_FILE": " ", "BULKDELETE_API_KEY": KEY}, no_stdin, None)


def test_folder(tmp_path: Path) -> None:
    """A folder is no key file, and says what to name."""
    tmp_path.chmod(0o700)
    with pytest.raises(UsageError, match=rf"{tmp_path} is a folder\. Name the file with the key in it"):
        from_file(tmp_path)


def test_encoded_forms() -> None:
    """The forms of a key are non-empty, each once, the longest first: a shorter one must not take a part out of a longer."""
    forms = ApiKey(KEY).encoded_forms()
    assert KEY in forms
    assert len(forms) == len(set(forms))
    assert list(forms) == sorted(forms, key=len, reverse=True)
    assert min(map(len, forms)) >= len(KEY)


SEALED = """
import ctypes, os, resource, sys

from bulkdelete.api.keys import seal_process

PR_GET_DUMPABLE, PR_SET_DUMPABLE = 3, 4
prctl = ctypes.CDLL(None).prctl
if os.geteuid() == 0:  # root reads everything: be somebody else
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
prctl(PR_SET_DUMPABLE, 1, 0, 0, 0)

def readable():
    "Whether another process of the same user can read our environment and our memory."
    parent = os.getpid()
    child = os.fork()
    if child == 0:
        seen = 0
        for n, name in enumerate(("environ", "mem", "maps")):
            try:
                with open(f"/proc/{parent}/{name}", "rb") as file:
                    seen |= (name != "environ" or b"SENTINEL" in file.read()) << n
            except OSError:
                pass
        os._exit(seen)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

os.environ.pop("BULKDELETE_API_KEY")
before = readable()
seal_process()
print(before, readable(), prctl(PR_GET_DUMPABLE), os.environ.get("SSLKEYLOGFILE"), resource.getrlimit(resource.RLIMIT_CORE))
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="NOT TESTED: there is no /proc here")
def test_sealed_process(tmp_path: Path) -> None:
    """A sealed process shows no one of its user the environment it was started with, dumps nothing, and logs no TLS keys."""
    done = subprocess.run(
        [sys.executable, "-c", SEALED],
        env={**os.environ, "BULKDELETE_API_KEY": KEY, "SSLKEYLOGFILE": str(tmp_path / "tls.log")},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    before, after, dumpable, tls_log, core = done.stdout.split(maxsplit=4)
    assert int(before) & 1, "the environment of an open process cannot be read here: this proves nothing"
    assert (after, dumpable, tls_log, core.strip()) == ("0", "0", "None", "(0, 0)")
    assert not (tmp_path / "tls.log").exists()


def test_a_fingerprint_tells_keys_apart_and_reveals_none() -> None:
    """The same key on the same host has one, any other key or host another; it is short, and nothing of the key is in it."""
    mine = ApiKey("short1").fingerprint("https://a:443")
    assert ApiKey("short1", "elsewhere").fingerprint("https://a:443") == mine
    assert (
        len({mine, ApiKey("short2").fingerprint("https://a:443"), ApiKey("short1").fingerprint("https://b:443")}) == 3
    )
    assert re.fullmatch("[0-9a-f]{16}", mine)
    assert all(plain(b"short1").hexdigest()[:16] != mine for plain in (hashlib.md5, hashlib.sha1, hashlib.sha256))


def credential(key: str, *accounts: int) -> Credential:
    return Credential(ApiKey(key), frozenset(accounts))


def test_a_single_key_serves_every_account() -> None:
    """Today's form: no account need be named."""
    key = ApiKey(KEY)
    assert credentials_of(key) == credentials_of([Credential(key)]) == (Credential(key, None),)


@pytest.mark.parametrize(
    ("credentials", "said"),
    [
        ([], "no API key"),
        ([credential("a", 1, 2), credential("b", 3, 2)], "account 2 has two API keys"),
        ([credential("a", 1), Credential(ApiKey("b"))], "name the accounts of each"),
        ([credential("a", 1), credential("a", 2)], "given twice"),
    ],
)
def test_keys_that_leave_it_open_whose_an_order_is_are_refused(credentials: list[Credential], said: str) -> None:
    """An account under two keys, a key beside one for everything, one key as two lanes."""
    with pytest.raises(UsageError, match=said):
        credentials_of(credentials)


def test_a_credential_does_not_print_its_key() -> None:
    """Its repr names accounts and hides the key."""
    assert "SENTINEL" not in repr(credential(KEY, 7))
    assert "7" in repr(credential(KEY, 7))


def test_whether_the_environment_names_a_key(tmp_path: Path) -> None:
    """Either variable, or a service's credential that is there; an empty one is none."""
    assert source_in({}) == ""
    assert source_in({"BULKDELETE_API_KEY": "", "CREDENTIALS_DIRECTORY": str(tmp_path)}) == ""
    assert source_in({"BULKDELETE_API_KEY": "k"}) == "BULKDELETE_API_KEY"
    assert source_in({"BULKDELETE_API_KEY_FILE": "f"}) == "BULKDELETE_API_KEY_FILE"
    (tmp_path / "bulkdelete-api-key").touch()
    assert source_in({"CREDENTIALS_DIRECTORY": str(tmp_path)}) == "$CREDENTIALS_DIRECTORY/bulkdelete-api-key"


@pytest.mark.parametrize("platform", ["linux", "darwin"])
def test_a_sealed_process(monkeypatch: pytest.MonkeyPatch, platform: str) -> None:
    """Before a key is read: no TLS keys to a file, no core dump, and on Linux nobody of the same user looks in."""
    calls: list[tuple[object, ...]] = []
    libc = SimpleNamespace(prctl=lambda *arguments: calls.append(arguments))
    monkeypatch.setattr("ctypes.CDLL", lambda *_, **__: libc)
    monkeypatch.setattr("resource.setrlimit", lambda *arguments: calls.append(arguments))
    monkeypatch.setattr("sys.platform", platform)
    monkeypatch.setenv("SSLKEYLOGFILE", "/tmp/keys")
    seal_process()
    assert "SSLKEYLOGFILE" not in os.environ
    assert calls == [(4, 0, 0, 0, 0)] * (platform == "linux") + [(resource.RLIMIT_CORE, (0, 0))]


def test_a_fingerprint_is_computed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each throttle of a run asks for it: the 60 ms are paid once for a host."""
    computed: list[bytes] = []

    def counted(*words: Any, salt: bytes, **more: Any) -> bytes:
        computed.append(salt)
        return scrypt(*words, salt=salt, **more)

    scrypt = hashlib.scrypt
    monkeypatch.setattr(hashlib, "scrypt", counted)
    key = ApiKey("short1")
    first = [key.fingerprint(host) for host in ("https://a:443", "https://b:443")]
    assert [key.fingerprint(host) for host in ("https://a:443", "https://b:443")] == first
    assert computed == [b"https://a:443", b"https://b:443"]
