"""Live queues over a fake source: who hears what, resume, coalescing, slow clients, bounds, ends."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import pytest

from deploy.local.tokens import mint
from gateway import app as wiring
from gateway.adapters.stage_lag import Lag
from gateway.http.pagination import write_cursor
from gateway.http.problem_table import TYPE_PREFIX
from gateway.live.rows import FeedPlace, read_place, write_place
from gateway.services import Services
from gateway.settings import GatewaySettings
from schemas.cases.case import CaseStatus
from schemas.security import Keyring
from tests.unit.gateway.fakes import QUEUE, FakeLog, FakeRates, FakeViews, MemoryIdempotency, a_case
from tests.unit.gateway.served import served
from tests.unit.gateway.streams import LOG, FakeSource, listening

ELSEWHERE = "financial-regulator-630200"
PATH = f"/v1/queues/{QUEUE}/events"
FAST = {"live_updates_a_second": 20.0, "live_counts_every_s": 0.2, "live_ready_s": 0.3, "live_linger_s": 0.0}


class Live:
    """A gateway with live queues; `on` opens a connection of an officer."""

    def __init__(self, home: Path, keyring: Keyring, views: FakeViews, **changes: Any) -> None:
        settings = GatewaySettings(home=home, profile="unit", jwks=None, **{**FAST, **changes})
        self.source, self.home = FakeSource(), home
        self.services: Services = wiring.services(
            settings,
            keyring=keyring,
            log=FakeLog(),
            memory=MemoryIdempotency(),
            views=views,
            lag=Lag(),
            rates=FakeRates(),
            source=lambda: self.source,
        )
        self.hub, self.app = self.services.live, wiring.create_app_over(self.services)

    def case(self, n: int = 1, **changes: Any) -> Any:
        return a_case(self.services.tokenizer, self.services.sealer, n, **changes)

    def on(
        self, path: str = PATH, officer: str = "officer-1", *, last_id: str | None = None, gone: str = "", **token: Any
    ) -> Any:
        return listening(self.app, path, mint(officer, home=self.home, profile="unit", **token), last_id, gone)


@pytest.fixture
async def live(home: Path, keyring: Keyring, views: FakeViews):
    made: list[Live] = []

    def make(**changes: Any) -> Live:
        made.append(Live(home, keyring, views, **changes))
        return made[-1]

    yield make
    for one in made:
        await one.hub.close()
        assert not one.hub.clients


def names(told: Any) -> list[tuple[str, int]]:
    return [(case["case_id"], case["revision"]) for case in told.data["cases"]]


async def test_a_connection_begins_with_a_reset_and_then_tells_each_change_as_a_row_of_the_list(live, views: FakeViews):
    gateway = live()
    async with gateway.on() as officer:
        assert (await officer.next()).data == {"reason": "start"}
        gateway.source.tell(case := gateway.case(1, score=80))
        told = await officer.next("cases")
        views.cases = {"case-1": case}
        token = mint("officer-1", home=gateway.home, profile="unit")
        async with httpx.AsyncClient(transport=httpx.ASGITransport(gateway.app), base_url="http://g") as client:
            listed = await client.get(f"/v1/queues/{QUEUE}/cases", headers={"authorization": f"Bearer {token}"})
        assert told.data["cases"] == listed.json()["cases"]
    assert officer.status == 200


async def test_each_officer_hears_of_his_own_queues_only(live):
    gateway = live()
    async with (
        gateway.on("/v1/queues/events", "officer-1", queues=["public-security-*"]) as police,
        gateway.on("/v1/queues/events", "officer-2", queues=[ELSEWHERE]) as regulator,
        gateway.on(f"/v1/queues/events?queue={QUEUE}&queue={ELSEWHERE}", "officer-3") as both,
        gateway.on(f"/v1/queues/{ELSEWHERE}/events", "officer-4") as one,
    ):
        for officer in (police, regulator, both, one):
            await officer.next("reset")
        gateway.source.tell(gateway.case(1), gateway.case(2, queue=ELSEWHERE))
        assert names(await police.next("cases")) == [("case-1", 1)]
        assert names(await regulator.next("cases")) == names(await one.next("cases")) == [("case-2", 1)]
        assert names(await both.next("cases")) == [("case-1", 1), ("case-2", 1)]
        for officer in (police, regulator, one):
            assert ELSEWHERE.encode() not in officer.body or b"case-1" not in officer.body


@pytest.mark.parametrize("path", [PATH, f"/v1/queues/events?queue={QUEUE}"])
async def test_a_queue_that_is_not_ones_own_is_403_and_so_is_an_institution(live, path: str):
    gateway = live()
    for token in ({"queues": [ELSEWHERE]}, {"role": "institution"}):
        async with gateway.on(path, "officer-1", **token) as stranger:
            await stranger.ended.wait()
            assert stranger.status == 403
    assert not gateway.hub.clients


async def test_who_listens_is_recorded_with_the_queues_that_were_named(live, caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.INFO, "liandong.audit")
    gateway = live()
    for path in (PATH, "/v1/queues/events", f"/v1/queues/events?queue={QUEUE}&queue={ELSEWHERE}"):
        async with gateway.on(path) as told:
            await told.next("reset")
    audited = [json.loads(record.message) for record in caplog.records if record.name == "liandong.audit"]
    assert [(one["who"], one["what"], one["queue"]) for one in audited] == [
        ("officer-1", "live", QUEUE),
        ("officer-1", "live", None),
        ("officer-1", "live", f"{ELSEWHERE},{QUEUE}"),
    ]


async def test_changes_within_a_moment_are_one_event_with_the_newest_state(live):
    gateway = live(live_updates_a_second=4.0)
    async with gateway.on() as officer:
        began = await officer.next("reset")
        for revision in range(1, 40):
            gateway.source.tell(gateway.case(1, revision=revision), gateway.case(2, revision=revision))
            await asyncio.sleep(0.01)
        heard = []
        while not heard or heard[-1].data["cases"][-1]["revision"] < 39:
            heard.append(await officer.next("cases"))
        times = [began.at, *(one.at for one in heard)]
        assert len(heard) <= 4
        assert all(later - earlier >= 0.24 for earlier, later in pairwise(times))
        assert names(heard[-1]) == [("case-1", 39), ("case-2", 39)]


async def test_a_client_that_comes_back_hears_what_it_missed_and_no_reset(live):
    gateway = live(live_linger_s=5.0)
    async with gateway.on() as officer:
        await officer.next("reset")
        gateway.source.tell(gateway.case(1))
        last = (await officer.next("cases")).id
    gateway.source.tell(gateway.case(1, revision=2), gateway.case(2), gateway.case(3, queue=ELSEWHERE))
    await asyncio.sleep(0.05)
    async with gateway.on(last_id=last) as officer:
        told = await officer.next("cases")
        assert sorted(names(told)) == [("case-1", 2), ("case-2", 1)]
        assert told.id is not None and read_place(told.id.partition(".")[0]) == gateway.hub.place


@pytest.mark.parametrize("place", [FeedPlace("00000000", (0,) * 8), FeedPlace(LOG, (0,) * 3), None])
@pytest.mark.parametrize("signed_for", ["live", "inbox", ""])
async def test_an_id_that_says_nothing_here_is_a_reset(live, place: FeedPlace | None, signed_for: str):
    gateway = live()
    last = "nonsense" if place is None else write_place(place)
    last = write_cursor(gateway.hub._tokenizer, last, signed_for) if signed_for else last
    async with gateway.on(last_id=last) as officer:
        assert (await officer.next()).data == {"reason": "gap"}


@pytest.mark.parametrize("forge", [str.upper, lambda last: last.partition(".")[0], lambda last: ""])
async def test_an_id_that_was_not_given_is_a_reset(live, forge: Callable[[str], str]):
    gateway = live()
    async with gateway.on() as officer:
        last = (await officer.next("reset")).id
    async with gateway.on(last_id=forge(last)) as officer:
        assert (await officer.next()).data == {"reason": "gap"}


async def test_a_gap_that_is_no_longer_kept_is_a_reset(live):
    gateway = live(live_cases_kept=3, live_linger_s=5.0)
    async with gateway.on() as officer:
        last = (await officer.next("reset")).id
    gateway.source.tell(*(gateway.case(n) for n in range(9)))
    await asyncio.sleep(0.05)
    async with gateway.on(last_id=last) as officer:
        assert (await officer.next()).data == {"reason": "gap"}
    async with gateway.on(last_id=gateway.hub.event_id) as officer:
        gateway.source.tell(gateway.case(1, revision=2))
        assert names(await officer.next("cases")) == [("case-1", 2)]


async def test_views_that_were_made_anew_are_a_reset_for_everybody(live):
    gateway = live()
    async with gateway.on() as one, gateway.on(officer="officer-2") as two:
        for officer in (one, two):
            await officer.next("reset")
        gateway.source.break_off()
        for officer in (one, two):
            assert (await officer.next("reset")).data == {"reason": "gap"}
        gateway.source.tell(gateway.case(1))
        assert names(await one.next("cases")) == names(await two.next("cases")) == [("case-1", 1)]
    assert gateway.source.begun == 2 and gateway.source.closed >= 1


async def test_more_cases_than_are_held_for_a_client_are_a_reset_and_not_memory(live):
    gateway = live(live_cases_held=5)
    async with gateway.on() as officer:
        await officer.next("reset")
        gateway.source.tell(*(gateway.case(n) for n in range(9)))
        assert (await officer.next("reset")).data == {"reason": "overflow"}


async def test_a_client_that_does_not_read_is_ended_and_the_others_hear_all(live):
    gateway = live(live_slow_s=0.3)
    async with gateway.on() as slow, gateway.on(officer="officer-2") as quick:
        await slow.next("reset")
        await quick.next("reset")
        slow.reading.clear()
        for revision in range(1, 30):
            gateway.source.tell(gateway.case(1, revision=revision))
            await asyncio.sleep(0.02)
        await asyncio.wait_for(slow.ended.wait(), 2)
        assert slow.aborted and len(gateway.hub.clients) == 1
        while names(await quick.next("cases")) != [("case-1", 29)]:
            pass


async def test_a_client_that_goes_frees_its_place(live):
    gateway = live()
    async with gateway.on() as officer:
        await officer.next("reset")
        assert len(gateway.hub.clients) == 1
    assert not gateway.hub.clients and not gateway.hub._officers


@pytest.mark.parametrize("gone", ["closing", "reset"])
async def test_a_client_that_was_gone_before_its_stream_began_takes_no_place(live, gone: str):
    gateway = live(live_per_officer_limit=1)
    for _ in range(3):
        async with gateway.on(gone=gone) as officer:
            await asyncio.wait_for(officer.ended.wait(), 2)
    assert not gateway.hub.clients and not gateway.hub._officers
    async with gateway.on() as officer:
        assert (await officer.next()).kind == "reset"


async def test_so_does_one_that_breaks_off_while_the_log_is_not_there_yet(live, monkeypatch: pytest.MonkeyPatch):
    gateway, begin, there = live(live_ready_s=5.0), FakeSource.begin, asyncio.Event()

    async def late(source: FakeSource) -> None:
        await there.wait()
        await begin(source)

    monkeypatch.setattr(FakeSource, "begin", late)
    token = mint("officer-1", home=gateway.home, profile="unit")
    async with served(gateway.app) as port:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(f"GET {PATH} HTTP/1.1\r\nHost: g\r\nAuthorization: Bearer {token}\r\n\r\n".encode())
        while not gateway.hub.clients:  # noqa: ASYNC110  (a set of the hub's)
            await asyncio.sleep(0.01)
        writer.transport.abort()
        await asyncio.sleep(0.1)
        there.set()
        async with asyncio.timeout(3):
            while gateway.hub.clients:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
    assert not gateway.hub._officers


async def test_an_officer_has_a_bounded_number_of_connections_and_so_has_the_process(live):
    gateway = live(live_per_officer_limit=2, live_clients_limit=3)
    async with contextlib.AsyncExitStack() as open_ones:
        for officer in ("officer-1", "officer-1", "officer-2"):
            await (await open_ones.enter_async_context(gateway.on(officer=officer))).next("reset")
        for officer, status, slug in (("officer-1", 503, "overloaded"), ("officer-3", 503, "overloaded")):
            async with gateway.on(officer=officer) as refused:
                await refused.ended.wait()
                assert refused.status == status and TYPE_PREFIX + slug in refused.body.decode()
    async with gateway.on() as one, gateway.on() as two:
        for known in (one, two):
            await known.next("reset")
        async with gateway.on() as third:
            await third.ended.wait()
            assert third.status == 429 and TYPE_PREFIX + "too-many-streams" in third.body.decode()
        assert one.status == two.status == 200


async def test_a_connection_ends_with_its_token_and_says_so(live):
    gateway = live(jwt_leeway_s=0)
    async with gateway.on(ttl_s=2) as officer:
        assert (await officer.next("bye")).data == {"reason": "expired"}
        await asyncio.wait_for(officer.ended.wait(), 1)


async def test_connections_end_when_the_gateway_drains_and_none_begins(live):
    gateway = live()
    async with gateway.on() as one, gateway.on(officer="officer-2") as two:
        await one.next("reset")
        await two.next("reset")
        gateway.app.drain()
        for officer in (one, two):
            assert (await officer.next("bye")).data == {"reason": "draining"}
            await asyncio.wait_for(officer.ended.wait(), 1)
    async with gateway.on() as late:
        await late.ended.wait()
        assert late.status == 503


async def test_a_quiet_connection_has_heartbeats(live):
    gateway = live(live_heartbeat_s=0.05)
    async with gateway.on() as officer:
        await officer.next("reset")
        await asyncio.sleep(0.3)
        assert officer.comments >= 3 and officer.events.empty()


async def test_counts_by_severity_come_with_the_changes(live, views: FakeViews):
    gateway = live()
    views.cases["case-1"] = gateway.case(1)
    async with gateway.on() as officer:
        first = await officer.next("counts")
        assert first.data == {"queues": [{"queue": QUEUE, "depth": 1, "severities": {"high": 1}}]}
        assert first.id is None
        views.cases["case-2"] = gateway.case(2, score=50)
        views.cases["case-3"] = gateway.case(3, queue=ELSEWHERE)
        gateway.source.tell(views.cases["case-2"])
        told = await officer.next("counts")
        assert told.data == {"queues": [{"queue": QUEUE, "depth": 2, "severities": {"high": 1, "medium": 1}}]}


async def test_a_disposed_case_is_told_too(live):
    gateway = live()
    async with gateway.on() as officer:
        await officer.next("reset")
        gateway.source.tell(gateway.case(1, status=CaseStatus.DISPOSED, revision=3))
        assert (await officer.next("cases")).data["cases"][0]["status"] == "disposed"


async def test_views_that_are_not_whole_are_503_and_nobody_waits_for_ever(live):
    gateway = live()
    gateway.source.rebuilding = True
    async with gateway.on() as officer:
        await asyncio.wait_for(officer.ended.wait(), 2)
        assert officer.status == 503 and TYPE_PREFIX + "views-rebuilding" in officer.body.decode()
    assert not gateway.hub.clients


async def test_the_log_is_read_only_while_somebody_listens(live):
    gateway = live()
    async with gateway.on() as officer:
        await officer.next("reset")
    await asyncio.sleep(0.1)
    assert gateway.source.closed == 1
    async with gateway.on() as officer:
        await officer.next("reset")
    assert gateway.source.begun == 2


def test_an_event_id_gives_back_its_place():
    for offsets in ((0,) * 8, (1, 35, 36, 10**15, 0, 7, 8, 9)):
        assert read_place(write_place(FeedPlace(LOG, offsets))) == FeedPlace(LOG, offsets)
    for text in ("", "x", "-", "1f0a93bc", "1f0a93bc-" + "z" * 12, "1F0A93BC-1", "1f0a93bc-1\n", "1f0a93bc" + "-1" * 65):
        assert read_place(text) is None
