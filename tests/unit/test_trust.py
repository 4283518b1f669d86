"""A tip of the public: looked at, but it weighs little, corroborates nobody, and cannot push out what institutions said."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from schemas.codec import decode
from schemas.policy import Policy
from schemas.security.signal_protection import protect
from schemas.signals.submission import PUBLIC, SubmittedSignal
from schemas.topics import ASSESSED, CASE_CHANGES, SUBMITTED
from stream_processors.domain.cases import decide as case
from stream_processors.domain.signals import trust
from tests.support.builders import POLICY, SEALER, T0, TOKENIZER, account, after, body, fact, join, submission, submitted
from tests.support.world import World, content


def tip(reference: str = "tip-1", **over: Any) -> SubmittedSignal:
    whole = body(**over)
    return protect(
        whole, institution=PUBLIC, reference=reference, tokenizer=TOKENIZER, sealer=SEALER, trust="low", contact="王某 139"
    )


@given(
    amount=st.integers(0, 10**15),
    kind=st.sampled_from(["telecom_fraud", "illegal_finance", "organized_crime"]),
    features=st.fixed_dictionaries({}, optional={"sightings": st.integers(1, 50), "institutions": st.integers(1, 9)}),
)
def test_a_tip_alone_never_weighs_like_a_case_and_its_reasons_add_up(amount: int, kind: str, features: dict[str, int]) -> None:
    signal = tip(kind=kind, amount={"minor": amount}, indicators=[account(1)])
    found = fact(signal, **features)
    assert found.score <= POLICY.low_trust.max_points < POLICY.case_threshold
    assert min(100, sum(reason.points for reason in found.reasons if reason.points > 0)) >= found.score
    plain = fact(submitted(kind=kind, amount={"minor": amount}, indicators=[account(1)]), **features)
    assert found.score <= plain.score
    if plain.score < 100:
        assert sum(reason.points for reason in found.reasons) == found.score
    assert found.severity == "low"
    assert len(found.routes) == 1, "somebody looks at it, and one agency only"


def test_a_policy_in_which_a_tip_would_open_a_case_of_its_own_weight_is_refused() -> None:
    raw = POLICY.model_dump(mode="json")
    with pytest.raises(ValidationError, match=r"low_trust\.max_points"):
        Policy.model_validate({**raw, "low_trust": {"max_points": POLICY.case_threshold}})


def test_a_policy_may_leave_tips_without_a_case() -> None:
    quiet = POLICY.model_copy(update={"low_trust": POLICY.low_trust.model_copy(update={"opens_cases": False})})
    signal = tip()
    assert all(not trust.opens(signal, rule, quiet) for rule in quiet.routes[signal.kind])


async def _world(*signals: SubmittedSignal) -> World:
    world = await World(workers=1).up()
    for signal in signals:
        world.submit(*submission(signal), SUBMITTED)
        await world.drain()
    return world


async def test_tips_do_not_corroborate_an_institution_s_signal() -> None:
    alone = await _world(submitted("bank-001"))
    beside = await _world(*(tip(f"tip-{n}") for n in range(12)), submitted("bank-001"), *(tip(f"late-{n}") for n in range(3)))

    def of_bank(world: World) -> Any:
        facts = [decode(ASSESSED, record.value).data for record in world.log.all(ASSESSED)]
        (found,) = [one for one in facts if one.institution == "bank-001"]
        return found.score, found.reasons, found.severity

    assert of_bank(alone) == of_bank(beside)
    for stage in ("assess", "track", "project"):
        assert content(beside.redis[stage]) == content(await beside.afresh(stage))


async def test_a_flood_of_tips_leaves_a_case_its_institutions_amounts_and_their_signals() -> None:
    banks = [submitted(f"bank-00{n}") for n in range(1, 4)]
    world = await _world(*banks, *(tip(f"tip-{n}", amount={"minor": 10**14}, occurred_at=after(minutes=n)) for n in range(30)))
    newest = [decode(CASE_CHANGES, record.value).data.case for record in world.log.all(CASE_CHANGES)][-1]
    assert newest.institutions == ("bank-002", "bank-003"), "the first one was under the threshold"
    assert newest.amount_minor == {"CNY": 2_400_000}
    assert {one.institution for one in newest.signals if one.trust is None} == {"bank-002", "bank-003"}
    assert sum(one.trust == "low" for one in newest.signals) == trust.LOW_KEPT
    assert newest.severity == "critical", "by the third bank, not by the tips"
    kept = next(one for one in newest.signals if one.trust == "low")
    assert SEALER.unseal(kept.contact_sealed, f"{kept.signal_id}/contact") == "王某 139"


def test_a_case_that_a_tip_opens_has_no_institution_and_no_amount() -> None:
    opened = case.decide(
        action=join(trust="low", institution=PUBLIC), actor="stage:assess", case=None, policy=POLICY, now=T0
    ).case
    assert opened is not None
    assert (opened.institutions, opened.amount_minor, opened.signal_count) == ((), {}, 1)


def test_another_contact_is_another_body_and_the_same_content() -> None:
    first, other = tip(), protect(body(), institution=PUBLIC, reference="tip-1", tokenizer=TOKENIZER, sealer=SEALER, trust="low")
    assert first.content_id == other.content_id and first.body_id != other.body_id
