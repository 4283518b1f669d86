"""The signal model: what an event names, who is a suspect, what is refused, and what stays as it was before."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from pydantic import ValidationError

from schemas.signals.events import ENDS
from schemas.signals.submission import SubmittedSignal
from schemas.signals.taxonomy import SignalKind
from stream_processors.domain.signals.case_joins import joins
from stream_processors.domain.signals.routing import routes
from tests.support import examples
from tests.support.builders import POLICY, SEALER, T0, account, after, body, fact, phone, submitted

YUAN = {"minor": 500_000, "currency": "CNY"}


def transfer(**over: Any) -> dict[str, Any]:
    payer = {"kind": "account", "value": "6222 0210 0000 0001"}
    payee = {"kind": "account", "value": "6222 0210 0000 0002"}
    return {"type": "transfer", "payer": payer, "payee": payee, "amount": YUAN, **over}


def call(**over: Any) -> dict[str, Any]:
    caller, callee = {"kind": "phone", "value": "13800000001"}, {"kind": "phone", "value": "13800000002"}
    return {"type": "call", "caller": caller, "callee": callee, **over}


def sent(event: dict[str, Any] | None = None, **over: Any) -> SubmittedSignal:
    return submitted(**{"event": event, "indicators": [], "amount": None, **over})


def roles(signal: SubmittedSignal) -> dict[str | None, str]:
    return {subject.event_role: subject.role for subject in signal.subjects}


def refused(**over: Any) -> str:
    with pytest.raises(ValidationError) as error:
        body(**over)
    return str(error.value)


def test_the_payee_of_a_transfer_is_the_suspect_and_the_payer_the_victim() -> None:
    signal = sent(transfer())
    assert roles(signal) == {"payee": "suspect", "payer": "victim"}
    assert signal.primary.event_role == "payee"
    assert signal.event is not None
    assert (signal.event.payee, signal.event.payer) == tuple(one.token for one in signal.subjects)


def test_a_role_that_is_given_counts_and_so_does_the_one_that_indicators_give() -> None:
    payer = transfer()["payer"]
    assert roles(sent(transfer(payer={**payer, "role": "suspect"}))) == {"payee": "suspect", "payer": "suspect"}
    listed = sent(transfer(), indicators=[{**payer, "role": "suspect"}])
    assert roles(listed) == {"payee": "suspect", "payer": "suspect"}, "and it stands there once"


def test_an_end_is_the_same_subject_as_the_indicator_of_another_spelling() -> None:
    spelt = {"kind": "account", "value": "6222-0210-0000-0002"}
    assert sent(transfer(), indicators=[spelt]).content_id == sent(transfer()).content_id
    assert len(sent(transfer(), indicators=[spelt, phone(9)]).subjects) == 3


def test_an_event_whose_ends_are_all_victims_is_no_signal() -> None:
    payee = {**transfer()["payee"], "role": "victim"}
    assert "must have the role 'suspect'" in refused(event=transfer(payee=payee), indicators=[])


def test_a_signal_needs_a_suspect_somewhere() -> None:
    assert "must have the role 'suspect'" in refused(indicators=[])
    assert "must have the role 'suspect'" in refused(indicators=[phone(1, "victim")])


def test_both_ends_cannot_be_the_same_nor_of_any_kind() -> None:
    same = {"kind": "account", "value": "6222 0210 0000 0001"}
    assert "payer and payee must differ" in refused(event=transfer(payee=same))
    assert "a caller must be one of handle, imei, imsi, phone, sim" in refused(
        event=call(caller={"kind": "domain", "value": "a.example.cn"})
    )


def test_indicators_and_ends_together_are_bounded_as_the_record_is() -> None:
    many = [account(n) for n in range(100, 115)]
    assert "at most 16 indicators, including those of the event" in refused(event=transfer(), indicators=many)
    assert len(sent(transfer(), indicators=many[:14]).subjects) == 16


def test_what_the_transfer_moved_is_at_stake_unless_an_amount_is_given() -> None:
    assert sent(transfer()).amount_minor == 500_000
    assert sent(transfer(), amount={"minor": 7}).amount_minor == 7
    assert sent(call()).amount_minor is None


def test_the_event_has_a_time_of_its_own_or_that_of_the_signal() -> None:
    assert sent(transfer()).event.at == T0  # type: ignore[union-attr]
    assert sent(transfer(at=after(minutes=-5))).event.at == after(minutes=-5)  # type: ignore[union-attr]


def test_links_of_a_message_sites_and_apps_are_suspects() -> None:
    ends = {"sender": {"kind": "phone", "value": "17000000001"}, "recipient": {"kind": "phone", "value": "13800000002"}}
    message = sent({"type": "message", **ends, "urls": ["hxxp://a[.]example.cn/x"], "count": 3})
    assert [(one.kind, one.role) for one in message.subjects] == [
        ("phone", "suspect"),
        ("url", "suspect"),
        ("phone", "victim"),
        ("domain", "suspect"),
    ]
    site = sent({"type": "site", "domain": "A[.]example.cn", "registered_at": "2026-02-27T00:00:00Z"})
    assert SEALER.unseal(site.primary.sealed, f"{site.signal_id}/{site.primary.token}") == "a.example.cn"
    app = sent({"type": "app", "package": "com.example.loan", "name": "秒贷"})
    assert "秒贷" not in app.model_dump_json()
    assert SEALER.unseal(app.event.name_sealed, f"{app.signal_id}/event.name") == "秒贷"  # type: ignore[union-attr, arg-type]


@pytest.mark.parametrize(
    ("event", "said"),
    [
        ({"type": "site"}, "a url or a domain"),
        ({"type": "transfer", "payer": {"kind": "account", "value": "12345678"}}, "payee"),
        ({"type": "visit"}, "transfer"),
        (transfer(amount={"minor": -1}), "greater than or equal to 0"),
        (call(duration_s=-1), "greater than or equal to 0"),
    ],
)
def test_an_event_with_a_fault_is_refused_for_that_fault(event: dict[str, Any], said: str) -> None:
    found = refused(event=event)
    assert said in found
    assert "suspect" not in found


@pytest.mark.parametrize(
    ("event", "said"),
    [
        ({"type": "site", "url": "not a url at all"}, "a domain must be"),
        ({"type": "app", "package": "loan"}, "package name"),
        (call(caller={"kind": "phone", "value": "12"}), "E.164"),
    ],
)
def test_a_malformed_part_of_an_event_is_refused_only_when_it_is_the_only_suspect(event: dict[str, Any], said: str) -> None:
    found = refused(event=event, indicators=[])
    assert said in found
    assert "suspect" not in found
    assert [one.unmatched for one in sent(event, indicators=[phone(9)]).subjects if one.role == "suspect"] == [None, "malformed"]


def test_a_typology_belongs_to_its_kind() -> None:
    assert body(typology="romance").typology == "romance"
    assert "allowed for telecom_fraud only" in refused(kind="illegal_finance", typology="romance")
    assert "romance" in refused(typology="magic"), "the ones that there are"


def test_an_echo_is_named_by_signal_id_or_by_institution_and_reference() -> None:
    first = submitted("bank-002", "B2/9")
    assert submitted(derived_from="bank-002/B2/9").derived_from == first.signal_id
    assert submitted(derived_from=first.signal_id).derived_from == first.signal_id
    assert "derived_from" in refused(derived_from="sig-short")
    assert submitted(derived_from="bank-002/B2/9").content_id == submitted(derived_from=first.signal_id).content_id


MORE = {
    "typology": "romance",
    "stage": "paid",
    "loss": YUAN,
    "derived_from": "bank-002/x",
    "event": call(),
}


@pytest.mark.parametrize("field", MORE)
def test_every_field_that_counts_is_part_of_the_content(field: str) -> None:
    ids = {submitted().content_id, *(submitted(**{name: MORE[name]}).content_id for name in MORE)}
    assert len(ids) == 1 + len(MORE)
    assert submitted(**MORE).content_id == submitted("bank-001", "again", **MORE).content_id
    less = {name: value for name, value in MORE.items() if name != field}
    assert submitted(**MORE).content_id != submitted(**less).content_id


@pytest.mark.parametrize(
    "other",
    [
        transfer(at=after(minutes=1)),
        transfer(channel="qr"),
        transfer(amount={"minor": 500_001}),
        transfer(payer={"kind": "account", "value": "6222 0210 0000 0009"}),
        transfer(payer=transfer()["payee"], payee=transfer()["payer"]),
    ],
)
def test_whatever_an_event_says_is_part_of_the_content(other: dict[str, Any]) -> None:
    assert sent(other, amount=YUAN).content_id != sent(transfer(), amount=YUAN).content_id


def test_the_name_of_an_app_is_part_of_the_content_and_its_seal_is_not() -> None:
    app = {"type": "app", "package": "com.example.loan", "name": "秒贷"}
    assert sent(app).content_id == sent(app).content_id
    assert sent(app).content_id != sent({**app, "name": "快贷"}).content_id


def test_when_it_was_detected_is_part_of_the_body_alone() -> None:
    late = submitted(detected_at=after(minutes=5))
    assert late.content_id == submitted().content_id
    assert late.body_id != submitted().body_id
    assert late.body_id != submitted(detected_at=after(minutes=6)).body_id
    assert late.detected_at == after(minutes=5)


def test_a_body_of_before_has_the_ids_of_before() -> None:
    """Pinned: they are in the log, and a re-send after an upgrade must still be one."""
    posted = orjson.loads((examples.ROOT / "http" / "signal.telecom_fraud.json").read_bytes())
    signal = submitted("bank-001", **posted)
    assert signal.signal_id == "sig-osSwk3qXtX6W3LLBlaUCxQ"
    assert (signal.content_id, signal.body_id) == ("auDaHWfrCBuZ3lug-FVIGg", "eMQkfHPzumJUga6pxznuIQ")


def test_what_a_signal_carries_reaches_its_fact_and_its_case() -> None:
    posted = orjson.loads((examples.ROOT / "http" / "signal.telecom_fraud.bank_transfer.json").read_bytes())
    signal = submitted("bank-001", **posted)
    assessed = fact(signal, institutions=3)
    joined = joins(assessed)[0].signal
    for name in ("typology", "stage", "loss_minor", "loss_currency", "detected_at", "derived_from", "event"):
        assert getattr(signal, name) == getattr(assessed, name) == getattr(joined, name)
    assert signal.event is not None
    assert signal.loss_minor == 6_000_000


def test_a_lead_of_organized_crime_opens_a_case_at_public_security_whatever_its_score() -> None:
    assert POLICY.rules.kind[SignalKind.ORGANIZED_CRIME] <= POLICY.case_threshold
    poorer = POLICY.model_copy(update={"rules": POLICY.rules.model_copy(update={"kind": {}})})
    lead = submitted(kind="organized_crime", amount=None, region="630225")
    assert [route.queue for route in routes(lead, 0, frozenset(), poorer)] == ["public-security-630225"]
    assert [route.queue for route in routes(submitted(kind="organized_crime", region="630100"), 0, set(), POLICY)] == [
        "public-security-630200"
    ]


def test_every_part_has_a_usual_role_and_one_of_two_is_a_suspect() -> None:
    pairs = [("payer", "payee"), ("caller", "callee"), ("sender", "recipient")]
    assert {part for pair in pairs for part in pair} == set(ENDS)
    assert all({ENDS[one][0], ENDS[other][0]} == {"suspect", "victim"} for one, other in pairs)  # type: ignore[index]
