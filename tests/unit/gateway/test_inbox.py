"""Inboxes over fakes: long poll, live, what counts as received, acknowledge, once more, and whose inbox it is."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from deploy.local.tokens import mint
from gateway import app as wiring
from gateway.adapters.stage_lag import Lag
from gateway.http.pagination import write_cursor
from gateway.http.problem_table import TYPE_PREFIX
from gateway.settings import GatewaySettings
from schemas.codec import decode
from schemas.notifications.delivery import Issued
from schemas.security import Keyring
from schemas.topics import DELIVERIES
from tests.support.deliveries import mark, notice, ordered
from tests.unit.gateway.fakes import QUEUE, FakeLog, FakeRates, FakeViews, MemoryIdempotency, a_case
from tests.unit.gateway.streams import listening


class FakeNews:
    """`tell` says something; `broken` ends the source once."""

    def __init__(self) -> None:
        self.said: asyncio.Queue[tuple[str, str]] = asyncio.Queue()
        self.broken = False
        self.begun = 0

    def tell(self, recipient: str, name: str) -> None:
        self.said.put_nowait((recipient, name))

    async def begin(self) -> None:
        self.begun += 1

    async def more(self) -> list[tuple[str, str]]:
        try:
            one = await asyncio.wait_for(self.said.get(), 0.05)
        except TimeoutError:
            one = None
        if self.broken:
            self.broken = False
            raise ConnectionError("away")
        return [one] if one else []

    async def close(self) -> None:
        return


class Gate:
    """A gateway; `ask` sends a request, `on` opens a live connection."""

    def __init__(self, home: Path, keyring: Keyring, **changes: Any) -> None:
        changes = {"live_linger_s": 0.0, **changes}
        settings = GatewaySettings(home=home, profile="unit", jwks=None, **changes)
        self.home, self.log, self.views, self.news = home, FakeLog(), FakeViews(), FakeNews()
        self.log.told = self.views.apply
        self.views.rang = self.news.tell
        self.services = wiring.services(
            settings,
            keyring=keyring,
            log=self.log,
            memory=MemoryIdempotency(),
            views=self.views,
            lag=Lag(),
            rates=FakeRates(),
            news=lambda: self.news,
        )
        self.app = wiring.create_app_over(self.services)

    def token(self, who: str, **claims: Any) -> str:
        return mint(who, home=self.home, profile="unit", **claims)

    async def ask(self, path: str, who: str = "bank-001", *, body: Any = None, method: str = "", **claims: Any) -> httpx.Response:
        transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
        headers = {"authorization": f"Bearer {self.token(who, **claims)}"}
        async with httpx.AsyncClient(transport=transport, base_url="http://g", headers=headers) as client:
            return await client.request(method or ("GET" if body is None else "POST"), path, json=body)

    async def read(self, query: str = "", who: str = "bank-001", **claims: Any) -> dict[str, Any]:
        answer = await self.ask(f"/v1/inbox?{query}", who, **claims)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def on(self, query: str = "", who: str = "bank-001", last_id: str | None = None, *, gone: str = "", **claims: Any) -> Any:
        return listening(self.app, f"/v1/inbox/stream?{query}", self.token(who, **claims), last_id, gone)

    def marks(self) -> list[tuple[str, str, str, str]]:
        found = [decode(DELIVERIES, entry.value).data for entry in self.log.all(DELIVERIES)]
        return [(one.recipient, one.notification_id, one.state.value, one.channel) for one in found]


@pytest.fixture
async def gate(home: Path, keyring: Keyring):
    made: list[Gate] = []

    def make(**changes: Any) -> Gate:
        made.append(Gate(home, keyring, **changes))
        return made[-1]

    yield make
    for one in made:
        await one.services.close()


def plain(n: int = 0, recipient: str = "bank-001", **over: Any) -> Issued:
    return Issued(notification=notice(n, recipient, **over))


def ids(told: dict[str, Any]) -> list[str]:
    return [one["notification_id"] for one in told["items"]]


async def test_a_recipient_reads_its_own_notices_in_order_and_goes_on_from_the_cursor(gate):
    g = gate()
    g.views.issue(plain(0), plain(1, "bank-002"), plain(2), plain(3))
    first = await g.read("limit=2")
    assert (ids(first), first["has_more"]) == (["act-0/case-1/0", "act-2/case-1/0"], True)
    rest = await g.read(f"after={first['next_cursor']}")
    assert (ids(rest), rest["has_more"]) == (["act-3/case-1/0"], False)
    assert ids(await g.read(who="bank-002")) == ["act-1/case-1/0"]
    assert ids(await g.read(f"after={first['next_cursor']}")) == ids(rest), "nothing is taken away by reading"


async def test_an_order_comes_in_clear_words_and_with_readable_values(gate):
    g = gate()
    change = ordered()
    (order,), (told,) = change.case.orders, change.notifications
    token = order.subject.token
    sealed = g.services.sealer.seal("6222021000000001", f"ord-1/{token}")
    order = order.model_copy(update={"subject": order.subject.model_copy(update={"sealed": sealed})})
    told = told.model_copy(update={"subject": order.subject})
    g.views.issue(Issued(notification=told, order=order))
    (item,) = (await g.read())["items"]
    assert item["zh"].startswith("请依令办理") and item["en"].startswith("carry out this order")
    assert item["order"]["subject"]["value"] == item["subject"]["value"] == "6222021000000001"
    assert (item["order"]["kind"], item["case_id"], item["delivery"]["state"]) == ("suspend_number", "case-1", "sent")
    assert "officer" not in json.dumps(item), "who acts for an agency is the agency's"


async def test_an_order_tells_the_basis_that_is_sealed_and_an_older_one_as_it_stands(gate):
    g = gate()
    for n, old in enumerate((False, True)):
        change = ordered(n, f"ord-{n}")
        (order,), (told,) = change.case.orders, change.notifications
        sealed = None if old else g.services.sealer.seal("王某某已报案", f"ord-{n}/basis")
        plain = "王某某已报案" if old else ""
        order = order.model_copy(update={"basis": plain, "basis_sealed": sealed})
        g.views.issue(Issued(notification=told.model_copy(update={"data": {**told.data, "basis": plain}}), order=order))
    for item in (await g.read())["items"]:
        assert item["order"]["basis"] == item["data"]["basis"] == "王某某已报案"
        assert "basis_sealed" not in item["order"]


async def test_reading_on_marks_what_came_as_received_once_and_in_the_log_first(gate):
    g = gate()
    g.views.issue(plain(0), plain(1), plain(2))
    first = await g.read("limit=2")
    assert g.marks() == [], "handing it out proves nothing"
    for _ in range(3):
        await g.read(f"after={first['next_cursor']}")
    assert g.marks() == [("bank-001", f"act-{n}/case-1/0", "received", "poll") for n in (0, 1)]
    states = [one["delivery"]["state"] for one in (await g.read())["items"]]
    assert states == ["received", "received", "sent"]


async def test_what_cannot_be_marked_in_the_log_is_not_told_as_read(gate):
    g = gate()
    g.views.issue(plain(0))
    first = await g.read()
    g.log.away = True
    answer = await g.ask(f"/v1/inbox?after={first['next_cursor']}")
    assert (answer.status_code, answer.json()["type"]) == (503, f"{TYPE_PREFIX}log-unavailable")
    assert (await g.ask("/v1/inbox/act-0/case-1/0/acknowledge", body={})).status_code == 503


@pytest.mark.parametrize("how", ["of another", "of another log", "made up", "nonsense", "changed"])
async def test_a_cursor_that_was_not_given_is_refused_and_marks_nothing(gate, how: str):
    g = gate()
    g.views.issue(plain(0), plain(1, "bank-002"))
    given = (await g.read())["next_cursor"]
    text = {
        "of another": (await g.read(who="bank-002"))["next_cursor"],
        "of another log": write_cursor(g.services.tokenizer, "7", "inbox", "bank-001", "log-0"),
        "made up": "9999999.AAAAAAAAAAAAAAAAAAAAAA",
        "nonsense": "%00zz",
        "changed": "8" + given[1:],
    }[how]
    answer = await g.ask(f"/v1/inbox?after={text}")
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "/after")
    assert g.marks() == []


async def test_a_long_poll_answers_as_soon_as_something_comes_and_else_when_its_time_is_over(gate):
    g = gate()
    loop = asyncio.get_running_loop()
    began = loop.time()
    asking = asyncio.create_task(g.read("wait_s=20"))
    await asyncio.sleep(0.2)
    g.views.issue(plain(1, "bank-002"))
    await asyncio.sleep(0.05)
    assert not asking.done(), "another's is no reason"
    g.views.issue(plain(0))
    assert ids(await asking) == ["act-0/case-1/0"]
    assert loop.time() - began < 2
    told = await g.read("wait_s=0.2", who="bank-003")
    assert (told["items"], told.get("next_cursor")) == ([], None)
    assert not g.services.inbox_notifier._waiters, "nobody waits any more"


async def test_who_hears_nothing_looks_again_by_himself(gate):
    g = gate()
    g.views.rang = lambda recipient, name: None
    g.news.begin = _never
    asking = asyncio.create_task(g.read("wait_s=20"))
    await asyncio.sleep(0.7)
    g.views.issue(plain(0))
    assert ids(await asyncio.wait_for(asking, 3)) == ["act-0/case-1/0"]


async def _never() -> None:
    raise ConnectionError("away")


async def test_a_live_connection_tells_each_notice_and_resumes_behind_the_last_one(gate):
    g = gate()
    g.views.issue(plain(0))
    async with g.on() as live:
        first = await live.next("notice")
        assert first.data["notification_id"] == "act-0/case-1/0"
        g.views.issue(plain(1), plain(2, "bank-002"), plain(3))
        second, third = await live.next("notice"), await live.next("notice")
        assert [one.data["notification_id"] for one in (second, third)] == ["act-1/case-1/0", "act-3/case-1/0"]
        assert g.marks() == [], "what was written to a socket proves nothing"
    g.views.issue(plain(4))
    async with g.on(last_id=second.id) as live:
        assert [(await live.next()).data["notification_id"] for _ in range(2)] == ["act-3/case-1/0", "act-4/case-1/0"]
    assert g.marks() == [("bank-001", f"act-{n}/case-1/0", "received", "stream") for n in (0, 1)]


async def test_a_foreign_last_event_id_tells_all_again_and_marks_nothing(gate):
    g = gate()
    g.views.issue(plain(0))
    async with g.on(last_id="7.AAAAAAAAAAAAAAAAAAAAAA") as live:
        assert (await live.next("notice")).data["notification_id"] == "act-0/case-1/0"
    assert g.marks() == []
    assert (await g.ask("/v1/inbox/stream?after=zz")).status_code == 422


async def test_a_long_backlog_comes_whole_while_news_come(gate):
    g = gate()
    g.views.issue(*(plain(n) for n in range(130)))
    async with g.on() as live:
        told = [(await live.next("notice")).data["notification_id"] for _ in range(60)]
        g.views.issue(plain(130))
        told += [(await live.next("notice")).data["notification_id"] for _ in range(71)]
    assert told == [f"act-{n}/case-1/0" for n in range(131)]


async def test_a_silent_connection_is_kept_alive_and_ends_with_a_word(gate):
    g = gate(live_heartbeat_s=0.05)
    async with g.on() as live:
        await asyncio.sleep(0.3)
        assert live.comments >= 2
        g.app.drain()
        assert (await live.next("bye")).data == {"reason": "draining"}
        await asyncio.wait_for(live.ended.wait(), 2)
    assert not g.services.inbox_notifier._waiters


async def test_a_connection_outlives_views_that_are_made_anew(gate):
    g = gate()
    async with g.on() as live:
        g.views.rebuilding = True
        g.views.rang("bank-001", "")
        await asyncio.sleep(0.1)
        g.views.rebuilding = False
        g.views.issue(plain(0))
        assert (await live.next("notice")).data["notification_id"] == "act-0/case-1/0"


async def test_a_source_that_breaks_is_replaced_and_nothing_is_missed(gate):
    g = gate()
    async with g.on() as live:
        await asyncio.sleep(0.05)
        g.news.broken = True
        g.views.issue(plain(0))
        assert (await live.next("notice")).data["notification_id"] == "act-0/case-1/0"
        g.views.issue(plain(1))
        assert (await live.next("notice")).data["notification_id"] == "act-1/case-1/0"
    assert g.news.begun >= 2


async def test_acknowledging_is_in_the_log_once_and_gives_the_first_time_again(gate):
    g = gate()
    g.views.issue(plain(0))
    first = await g.ask("/v1/inbox/act-0%2Fcase-1%2F0/acknowledge", body={})
    again = await g.ask("/v1/inbox/act-0/case-1/0/acknowledge", method="POST")
    assert first.status_code == again.status_code == 200
    assert first.json()["delivery"]["state"] == "acknowledged"
    assert again.json()["delivery"]["acknowledged"] == first.json()["delivery"]["acknowledged"]
    assert g.marks() == [("bank-001", "act-0/case-1/0", "acknowledged", "api")]
    assert (await g.ask("/v1/inbox/act-0/case-1/0/acknowledge", "bank-002", body={})).status_code == 404


async def test_what_is_asked_for_once_more_comes_live_too_and_moves_no_cursor(gate):
    g = gate()
    g.views.issue(plain(0), plain(1))
    async with g.on() as live:
        first = await live.next("notice")
        await live.next("notice")
        answer = await g.ask("/v1/inbox/act-0/case-1/0/redeliver", body={})
        assert answer.json()["delivery"]["state"] == "redelivered"
        again = await live.next("notice")
        assert (again.data["notification_id"], again.id) == ("act-0/case-1/0", None)
    told = (await g.ask("/v1/inbox/redeliver", body={"after": first.id})).json()
    assert ids(told) == ["act-1/case-1/0"]
    assert g.marks()[-1] == ("bank-001", "act-1/case-1/0", "redelivered", "api")


async def test_two_hundred_asked_for_once_more_come_live_whatever_rings_meanwhile(gate):
    g = gate()
    g.views.issue(*(plain(n) for n in range(200)))
    async with g.on() as live:
        for _ in range(200):
            await live.next("notice")
        answer = await g.ask("/v1/inbox/redeliver", body={"limit": 200})
        assert len(answer.json()["items"]) == 200
        came = {(await live.next("notice")).data["notification_id"] for _ in range(200)}
        assert came == {f"act-{n}/case-1/0" for n in range(200)}


async def test_asking_for_all_once_more_again_and_again_is_refused(gate):
    g = gate()
    g.views.issue(plain(0))
    paths = ("/v1/inbox/redeliver", "/v1/inbox/act-0/case-1/0/redeliver")
    answers = [(await g.ask(paths[n % 2], body={})).status_code for n in range(130)]
    assert answers == [200] * 120 + [429] * 10
    assert len(g.marks()) == 120


async def test_a_parked_notice_that_was_received_later_stays_received(gate):
    g = gate()
    g.views.issue(plain(0))
    for state in ("acknowledged", "parked", "redelivered", "received"):
        g.views.mark(mark(state))
    (item,) = (await g.read())["items"]
    assert item["delivery"]["state"] == "acknowledged"


async def test_an_officer_reads_the_inboxes_of_his_queues_only(gate):
    g = gate()
    g.views.issue(plain(0, QUEUE), plain(1, "financial-regulator-630200"))
    assert ids(await g.read(f"inbox={QUEUE}", "officer-1")) == ["act-0/case-1/0"]
    assert ids(await g.read("", "officer-1", queues=[QUEUE])) == ["act-0/case-1/0"]
    elsewhere = await g.ask("/v1/inbox?inbox=financial-regulator-630200", "officer-1", queues=[QUEUE])
    assert elsewhere.status_code == 403
    assert (await g.ask("/v1/inbox", "officer-1", queues=["public-security-*"])).status_code == 422
    assert (await g.ask("/v1/inbox?inbox=bank-002", "bank-001")).status_code == 403
    for all_of_them in (["*"], ["bank-*"]):  # an institution's inbox is no unit's, whatever the token says
        assert (await g.ask("/v1/inbox?inbox=bank-001", "officer-1", queues=all_of_them)).status_code == 403
        said = await g.ask("/v1/inbox/act-0/case-1/0/acknowledge?inbox=bank-001", "officer-1", queues=all_of_them, body={})
        assert said.status_code == 403
    assert g.marks() == []
    assert (await g.ask("/v1/inbox", "sup-1", role="regulator")).status_code == 403


async def test_an_inbox_has_a_bounded_number_that_wait(gate):
    g = gate(inbox_waiting_per_recipient_limit=1)
    async with g.on():
        await asyncio.sleep(0.05)
        answer = await g.ask("/v1/inbox?wait_s=5")
        assert (answer.status_code, answer.json()["type"]) == (429, f"{TYPE_PREFIX}too-many-streams")
        assert (await g.ask("/v1/inbox?wait_s=0.01", "bank-002")).status_code == 200


@pytest.mark.parametrize("gone", ["closing", "reset"])
async def test_one_that_was_gone_before_its_stream_began_takes_no_place(gate, gone: str):
    g = gate(inbox_waiting_per_recipient_limit=1)
    for _ in range(3):
        async with g.on(gone=gone) as bank:
            await asyncio.wait_for(bank.ended.wait(), 2)
    assert (await g.ask("/v1/inbox?wait_s=0.01")).status_code == 200


async def test_one_who_may_read_many_inboxes_waits_in_a_bounded_number_of_them(gate):
    """Any name of a unit has an inbox: invented ones must not take everybody's places."""
    g = gate(inbox_waiting_per_caller_limit=2, inbox_waiting_limit=3)
    every = {"who": "officer-1", "queues": ["*"]}
    async with g.on("inbox=invented-000001", **every), g.on("inbox=invented-000002", **every):
        await asyncio.sleep(0.05)
        answer = await g.ask("/v1/inbox?inbox=invented-000003&wait_s=5", **every)
        assert (answer.status_code, answer.json()["type"]) == (429, f"{TYPE_PREFIX}too-many-streams")
        assert (await g.ask("/v1/inbox?wait_s=0.01", "bank-001")).status_code == 200
    assert (await g.ask("/v1/inbox?inbox=invented-000003&wait_s=0.01", **every)).status_code == 200


async def test_officers_of_the_case_see_who_was_told_what_and_the_proof(gate):
    g = gate()
    case = a_case(g.services.tokenizer, g.services.sealer)
    g.views.cases[case.case_id] = case
    g.views.issue(plain(0), plain(1, "bank-002"), plain(2, "bank-002", case_id="case-9"))
    g.views.mark(mark("parked", 1, "bank-002", channel="webhook", attempt=12, detail="the endpoint answered 500"))
    await g.ask("/v1/inbox/act-0/case-1/0/acknowledge", body={})
    told = (await g.ask("/v1/deliveries?case=case-1", "officer-1")).json()["deliveries"]
    assert [(one["recipient"], one["delivery"]["state"]) for one in told] == [
        ("bank-001", "acknowledged"),
        ("bank-002", "parked"),
    ]
    assert (told[1]["delivery"]["parked"]["attempt"], told[1]["delivery"]["detail"]) == (12, "the endpoint answered 500")
    assert (await g.ask("/v1/deliveries?case=case-1", "officer-1", queues=["cyberspace-*"])).status_code == 404
    assert (await g.ask("/v1/deliveries?case=case-2", "officer-1")).status_code == 404
    assert (await g.ask("/v1/deliveries?case=case-1", "bank-001")).status_code == 403
