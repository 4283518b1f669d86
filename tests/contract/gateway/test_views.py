"""The views: what was folded is what is read, by every method that a route uses; nothing at all while they are made anew."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from schemas.cases.case import Action, ActionKind, Case, CaseChange, JoinedSignal
from schemas.scorecards import CardKind
from schemas.signals.assessed import AssessedSignal
from stream_processors.domain.cases import decide as decision
from stream_processors.domain.oversight import dispatch as oversight
from stream_processors.domain.oversight.appraisal import Signer
from stream_processors.views.api import Views
from stream_processors.views.cases import Cursor
from stream_processors.views.reading import Rebuilding
from stream_processors.views.scorecards import today
from tests.contract.gateway.folded import Folded
from tests.support.builders import POLICY, account, fact, move, phone, submitted
from tests.support.oversight import action_of, ask, campaign
from tests.support.scores import SIGNER, UNIT, step
from tests.support.scores import move as year_move

NOW = datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=10)
"""The views' values end by the real time, so these are of today."""
LATER = NOW + timedelta(days=10)
NOW_MS = int(time.time() * 1000)
QUEUE, OTHER = "public-security-630202", "financial-regulator-630200"


def anything(queue: str) -> bool:
    return True


class Loop:
    """What `assess` and `track` decide, told to the views as they record it."""

    def __init__(self, folded: Folded) -> None:
        self.folded = folded
        self.cases: dict[str, Case] = {}
        self.facts: list[AssessedSignal] = []

    async def signal(self, reference: str, *indicators: dict[str, str], second: int = 0, **features: int) -> Case:
        """A signal that is suspicious enough for a case, and the case that it joined."""
        at = NOW + timedelta(seconds=second)
        named = indicators or (account(sum(map(ord, reference))),)
        signal = submitted(reference=reference, indicators=list(named), occurred_at=at)
        found = fact(signal, now=at, **{"institutions": 3, "sightings": 5, **features})
        self.facts.append(found)
        await self.folded.assessed(found, at)
        (route,) = found.routes
        joined = JoinedSignal.trusted(**{name: getattr(found, name) for name in JoinedSignal.model_fields})
        action = Action.trusted(
            action_id=f"join-{found.signal_id}", case_id=route.case_id, kind=ActionKind.JOIN, queue=route.queue, signal=joined
        )
        await self.do(action, "stage:assess", second)
        return self.cases[route.case_id]

    async def do(self, action: Action, actor: str = "officer:officer-a", second: int = 0) -> CaseChange:
        at = NOW + timedelta(seconds=second)
        change = decision.decide(action=action, actor=actor, case=self.cases.get(action.case_id), policy=POLICY, now=at)
        if change.case is not None:
            self.cases[action.case_id] = change.case
        await self.folded.changed(change)
        return change

    async def move(self, kind: str, case: Case, second: int = 0, **over: Any) -> CaseChange:
        over = {"action_id": f"act-{kind}-{case.case_id}-{second}", **over}
        return await self.do(move(kind, case_id=case.case_id, **over), second=second)


@pytest.fixture
def loop(folded: Folded) -> Loop:
    return Loop(folded)


@pytest.fixture
def views(folded: Folded) -> Views:
    return folded.views


def ids(cases: list[Any]) -> list[str]:
    return [one.case_id for one in cases]


async def test_a_signal_s_receipt_tells_where_it_went_and_of_another_there_is_none(loop: Loop, views: Views):
    case, found = await loop.signal("r-1"), loop.facts[0]
    receipt = await views.receipt(str(found.signal_id))
    assert receipt is not None
    assert (receipt.outcome, receipt.institution) == ("assessed", "bank-001")
    assert (receipt.cases, receipt.queues, receipt.score) == ((case.case_id,), (QUEUE,), found.score)
    assert (receipt.accepted_at, receipt.assessed_at) == (NOW, NOW)
    own = ("kind", "amount", "freshness")
    assert [one.rule for one in receipt.reasons] == [one.rule for one in found.reasons if one.rule in own]
    assert await views.receipt("sig-nothing") is None


async def test_a_case_is_read_as_it_was_put_last(loop: Loop, views: Views):
    case = await loop.signal("r-1")
    assert await views.case(case.case_id) == case
    older = await loop.move("claim", case)
    await loop.move("dispose", case)
    await loop.folded.changed(older)
    assert await views.case(case.case_id) == loop.cases[case.case_id]
    assert await views.case("case-nothing") is None


async def test_what_became_of_an_action_is_told_without_its_case_and_an_echo_changes_nothing(loop: Loop, views: Views):
    case = await loop.signal("r-1")
    assert await views.action("act-1") is None
    applied = await loop.move("claim", case, action_id="act-1")
    told = await views.action("act-1")
    assert told is not None and told.case is None
    names = ("action_id", "case_id", "kind", "outcome", "at", "actor", "detail", "problem", "revision", "allowed_transitions")
    assert {name: getattr(told, name) for name in names} == {name: getattr(applied, name) for name in names}
    assert (await loop.move("claim", case, action_id="act-1")).outcome == "redelivery"
    assert await views.action("act-1") == told
    refused = await loop.move("claim", case, action_id="act-2", officer="officer-b")
    told = await views.action("act-2")
    assert told is not None and (told.outcome, told.problem, told.detail) == ("refused", refused.problem, refused.detail)


async def test_nobody_waits_for_what_a_stage_asked_for(loop: Loop, views: Views):
    await loop.signal("r-1")
    assert await views.action(f"join-{loop.facts[0].signal_id}") is None


async def test_a_queue_is_worst_first_then_oldest_first_and_pages_give_it_whole(loop: Loop, views: Views):
    made = [await loop.signal(f"r-{n}", second=n, sightings=5 * (n % 2)) for n in range(7)]
    wanted = [one.case_id for one in sorted(made, key=lambda one: (-one.score, one.opened_at))]
    assert len({one.score for one in made}) == 2
    whole = await views.page(QUEUE, limit=50)
    assert (ids(whole.cases), whole.next) == (wanted, None)
    assert whole.cases == [loop.cases[name] for name in wanted]
    for limit in (1, 2, 3, 7):
        found: list[str] = []
        after: Cursor | None = None
        for _ in range(8):
            page = await views.page(QUEUE, limit=limit, after=after)
            found += ids(page.cases)
            after = page.next
            if after is None:
                break
            assert after.case_id == found[-1] and len(page.cases) == limit
        assert found == wanted
    assert await views.page("public-security-nowhere", limit=5) == ([], None)


async def test_cases_that_stand_alike_are_each_on_one_page(loop: Loop, views: Views):
    made = [await loop.signal(f"r-{n}") for n in range(9)]
    found, after = list[str](), None
    for _ in range(9):
        page = await views.page(QUEUE, limit=2, after=after)
        found += ids(page.cases)
        after = page.next
        if after is None:
            break
    assert found == sorted(ids(made), reverse=True)


async def test_a_page_goes_on_behind_a_case_that_has_left_the_queue(loop: Loop, views: Views):
    made = [await loop.signal(f"r-{n}", second=n) for n in range(4)]
    first = await views.page(QUEUE, limit=2)
    assert first.next is not None
    await loop.move("claim", made[1])
    await loop.move("dispose", made[1])
    assert ids((await views.page(QUEUE, limit=2, after=first.next)).cases) == ids(made[2:])
    assert ids((await views.page(QUEUE, limit=9)).cases) == [made[0].case_id, *ids(made[2:])]


@pytest.mark.parametrize("moves", [["claim", "dispose"], ["claim", "dispose", "close"], ["claim", "merge"], ["transfer"]])
async def test_a_case_that_is_over_or_gone_is_in_no_queue_of_before(loop: Loop, views: Views, moves: list[str]):
    case = await loop.signal("r-1")
    for n, kind in enumerate(moves):
        assert (await loop.move(kind, case, n)).outcome == "applied"
    assert (await views.page(QUEUE, limit=5)).cases == []
    assert ids((await views.page(OTHER, limit=5)).cases) == ([case.case_id] if moves == ["transfer"] else [])


async def test_standings_count_what_stands_where_and_since_when_also_where_nothing_stands_any_more(loop: Loop, views: Views):
    assert await views.standings() == []
    made = [await loop.signal(f"r-{n}", second=n) for n in range(3)]
    severity, first = made[0].severity, int(NOW.timestamp() * 1000)
    still = (QUEUE, severity, "open", 2, first + 1000)
    assert await views.standings() == [(QUEUE, severity, "open", 3, first)]
    for kind, second in (("claim", 60), ("renew", 90)):
        await loop.move(kind, made[0], second)
        assert await views.standings() == [(QUEUE, severity, "claimed", 1, first + 60_000), still]
    await loop.move("dispose", made[0], 100)
    assert await views.standings() == [(QUEUE, severity, "claimed", 0, 0), still]


async def _shared(loop: Loop) -> tuple[list[Case], str]:
    """Cases of different accounts that name one phone, and its token."""
    made = [await loop.signal(f"r-{n}", account(n), phone(7), second=n) for n in (2, 0, 3, 1)]
    return sorted(made, key=lambda one: one.opened_at), loop.facts[0].subjects[1].token


async def test_an_indicator_leads_to_its_cases_the_one_with_the_newest_signal_first(loop: Loop, views: Views):
    made, token = await _shared(loop)
    assert len({one.case_id for one in made}) == 4
    found = await views.search(token, anything, now_ms=NOW_MS, limit=9)
    assert (ids(found.cases), found.more) == (ids(made)[::-1], False)
    shown = found.cases[0]
    assert (shown.queue, shown.status, shown.score, shown.revision) == (QUEUE, "open", made[3].score, made[3].revision)
    some = await views.search(token, anything, now_ms=NOW_MS, limit=3)
    assert (ids(some.cases), some.more) == (ids(made)[:0:-1], True)
    assert await views.search("k1.nothing", anything, now_ms=NOW_MS, limit=3) == ([], False, False)
    assert await views.search(token, lambda queue: queue == OTHER, now_ms=NOW_MS, limit=3) == ([], False, False)


async def test_a_case_of_a_newer_signal_comes_first_and_a_disposed_one_is_found_too(loop: Loop, views: Views):
    made, token = await _shared(loop)
    assert await loop.signal("r-again", account(1), phone(7), second=50)
    await loop.move("claim", made[3], 51)
    await loop.move("dispose", made[3], 52)
    found = await views.search(token, anything, now_ms=NOW_MS, limit=9)
    assert ids(found.cases) == [made[1].case_id, made[3].case_id, made[2].case_id, made[0].case_id]


async def test_a_transferred_case_is_found_by_those_whose_it_is_now(loop: Loop, views: Views):
    case = await loop.signal("r-1")
    assert (await loop.move("transfer", case)).outcome == "applied"
    token = loop.facts[0].subjects[0].token

    async def found() -> list[list[str]]:
        read = [await views.search(token, queue.__eq__, now_ms=NOW_MS, limit=3) for queue in (QUEUE, OTHER)]
        return [ids(one.cases) for one in read]

    assert await found() == [[], [case.case_id]]
    await loop.signal("r-1-more", account(sum(map(ord, "r-1"))), second=5)
    assert loop.facts[1].routes == loop.facts[0].routes, "what joins it afterwards comes by the queue of before"
    assert await found() == [[], [case.case_id]]
    assert (await loop.move("transfer", case, 9, queue=QUEUE)).outcome == "applied"
    assert await found() == [[case.case_id], []]


async def test_a_transfer_is_found_though_the_views_hear_of_the_signal_last(folded: Folded, views: Views):
    """Signals and cases are facts of two topics."""
    ahead = Loop(folded)
    kept, folded.assessed = folded.assessed, _told_later  # type: ignore[method-assign]
    case = await ahead.signal("r-1")
    await ahead.move("transfer", case)
    folded.assessed = kept  # type: ignore[method-assign]
    await folded.assessed(ahead.facts[0], NOW)
    token = ahead.facts[0].subjects[0].token
    assert ids((await views.search(token, OTHER.__eq__, now_ms=NOW_MS, limit=3)).cases) == [case.case_id]
    assert ids((await views.search(token, QUEUE.__eq__, now_ms=NOW_MS, limit=3)).cases) == []


async def _told_later(fact: AssessedSignal, at: datetime) -> None:
    pass


async def test_cases_that_went_elsewhere_take_no_place_among_those_that_are_found(loop: Loop, views: Views):
    made, token = await _shared(loop)
    for case in made[2:]:
        assert (await loop.move("transfer", case, 20)).outcome == "applied"
    found = await views.search(token, QUEUE.__eq__, now_ms=NOW_MS, limit=2)
    assert (ids(found.cases), found.more) == ([made[1].case_id, made[0].case_id], False)
    found = await views.search(token, OTHER.__eq__, now_ms=NOW_MS, limit=1)
    assert (ids(found.cases), found.more) == ([made[3].case_id], True)


async def test_a_money_trail_is_read_whole_but_for_what_is_known(loop: Loop, views: Views):
    made, token = await _shared(loop)
    lone = await loop.signal("r-lone", account(90))
    read = await views.trail({token, "k1.nothing"}, {lone.case_id, "case-nothing"}, known=set(), now_ms=NOW_MS, most=9)
    assert set(ids(read.cases)) == {*ids(made), lone.case_id} and read.more == frozenset()
    shown = next(one for one in read.cases if one.case_id == lone.case_id)
    assert (shown.queue, shown.status, [one.signal_id for one in shown.signals]) == (QUEUE, "open", [loop.facts[-1].signal_id])
    read = await views.trail({token}, (), known={made[0].case_id}, now_ms=NOW_MS, most=9)
    assert set(ids(read.cases)) == set(ids(made)[1:])
    read = await views.trail({token}, (), known=set(), now_ms=NOW_MS, most=2)
    assert (set(ids(read.cases)), read.more) == (set(ids(made)[2:]), {token})
    assert await views.trail((), (), known=set(), now_ms=NOW_MS, most=2) == ([], frozenset())


async def test_a_trail_leads_on_to_where_a_case_was_merged_but_not_from_what_is_known(loop: Loop, views: Views):
    made, token = await _shared(loop)
    lone, last = await loop.signal("r-lone", account(90)), await loop.signal("r-last", account(91))
    for case, into in ((made[0], lone), (lone, last)):
        await loop.move("claim", case)
        merged = await loop.move("merge", case, into_case_id=into.case_id)
        assert merged.outcome == "applied", merged.detail
    read = await views.trail({token}, (), known=set(), now_ms=NOW_MS, most=9)
    assert set(ids(read.cases)) == {*ids(made), lone.case_id, last.case_id}
    read = await views.trail((), {made[0].case_id}, known={lone.case_id}, now_ms=NOW_MS, most=9)
    assert ids(read.cases) == [made[0].case_id]
    read = await views.trail((), {made[0].case_id}, known={made[0].case_id}, now_ms=NOW_MS, most=9)
    assert read.cases == []


async def test_counters_count_each_fact_and_each_outcome_of_an_action(loop: Loop, views: Views):
    assert await views.counters() == {}
    case = await loop.signal("r-1")
    await loop.signal("r-2")
    await loop.move("claim", case)
    await loop.move("claim", case, 1, officer="officer-b")
    counted = await views.counters()
    assert counted == {
        "assessed:bank-001": 2,
        "action_applied:join": 2,
        "action_applied:claim": 1,
        "action_refused:claim": 1,
    }


async def test_a_book_has_every_party_with_its_cells_of_the_period(loop: Loop, views: Views):
    assert await views.book(CardKind.INSTITUTION, "2026") == {}
    await loop.signal("r-1")
    await loop.signal("r-2")
    day = today(NOW)
    own = await views.book(CardKind.INSTITUTION, day)
    assert list(own) == ["bank-001"] and own["bank-001"]["reports_telecom_fraud"] == 2
    assert own == await views.book(CardKind.INSTITUTION, day[:7]) == await views.book(CardKind.INSTITUTION, day[:4])
    assert await views.book(CardKind.INSTITUTION, "2001") == {"bank-001": {}}
    assert await views.book(CardKind.UNIT, "2001") == {unit: {} for unit in await views.book(CardKind.UNIT, day)}


class Bureau:
    """What `oversee` decides."""

    def __init__(self, folded: Folded) -> None:
        self.folded = folded
        self.records: dict[str, Any] = {}

    async def ask(self, request: Any, signer: Signer | None = SIGNER) -> Any:
        action = action_of(request)
        record = self.records.get(action.about)
        change = oversight.decide(action=action, actor="officer:coordinator-1", record=record, now=NOW, signer=signer)
        if change.record is not None:
            self.records[action.about] = change.record
        await self.folded.decided(change)
        return change


async def test_records_of_the_coordination_body_are_read_by_name_and_listed_by_part(folded: Folded, views: Views):
    bureau = Bureau(folded)
    asked = (ask(request_id=name, action_id=name, due_at=LATER) for name in ("dat-2", "dat-1"))
    for request in (*asked, step("issue", answer_by=LATER), year_move("open"), campaign()):
        assert (await bureau.ask(request)).outcome == "applied"
    for about, record in bureau.records.items():
        assert await views.overseen(about) == record
    assert await views.overseen("data:nothing") is None
    assert await views.all_overseen("data") == [bureau.records["data:dat-1"], bureau.records["data:dat-2"]]
    assert len(await views.all_overseen("appraisal")) == len(await views.all_overseen("supervision")) == 1
    assert await views.all_overseen("campaign") == []


async def test_what_became_of_a_request_is_told_without_its_record(folded: Folded, views: Views):
    bureau = Bureau(folded)
    assert await views.oversight_action("request-1") is None
    change = await bureau.ask(ask(due_at=LATER))
    told = await views.oversight_action("request-1")
    assert told is not None and told.record is None
    assert (told.outcome, told.about, told.revision, told.at) == ("applied", "data:dat-1", change.revision, NOW)
    assert (await bureau.ask(ask(due_at=LATER))).outcome == "redelivery"
    assert await views.oversight_action("request-1") == told
    refused = await bureau.ask(ask("record_finding", UNIT))
    told = await views.oversight_action("record_finding-1")
    assert told is not None and (told.outcome, told.problem) == ("refused", refused.problem)


ASKING: dict[str, Callable[[Views], Any]] = {
    "receipt": lambda views: views.receipt("sig-1"),
    "case": lambda views: views.case("case-1"),
    "action": lambda views: views.action("act-1"),
    "page": lambda views: views.page(QUEUE, limit=5),
    "page behind a case": lambda views: views.page(QUEUE, limit=5, after=Cursor(1.0, "case-1")),
    "standings": lambda views: views.standings(),
    "search": lambda views: views.search("t", anything, now_ms=NOW_MS, limit=5),
    "trail": lambda views: views.trail({"t"}, {"case-1"}, known=set(), now_ms=NOW_MS, most=5),
    "counters": lambda views: views.counters(),
    "book": lambda views: views.book(CardKind.INSTITUTION, "2026"),
    "overseen": lambda views: views.overseen("data:dat-1"),
    "all_overseen": lambda views: views.all_overseen("data"),
    "oversight_action": lambda views: views.oversight_action("mov-1"),
    "inbox": lambda views: views.inbox("bank-001", after=-1, limit=5),
    "unreceived": lambda views: views.unreceived("bank-001", upto=5, limit=5),
    "noticed": lambda views: views.noticed("bank-001", "name"),
    "of_case": lambda views: views.of_case("case-1"),
    "endpoints": lambda views: views.endpoints("bank-001"),
    "parked": lambda views: views.parked("bank-001", "hook-1", limit=5),
}


@pytest.mark.parametrize("what", ASKING)
async def test_views_that_are_made_anew_are_not_read(folded: Folded, what: str):
    await ASKING[what](folded.views)
    await folded.rebuild()
    with pytest.raises(Rebuilding):
        await ASKING[what](folded.views)


def test_every_method_of_the_views_is_asked():
    methods = {name for part in Views.__mro__ for name, one in vars(part).items() if callable(one) and not name.startswith("_")}
    assert methods == {what.partition(" ")[0] for what in ASKING}
