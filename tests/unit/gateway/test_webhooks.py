"""Endpoints of institutions over HTTP: what is registered, told once, refused; who sees them; what was parked and sent again."""

from __future__ import annotations

import asyncio
import itertools
from typing import Any

import pytest

from gateway.http.caller import Caller, Role
from gateway.webhooks import service
from schemas.codec import decode
from schemas.notifications.delivery import DeliveryState, Issued
from schemas.notifications.webhook import Endpoints
from schemas.topics import DELIVERIES, ENDPOINTS, Topic
from stream_processors.runtime.log import KeyedEntry
from stream_processors.webhooks import signing as sign
from stream_processors.webhooks.endpoints import disable, live_secrets
from tests.support.deliveries import mark, notice
from tests.unit.gateway.conftest import Client
from tests.unit.gateway.fakes import T0, FakeLog, FakeNames, FakeRates, FakeViews

WANTED = {"url": "https://hooks.bank.example/liandong", "kinds": ["order", "early_warning"]}


_paths = itertools.count()


async def registered(client: Client, who: str = "bank-001", **over: Any) -> dict[str, Any]:
    given = {**WANTED, "url": f"{WANTED['url']}/{next(_paths)}", **over}
    answer = await client(who).post("/v1/webhooks", json=given)
    assert answer.status_code == 201, answer.text
    told: dict[str, Any] = answer.json()
    assert answer.headers["location"] == f"/v1/webhooks/{told['endpoint_id']}"
    return told


def problem(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.json()["type"].rpartition(":")[2]


async def test_an_endpoint_is_on_the_log_and_its_secret_is_told_once_and_sealed(
    client: Client, log: FakeLog, services: Any
) -> None:
    told = await registered(client)
    sign.key_of(told["secret"])
    [record] = log.all(ENDPOINTS)
    assert record.key == b"bank-001"
    assert told["secret"].encode() not in record.value
    one = decode(ENDPOINTS, record.value).data
    assert (one.revision, one.endpoints[0].endpoint_id) == (1, told["endpoint_id"])
    assert live_secrets(one.endpoints[0], services.sealer, services.webhooks.now()) == [told["secret"]]
    listed = (await client("bank-001").get("/v1/webhooks")).json()
    [shown] = listed["endpoints"]
    assert (shown["state"], shown["url"], shown["secrets"]) == ("on", told["url"], 1)
    assert "secret" not in shown and told["secret"] not in str(listed)
    assert listed["max_endpoints"] == 3 and "order.stop_payment" in listed["available_kinds"]


@pytest.mark.parametrize(
    ("over", "pointer", "why"),
    [
        ({"url": "http://hooks.bank.example/"}, "/url", "a URL must use https"),
        ({"url": "https://127.0.0.1/"}, "/url", "the host must be a name, not an address"),
        ({"url": "https://localhost/"}, "/url", "the host must be a fully qualified name, such as hooks.bank.example"),
        ({"url": "https://hooks.bank.internal/"}, "/url", "the host must not be a local name"),
        ({"url": "https://hooks.bank.example:22/"}, "/url", "port 22 is not allowed; allowed ports: 443, 8443"),
        ({"kinds": ["gossip"]}, "/kinds/0", None),
    ],
)
async def test_what_cannot_be_an_endpoint_is_refused_at_its_place(
    client: Client, log: FakeLog, over: dict[str, Any], pointer: str, why: str | None
) -> None:
    answer = await client("bank-001").post("/v1/webhooks", json={**WANTED, **over})
    assert problem(answer) == (422, "invalid-endpoint")
    [fault] = answer.json()["errors"]
    assert fault["pointer"] == pointer and (why is None or fault["detail"] == why)
    assert log.all(ENDPOINTS) == []


@pytest.mark.parametrize(
    ("known", "why"),
    [
        (None, "cannot be resolved"),
        (["10.0.0.1"], "private"),
        (["127.0.0.1"], "loopback"),
        (["169.254.169.254"], "metadata"),
        (["93.184.216.34", "192.168.1.1"], "private"),
        (["::ffff:10.0.0.1"], "private"),
    ],
)
async def test_a_name_with_an_address_that_is_not_called_is_refused_and_says_what_kind(
    client: Client, log: FakeLog, names: FakeNames, known: list[str] | None, why: str
) -> None:
    names.known["hooks.bank.example"] = known
    answer = await client("bank-001").post("/v1/webhooks", json=WANTED)
    assert problem(answer) == (422, "endpoint-refused")
    assert why in answer.json()["detail"]
    assert log.all(ENDPOINTS) == []


async def test_there_are_three_endpoints_at_most_and_one_taken_away_makes_room(client: Client) -> None:
    found = [await registered(client) for _ in range(3)]
    assert problem(await client("bank-001").post("/v1/webhooks", json=WANTED)) == (409, "too-many-endpoints")
    assert (await client("bank-001").delete(f"/v1/webhooks/{found[0]['endpoint_id']}")).status_code == 204
    await registered(client)
    assert problem(await client("bank-001").get(f"/v1/webhooks/{found[0]['endpoint_id']}")) == (404, "not-found")


async def test_who_asks_again_for_the_last_endpoint_that_there_may_be_hears_that_it_exists(client: Client) -> None:
    urls = [f"{WANTED['url']}/{n}" for n in range(3)]
    last = [await registered(client, url=url) for url in urls][-1]
    again = await client("bank-001").post("/v1/webhooks", json={**WANTED, "url": urls[-1]})
    assert problem(again) == (409, "endpoint-exists") and again.json()["endpoint_id"] == last["endpoint_id"]


async def test_an_address_is_registered_once_and_a_lost_secret_is_replaced(client: Client, log: FakeLog) -> None:
    url = f"{WANTED['url']}/once?token=geheim-17"
    told = await registered(client, url=url)
    assert told["url"] == "https://hooks.bank.example/…" and b"geheim-17" not in log.all(ENDPOINTS)[0].value
    again = await client("bank-001").post("/v1/webhooks", json={**WANTED, "url": url})
    assert problem(again) == (409, "endpoint-exists") and again.json()["endpoint_id"] == told["endpoint_id"]
    assert len(log.all(ENDPOINTS)) == 1
    await registered(client, "bank-002", url=url)


@pytest.mark.parametrize("path", ["", "/rotate", "/pause", "/resume", "/parked", "/redeliver"])
async def test_another_s_endpoint_does_not_exist(client: Client, path: str) -> None:
    told = await registered(client)
    where = f"/v1/webhooks/{told['endpoint_id']}{path}"
    method = "GET" if path in ("", "/parked") else "POST"
    assert problem(await client("bank-002").request(method, where)) == (404, "not-found")
    assert problem(await client("bank-002").request(method, "/v1/webhooks/hook-none" + path)) == (404, "not-found")
    assert (await client("bank-002").delete(f"/v1/webhooks/{told['endpoint_id']}")).status_code == 404
    officer = client("officer-7", role="officer", queues=["public-security-630202"])
    assert problem(await officer.request(method, where)) == (403, "forbidden")
    assert problem(await client(None).request(method, where)) == (401, "unauthenticated")


async def test_a_replaced_secret_is_told_once_and_the_old_one_signs_meanwhile(client: Client, services: Any) -> None:
    told = await registered(client)
    answer = await client("bank-001").post(f"/v1/webhooks/{told['endpoint_id']}/rotate")
    new = answer.json()["secret"]
    assert answer.status_code == 200 and answer.json()["secrets"] == 2 and new != told["secret"]
    endpoint = await services.webhooks.find_endpoint("bank-001", told["endpoint_id"])
    assert live_secrets(endpoint, services.sealer, services.webhooks.now()) == [new, told["secret"]]
    at_once = await client("bank-001").post(f"/v1/webhooks/{told['endpoint_id']}/rotate", json={"immediately": True})
    endpoint = await services.webhooks.find_endpoint("bank-001", told["endpoint_id"])
    assert live_secrets(endpoint, services.sealer, services.webhooks.now()) == [at_once.json()["secret"]]


async def test_a_fourth_secret_at_a_time_is_refused(client: Client) -> None:
    told = await registered(client)
    where = f"/v1/webhooks/{told['endpoint_id']}/rotate"
    assert [(await client("bank-001").post(where)).status_code for _ in range(2)] == [200, 200]
    assert problem(await client("bank-001").post(where)) == (409, "transition-not-allowed")


async def test_an_endpoint_is_switched_off_and_on_and_doing_it_twice_is_one_record(client: Client, log: FakeLog) -> None:
    told = await registered(client)
    where = f"/v1/webhooks/{told['endpoint_id']}"
    for _ in range(2):
        off = (await client("bank-001").post(f"{where}/pause")).json()
        assert (off["state"], off["disabled_reason"]) == ("off", "switched off by the institution")
    for _ in range(2):
        on = (await client("bank-001").post(f"{where}/resume")).json()
        assert on["state"] == "on" and "disabled_reason" not in on
    assert len(log.all(ENDPOINTS)) == 3


async def test_an_endpoint_whose_name_leads_inside_now_is_not_switched_on(client: Client, names: FakeNames) -> None:
    told = await registered(client)
    where = f"/v1/webhooks/{told['endpoint_id']}"
    await client("bank-001").post(f"{where}/pause")
    names.known["hooks.bank.example"] = ["10.0.0.1"]
    assert problem(await client("bank-001").post(f"{where}/resume")) == (422, "endpoint-refused")


async def test_two_registrations_at_once_both_stand(client: Client) -> None:
    found = await asyncio.gather(*(registered(client) for _ in range(3)))
    listed = (await client("bank-001").get("/v1/webhooks")).json()["endpoints"]
    assert {one["endpoint_id"] for one in listed} == {one["endpoint_id"] for one in found}


async def test_a_change_that_lost_against_another_is_made_anew_upon_it(client: Client, log: FakeLog, views: FakeViews) -> None:
    told = await registered(client)
    known = views.hooked["bank-001"]
    raced = known.model_copy(
        update={
            "revision": 2,
            "change_id": "gone",
            "endpoints": (disable(known.endpoints[0], "the endpoint is gone (410)", T0),),
        }
    )

    def first(topic: Topic, entry: KeyedEntry) -> None:
        if topic is ENDPOINTS and views.hooked["bank-001"].revision == 1:
            views.register(raced)
        views.apply(topic, entry)

    log.told = first
    answer = await client("bank-001").post(f"/v1/webhooks/{told['endpoint_id']}/rotate")
    assert answer.status_code == 200
    now = views.hooked["bank-001"]
    assert now.revision == 3 and now.endpoints[0].disabled_at is not None and len(now.endpoints[0].secrets) == 2


@pytest.mark.parametrize("away", ["log", "uncertain", "views", "project"])
async def test_a_change_that_is_not_known_to_count_is_a_503(client: Client, log: FakeLog, views: FakeViews, away: str) -> None:
    log.away, log.uncertain = away == "log", away == "uncertain"
    views.rebuilding = away == "views"
    if away == "project":
        log.told = None
    answer = await client("bank-001").post("/v1/webhooks", json=WANTED)
    assert answer.status_code == 503 and "retry-after" in answer.headers
    assert "whsec_" not in answer.text


async def test_changes_are_limited_for_each_is_kept_for_ever(client: Client, rates: FakeRates) -> None:
    rates.taken["hooks", "bank-001"] = 60
    assert problem(await client("bank-001").post("/v1/webhooks", json=WANTED)) == (429, "rate-limited")
    await registered(client, "bank-002")


def parked(views: FakeViews, endpoint_id: str, *numbers: int) -> None:
    for n in numbers:
        views.issue(Issued(notification=notice(n, at=T0)))
        views.mark(mark("parked", n, channel="webhook", endpoint_id=endpoint_id, attempt=40, detail="gave up after 40 attempts"))


async def test_what_was_parked_is_shown_and_sent_once_more_in_order_to_this_endpoint_alone(
    client: Client, log: FakeLog, views: FakeViews
) -> None:
    told = await registered(client)
    name = told["endpoint_id"]
    parked(views, name, 1, 2, 3)
    shown = (await client("bank-001").get(f"/v1/webhooks/{name}/parked")).json()
    assert [one["notification_id"] for one in shown["parked"]] == [f"act-{n}/case-1/0" for n in (3, 2, 1)]
    assert shown["parked"][0]["attempts"] == 40 and shown["parked"][0]["reason"] == "gave up after 40 attempts"
    answer = await client("bank-001").post(f"/v1/webhooks/{name}/redeliver")
    assert answer.json()["redelivered"] == [f"act-{n}/case-1/0" for n in (1, 2, 3)]
    marks = [decode(DELIVERIES, entry.value).data for entry in log.all(DELIVERIES)]
    assert {(one.state, one.endpoint_id) for one in marks} == {(DeliveryState.REDELIVERED, name)}
    assert [one.notification_offset for one in marks] == [entry.offset for entry in views.notices]
    assert (await client("bank-001").get(f"/v1/webhooks/{name}/parked")).json()["parked"] == []


async def test_some_of_what_was_parked_is_asked_for_by_name(client: Client, views: FakeViews) -> None:
    told = await registered(client)
    where = f"/v1/webhooks/{told['endpoint_id']}/redeliver"
    parked(views, told["endpoint_id"], 1, 2)
    answer = await client("bank-001").post(where, json={"notification_ids": ["act-2/case-1/0"]})
    assert answer.json()["redelivered"] == ["act-2/case-1/0"]
    assert problem(await client("bank-001").post(where, json={"notification_ids": ["act-9/case-1/0"]})) == (404, "not-found")


async def test_a_replay_that_may_not_be_in_the_log_is_a_503(client: Client, log: FakeLog, views: FakeViews) -> None:
    told = await registered(client)
    parked(views, told["endpoint_id"], 1)
    log.away = True
    answer = await client("bank-001").post(f"/v1/webhooks/{told['endpoint_id']}/redeliver")
    assert problem(answer) == (503, "log-unavailable")


async def test_a_notice_is_read_by_the_link_of_a_call(client: Client, views: FakeViews) -> None:
    views.issue(Issued(notification=notice(1, at=T0)))
    answer = await client("bank-001").get("/v1/inbox/act-1/case-1/0")
    assert answer.status_code == 200 and answer.json()["notification_id"] == "act-1/case-1/0"
    assert problem(await client("bank-002").get("/v1/inbox/act-1/case-1/0")) == (404, "not-found")
    assert views.notices[0].delivery.received is None


async def test_a_replay_from_the_inbox_says_where_the_notice_stands(client: Client, log: FakeLog, views: FakeViews) -> None:
    views.issue(Issued(notification=notice(1, at=T0)))
    await client("bank-001").post("/v1/inbox/act-1/case-1/0/redeliver")
    [entry] = log.all(DELIVERIES)
    assert decode(DELIVERIES, entry.value).data.notification_offset == views.notices[0].offset


async def test_an_unfinished_wait_for_the_views_ends(services: Any, log: FakeLog, views: FakeViews) -> None:
    log.told = None
    caller = Caller("bank-001", Role.INSTITUTION, (), 0.0)
    with pytest.raises(Exception, match="views do not show it yet"):
        await services.webhooks._change_endpoints(caller, lambda known: known)
    assert isinstance(decode(ENDPOINTS, log.all(ENDPOINTS)[0].value).data, Endpoints)


class Died(Exception):
    """The gateway is gone."""


@pytest.fixture
def dies(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The crash points at which the gateway dies, each once."""
    armed: list[str] = []

    def passed(name: str) -> None:
        if name in armed:
            armed.remove(name)
            raise Died(name)

    monkeypatch.setattr(service, "point", passed)
    return armed


@pytest.mark.parametrize(("name", "status"), [("gateway.hook_built", 201), ("gateway.hook_appended", 409)])
async def test_a_death_in_the_middle_of_a_registration_leaves_one_endpoint_whoever_asks_again(
    client: Client, log: FakeLog, dies: list[str], name: str, status: int
) -> None:
    dies.append(name)
    assert (await client().post("/v1/webhooks", json=WANTED)).status_code == 500 and not dies
    again = await client().post("/v1/webhooks", json=WANTED)
    assert again.status_code == status
    [listed] = (await client().get("/v1/webhooks")).json()["endpoints"]
    assert listed["endpoint_id"] == again.json()["endpoint_id"] and len(log.all(ENDPOINTS)) == 1


@pytest.mark.parametrize("name", ["gateway.hook_built", "gateway.hook_appended"])
async def test_a_death_in_the_middle_of_taking_an_endpoint_away_is_no_harm_to_who_asks_again(
    client: Client, dies: list[str], name: str
) -> None:
    where = f"/v1/webhooks/{(await registered(client))['endpoint_id']}"
    dies.append(name)
    assert (await client().delete(where)).status_code == 500 and not dies
    assert (await client().delete(where)).status_code == (204 if name.endswith("built") else 404)
    assert (await client().get("/v1/webhooks")).json()["endpoints"] == []


@pytest.mark.parametrize(("name", "left"), [("gateway.replay_built", 1), ("gateway.replay_appended", 0)])
async def test_a_death_in_the_middle_of_asking_for_parked_ones_once_more_is_no_harm_to_who_asks_again(
    client: Client, log: FakeLog, views: FakeViews, dies: list[str], name: str, left: int
) -> None:
    where = f"/v1/webhooks/{(told := await registered(client))['endpoint_id']}"
    views.issue(Issued(notification=notice(1, at=T0)))
    views.mark(mark("parked", 1, at=T0, channel="webhook", endpoint_id=told["endpoint_id"]))
    dies.append(name)
    assert (await client().post(f"{where}/redeliver")).status_code == 500 and not dies
    assert len((await client().post(f"{where}/redeliver")).json()["redelivered"]) == left
    assert len(log.all(DELIVERIES)) == 1
