"""Tips of the public: form and JSON, receipt numbers, limits, what is told and what is not."""

from __future__ import annotations

import base64
import hashlib
import re
import time
from collections import Counter
from datetime import UTC, datetime
from html.parser import HTMLParser
from ipaddress import ip_network
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest
from pydantic import ValidationError
from starlette.requests import Request

from gateway.http.problem_table import TYPE_PREFIX
from gateway.security import client_address as peers
from gateway.services import Services
from gateway.tips.number import fresh_key, issued, number_of, read_number, signal_of
from schemas.cases.case import CaseStatus
from schemas.codec import decode
from schemas.signals.submission import SignalIn
from schemas.topics import SUBMITTED
from stream_processors.views.receipts import Receipt
from tests.unit.gateway.conftest import Client
from tests.unit.gateway.fakes import T0, FakeLog, FakeRates, FakeViews, a_case

FORM = {"content-type": "application/x-www-form-urlencoded"}
TIP = {"kind": "telecom_fraud", "indicators": [{"kind": "phone", "value": "138 0000 1234"}], "narrative": "自称客服，要求转账"}
FILLED = {"kind": "telecom_fraud", "phone": "138 0000 1234", "account": "", "site": "", "website": ""} | {
    "narrative": "自称客服，要求转账"
}


def slug(answer: httpx.Response) -> str:
    return str(answer.json()["type"]).removeprefix(TYPE_PREFIX)


def only(log: FakeLog) -> Any:
    (entry,) = log.all(SUBMITTED)
    return decode(SUBMITTED, entry.value).data


class Page(HTMLParser):
    """What a page has: fields with their values, labels, and what it would load."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.fields: dict[str, str] = {}
        self.labels: set[str] = set()
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        found = {name: value or "" for name, value in attrs}
        self.tags.append((tag, found))
        if tag == "label":
            self.labels.add(found["for"])
        if tag in ("input", "select", "textarea"):
            self.fields[found["name"]] = found.get("value", "")


async def test_the_form_is_plain_accessible_and_loads_nothing(client: Client):
    answer = await client(None).get("/tips")
    page = Page(answer.text)
    assert answer.status_code == 200 and answer.text.index("举报") < answer.text.index("Report")
    assert {tag for tag, _ in page.tags}.isdisjoint({"script", "link", "img", "iframe", "object"})
    assert not re.search(r"https?://|javascript:|@import|url\(|\son\w+=", answer.text)
    visible = {found["id"] for tag, found in page.tags if tag in ("input", "select", "textarea") and "id" in found}
    assert visible <= page.labels, "every field has its label"
    assert "lang" in dict(page.tags)["html"]
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy and "form-action 'self'" in policy and "frame-ancestors 'none'" in policy
    assert answer.headers["cache-control"] == "no-store"


async def test_the_style_is_the_one_that_the_policy_names(client: Client):
    answer = await client(None).get("/tips")
    (style,) = re.findall(r"<style>(.*?)</style>", answer.text)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert f"style-src 'sha256-{digest}'" in answer.headers["content-security-policy"]


async def test_a_tip_is_a_signal_of_low_trust_with_a_sealed_contact(client: Client, log: FakeLog, services: Services):
    public = client(None)
    key = Page((await public.get("/tips")).text).fields["key"]
    more = {"region": "630202", "amount_yuan": "1,234.5", "occurred_on": "2026-03-01", "contact": "王某 139"}
    filled = {**FILLED, **more, "key": key}
    answer = await public.post("/v1/tips", content=urlencode(filled), headers=FORM)
    assert answer.status_code == 202
    (number,) = re.findall(r'<p class="number">([0-9A-Z-]{24})</p>', answer.text)
    signal = only(log)
    assert (signal.institution, signal.trust, signal.region, signal.amount_minor) == ("public", "low", "630202", 123450)
    assert signal.occurred_at.isoformat() == "2026-02-28T16:00:00+00:00"
    assert signal.signal_id == signal_of(services.tokenizer, number)
    assert services.sealer.unseal(signal.contact_sealed, f"{signal.signal_id}/contact") == "王某 139"
    written = log.all(SUBMITTED)[0].value
    assert "王某".encode() not in written and b"13800001234" not in written and number.encode() not in written
    again = await public.post("/v1/tips", content=urlencode(filled), headers=FORM)
    assert number in again.text and len(log.all(SUBMITTED)) == 1, "sent twice is one tip"


async def test_a_form_with_faults_comes_back_filled_with_what_is_wrong_marked_and_escaped(client: Client, log: FakeLog):
    filled = {**FILLED, "phone": '"><script>x</script>', "narrative": "<b>坏", "amount_yuan": "much"}
    answer = await client(None).post("/v1/tips", content=urlencode(filled), headers=FORM)
    assert answer.status_code == 422 and "<script" not in answer.text and "<b>" not in answer.text
    assert "&lt;b&gt;坏" in answer.text and 'id="amount_yuan-fault"' in answer.text
    del filled["amount_yuan"]
    answer = await client(None).post("/v1/tips", content=urlencode(filled), headers=FORM)
    assert 'id="phone-fault"' in answer.text and 'id="narrative-fault"' in answer.text and not log.all(SUBMITTED)
    nothing = await client(None).post("/v1/tips", content=urlencode({**FILLED, "phone": ""}), headers=FORM)
    assert nothing.status_code == 422 and 'id="phone-fault"' in nothing.text


async def test_a_filled_trap_is_refused_and_not_swallowed(client: Client, log: FakeLog):
    answer = await client(None).post("/v1/tips", content=urlencode({**FILLED, "website": "http://spam"}), headers=FORM)
    assert answer.status_code == 422 and not log.all(SUBMITTED)
    as_json = await client(None).post("/v1/tips", json={**TIP, "website": "x"})
    assert (as_json.status_code, slug(as_json)) == (422, "invalid-request")


async def test_a_tip_as_json_has_a_number_and_a_key_makes_a_retry_the_same(client: Client, log: FakeLog):
    public, headers = client(None), {"idempotency-key": "k-1"}
    first = await public.post("/v1/tips", json=TIP)
    assert first.status_code == 202 and first.json()["status"] == "received"
    assert first.json()["links"] == {"self": f"/v1/tips/{first.json()['number']}"}
    second = await public.post("/v1/tips", json=TIP)
    assert second.json()["number"] != first.json()["number"]
    undated = await public.post("/v1/tips", json=TIP, headers=headers)
    assert slug(undated) == "invalid-request"
    dated = {**TIP, "occurred_at": "2026-03-02T08:00:00+08:00"}
    numbers = {(await public.post("/v1/tips", json=dated, headers=headers)).json()["number"] for _ in range(2)}
    assert len(numbers) == 1 and len(log.all(SUBMITTED)) == 3
    other = await public.post("/v1/tips", json={**dated, "contact": "x@example.cn"}, headers=headers)
    assert slug(other) == "reference-reused"


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"indicators": [*TIP["indicators"], {"kind": "url", "value": "ftp://evil.example"}]}, "/indicators/1/value"),
        ({"occurred_at": "2099-01-01T00:00:00Z"}, "/occurred_at"),
    ],
)
async def test_what_a_signal_asks_for_beyond_a_tip_is_a_fault_of_the_tip_and_not_of_ours(
    client: Client, log: FakeLog, caplog: pytest.LogCaptureFixture, change: dict[str, Any], pointer: str
):
    answer = await client(None).post("/v1/tips", json={**TIP, **change})
    assert (answer.status_code, slug(answer)) == (422, "invalid-request"), answer.text
    assert [one["pointer"] for one in answer.json()["errors"]] == [pointer]
    said = answer.text + caplog.text
    assert not re.search("1380|1234|evil", said) and not log.all(SUBMITTED)


def test_an_error_of_a_record_that_nobody_expects_repeats_no_value():
    with pytest.raises(ValidationError) as found:
        SignalIn.model_validate({"kind": "gossip-4711", "indicators": [{"kind": "phone", "value": "4711"}]})
    assert "4711" not in str(found.value)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"\xff",
        b'{"indicators":[],"narrative":"long enough"}',
        b'{"indicators":[{"kind":"phone","value":"13800001234","role":"victim"}],"narrative":"long enough"}',
        b'{"indicators":[{"kind":"phone","value":"13800001234"}],"narrative":"long enough","trust":null}',
        b'{"indicators":[{"kind":"phone","value":"13800001234"}],"narrative":"\\ud800 long enough"}',
        b'{"indicators":[{"kind":"phone","value":"13800001234"}],"narrative":"x"}',
    ],
)
async def test_a_tip_that_is_not_valid_is_422_whatever_the_bytes(client: Client, log: FakeLog, body: bytes):
    answer = await client(None).post("/v1/tips", content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 422, answer.text
    form = await client(None).post("/v1/tips", content=body, headers=FORM)
    assert form.status_code == 422 and not log.all(SUBMITTED)


async def test_a_large_body_and_another_type_are_refused(client: Client, log: FakeLog):
    large = await client(None).post("/v1/tips", json={**TIP, "narrative": "x" * 20_000})
    other = await client(None).post("/v1/tips", content=b"x", headers={"content-type": "text/plain"})
    assert (large.status_code, other.status_code) == (413, 415) and not log.all(SUBMITTED)


async def test_an_address_has_a_bounded_number_of_tips_and_so_have_all_together(client: Client, settings, rates: FakeRates):
    public = client(None)
    answers = [await public.post("/v1/tips", json=TIP) for _ in range(settings.tips_an_hour + 1)]
    assert [answer.status_code for answer in answers] == [202] * settings.tips_an_hour + [429]
    assert slug(answers[-1]) == "rate-limited" and int(answers[-1].headers["retry-after"]) > 0
    form = await public.post("/v1/tips", content=urlencode(FILLED), headers=FORM)
    assert form.status_code == 429 and "retry-after" in form.headers and form.headers["content-type"].startswith("text/html")
    rates.taken.clear()
    rates.taken["tips", ""] = rates.taken["tips", "reserve"] = settings.tips_an_hour_all
    assert (await public.post("/v1/tips", json=TIP)).status_code == 429
    assert not any("127.0.0.1" in sender for _, sender in rates.taken), "addresses are not kept as they are"


async def test_a_flood_from_one_network_does_not_close_the_door_to_others(client: Client, services: Services):
    """Each address of the flood is another one: a site has 65,536 /64s, and whoever has a /16 has 65,536 addresses."""
    services.tips._proxies = peers.networks("127.0.0.1")
    public = client(None)

    async def send(address: str) -> int:
        return (await public.post("/v1/tips", json=TIP, headers={"x-forwarded-for": address})).status_code

    for flood in ([f"2001:db8:7:{n:x}::1" for n in range(620)], [f"198.51.{n % 256}.{n // 256}" for n in range(620)]):
        answers = Counter([await send(address) for address in flood])
        assert answers[202] <= 20 * services.settings.tips_an_hour and answers[202] + answers[429] == 620
    honest = ["203.0.113.5", "192.0.2.77", "2001:4860:1::5", "100.64.3.4"]
    assert [await send(address) for address in honest] == [202] * 4


async def test_when_all_is_used_up_a_network_that_sent_nothing_lately_has_its_reserve(
    client: Client, services: Services, rates: FakeRates
):
    services.tips._proxies = peers.networks("127.0.0.1")
    rates.taken["tips", ""] = services.settings.tips_an_hour_all
    headers = {"x-forwarded-for": "203.0.113.5"}
    answers = [(await client(None).post("/v1/tips", json=TIP, headers=headers)).status_code for _ in range(2)]
    assert answers == [202, 429]


async def test_without_the_limits_nothing_is_taken(client: Client, rates: FakeRates, log: FakeLog):
    rates.away = True
    answer = await client(None).post("/v1/tips", json=TIP)
    assert (answer.status_code, slug(answer)) == (503, "state-unavailable") and not log.all(SUBMITTED)


async def test_a_log_that_is_away_gives_no_number(client: Client, log: FakeLog):
    log.away = True
    answer = await client(None).post("/v1/tips", content=urlencode(FILLED), headers=FORM)
    assert answer.status_code == 503 and 'class="number"' not in answer.text


async def test_a_status_says_three_things_and_nothing_of_the_case(client: Client, views: FakeViews, services: Services):
    public = client(None)
    number = (await public.post("/v1/tips", json=TIP)).json()["number"]

    async def status() -> str:
        answer = await public.get(f"/v1/tips/{number.lower().replace('-', '')}")
        assert set(answer.json()) == {"number", "status", "links"}
        return str(answer.json()["status"])

    assert await status() == "received"
    name = signal_of(services.tokenizer, number)
    now = datetime.now(UTC)
    receipt = Receipt(signal_id=name, outcome="assessed", accepted_at=now, assessed_at=now, institution="public")
    views.receipts[name] = receipt
    assert await status() == "being_examined"
    views.receipts[name] = receipt.model_copy(update={"cases": ("case-1", "case-2")})
    views.cases = {f"case-{n}": a_case(services.tokenizer, services.sealer, n) for n in (1, 2)}
    assert await status() == "being_examined", "open or claimed is no difference"
    views.cases["case-1"] = views.cases["case-1"].model_copy(update={"status": CaseStatus.CLAIMED})
    assert await status() == "being_examined"
    views.cases = {name: case.model_copy(update={"status": CaseStatus.DISPOSED}) for name, case in views.cases.items()}
    assert await status() == "closed"
    views.cases.clear()
    views.receipts[name] = receipt.model_copy(update={"accepted_at": T0.replace(year=2020)})
    assert await status() == "closed", "its time is over"
    page = await public.post("/tips/status", content=urlencode({"number": number}), headers=FORM)
    assert page.status_code == 200 and "已办结" in page.text and number in page.text


@pytest.mark.parametrize("number", ["", "x", "0000-0000-0000-0000-0000", "U" * 20, "%00" * 20, "0" * 300])
async def test_a_number_that_was_not_given_is_404(client: Client, number: str):
    if number:
        assert (await client(None).get(f"/v1/tips/{number}")).status_code == 404
    assert (await client(None).post("/tips/status", content=urlencode({"number": number}), headers=FORM)).status_code == 404


async def test_an_institution_cannot_carry_the_name_of_the_public(client: Client):
    assert (await client("public", role="institution").get("/v1/signals/sig-1")).status_code == 401


def test_a_number_is_read_as_people_write_it_and_follows_from_its_key(services: Services):
    number = number_of(services.tokenizer, "key")
    assert re.fullmatch(r"([0-9A-HJKMNP-TV-Z]{4}-){4}[0-9A-HJKMNP-TV-Z]{4}", number)
    assert number == number_of(services.tokenizer, "key") != number_of(services.tokenizer, "kez")
    assert read_number(number.lower().replace("-", " ").replace("0", "o").replace("1", "l")) == number
    assert len({number_of(services.tokenizer, str(n)) for n in range(2000)}) == 2000


def test_a_key_tells_when_it_was_given_out_for_a_day():
    key = fresh_key(T0)
    assert issued(key, T0.replace(hour=20)) == T0
    for late, text in ((T0.replace(day=4), key), (T0.replace(hour=1), key), (T0, "k-1"), (T0, key + "x")):
        assert issued(text, late) is None


def asked(peer: str | None, *forwarded: str) -> Request:
    headers = [(b"x-forwarded-for", one.encode()) for one in forwarded]
    return Request({"type": "http", "headers": headers, "client": (peer, 1) if peer else None})


@pytest.mark.parametrize(
    ("peer", "forwarded", "address"),
    [
        ("192.0.2.1", (), "192.0.2.1/32"),
        ("192.0.2.1", ("203.0.113.9",), "192.0.2.1/32"),
        ("10.0.0.1", ("203.0.113.9",), "203.0.113.9/32"),
        ("10.0.0.1", ("1.1.1.1, 203.0.113.9, 10.0.0.2",), "203.0.113.9/32"),
        ("10.0.0.1", ("1.1.1.1", "203.0.113.9"), "203.0.113.9/32"),
        ("10.0.0.1", ("203.0.113.9, nonsense",), "10.0.0.1/32"),
        ("10.0.0.1", (), "10.0.0.1/32"),
        ("10.0.0.1", ("10.0.0.3",), "10.0.0.3/32"),
        ("2001:db8:1:2:3:4:5:6", (), "2001:db8:1:2::/64"),
        ("::ffff:10.0.0.1", ("2001:db8:1:2:ffff::1",), "2001:db8:1:2::/64"),
        (None, ("203.0.113.9",), "unknown"),
        ("unix", (), "unknown"),
    ],
)
def test_a_forwarded_address_is_believed_from_our_own_proxies_only(peer, forwarded, address):
    assert peers.networks_of(asked(peer, *forwarded), (ip_network("10.0.0.0/8"),))[0] == (address, 1)


def test_an_address_is_in_networks_of_growing_allowance():
    assert peers.networks_of(asked("2001:db8:1:2:3::4"), ()) == (
        ("2001:db8:1:2::/64", 1), ("2001:db8:1::/56", 2), ("2001:db8:1::/48", 4), ("2001:db8::/32", 20),
    )  # fmt: skip
    assert peers.networks_of(asked("203.0.113.9"), ()) == (("203.0.113.9/32", 1), ("203.0.113.0/24", 5), ("203.0.0.0/16", 20))


def test_an_address_has_another_name_every_day(services: Services):
    names = {peers.hashed(services.tokenizer, "192.0.2.1", day * 86_400_000) for day in range(3)}
    assert len(names) == 3 and not any("192" in name for name in names)


def test_proxies_that_are_no_networks_are_refused_at_the_start(settings):
    with pytest.raises(ValueError):
        type(settings)(trusted_proxies="10.0.0.0/8, somewhere")


@pytest.mark.parametrize(
    ("yuan", "minor"),
    [
        ("12,000", 1_200_000),
        ("1,2345", 1_234_500),
        ("¥12,000.50", 1_200_050),
        ("人民币 １２０００元", 1_200_000),
        ("12 000", 1_200_000),
    ],
)
async def test_an_amount_is_read_as_people_write_it(client: Client, log: FakeLog, yuan: str, minor: int):
    answer = await client(None).post("/v1/tips", data={**FILLED, "amount_yuan": yuan})
    assert answer.status_code == 202
    assert decode(SUBMITTED, log.all(SUBMITTED)[0].value).data.amount_minor == minor


async def test_a_tip_may_name_a_thing_twice_and_is_taken_once(client: Client, log: FakeLog):
    spelt = [{"kind": "phone", "value": one} for one in ("13800001234", "138 0000 1234")]
    assert (await client(None).post("/v1/tips", json={**TIP, "indicators": spelt})).status_code == 202
    assert len(decode(SUBMITTED, log.all(SUBMITTED)[0].value).data.subjects) == 1


@pytest.mark.parametrize(
    "yuan",
    [
        *("9e999997", "1e999999", "1e-999999999", "NaN", "-5", "1_000", "1.005", "12345678901234"),
        *("12,5", "1,23", "1,2,3", "1，2", "1e3", "1 2"),
    ],
)
async def test_an_amount_that_is_no_amount_is_told_at_once(client: Client, yuan: str):
    began = time.monotonic()
    answer = await client(None).post("/v1/tips", data={**FILLED, "amount_yuan": yuan})
    assert answer.status_code == 422 and 'id="amount_yuan-fault"' in answer.text
    assert time.monotonic() - began < 2
