"""Ports of a profile: chosen once, kept, never another profile's."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from deploy.local import ports
from deploy.local.errors import LauncherError
from deploy.local.paths import Places


@pytest.fixture
def places(tmp_path: Path) -> Places:
    made = Places.of("test", tmp_path)
    made.make()
    return made


@pytest.fixture
def listener() -> Iterator[int]:
    with socket.socket() as taken:
        taken.bind((ports.LOCALHOST, 0))
        taken.listen()
        yield taken.getsockname()[1]


def test_chosen_ports_are_kept(places: Places) -> None:
    first = ports.keep(places, ["kafka", "redis"])
    assert ports.keep(places, ["kafka", "redis"]) == first == ports.read(places)


def test_a_new_name_gets_a_port_and_the_others_keep_theirs(places: Places) -> None:
    first = ports.keep(places, ["kafka"])
    second = ports.keep(places, ["kafka", "gateway"])
    assert second["kafka"] == first["kafka"]
    assert len(set(second.values())) == 2


def test_ports_lie_below_the_range_of_outgoing_connections(places: Places) -> None:
    assert all(port in ports.RANGE for port in ports.keep(places, map(str, range(20))).values())


def test_two_profiles_never_share_a_port(places: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = ports.keep(places, ["kafka"])["kafka"]
    other = Places.of("bench", places.home)
    other.make()
    monkeypatch.setattr(ports.random, "sample", lambda *_: [mine, 31_999, 31_998])
    assert ports.keep(other, ["kafka"])["kafka"] != mine


def test_two_profiles_that_choose_at_the_same_moment_never_share_a_port(places: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    others = [Places.of(f"at-once-{number}", places.home) for number in range(4)]
    for other in others:
        other.make()

    def is_free(port: int) -> bool:
        time.sleep(0.05)
        return True

    monkeypatch.setattr(ports, "is_free", is_free)
    monkeypatch.setattr(ports.random, "sample", lambda *_: list(range(31_900, 31_920)))
    with ThreadPoolExecutor(4) as pool:
        chosen = [kept["kafka"] for kept in pool.map(lambda other: ports.keep(other, ["kafka"]), others)]
    assert len(set(chosen)) == 4


def test_a_port_that_something_listens_on_is_not_chosen(places: Places, listener: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ports.random, "sample", lambda *_: [listener, 31_997, 31_996])
    assert ports.keep(places, ["kafka"])["kafka"] != listener


def test_a_kept_port_taken_by_another_program_is_an_error_that_says_what_to_do(places: Places, listener: int) -> None:
    with pytest.raises(LauncherError, match=r"port \d+ of redis .* is taken") as caught:
        ports.check_free(places, {"redis": listener}, ["redis"])
    assert str(places.ports) in caught.value.remedy


def test_a_broken_ports_file_is_an_error_that_names_it(places: Places) -> None:
    places.ports.write_text("{")
    with pytest.raises(LauncherError, match=r"ports\.json"):
        ports.keep(places, ["kafka"])


def test_another_profiles_broken_file_does_not_stop_this_one(places: Places) -> None:
    other = Places.of("bench", places.home)
    other.make()
    other.ports.write_text("{")
    assert ports.keep(places, ["kafka"])
