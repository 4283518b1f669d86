"""What follows from an indicator, and that it is matched without opening anything: hosts, sites, phones, cards."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.codec import decode
from schemas.signals.indicators import canonical
from schemas.signals.indicators.derived import derive
from schemas.signals.submission import MAX_DERIVED, SubmittedSignal
from schemas.topics import ASSESSED, SUBMITTED
from stream_processors.domain.signals.routing import routes
from tests.support.builders import POLICY, SEALER, TOKENIZER, submission, submitted
from tests.support.world import World

HOSTS = ("evil.com", "www.evil.com", "pay.evil.com.cn", "www.evil.com.cn", "a.b.github.io", "b.github.io", "203.0.113.7")


@pytest.mark.parametrize(
    ("kind", "value", "derived"),
    [
        ("url", "https://www.evil.com/pay", ["domain www.evil.com", "domain evil.com"]),
        ("url", "https://evil.com/", ["domain evil.com"]),
        ("url", "https://pay.evil.com.cn/", ["domain pay.evil.com.cn"]),
        ("url", "https://a.b.github.io/x", ["domain a.b.github.io", "domain b.github.io"]),
        ("url", "https://docs.google.com/forms/x", ["domain docs.google.com"]),
        ("url", "http://203.0.113.7:8080/x", ["ip 203.0.113.7"]),
        ("url", "http://[2001:db8::7]/", ["ip 2001:db8::7"]),
        ("url", "http://[::ffff:1.2.3.4]/", ["ip 1.2.3.4"]),
        ("domain", "www.evil.com", ["domain evil.com"]),
        ("domain", "evil.com", []),
        ("domain", "pay.evil.com", []),
        ("domain", "only-a.example", []),
        ("handle", "alipay:13800001234", ["phone +8613800001234"]),
        ("handle", "alipay:+8613800001234", ["phone +8613800001234"]),
        ("handle", "alipay:a@example.com", []),
        ("handle", "wechat:13800001234", []),
        ("phone", "+8613800001234", []),
    ],
)
def test_what_follows_from_a_value(kind: str, value: str, derived: list[str]) -> None:
    assert [" ".join(one) for one in derive(kind, value)] == derived


@given(st.sampled_from(["http", "https"]), st.sampled_from(HOSTS), st.text("abc/?=%", max_size=12))
def test_what_follows_is_canonical_and_never_the_value_itself(scheme: str, host: str, path: str) -> None:
    value = canonical("url", f"{scheme}://{host}/{path}")
    for one in derive("url", value):
        assert canonical(*one) == one[1] and tuple(one) != ("url", value)
        assert one not in derive(*one)


def test_a_derived_subject_stands_last_is_marked_and_can_be_read() -> None:
    signal = submitted(indicators=[{"kind": "url", "value": "https://www.evil.com/a"}, {"kind": "phone", "value": "13800001234"}])
    shown = [(one.kind.value, one.derived) for one in signal.subjects]
    assert shown == [("phone", False), ("url", False), ("domain", True), ("domain", True)]
    values = [SEALER.unseal(one.sealed, f"{signal.signal_id}/{one.token}") for one in signal.subjects[2:]]
    assert values == ["www.evil.com", "evil.com"]
    assert SubmittedSignal.model_validate_json(signal.model_dump_json()) == signal


def test_what_a_victim_has_and_what_the_sender_named_itself_is_not_derived() -> None:
    named = [{"kind": "url", "value": "https://evil.com/a"}, {"kind": "domain", "value": "evil.com"}]
    assert [one.derived for one in submitted(indicators=named).subjects] == [False, False]
    whose = [{"kind": "handle", "value": "alipay:13800001234", "role": "victim"}, {"kind": "phone", "value": "13900000001"}]
    assert [one.derived for one in submitted(indicators=whose).subjects] == [False, False]


def test_derived_subjects_are_bounded_and_cost_the_sender_no_indicator() -> None:
    urls = [{"kind": "url", "value": f"https://www.evil{n}.com/"} for n in range(16)]
    signal = submitted(indicators=urls)
    assert sum(one.derived for one in signal.subjects) == MAX_DERIVED and len(signal.subjects) == 32


def test_the_content_of_a_signal_is_what_it_was_before_anything_was_derived() -> None:
    """Ids that a version without derivation gave: a body sent again is the same signal."""
    url = submitted(indicators=[{"kind": "url", "value": "https://www.evil.com/a"}])
    card = submitted(indicators=[{"kind": "card", "value": "6222021234567890"}])
    assert (url.content_id, url.body_id) == ("DQo9fr__S3jm111WTYiuQA", "9xeH-ozLBheD29kgU0kPYA")
    assert (card.content_id, card.body_id) == ("bEJ87_AfeQOzU2mR8ChwyA", "jxXImcBg9EMYRvEFkMXn1Q")


def test_a_card_and_an_account_of_one_number_are_one_subject() -> None:
    assert TOKENIZER.subject("card", "6222021234567890") == TOKENIZER.subject("account", "6222021234567890")
    assert TOKENIZER.subject("phone", "+8613800001234") == TOKENIZER.token("phone", "+8613800001234")


def test_a_derived_host_touches_no_agency() -> None:
    handle = submitted(indicators=[{"kind": "handle", "value": "alipay:13800001234"}])
    plain = handle.model_copy(update={"subjects": handle.subjects[:1]})
    assert handle.subjects[1].derived and routes(handle, 100, set(), POLICY) == routes(plain, 100, set(), POLICY)


def told(*signals: Any) -> list[Any]:
    """The facts of the signals, one after the other."""

    async def play() -> list[Any]:
        world = await World(workers=1).up()
        found = []
        for signal in signals:
            world.submit(*submission(signal), SUBMITTED)
            await world.drain()
            ids = {one.signal_id: one for one in (decode(ASSESSED, record.value).data for record in world.log.all(ASSESSED))}
            found.append(ids[signal.signal_id])
        return found

    return asyncio.run(play())


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (("url", "https://evil.com/a"), ("url", "https://evil.com/b")),
        (("url", "https://evil.com/a"), ("domain", "evil.com")),
        (("domain", "www.evil.com"), ("url", "http://evil.com/")),
        (("url", "http://203.0.113.7/a"), ("ip", "203.0.113.7")),
        (("card", "6222 0212 3456 7890"), ("account", "6222021234567890")),
        (("handle", "支付宝:13800001234"), ("phone", "13800001234")),
    ],
)
def test_two_institutions_that_name_one_thing_differently_bear_each_other_out(first: Any, second: Any) -> None:
    one, other = (
        submitted(who, indicators=[{"kind": kind, "value": value}])
        for who, (kind, value) in (("bank-001", first), ("pay-002", second))
    )
    _, fact = told(one, other)
    assert "institutions" in [reason.rule for reason in fact.reasons]
