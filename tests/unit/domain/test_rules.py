"""Each rule: what it gives points for, what not, and the evidence that it names."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from schemas.signals.assessed import Reason
from schemas.signals.explanations import SAID, told
from schemas.signals.submission import SubmittedSignal
from stream_processors.domain.signals.features import Features
from stream_processors.domain.signals.rules import RULES
from stream_processors.domain.signals.scoring import score
from tests.support.builders import POLICY, account, after, submitted

ROOT = Path(__file__).parents[3]
DAY_S = 86_400


def given(rule: str, signal: SubmittedSignal | None = None, **features: Any) -> Reason | None:
    return RULES[rule](signal or submitted(), Features(**features), POLICY.rules)


def site(registered_at: Any) -> SubmittedSignal:
    event = {"type": "site", "domain": "pay.example.com", "registered_at": registered_at}
    return submitted(event=event, indicators=[])


REACHED: list[tuple[str, Callable[[], Reason | None], dict[str, int | str]]] = [
    ("kind", lambda: given("kind"), {"kind": "telecom_fraud"}),
    ("stage", lambda: given("stage", submitted(stage="payment_pending")), {"stage": "payment_pending"}),
    ("amount", lambda: given("amount"), {"amount_minor": 1_200_000}),
    ("loss", lambda: given("loss", submitted(loss={"minor": 300_000})), {"loss_minor": 300_000}),
    ("freshness", lambda: given("freshness", age_s=600), {"age_s": 600}),
    ("velocity", lambda: given("velocity", sightings=2), {"sightings": 2}),
    ("institutions", lambda: given("institutions", institutions=2), {"institutions": 2}),
    ("confirmed", lambda: given("confirmed", confirmed=1), {"cases": 1}),
    ("repeat_victim", lambda: given("repeat_victim", victim_events=1), {"events": 1}),
    ("contact", lambda: given("contact", contact_gap_s=7200), {"gap_s": 7200}),
    ("repeated_pair", lambda: given("repeated_pair", same_pair=2), {"transfers": 2}),
    ("fan_in", lambda: given("fan_in", fan_in=4), {"payers": 4}),
    ("fan_out", lambda: given("fan_out", fan_out=4), {"payees": 4}),
    ("pass_through", lambda: given("pass_through", held_s=3600), {"held_s": 3600}),
    ("new_domain", lambda: given("new_domain", site(after(days=-7))), {"domain_age_s": 7 * DAY_S}),
]

MISSED: list[tuple[str, Callable[[], Reason | None]]] = [
    ("no stage given", lambda: given("stage")),
    ("a stage without points", lambda: given("stage", submitted(stage="lure"))),
    ("a small sum", lambda: given("amount", submitted(amount={"minor": 299_999}))),
    ("another currency", lambda: given("amount", submitted(amount={"minor": 10**9, "currency": "USD"}))),
    ("no loss", lambda: given("loss", submitted(loss={"minor": 0}))),
    ("a loss in another currency", lambda: given("loss", submitted(loss={"minor": 10**9, "currency": "USD"}))),
    ("reported late", lambda: given("freshness", age_s=3601)),
    ("seen once", lambda: given("velocity")),
    ("one institution", lambda: given("institutions")),
    ("nobody confirmed", lambda: given("confirmed")),
    ("a victim for the first time", lambda: given("repeat_victim")),
    ("no contact", lambda: given("contact")),
    ("a contact long ago", lambda: given("contact", contact_gap_s=DAY_S + 1)),
    ("one transfer of a pair", lambda: given("repeated_pair", same_pair=1)),
    ("few payers", lambda: given("fan_in", fan_in=3)),
    ("few payees", lambda: given("fan_out", fan_out=3)),
    ("money that stayed", lambda: given("pass_through", held_s=DAY_S + 1)),
    ("no money that went on", lambda: given("pass_through")),
    ("an old domain", lambda: given("new_domain", site(after(days=-31)))),
    ("a domain registered after the event", lambda: given("new_domain", site(after(days=1)))),
    ("no registration given", lambda: given("new_domain", site(None))),
]


@pytest.mark.parametrize(("rule", "ask", "evidence"), REACHED, ids=[one[0] for one in REACHED])
def test_a_rule_gives_points_and_names_its_evidence(rule: str, ask: Any, evidence: dict[str, int | str]) -> None:
    reason = ask()
    assert reason is not None and reason.points > 0
    assert (reason.rule, reason.evidence) == (rule, evidence)


@pytest.mark.parametrize("ask", [one[1] for one in MISSED], ids=[one[0] for one in MISSED])
def test_what_is_not_there_gives_nothing(ask: Any) -> None:
    assert ask() is None


def test_an_event_that_is_still_to_come_is_fresh() -> None:
    assert (reason := given("freshness", age_s=-90)) is not None and reason.evidence == {"age_s": 0}


def test_every_rule_is_tested_documented_weighed_and_has_its_sentence() -> None:
    lines = (ROOT / "docs" / "reference" / "rules.md").read_text("utf-8").splitlines()
    documented = {line.split("`")[1] for line in lines if line.startswith("| `")}
    files = {path.stem for path in (ROOT / "stream_processors/domain/signals/rules").glob("*.py")} - {"__init__", "steps"}
    assert files == set(RULES) == documented == set(SAID) - {"trust"} == {one[0] for one in REACHED}
    assert files == set(type(POLICY.rules).model_fields)
    assert all(getattr(POLICY.rules, rule) for rule in RULES)


def test_a_rule_without_points_is_off() -> None:
    off = POLICY.model_copy(update={"rules": POLICY.rules.model_copy(update={"confirmed": ()})})
    assert "confirmed" not in {reason.rule for reason in score(submitted(), Features(confirmed=9), off)[1]}


@pytest.mark.parametrize(("rule", "ask", "evidence"), REACHED, ids=[one[0] for one in REACHED])
def test_a_reason_is_told_in_both_languages(rule: str, ask: Any, evidence: dict[str, int | str]) -> None:
    (said,) = told([ask()])
    assert (said.rule, said.evidence) == (rule, evidence)
    assert "{" not in said.zh + said.en and said.zh != said.en
    assert any("\u4e00" <= sign <= "\u9fff" for sign in said.zh) and said.en.isascii()


def test_sentences_are_for_people() -> None:
    pending = RULES["stage"](submitted(stage="payment_pending"), Features(), POLICY.rules)
    reasons = [pending, given("amount"), given("contact", contact_gap_s=7199), given("freshness", age_s=0)]
    said = told([reason for reason in reasons if reason])
    assert [one.zh for one in said][:2] == ["所处阶段：待付款", "涉案金额 12,000.00 元"]
    assert "1 h 59 min" in said[2].en and "0 s" in said[3].en


def test_a_reason_of_a_newer_writer_is_told_by_its_name_and_evidence() -> None:
    (said,) = told([Reason(rule="moon_phase", points=3, evidence={"phase": "full"})])
    assert said.zh == said.en == "moon_phase: phase full"
    (said,) = told([Reason(rule="velocity", points=3, evidence={"times": 3})])
    assert said.en == "velocity: times 3"


def test_transfers_to_a_confirmed_account_score_though_the_payer_is_nobody() -> None:
    _, reasons = score(submitted(indicators=[account(1), account(2)]), Features(confirmed=1), POLICY)
    assert "confirmed" in {reason.rule for reason in reasons}
