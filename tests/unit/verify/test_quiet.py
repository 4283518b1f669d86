"""When `liandong verify` may look: nothing is left to do, also nothing that recorded facts still have to ask for."""

from __future__ import annotations

from typing import cast

import pytest
from rich.console import Console

from deploy.verify import run
from deploy.verify.run import StageDigest
from deploy.verify.wait_idle import _count_remaining
from schemas.topics import Topic
from stream_processors.runtime.generations import Generations
from stream_processors.runtime.settings import Settings
from stream_processors.state.keys import BUCKETS
from stream_processors.topology import STAGES, all_stages

END = 7


class Log:
    """Every partition of every topic has `END` records."""

    generations = Generations()

    async def ends(self, topic: Topic) -> dict[int, int]:
        return dict.fromkeys(range(topic.partitions), END)

    async def starts(self, topic: Topic) -> dict[int, int]:
        return dict.fromkeys(range(topic.partitions), 0)


class Marks:
    """A Redis in which all marks stand at the end, but for those given, which stand there in one bucket only."""

    def __init__(self, late: dict[tuple[str, str], int]) -> None:
        self.late = late
        self.asked: list[list[bytes]] = []

    def pipeline(self, transaction: bool) -> Marks:
        return Marks(self.late)

    def hmget(self, key: str, names: list[str]) -> None:
        bucket = len(self.asked)
        self.asked.append([str(self.late.get((key, name), END) if bucket == BUCKETS - 1 else END).encode() for name in names])

    async def execute(self) -> list[list[bytes]]:
        return self.asked


async def left(late: dict[tuple[str, str], int]) -> dict[str, int]:
    found, _ = await _count_remaining(Log(), Marks(late), ())  # type: ignore[arg-type]
    return {name: n for name, n in found.items() if n}


async def test_all_marks_at_the_ends_is_quiet() -> None:
    assert set(all_stages(())) == set(STAGES)
    assert await left({}) == {}


async def test_facts_that_another_folded_before_their_joins_were_asked_for_are_left_to_do() -> None:
    last = STAGES["assess"].namespace.marks(BUCKETS - 1)
    assert await left({(last, "e3"): END - 2}) == {"assess": 2}
    assert await left({(last, "f3"): END - 1}) == {"assess": 1}


@pytest.mark.parametrize(
    ("ends", "same", "compared"),
    [([1, 1], False, 1), ([1, 2], True, 1), ([1, 2, 2], False, 2), ([1, 2, 3, 4], False, 4)],
)
async def test_states_of_two_moments_are_compared_once_more(
    monkeypatch: pytest.MonkeyPatch, ends: list[int], same: bool, compared: int
) -> None:
    seen, told = iter(ends), list[int]()

    async def quiet(settings: object, *, timeout_s: float) -> dict[str, dict[int, int]]:
        return {"t": {0: next(seen)}}

    async def compare(settings: object) -> list[StageDigest]:
        told.append(1)
        return [StageDigest("assess", "a", "a" if same else "b", 1, 1, [])]

    monkeypatch.setattr(run, "wait_quiet", quiet)
    monkeypatch.setattr(run, "compare_with_rebuilt", compare)
    (found,) = await run._compare_states(cast(Settings, None), 1.0, Console(quiet=True))
    assert (found.same, len(told)) == (same, compared)
