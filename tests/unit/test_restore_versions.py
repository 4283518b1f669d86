"""The barrier and the version of the folds: an older state is folded anew, a newer one is refused, another log's too."""

from __future__ import annotations

import pytest

from schemas.topics import SUBMITTED
from stream_processors.state import restore as barrier
from stream_processors.state.keys import FOLDS
from stream_processors.state.restore import OtherLog, restore
from stream_processors.state.store import LostState
from tests.support.builders import submission, submitted
from tests.support.memory_store import MemoryStore
from tests.support.world import World, content


async def worked() -> World:
    world = await World(workers=1).up()
    for number in range(12):
        signal = submitted(reference=f"r-{number}", indicators=[{"kind": "account", "value": f"62220210{number:04}"}])
        world.submit(*submission(signal), SUBMITTED)
    await world.drain()
    return world


def older(world: World, stage: str, folds: str) -> None:
    for bucket in world.redis[stage].buckets:
        bucket.marks["stamp"] = bucket.marks["stamp"].replace(f"|folds={FOLDS}", folds)


@pytest.mark.parametrize("folds", ["", f"|folds={FOLDS - 1}"])
@pytest.mark.parametrize("stage", ["assess", "track", "oversee", "project"])
async def test_a_state_of_older_folds_is_folded_anew(stage: str, folds: str):
    world = await worked()
    redis, expected = world.redis[stage], content(world.redis[stage])
    older(world, stage, folds)
    redis.buckets[5].values["x:left-by-older-folds"] = {"something": 1}
    said: list[str] = []
    restored = await restore(world.stages[stage], world.log, MemoryStore(redis, world.stages[stage].namespace), said.append)
    assert f"|folds={FOLDS}#" in restored.stamp
    assert any("older version" in line for line in said)
    assert content(redis) == expected


async def test_older_folds_may_have_known_fewer_topics_but_not_another_log():
    world = await worked()
    redis, expected = world.redis["assess"], content(world.redis["assess"])
    older(world, "assess", "")
    for bucket in redis.buckets:
        log, _, rest = bucket.marks["stamp"].partition("|buckets")
        bucket.marks["stamp"] = "|".join(one for one in log.split("|") if "cases.changed" not in one) + "|buckets" + rest
    await restore(world.stages["assess"], world.log, MemoryStore(redis, world.stages["assess"].namespace))
    assert content(redis) == expected
    for bucket in redis.buckets:
        bucket.marks["stamp"] = "other" + bucket.marks["stamp"].replace(f"|folds={FOLDS}", "")
    with pytest.raises(OtherLog, match="was built from"):
        await restore(world.stages["assess"], world.log, MemoryStore(redis, world.stages["assess"].namespace))


async def test_a_clearing_that_was_cut_off_is_done_again():
    world = await worked()
    redis, expected = world.redis["project"], content(world.redis["project"])
    older(world, "project", "")

    class Cut(MemoryStore):
        async def clear(self) -> None:
            self._alive()[3].values.clear()
            raise ConnectionError("cut")

    namespace = world.stages["project"].namespace
    with pytest.raises(ConnectionError):
        await restore(world.stages["project"], world.log, Cut(redis, namespace))
    await restore(world.stages["project"], world.log, MemoryStore(redis, namespace))
    assert content(redis) == expected


async def test_a_state_of_newer_folds_is_left_alone():
    world = await worked()
    before = content(world.redis["track"])
    older(world, "track", f"|folds={FOLDS + 1}")
    store = MemoryStore(world.redis["track"], world.stages["track"].namespace)
    with pytest.raises(OtherLog, match="newer version"):
        await restore(world.stages["track"], world.log, store)
    assert content(world.redis["track"]) == before


def test_a_stamp_is_read_back():
    assert barrier._Stamp.parse("restoring c|t=1:8|buckets=16|folds=7#ab") == ("c|t=1:8|buckets=16", 7, 0)
    assert barrier._Stamp.parse("c|t=1:8|buckets=16#ab") == ("c|t=1:8|buckets=16", 0, 0)


async def test_a_state_that_is_emptied_behind_the_last_fold_is_not_called_whole(monkeypatch: pytest.MonkeyPatch):
    """Else readers would be answered from nothing, and nobody would fold it again."""
    world = await worked()
    redis = world.redis["project"]
    redis.flush()
    fold_stream = barrier._fold_stream

    async def emptied(stage, stream, *others):
        folded = await fold_stream(stage, stream, *others)
        if stream is stage.streams[-1]:
            redis.flush()
        return folded

    monkeypatch.setattr(barrier, "_fold_stream", emptied)
    with pytest.raises(LostState):
        await restore(world.stages["project"], world.log, MemoryStore(redis, world.stages["project"].namespace))
    assert all("stamp" not in bucket.marks for bucket in redis.buckets)
