"""Which signals a case lists: no sender crowds out the evidence of another."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from schemas.cases.case import JoinedSignal
from stream_processors.domain.cases import counters as tally
from stream_processors.domain.cases.evidence import KEPT_CHARACTERS, keep_evidence
from stream_processors.domain.signals.trust import LOW_KEPT
from tests.support.builders import POLICY, T0, joined

MOST = POLICY.case_signals_kept
BASE = joined()


def signal(sender: str, number: int, score: int = 40, **over: Any) -> JoinedSignal:
    at = T0 + timedelta(seconds=number)
    name = f"sig-{sender}-{number}"
    return BASE.model_copy(update={"signal_id": name, "institution": sender, "accepted_at": at, "score": score, **over})


def names(*signals: JoinedSignal) -> set[str]:
    return {one.signal_id for one in signals}


def listed(*signals: JoinedSignal, most: int = MOST) -> tuple[JoinedSignal, ...]:
    """The list after each signal joined, as a case keeps it."""
    found: tuple[JoinedSignal, ...] = ()
    for one in signals:
        found = keep_evidence((one, *found), most)
    return found


def test_a_flood_of_one_institution_leaves_the_others_signals_in_the_case() -> None:
    victim = signal("bank-001", 0, narrative_sealed="k1.sealed")
    others = [signal("pay-171", 1), signal("pay-171", 2)]
    flood = [signal("bank-bad", n) for n in range(3, 203)]
    found = listed(victim, *others, *flood)
    assert len(found) == MOST
    assert names(victim, *others) <= names(*found)


def test_of_a_sender_the_first_the_newest_and_the_worst_are_the_last_to_go() -> None:
    scores = {4: 90}
    found = listed(*(signal("bank-001", n, scores.get(n, 40)) for n in range(30)), most=3)
    assert [one.signal_id for one in found] == ["sig-bank-001-29", "sig-bank-001-4", "sig-bank-001-0"]
    assert [one.signal_id for one in keep_evidence(found, 2)] == ["sig-bank-001-29", "sig-bank-001-0"]
    assert [one.signal_id for one in keep_evidence(found, 1)] == ["sig-bank-001-29"]


def test_the_first_tip_stays_when_tips_flood_a_case() -> None:
    tips = [signal("public", n, trust="low") for n in range(1, 40)]
    found = listed(signal("bank-001", 0), *tips)
    assert [one.signal_id for one in found] == [*(f"sig-public-{n}" for n in (39, 38, 37, 36)), "sig-public-1", "sig-bank-001-0"]
    assert len(found) == LOW_KEPT + 1


def test_large_signals_of_one_sender_do_not_push_out_small_ones_of_another() -> None:
    small = [signal("bank-001", n) for n in range(3)]
    large = [signal("bank-bad", n, narrative_sealed="x" * 60_000) for n in range(3, 20)]
    found = listed(*small, *large)
    assert names(*small) <= names(*found)
    assert sum(len(one.narrative_sealed or "") for one in found) < KEPT_CHARACTERS


SENT = st.lists(st.tuples(st.sampled_from(["bank-a", "bank-b", "bank-c", "public"]), st.integers(0, 100)), max_size=60)


@given(SENT, st.integers(1, 12))
def test_every_sender_keeps_its_share_whatever_the_others_send(sent: list[tuple[str, int]], most: int) -> None:
    signals = [signal(who, n, score, **({"trust": "low"} if who == "public" else {})) for n, (who, score) in enumerate(sent)]
    found = listed(*signals, most=most)
    assert len(found) <= most
    assert list(found) == sorted(found, key=lambda one: one.accepted_at, reverse=True)
    counts, came = Counter(one.institution for one in found), Counter(who for who, _ in sent)
    share = most // max(1, len(came))
    for who in came:
        assert counts[who] >= min(came[who], share, LOW_KEPT if who == "public" else most)
        if share >= 3 and who != "public":
            own = [one for one in signals if one.institution == who]
            assert own[0] in found and own[-1] in found
            assert max(one.score for one in own) in {one.score for one in found if one.institution == who}


def test_odd_currencies_of_one_sender_do_not_keep_the_yuan_of_others_out_of_the_sum() -> None:
    sums: dict[str, int] = {}
    for n in range(40):
        sums = tally.money(sums, BASE.model_copy(update={"currency": f"X{n:02}", "amount_minor": 1}))
    sums = tally.money(sums, BASE.model_copy(update={"currency": "CNY", "amount_minor": 500}))
    assert (len(sums), sums["CNY"]) == (tally.MOST_CURRENCIES, 500)
    assert tally.pooled({f"X{n:02}": 1 for n in range(15)}, {"Y00": 1, "CNY": 7})["CNY"] == 7
