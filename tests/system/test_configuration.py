"""The configuration file: what a profile may say, and what is refused before anything of it is used. No text that may be a key is shown."""

from __future__ import annotations

import json
import os
import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from bulkdelete.cli import secrecy
from bulkdelete.cli.access import Access
from bulkdelete.cli.configuration import IN_PROFILE, read_profile
from bulkdelete.cli.key import given_keys
from bulkdelete.cli.options import rows
from bulkdelete.cli.program import program
from bulkdelete.errors import UsageError
from tests.support import ROOT

KEY = "0f8fad5b-d9cb-469f-a165-70867728950e"
SHOPS = f"""
[profiles.shops]
api_url = "https://api.test/staging"
ledger = "ledgers/shops.db"
rate = "60/min"
reserve = "20%"

[[profiles.shops.keys]]
accounts = [71, 72]
api_key_file = "north.key"

[[profiles.shops.keys]]
accounts = [73]
api_key_env = "ALEPHEE_SOUTH"

[[profiles.shops.keys]]
accounts = [74]
api_key_command = ["{sys.executable}", "-c", "print('west-key', 'user: ana', sep=chr(10))"]

[profiles.slow]
rate = "10/min"
"""


def written(folder: Path, text: str, mode: int = 0o600) -> Path:
    path = folder / "shops.toml"
    path.write_text(text, encoding="utf-8")
    path.chmod(mode)
    return path


@pytest.fixture(autouse=True)
def forgetful(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """This process stays as it is: open to debuggers, and without keys to hide."""
    monkeypatch.setattr("bulkdelete.cli.key.seal_process", lambda: None)
    yield
    secrecy._known.clear()


@pytest.fixture
def shops(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file of profiles, and what it names."""
    (tmp_path / "north.key").write_text(f"{KEY}\n")
    (tmp_path / "north.key").chmod(0o600)
    for name in ("BULKDELETE_API_KEY", "BULKDELETE_API_KEY_FILE", "CREDENTIALS_DIRECTORY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("ALEPHEE_SOUTH", "south-key")
    return written(tmp_path, SHOPS)


def test_a_profile_gives_settings_in_the_form_of_the_options(shops: Path) -> None:
    """In their units; a path begins at the folder of the file."""
    found = read_profile("shops", shops)
    assert found.settings == {
        "api_url": "https://api.test/staging",
        "ledger": shops.parent / "ledgers" / "shops.db",
        "rate_max_per_s": 1.0,
        "reserve": 0.2,
    }
    assert found.ledger == shops.parent / "ledgers" / "shops.db"
    assert [sorted(entry.accounts) for entry in found.keys] == [[71, 72], [73], [74]]
    assert dict(read_profile("slow", shops).settings) == {"rate_max_per_s": 10 / 60}


def test_the_keys_are_read_from_their_places(shops: Path) -> None:
    """A file, a variable, and the first line of what a command prints."""
    keys = given_keys(Access(profile=read_profile("shops", shops)))
    assert isinstance(keys, tuple)
    assert [(each.key.reveal(), sorted(each.accounts or ())) for each in keys] == [
        (KEY, [71, 72]),
        ("south-key", [73]),
        ("west-key", [74]),
    ]


def test_readmes_profile_is_one(tmp_path: Path) -> None:
    """The file that README shows means what README says of it."""
    shown = re.search(r"```toml\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    assert shown
    found = read_profile("shops", written(tmp_path, shown[1]))
    assert (found.ledger, found.settings["rate_max_per_s"]) == (tmp_path / "shops.db", 1.0)
    assert [(sorted(entry.accounts), entry.place) for entry in found.keys] == [
        ([71, 72], "api_key_file"),
        ([73], "api_key_command"),
    ]


def test_what_a_profile_may_give_is_in_the_table_of_options() -> None:
    """Nothing that a person has to mean is among it."""
    assert IN_PROFILE.keys() == {"api_url", "ledger", "proxy", "rate", "reserve"}
    assert set(IN_PROFILE.values()) == {option for option in rows() if option.in_profile}


def test_the_users_file_is_in_the_configuration_folder(
    shops: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the platform; a folder that is not absolute would depend on where the command is called, so it is ignored."""
    users = tmp_path / "home" / ".config" / "bulkdelete"
    users.mkdir(parents=True)
    shops.rename(users / "config.toml")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setattr("sys.platform", "linux")
    for given in (str(tmp_path / "home" / ".config"), "", "elsewhere"):
        monkeypatch.setenv("XDG_CONFIG_HOME", given)
        assert read_profile("slow").config == users / "config.toml"
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    with pytest.raises(UsageError, match=r"bulkdelete/config\.toml cannot be read \(No such file"):
        read_profile("slow")


HEAD = "[profiles.shops]\n"
ONE = HEAD + "[[profiles.shops.keys]]\n"
REFUSED = {
    "another name at the top": ("[profile.shops]\n", "`profile` has no meaning here. Did you mean `profiles`?"),
    "no such profile": ("[profiles.shop]\n", "has no profile 'shops'. Did you mean `shop`?"),
    "none at all": ("", "has no profile 'shops'. It has: nothing"),
    "not TOML": ("[profiles.shops\n", "is not TOML"),
    "a value for a table": ("profiles = 3\n", "profiles is no table. Write [profiles.NAME] above"),
    "a value for a profile": ("[profiles]\nshops = 3\n", "profiles.shops is no table. Write [profiles.shops] above"),
    "a value for a key": (HEAD + "keys = [3]\n", "keys[1] is no table. Write [[profiles.shops.keys]] above"),
    "a name with a blank": ('[profiles]\n"north shops" = 3\n', 'no table. Write [profiles."north shops"] above'),
    "a mistyped name": (HEAD + 'reserv = "20%"\n', "profiles.shops: `reserv` has no meaning here. Did you mean `reserve`?"),
    "of the command line": (HEAD + 'guard = "off"\n', "`guard` counts on the command line only. Remove it here, and give --guard"),
    "a key without accounts": (HEAD + 'api_key_file = "k"\n', "Write it in [[profiles.NAME.keys]], beside the `accounts`"),
    "a number": (HEAD + "rate = 60\n", "profiles.shops.rate: write a text in quotes, without \\u0000, in the form that --rate"),
    "an empty value": (HEAD + 'ledger = " "\n', "profiles.shops.ledger: write a text in quotes"),
    "no rate": (HEAD + f'rate = "{KEY}"\n', "profiles.shops.rate: its value is not a rate; write 30/min"),
    "out of bounds": (HEAD + 'reserve = "95%"\n', "profiles.shops: `reserve` is 95%: give a value from 0% to 90%"),
    "plain http": (ONE + 'accounts = [1]\napi_key_env = "A_B"\n[profiles.more]\n', ""),
    "a server without keys": (HEAD + 'api_url = "https://a.test"\n', "profiles.shops.api_url: the profile has no keys"),
    "a key": (HEAD + f'api_key = "{KEY}"\n', "`api_key` looks like an API key itself"),
    "a key among keys": (ONE + f'accounts = [1]\nkey = "{KEY}"\n', "keys[1]: `key` looks like an API key itself"),
    "a key at the top": (f'api-key = "{KEY}"\n', "`api-key` looks like an API key itself"),
    "keys that are no list": (HEAD + "keys = 3\n", "write [[profiles.shops.keys]] above the values of each key"),
    "one table for all keys": ("[profiles.shops.keys]\naccounts = [1]\n", "write [[profiles.shops.keys]] above"),
    "no place": (ONE + "accounts = [1]\n", "keys[1]: give exactly one of api_key_file, api_key_env, api_key_command"),
    "two places": (ONE + 'accounts = [1]\napi_key_env = "A"\napi_key_file = "b"\n', "keys[1]: give exactly one of"),
    "no accounts": (ONE + 'api_key_env = "A"\n', "keys[1].accounts: write the accounts of this key"),
    "empty accounts": (ONE + 'accounts = []\napi_key_env = "A"\n', "keys[1].accounts: write"),
    "an account that is none": (ONE + 'accounts = [true]\napi_key_env = "A"\n', "keys[1].accounts: write"),
    "a text for a command": (ONE + 'accounts = [1]\napi_key_command = "pass x"\n', "api_key_command: write a list of texts"),
    "a NUL in a path": (HEAD + 'ledger = "a\\u0000b"\n', "profiles.shops.ledger: write a text in quotes, without \\u0000"),
    "a NUL in a file": (ONE + 'accounts = [1]\napi_key_file = "a\\u0000b"\n', "api_key_file: write a text in quotes, without \\u0000"),
    "a NUL in a command": (ONE + 'accounts = [1]\napi_key_command = ["x", "\\u0000"]\n', "api_key_command: write a list of texts"),
    "a number for a file": (ONE + "accounts = [1]\napi_key_file = 3\n", "api_key_file: write a text in quotes"),
    "an account with two keys": (
        ONE + 'accounts = [1, 2]\napi_key_env = "A"\n[[profiles.shops.keys]]\naccounts = [2]\napi_key_env = "B"\n',
        "keys[2]: account 2 has another key in",
    ),
}  # fmt: skip
del REFUSED["plain http"]


@pytest.mark.parametrize("case", REFUSED)
def test_a_file_that_is_wrong_is_refused(tmp_path: Path, case: str) -> None:
    """Exit 2, with the place and what to write there; a text that may be a key is not repeated."""
    text, why = REFUSED[case]
    path = written(tmp_path, text)
    for words in (["profile", "shops"], ["run", "o.csv", "--profile", "shops"]):
        done = CliRunner().invoke(program, [*words, "--config", str(path)], standalone_mode=False)
        assert isinstance(done.exception, UsageError)
        assert why in str(done.exception)
        assert str(path) in str(done.exception)
        assert KEY[:8] not in str(done.exception)


@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666])
def test_a_file_that_others_can_write_is_refused(tmp_path: Path, mode: int) -> None:
    """They could have the keys sent elsewhere. The command in the message repairs it."""
    path = written(tmp_path, SHOPS, mode)
    with pytest.raises(UsageError, match=rf"can be written by others.*Run: chmod go-w {path}"):
        read_profile("slow", path)
    path.chmod(0o644)
    assert read_profile("slow", path).name == "slow"


def test_a_folder_that_others_can_write_is_refused(tmp_path: Path) -> None:
    """They could put another file there, unless the folder has the sticky bit."""
    folder = tmp_path / "shared"
    folder.mkdir()
    path = written(folder, SHOPS)
    folder.chmod(0o777)
    with pytest.raises(UsageError, match=f"{folder} can be written by others"):
        read_profile("slow", path)
    folder.chmod(0o1777)
    assert read_profile("slow", path).name == "slow"


def test_no_file_is_no_profile(tmp_path: Path) -> None:
    """A folder, a pipe, a large file, one that is not text."""
    with pytest.raises(UsageError, match="cannot be read"):
        read_profile("x", tmp_path)
    os.mkfifo(pipe := tmp_path / "pipe")
    for special in (pipe, Path("/dev/null")):
        with pytest.raises(UsageError, match="is not a regular file"):
            read_profile("x", special)
    path = written(tmp_path, "#" * (1024 * 1024 + 1))
    with pytest.raises(UsageError, match="more than 1,048,576 bytes"):
        read_profile("x", path)
    path.write_bytes(b"\xff")
    with pytest.raises(UsageError, match="is not UTF-8"):
        read_profile("x", path)


def test_config_without_a_profile_is_refused() -> None:
    """A file alone chooses nothing."""
    done = CliRunner().invoke(program, ["run", "o.csv", "--config", "x.toml"], standalone_mode=False)
    assert "choose one of them with --profile NAME" in str(done.exception)


SHOWN = """profile shops of {path}
  ledger   {folder}/ledgers/shops.db  profile
  api_url  https://api.test/staging{pad}  profile
  proxy    none{proxy}  default
  rate     60/min{rate}  profile
  reserve  20%{reserve}  profile
  key of accounts 71, 72: api_key_file {folder}/north.key
  key of account 73: api_key_env ALEPHEE_SOUTH, set
  key of account 74: api_key_command {python} with 2 arguments
"""


def test_profile_shows_what_applies_and_reads_no_key(shops: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Values with their source, the places of keys; no argument of a command, which is not run."""
    monkeypatch.setattr("bulkdelete.api.keys._output_of", lambda _: pytest.fail("a command is run"))
    (shops.parent / "north.key").chmod(0)
    done = CliRunner().invoke(program, ["profile", "shops", "--config", str(shops)], standalone_mode=False)
    assert done.exception is None
    width = len(f"{shops.parent}/ledgers/shops.db")
    pads = {"pad": 24, "proxy": 4, "rate": 6, "reserve": 3}
    named = {name: " " * (width - length) for name, length in pads.items()}
    assert done.output == SHOWN.format(path=shops, folder=shops.parent, python=sys.executable, **named)
    done = CliRunner().invoke(program, ["profile", "slow", "--config", str(shops)], standalone_mode=False)
    assert [line.split() for line in done.output.splitlines()[1:]] == [
        ["ledger", "beside", "the", "input", "default"],
        ["api_url", "https://api.alephcrm.com", "default"],
        ["proxy", "none", "default"],
        ["rate", "10/min", "profile"],
        ["reserve", "0%", "default"],
        ["key:", "--api-key-file,", "or", "asked", "for"],
    ]
    monkeypatch.setenv("BULKDELETE_API_KEY", KEY)
    for name, said in (("slow", "key: BULKDELETE_API_KEY, from the environment"), ("shops", "refuse that. Unset it")):
        shown = CliRunner().invoke(program, ["profile", name, "--config", str(shops)], standalone_mode=False).output
        assert said in shown
        assert KEY not in shown


COMMANDS = {
    "that fails": (["false"], "`api_key_command` of .*keys\\[1\\]: false ended with exit code 1"),
    "that is not there": (
        ["no-such-program"],
        r"program \(not shown: this may be the key itself\) cannot be run \(No such file",
    ),
    "that prints nothing": (["true"], "is empty"),
    "that prints no text": (["printf", "\\377"], "is not UTF-8 text"),
    "that prints too much": (["head", "-c", "100000", "/dev/zero"], "the API key from"),
    "that hangs": (["sleep", "60"], "sleep has not ended in 0.2 s"),
    "that begins with no program": (
        ["./no-shebang"],
        "cannot be run \\(Exec format error\\). Begin it with a line such as #!/bin/sh",
    ),
    "of a shell": (["echo $HOME"], "cannot be run"),
}


@pytest.mark.parametrize("case", COMMANDS)
def test_a_command_that_gives_no_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: str) -> None:
    """Exit 2, with the program and what it did; its arguments may be secret."""
    monkeypatch.setattr("bulkdelete.api.keys._COMMAND_S", 0.2)
    monkeypatch.delenv("BULKDELETE_API_KEY", raising=False)
    words, why = COMMANDS[case]
    listed = ", ".join(f"'{word}'" for word in words)
    path = written(tmp_path, f"{ONE}accounts = [1]\napi_key_command = [{listed}]\n")
    (tmp_path / "no-shebang").write_text("echo a-key")
    (tmp_path / "no-shebang").chmod(0o700)
    with pytest.raises(UsageError, match=why):
        given_keys(Access(profile=read_profile("shops", path)))


def test_a_command_that_leaves_an_agent_behind(tmp_path: Path) -> None:
    """A password manager may start one, which holds the output open: the key is there when the command has ended."""
    path = written(tmp_path, f"{ONE}accounts = [1]\napi_key_command = ['sh', '-c', 'sleep 60 & echo a-key']\n")
    begun_s = time.monotonic()
    keys = given_keys(Access(profile=read_profile("shops", path)))
    assert isinstance(keys, tuple)
    assert keys[0].key.reveal() == "a-key"
    assert time.monotonic() - begun_s < 20


@pytest.mark.parametrize("word", ["./north.sh", "sub/../north.sh", "~/north.sh"])
def test_a_command_beside_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, word: str) -> None:
    """A relative path begins at the folder of the file, wherever the program is started; ~ is the home folder, as in any path."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (tmp_path / "sub").mkdir()
    monkeypatch.chdir(elsewhere)
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "north.sh").write_text("#!/bin/sh\necho a-key\n")
    (tmp_path / "north.sh").chmod(0o700)
    keys = given_keys(
        Access(profile=read_profile("shops", written(tmp_path, f"{ONE}accounts = [1]\napi_key_command = ['{word}']\n")))
    )
    assert isinstance(keys, tuple)
    assert keys[0].key.reveal() == "a-key"


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ('ledger = "~/l.db"\n', r"profiles\.shops\.ledger"),
        ('ledger = "~nobody-here/l.db"\n', r"profiles\.shops\.ledger"),
        ('[[profiles.shops.keys]]\naccounts = [1]\napi_key_file = "~/k"\n', r"keys\[1\]\.api_key_file"),
        ('[[profiles.shops.keys]]\naccounts = [1]\napi_key_command = ["~/k"]\n', r"keys\[1\]\.api_key_command"),
        ("", "HOME is not set. Name the file with --config"),
    ],
)
def test_a_home_folder_that_nobody_knows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, place: str
) -> None:
    """A container may have neither HOME nor a name for its user: exit 2, with the place, and with what helps."""

    def nobody(_uid: int) -> None:
        raise KeyError

    monkeypatch.setattr("pwd.getpwuid", nobody)
    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    with pytest.raises(UsageError, match=place) as caught:
        read_profile("shops", written(tmp_path, HEAD + text) if text else None)
    assert text == "" or "Write the whole path" in str(caught.value)


@pytest.mark.parametrize(
    ("place", "value", "why"),
    [
        ("api_key_env", "ALEPHEE_NOWHERE", "ALEPHEE_NOWHERE is not set in the environment"),
        ("api_key_env", KEY, r"not shown: this may be the key itself\) is not set"),
        ("api_key_file", KEY, r"not shown: this may be the key itself\) cannot be read"),
        ("api_key_command", [KEY], r"not shown: this may be the key itself\) cannot be run"),
        ("api_key_command", [f"x/{KEY}"], r"not shown: this may be the key itself\) cannot be run"),
    ],
)
def test_a_place_without_a_key(tmp_path: Path, place: str, value: str | list[str], why: str) -> None:
    """What is named and not there; a key in the name's place is not repeated, and `profile` does not show it either."""
    folder = tmp_path / "empty"
    folder.mkdir()
    path = written(folder, f"{ONE}accounts = [1]\n{place} = {json.dumps(value)}\n")
    with pytest.raises(UsageError, match=why) as caught:
        given_keys(Access(profile=read_profile("shops", path)))
    assert KEY[:8] not in str(caught.value)
    shown = CliRunner().invoke(program, ["profile", "shops", "--config", str(path)], standalone_mode=False).output
    assert place in shown
    assert KEY[:8] not in shown


def test_one_key_in_two_places_is_refused(shops: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It has one rate limit, so it is given once."""
    monkeypatch.setenv("ALEPHEE_SOUTH", KEY)
    with pytest.raises(UsageError, match="one API key is given twice"):
        given_keys(Access(profile=read_profile("shops", shops)))
