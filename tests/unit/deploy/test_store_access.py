"""The passwords of a profile's Redis: made once, private, and never where others can read them."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest

from deploy.local import redis_server, store_access
from deploy.local.errors import LauncherError
from deploy.local.paths import Places
from deploy.local.tokens import mint
from schemas.security.private_files import make_private_folder, write_private_file


@pytest.fixture
def places(tmp_path: Path) -> Places:
    places = Places.of("test", tmp_path)
    places.make()
    return places


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_profile_gets_its_passwords_once(places: Places) -> None:
    assert store_access.load(places) is None
    access = store_access.load_or_create(places)
    assert store_access.load_or_create(places) == store_access.load(places) == access
    assert len({*access.passwords.values()}) == 2
    assert all(len(password) >= 32 for password in access.passwords.values())
    assert mode_of(places.store_access) == 0o600


def test_two_profiles_have_different_passwords(places: Places, tmp_path: Path) -> None:
    other = Places.of("other", tmp_path)
    other.make()
    assert store_access.load_or_create(other) != store_access.load_or_create(places)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"liandong": 1, "operator": "x"}'])
def test_a_damaged_file_is_an_error_that_says_what_to_do_and_not_what_is_in_it(places: Places, text: str) -> None:
    places.store_access.write_text(text)
    with pytest.raises(LauncherError, match=r"(?s)redis-access\.json does not contain the passwords.*remove the file"):
        store_access.load(places)


def test_no_password_is_in_the_command_line_nor_in_the_configuration(places: Places) -> None:
    access = store_access.load_or_create(places)
    argv = redis_server.prepare(places, 20_001, Path("/bin/valkey-server"), access)
    config = Path(argv[1])
    assert argv == ["/bin/valkey-server", str(config)]
    assert mode_of(config) == 0o600
    text = config.read_text()
    assert not any(password in text for password in access.passwords.values())
    assert {"bind 127.0.0.1", "enable-debug-command no", "user default off resetpass resetkeys resetchannels -@all"} <= {
        *text.splitlines()
    }


@pytest.mark.parametrize(
    ("url", "masked"),
    [
        ("redis://127.0.0.1:6379/0", "redis://127.0.0.1:6379/0"),
        ("redis://operator:secret@127.0.0.1:6379/0", "redis://***@127.0.0.1:6379/0"),
        ("rediss://:se@cr/et@redis.example:6380/0", "rediss://***@redis.example:6380/0"),
        ("redis://redis.example/0?password=secret&db=1", "redis://redis.example/0?password=***&db=1"),
    ],
)
def test_an_address_is_shown_without_its_password(url: str, masked: str) -> None:
    assert store_access.mask_password(url) == masked


def test_a_token_before_the_first_start_leaves_a_private_folder(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        mint("bank-001", home=tmp_path, profile="demo")
    finally:
        os.umask(before)
    assert mode_of(tmp_path / "demo") == 0o700
    assert {mode_of(file) for file in (tmp_path / "demo").iterdir()} == {0o600}


def test_a_folder_that_others_could_read_is_closed(tmp_path: Path) -> None:
    (tmp_path / "demo").mkdir(mode=0o755)
    (tmp_path / "demo").chmod(0o755)
    make_private_folder(tmp_path / "demo")
    assert mode_of(tmp_path / "demo") == 0o700


def test_the_first_of_two_writers_wins_and_leaves_no_draft(tmp_path: Path) -> None:
    for text in ("first", "second"):
        write_private_file(tmp_path / "it.json", json.dumps(text), keep_existing=True)
    assert json.loads((tmp_path / "it.json").read_text()) == "first"
    write_private_file(tmp_path / "it.json", json.dumps("third"))
    assert json.loads((tmp_path / "it.json").read_text()) == "third"
    assert [file.name for file in tmp_path.iterdir()] == ["it.json"]
