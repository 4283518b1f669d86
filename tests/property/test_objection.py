"""An appeal under any sequence of requests: no illegal state, clocks in pairs, nobody missed."""

from __future__ import annotations

from collections import Counter
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from schemas.appeals import Appeal, AppealMove, AppealRequest
from stream_processors.domain.appeals import Around, Decided, decide, list_allowed
from stream_processors.domain.notifications.reversals import Executed
from tests.support.builders import after

AGENCY = "public-security-630202"
PARTIES = ["bank-a", "bank-b", "telecom-1", AGENCY]
PATH: dict[str | None, set[str]] = {
    None: {"filed"},
    "filed": {"notice_given"},
    "notice_given": {"upheld", "rejected"},
    "upheld": {"released", "completed"},
    "released": {"released", "completed"},
    "rejected": set(),
    "completed": set(),
}
STEP = st.tuples(
    st.sampled_from(list(AppealMove)),
    st.sampled_from(PARTIES),
    st.sampled_from([None, "officer-a", "officer-b"]),
    st.booleans(),
    st.integers(0, 60),
)
EXECUTED = st.lists(st.tuples(st.sampled_from(PARTIES[:3]), st.integers(0, 4)), max_size=5).map(
    lambda drawn: tuple(Executed(who, "freeze", f"order-{n}") for who, n in drawn)
)


def _play(steps: list[Any], around: Around) -> list[tuple[Appeal | None, AppealRequest, Decided]]:
    found, played = None, []
    for n, (move, party, officer, reasons, name) in enumerate(steps):
        ways = [
            (one, who, by)
            for who in PARTIES
            for by in (None, "officer-a", "officer-b")
            for one in list_allowed(who, by, found, around)
        ]
        if n % 3 and ways:  # most steps go on, or few sequences would come to the end
            move, party, officer = ways[name % len(ways)]
            reasons, name = True, 100 + n - (name % 4 == 0)
        request = AppealRequest(
            request_id=f"req-{name}",
            appeal_id="obj-1",
            case_id="case-1",
            action=move,
            party=party,
            officer=officer,
            text_sealed="words" if reasons else None,
        )
        decided = decide(request=request, appeal=found, around=around, now=after(minutes=n))
        played.append((found, request, decided))
        found = decided.appeal or found
    return played


@given(st.lists(STEP, max_size=60), EXECUTED)
def test_states_follow_the_path_and_a_refusal_or_echo_changes_nothing(steps: list[Any], executed: Any) -> None:
    applied: set[str] = set()
    for before, request, decided in _play(steps, Around(AGENCY, executed, frozenset({"officer-a"}))):
        if request.request_id in applied:
            assert decided == Decided()
        elif decided.refusal is not None:
            assert decided == Decided(refusal=decided.refusal) and decided.refusal.why
        else:
            assert decided.appeal is not None
            assert decided.appeal.state in PATH[before.state if before else None]
            applied.add(request.request_id)


@given(st.lists(STEP, max_size=60), EXECUTED)
def test_a_move_that_is_not_open_is_refused(steps: list[Any], executed: Any) -> None:
    around = Around(AGENCY, executed, frozenset({"officer-a"}))
    for before, request, decided in _play(steps, around):
        if decided.appeal is not None:
            assert request.action in list_allowed(request.party, request.officer, before, around)


@given(st.lists(STEP, max_size=60), EXECUTED)
def test_who_decides_is_of_the_agency_and_did_not_order(steps: list[Any], executed: Any) -> None:
    for _, request, decided in _play(steps, Around(AGENCY, executed, frozenset({"officer-a"}))):
        if decided.appeal is not None and request.action in ("uphold", "reject"):
            assert (request.party, request.officer, request.text_sealed) == (AGENCY, "officer-b", "words")


@given(st.lists(STEP, max_size=60), EXECUTED)
def test_each_clock_is_started_once_stopped_once_and_none_runs_on_after_the_end(steps: list[Any], executed: Any) -> None:
    started, stopped = Counter[str](), Counter[str]()
    state = None
    for _, _, decided in _play(steps, Around(AGENCY, executed)):
        started.update(decided.started)
        stopped.update(decided.stopped)
        assert all(stopped[name] <= started[name] == 1 for name in started)
        state = decided.appeal.state if decided.appeal else state
    if state in ("rejected", "completed"):
        assert started == stopped


@given(st.lists(STEP, max_size=60), EXECUTED)
def test_whoever_executed_something_is_told_and_awaited_until_it_has_confirmed(steps: list[Any], executed: Any) -> None:
    every = {one.institution for one in executed}
    confirmed: set[str] = set()
    for _, request, decided in _play(steps, Around(AGENCY, executed)):
        found = decided.appeal
        if found is None:
            continue
        told = [one.recipient for one in decided.notifications]
        if request.action in ("uphold", "reject", "release"):
            assert every <= set(told)
        if request.action == "confirm":
            confirmed.add(request.party)
        if found.released_at is not None:
            assert (set(found.pending_parties), set(found.confirmed_parties)) == (every - confirmed, confirmed)
            assert (found.state == "completed") == (confirmed == every)
