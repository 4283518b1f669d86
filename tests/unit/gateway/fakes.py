"""Hand-written fakes of the gateway's ports, and builders. The suites of tests/contract/gateway run the same tests over the fakes
and the real ports."""

from __future__ import annotations

import asyncio
import functools
import json
from collections import Counter
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Sequence, Set
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import httpx
import msgspec

from gateway.adapters.cluster_watch import Health
from gateway.adapters.idempotency import InFlight, Remembered, StateUnavailable
from gateway.adapters.kafka import LogUnavailable, Position, Span
from gateway.security.rate_limits import Group, Rate
from schemas.appeals import Appeal
from schemas.cases.case import Action, ActionOutcome, Case, CaseChange, CaseStatus, JoinedSignal
from schemas.codec import decode, dump
from schemas.common import from_ms, instant_ms
from schemas.dissuasion import Dissuasion, Reach
from schemas.notifications.delivery import DeliveryMark, DeliveryState, Issued
from schemas.notifications.webhook import Endpoints
from schemas.orders.order import Order, OrderMoved, Verify
from schemas.oversight.oversight import OversightChange, Record
from schemas.policy import Policy
from schemas.scorecards import CardKind
from schemas.security import Sealer, Tokenizer
from schemas.signals.assessed import AssessedSignal, AssessOutcome
from schemas.signals.submission import Subject
from schemas.topics import APPRAISAL_COMMANDS, CASE_COMMANDS, DELIVERIES, Topic
from schemas.topics import ENDPOINTS as HOOKS
from stream_processors.domain.cases import decide as decision
from stream_processors.domain.cases.counters import EMPTY, counted
from stream_processors.domain.cases.orders import SENDS_ON
from stream_processors.domain.oversight import dispatch as oversight
from stream_processors.domain.scorecards import Leaf, change_leaves, signal_leaves
from stream_processors.runtime.generations import Generations
from stream_processors.runtime.log import KeyedEntry, partition_of
from stream_processors.runtime.settings import SHIPPED_POLICY, load_policy
from stream_processors.state.record_views import ChangeRow, ListedCase, ReceiptRow, is_hub_in
from stream_processors.views.case_index import Found
from stream_processors.views.cases import _NOBODY_WAITS, OUT_OF_QUEUE, Cursor, Page, Standing, rank_of
from stream_processors.views.inbox import SLOTS, WAYS, Addressed, Delivery, Inbox, Reached, member_of
from stream_processors.views.inbox import Entry as Noticed
from stream_processors.views.inbox import name_of as notification_name
from stream_processors.views.money_trail import STEPS_FOLLOWED, TrailCase, TrailRead
from stream_processors.views.oversight import LISTED, OverseenRow
from stream_processors.views.reading import Rebuilding
from stream_processors.views.receipts import Receipt, Withdrawal, receipt_json, receipt_of, told
from stream_processors.views.scorecards import today
from stream_processors.views.webhook_endpoints import Parked

T0 = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)
QUEUE = "public-security-630202"
Place = tuple[str, str, str]
"""Where a case stands: its status, severity and queue."""


class FakeLog:
    """A log in memory. `away`: nothing gets through. `uncertain`: appended, but the acknowledgement is lost. `gate`: waits."""

    def __init__(self) -> None:
        self.records: dict[tuple[str, int], list[KeyedEntry]] = {}
        self.away = self.uncertain = False
        self.damage: str | None = None
        self.generations = Generations()
        self.fails_after: int | None = None
        self.gate: asyncio.Event | None = None
        self.told: Callable[[Topic, KeyedEntry], None] | None = None
        self.appends = 0

    @property
    def connected(self) -> bool:
        return not self.away

    @property
    def health(self) -> Health:
        return Health(False, "no connection to the broker, or topics are missing") if self.away else Health(True, "ok")

    def all(self, topic: Topic) -> list[KeyedEntry]:
        return [entry for (name, _), entries in sorted(self.records.items()) if name == topic.name for entry in entries]

    async def append(self, topic: Topic, entries: Sequence[KeyedEntry]) -> list[Position | LogUnavailable]:
        if self.gate is not None:
            await self.gate.wait()
        self.appends += 1
        if self.away or self.damage or (self.fails_after is not None and self.appends > self.fails_after):
            return [LogUnavailable("away")] * len(entries)
        landed: list[Position | LogUnavailable] = []
        for entry in entries:
            partition = partition_of(entry.key, topic.partitions)
            there = self.records.setdefault((topic.name, partition), [])
            there.append(entry)
            landed.append(Position(topic.name, partition, len(there) - 1, instant_ms(T0) + len(there)))
            if self.told is not None:
                self.told(topic, entry)
        return [LogUnavailable("lost")] * len(entries) if self.uncertain else landed

    async def span(self, topic: Topic) -> Span:
        ends = {p: len(self.records.get((topic.name, p), [])) for p in range(topic.partitions)}
        return Span(dict.fromkeys(ends, 0), ends)


class MemoryIdempotency:
    """`away` fails every call; `fails_finish` only the last step."""

    def __init__(self) -> None:
        self.held: dict[str, str | Remembered] = {}
        self.texts: dict[str, str] = {}
        self.away = self.fails_finish = False

    def _here(self) -> None:
        if self.away:
            raise StateUnavailable("away")

    async def begin(self, names: Sequence[str], owner: str) -> list[Remembered | InFlight | None]:
        self._here()
        answers: list[Remembered | InFlight | None] = []
        for name in names:
            standing = self.held.setdefault(name, owner)
            answers.append(standing if isinstance(standing, Remembered) else None if standing == owner else InFlight())
        return answers

    async def finish(self, records: Sequence[tuple[str, Remembered]]) -> list[Remembered]:
        self._here()
        if self.fails_finish:
            raise StateUnavailable("away")
        standing: list[Remembered] = []
        for name, record in records:
            there = self.held.get(name)
            self.held[name] = kept = there if isinstance(there, Remembered) else record
            standing.append(kept)
        return standing

    async def abandon(self, names: Sequence[str], owner: str) -> None:
        self._here()
        for name in names:
            if self.held.get(name) == owner:
                del self.held[name]

    async def find(self, name: str) -> Remembered | None:
        self._here()
        there = self.held.get(name)
        return there if isinstance(there, Remembered) else None

    async def keep(self, name: str, text: str) -> str:
        self._here()
        return self.texts.setdefault(name, text)

    async def recall(self, name: str) -> str | None:
        self._here()
        return self.texts.get(name)


class FakeRates:
    """Limits in memory: what is taken by a sender, and by all (""); it comes back as `pass_s` lets time go by."""

    def __init__(self) -> None:
        self.taken: Counter[tuple[str, str]] = Counter()
        self._rates: dict[tuple[str, str], Rate] = {}
        self.away = False

    def pass_s(self, s: float) -> None:
        for name, rate in self._rates.items():
            self.taken[name] = max(0, self.taken[name] - s * 1000 / rate.every_ms)  # type: ignore[assignment]

    async def take(self, what: str, sender: str, one: Rate, all_: Rate) -> float:
        return await self._take(what, {(what, sender): one, (what, ""): all_})

    async def take_in_groups(self, what: str, groups: Sequence[Group], all_: Rate, reserve: Rate) -> float:
        limits = {(what, group.name): group.rate for group in groups}
        fresh = self.taken[what, groups[-1].name] == 0 and self.taken[what, "reserve"] + 1 <= reserve.burst
        return await self._take(what, {**limits, (what, "reserve" if fresh else ""): reserve if fresh else all_})

    async def _take(self, what: str, limits: dict[tuple[str, str], Rate]) -> float:
        if self.away:
            raise StateUnavailable("away")
        self._rates |= limits
        wait_ms = max((self.taken[name] + 1 - rate.burst) * rate.every_ms for name, rate in limits.items())
        if wait_ms > 0:
            return wait_ms / 1000
        self.taken.update(limits.keys())
        return 0


class FakeNames:
    """A resolver: every name is one public address, unless `known` says otherwise; None is a name that there is not."""

    def __init__(self) -> None:
        self.known: dict[str, Sequence[str] | None] = {}

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        found = self.known.get(host, ["93.184.216.34"])
        if found is None:
            raise OSError("no such name")
        return found


@functools.cache
def _policy() -> Policy:
    return load_policy(SHIPPED_POLICY)


class FakeViews:
    """Views in memory: `assessed`, `changed`, `decided`, `issue`, `mark` and `register` are what `project` makes of each topic.
    `apply` makes it track, oversee and project in one: an appended action is decided at once."""

    def __init__(self) -> None:
        self.receipts: dict[str, Receipt] = {}
        self.cases: dict[str, Case] = {}
        self.actions: dict[str, CaseChange] = {}
        self.counted: dict[str, int] = {}
        self.notices: list[Noticed] = []
        self.hooked: dict[str, Endpoints] = {}
        self.rang: Callable[[str, str], None] = lambda recipient, name: None
        self.books: dict[tuple[CardKind, str], dict[str, dict[str, int]]] = {}
        self.records: dict[str, Record] = {}
        self.changes: dict[str, OversightChange] = {}
        self.signer: Any = None
        self.rebuilding = False
        self.held_up: list[Action] | None = None
        self.now = T0
        self._policy = _policy()
        self._versions: dict[str, list[Receipt]] = {}
        self._withdrawn: dict[str, Withdrawal] = {}
        self._index: dict[str, dict[str, datetime]] = {}
        self._since: dict[str, tuple[Place, int]] = {}
        self._stood: set[Place] = set()
        self._deliveries: dict[tuple[str, str], Delivery] = {}
        self._parked: dict[tuple[str, str], dict[str, datetime]] = {}

    def _here(self) -> None:
        if self.rebuilding:
            raise Rebuilding("not whole")

    def apply(self, topic: Topic, entry: KeyedEntry) -> None:
        if topic is DELIVERIES:
            self.mark(decode(DELIVERIES, entry.value).data)
        if topic is HOOKS:
            self.register(decode(HOOKS, entry.value).data)
        if topic is APPRAISAL_COMMANDS:
            self._oversee(entry)
        if topic is not CASE_COMMANDS:
            return
        envelope = decode(CASE_COMMANDS, entry.value)
        action = envelope.data
        self._track(action, envelope.actor)

    def _track(self, action: Action, actor: str) -> None:
        """An action that goes on to another case does so at once, unless `held_up`."""
        case = self.cases.get(action.case_id)
        change = decision.decide(action=action, actor=actor, case=case, policy=self._policy, now=self.now)
        self.changed(change)
        for sent in (one for one in change.follow_ups if one.action_id == action.action_id):
            if self.held_up is None:
                self._track(sent, SENDS_ON)
            else:
                self.held_up.append(sent)

    def go_on(self) -> None:
        """What was held up on its way comes where it goes."""
        sent, self.held_up = self.held_up or [], None
        for one in sent:
            self._track(one, SENDS_ON)

    def _oversee(self, entry: KeyedEntry) -> None:
        envelope = decode(APPRAISAL_COMMANDS, entry.value)
        action, now = envelope.data, self.now
        record = self.records.get(action.about)
        self.decided(oversight.decide(action=action, actor=envelope.actor, record=record, now=now, signer=self.signer))

    # what `project` folds

    def assessed(self, fact: AssessedSignal, at: datetime) -> None:
        self._count(f"{fact.outcome.value}:{fact.institution or 'unknown'}")
        self._tally(signal_leaves(fact))
        if (name := fact.signal_id) is None:
            return
        for route in fact.routes:
            for subject in fact.subjects:
                led = self._index.setdefault(subject.token, {})
                led[route.case_id] = max(fact.accepted_at, led.get(route.case_id, fact.accepted_at))
        if fact.outcome in (AssessOutcome.ASSESSED, AssessOutcome.DUPLICATE_CONTENT, AssessOutcome.RETRACTED):
            row = msgspec.json.decode(dump(fact), type=ReceiptRow)
            self._versions.setdefault(name, []).append(receipt_of(name, receipt_json(row, at)))
        if fact.outcome in (AssessOutcome.RETRACTION, AssessOutcome.CORRECTION):
            known = self._withdrawn.get(name)
            if known is None or fact.below_version > known.below:
                self._withdrawn[name] = Withdrawal(
                    institution=fact.institution, below_version=fact.below_version, at=fact.accepted_at
                )
        if (receipt := told(name, self._versions.get(name, []), self._withdrawn.get(name))) is not None:
            self.receipts[name] = receipt

    def changed(self, change: CaseChange) -> None:
        self._count(f"action_{change.outcome.value}:{change.kind.value if change.kind else 'unreadable'}")
        if change.figure_changes is not None:
            self._tally(change_leaves(change.figure_changes))
        row = msgspec.json.decode(dump(change), type=ChangeRow)
        waits = change.action_id and change.kind not in _NOBODY_WAITS and not row.sent_on
        if waits and change.outcome is not ActionOutcome.REDELIVERY:
            self.actions[change.action_id or ""] = CaseChange.model_validate_json(row.answer())
        case = change.case
        if case is not None and (case.case_id not in self.cases or case.revision > self.cases[case.case_id].revision):
            self.cases[case.case_id] = case
            if self._since.get(case.case_id, (None, 0))[0] != (place := _place(case)):
                self._since[case.case_id] = place, instant_ms(change.at)
            if case.status not in OUT_OF_QUEUE:
                self._stood.add(place)

    def decided(self, change: OversightChange) -> None:
        row = msgspec.json.decode(dump(change), type=OverseenRow)
        if change.action_id and change.outcome is not ActionOutcome.REDELIVERY:
            self.changes[change.action_id] = OversightChange.model_validate_json(row.answer())
        if change.figure_changes is not None:
            self._tally(change_leaves(change.figure_changes))
        if change.about is not None and (after := change.record) is not None:
            known = self.records.get(change.about)
            if known is None or after.revision > known.revision:
                self.records[change.about] = after

    def _count(self, name: str) -> None:
        self.counted[name] = self.counted.get(name, 0) + 1

    def _tally(self, leaves: Iterable[Leaf]) -> None:
        for kind, party, at, figure, n in leaves:
            day = today(at)
            for period in (day, day[:7], day[:4]):
                figures = self.books.setdefault((kind, period), {}).setdefault(party, {})
                figures[figure] = figures.get(figure, 0) + n

    # cases and records

    async def overseen(self, about: str) -> Record | None:
        self._here()
        return self.records.get(about)

    async def all_overseen(self, part: str) -> list[Record]:
        self._here()
        return [record for name, record in sorted(self.records.items()) if part in LISTED and name.startswith(f"{part}:")]

    async def oversight_action(self, action_id: str) -> OversightChange | None:
        self._here()
        return self.changes.get(action_id)

    async def receipt(self, signal_id: str) -> Receipt | None:
        self._here()
        return self.receipts.get(signal_id)

    async def case(self, case_id: str) -> Case | None:
        self._here()
        return self.cases.get(case_id)

    async def action(self, action_id: str) -> CaseChange | None:
        self._here()
        return self.actions.get(action_id)

    async def page(self, queue: str, *, limit: int, after: Cursor | None = None) -> Page:
        self._here()
        ranked = sorted(
            (Cursor(float(rank_of(case.score, instant_ms(case.opened_at))), case.case_id), case)
            for case in self.cases.values()
            if case.queue == queue and case.status not in OUT_OF_QUEUE
        )
        ranked.reverse()
        below = [(cursor, case) for cursor, case in ranked if after is None or cursor < after]
        chosen = below[:limit]
        return Page([case for _, case in chosen], chosen[-1][0] if len(below) > limit else None)

    async def standings(self) -> list[Standing]:
        self._here()
        found: dict[Place, list[int]] = {place: [] for place in self._stood}
        for name, case in self.cases.items():
            if case.status not in OUT_OF_QUEUE:
                place, since_ms = self._since.get(name, (None, 0))
                at_ms = since_ms if place == _place(case) else instant_ms(case.opened_at)
                found.setdefault(_place(case), []).append(at_ms)
        rows = sorted(found.items())
        return [Standing(queue, severity, status, len(at), min(at, default=0)) for (status, severity, queue), at in rows]

    async def search(self, token: str, mine: Callable[[str], bool], *, now_ms: int, limit: int) -> Found:
        self._here()
        found = [case for case in self._named(token) if mine(case.queue)]
        listed = [ListedCase.model_validate_json(dump(case)) for case in found[:limit]]
        hub = any(is_hub_in(dump(case), token) for case in found[:limit])
        return Found(cast("list[Case]", listed), len(found) > limit, hub)

    def _named(self, token: str) -> list[Case]:
        """The cases of an indicator, the one with the newest signal first: by the facts, and by the signals of cases that a test
        has put there."""
        at = {name: newest for name, case in self.cases.items() if (newest := _newest(case, token)) is not None}
        at |= {name: newest for name, newest in self._index.get(token, {}).items() if name in self.cases}
        return [self.cases[name] for name in sorted(at, key=lambda name: (at[name], name), reverse=True)]

    async def trail(
        self, tokens: Collection[str], cases: Collection[str], *, known: Set[str], now_ms: int, most: int
    ) -> TrailRead:
        self._here()
        named = {token: [case.case_id for case in self._named(token)] for token in sorted(tokens)}
        wanted = dict.fromkeys([*cases, *(name for names in named.values() for name in names[:most])])
        found: list[TrailCase] = []
        seen = set(known)
        for _ in range(STEPS_FOLLOWED):
            asked = [self.cases[name] for name in wanted if name not in seen and name in self.cases]
            seen.update(wanted)
            read = [msgspec.json.decode(dump(case), type=TrailCase) for case in asked]
            found += read
            wanted = dict.fromkeys(sorted({name for case in read for name in case.elsewhere}))
        return TrailRead(found, frozenset(token for token, names in named.items() if len(names) > most))

    async def counters(self) -> dict[str, int]:
        self._here()
        return self.counted

    async def book(self, kind: CardKind, period: str) -> dict[str, dict[str, int]]:
        self._here()
        parties = sorted({party for (one, _), rows in self.books.items() if one is kind for party in rows})
        rows = self.books.get((kind, period), {})
        return {party: {name: n for name, n in rows.get(party, {}).items() if n} for party in parties}

    # inboxes

    def issue(self, *issued: Issued) -> None:
        """What `deliver` and `project` do: each notice behind the others; one that stands there already keeps its place."""
        for one in issued:
            notice, offset = one.notification, 10 * len(self.notices) + 7
            key = notice.recipient, notice.notification_id
            if any(
                key == (entry.issued.notification.recipient, entry.issued.notification.notification_id) for entry in self.notices
            ):
                continue
            self.notices.append(Noticed(offset, one, self._deliveries.get(key, Delivery())))
            self.rang(notice.recipient, "")

    def mark(self, one: DeliveryMark) -> None:
        """Marks may come in any order, and before their notice."""
        if one.state not in SLOTS:
            return
        key = one.recipient, one.notification_id
        self._deliveries[key] = _marked(self._deliveries.get(key, Delivery()), one)
        if one.endpoint_id is not None:
            listed = self._parked.setdefault((one.recipient, one.endpoint_id), {})
            if one.state is DeliveryState.PARKED:
                listed[one.notification_id] = max(one.at, listed.get(one.notification_id, one.at))
            else:
                listed.pop(one.notification_id, None)
        for at, entry in enumerate(self.notices):
            if (entry.issued.notification.recipient, entry.issued.notification.notification_id) == key:
                self.notices[at] = entry._replace(delivery=self._deliveries[key])
                if one.state is DeliveryState.REDELIVERED:
                    self.rang(one.recipient, notification_name(member_of(one.recipient, one.notification_id, 0)))

    # webhooks

    def register(self, one: Endpoints) -> None:
        """What `project` makes of a record: of one revision the first counts."""
        known = self.hooked.get(one.institution)
        if known is None or one.revision > known.revision:
            self.hooked[one.institution] = one

    async def endpoints(self, institution: str) -> Endpoints | None:
        self._here()
        return self.hooked.get(institution)

    async def parked(self, recipient: str, endpoint_id: str, *, limit: int) -> Parked:
        self._here()
        listed = self._parked.get((recipient, endpoint_id), {})
        entries = {one.issued.notification.notification_id: one for one in self._of(recipient)}
        found = [
            entries[name]
            for at, _, name in sorted(((at, n, name) for n, (name, at) in enumerate(listed.items())), reverse=True)
            if name in entries and _still_parked(entries[name].delivery, at)
        ]
        return Parked(found[:limit], len(found) > limit)

    def _of(self, recipient: str) -> list[Noticed]:
        return [one for one in self.notices if one.issued.notification.recipient == recipient]

    async def inbox(self, recipient: str, *, after: int, limit: int) -> Inbox:
        self._here()
        found = [one for one in self._of(recipient) if one.offset > after]
        return Inbox("log-1", found[:limit], len(found) > limit)

    async def unreceived(self, recipient: str, *, upto: int, limit: int) -> list[Noticed]:
        self._here()
        found = [one for one in self._of(recipient) if one.offset <= upto]
        return [one for one in found if one.delivery.received is None and one.delivery.acknowledged is None][:limit]

    async def noticed(self, recipient: str, name: str) -> Noticed | None:
        self._here()
        for one in self._of(recipient):
            if notification_name(member_of(recipient, one.issued.notification.notification_id, 0)) == name:
                return one
        return None

    async def of_case(self, case_id: str) -> list[Addressed]:
        """Without their places: who asks for a case's notices reads no inbox."""
        self._here()
        found = [one._replace(offset=-1) for one in self.notices if one.issued.notification.case_id == case_id]
        found.sort(key=lambda one: one.issued.notification.at)
        return [Addressed(one.issued.notification.recipient, one) for one in found]


def _place(case: Case) -> Place:
    return case.status.value, case.severity, case.queue


def _newest(case: Case, token: str) -> datetime | None:
    """When the newest signal that names it was accepted; also one that went on to where the case was merged to."""
    named = (signal.accepted_at for signal in case.signals if any(token == one.token for one in signal.subjects))
    return max(named, default=None)


def _marked(delivery: Delivery, one: DeliveryMark) -> Delivery:
    """Of the first two slots the earliest mark counts, of the others the latest."""
    slot, new = one.state.value, Reached(one.at, one.channel, one.attempt)
    held: Reached | None = getattr(delivery, slot)
    if held is not None:
        first = one.state in (DeliveryState.RECEIVED, DeliveryState.ACKNOWLEDGED)
        new = (min if first else max)(held, new, key=lambda mark: (mark.at, mark.attempt, WAYS.index(mark.way)))
    detail = {"detail": one.detail} if one.state is DeliveryState.PARKED and new != held else {}
    return delivery._replace(**{slot: new}, **detail)


def _still_parked(delivery: Delivery, at: datetime) -> bool:
    return delivery.acknowledged is None and (delivery.redelivered is None or delivery.redelivered.at <= at)


def signal(reference: str | None = "ref-1", **changes: Any) -> dict[str, Any]:
    """A valid body."""
    body: dict[str, Any] = {
        "kind": "telecom_fraud",
        "occurred_at": "2026-03-02T15:58:00+08:00",
        "region": "630202",
        "amount": {"minor": 1_200_000},
        "indicators": [{"kind": "account", "value": "6222 0210 0101 234"}, {"kind": "phone", "value": "13800001234"}],
        "narrative": "冒充公安",
    }
    if reference is not None:
        body["reference"] = reference
    return {**body, **changes}


def ndjson(*bodies: dict[str, Any] | bytes) -> bytes:
    """Lines; bytes go in as they are."""
    return b"\n".join(body if isinstance(body, bytes) else json.dumps(body).encode() for body in bodies) + b"\n"


def a_case(tokenizer: Tokenizer, sealer: Sealer, n: int = 1, *, score: int = 60, queue: str = QUEUE, **changes: Any) -> Case:
    """A case with one signal, its values sealed as `protect` does."""
    name, token = f"sig-{n}", tokenizer.token("account", f"62220210010{n:04d}")
    subject = Subject(kind="account", role="suspect", token=token, sealed=sealer.seal(f"62220210010{n:04d}", f"{name}/{token}"))
    joined = JoinedSignal(
        signal_id=name,
        institution=changes.pop("institution", "bank-001"),
        kind="telecom_fraud",
        occurred_at=T0,
        accepted_at=T0,
        region="630202",
        amount_minor=100,
        currency="CNY",
        score=score,
        severity="high" if score >= 60 else "medium",
        reasons=(),
        subjects=(subject,),
        narrative_sealed=sealer.seal("冒充公安", f"{name}/narrative"),
    )
    case = Case(
        case_id=f"case-{n}",
        queue=queue,
        revision=1,
        status=CaseStatus.OPEN,
        opened_at=from_ms(instant_ms(T0) + n * 1000),
        changed_at=T0,
        primary_subject=subject,
        primary_signal_id=name,
        score=score,
        severity=joined.severity,
        kinds=("telecom_fraud",),
        institutions=(joined.institution,),
        signal_count=1,
        amount_minor={"CNY": 100},
        signals=(joined,),
        tally=counted(EMPTY, joined),
    )
    return case.model_copy(update=changes)


def with_the_loop(case: Case, tokenizer: Tokenizer, sealer: Sealer) -> Case:
    """The case with a stop at bank-001, a dissuasion and an appeal, each `…-<n>-known`, sealed as the gateway does."""
    n = case.case_id.removeprefix("case-")
    order_id, dissuasion_id, appeal_id = (f"{form}-{n}-known" for form in ("ord", "dissuasion", "obj"))
    account, phone = case.primary_subject.token, tokenizer.token("phone", "+8613900005678")
    verify = Verify(
        name_sealed=sealer.seal("王某", f"{order_id}/name"),
        account_sealed=sealer.seal("622202100100001", f"{order_id}/account"),
        amount_minor=100,
        occurred_at=T0,
    )
    order = Order(
        order_id=order_id,
        kind="stop_payment",
        case_id=case.case_id,
        agency=case.queue,
        recipient="bank-001",
        state="issued",
        issued_by="officer-7",
        drafted_at=T0,
        issued_at=T0,
        subject=Subject(kind="account", role="suspect", token=account, sealed=sealer.seal("6222", f"{order_id}/{account}")),
        verify=verify,
        verify_fields=("name", "account", "amount", "time"),
        amount_minor=100,
        currency="CNY",
        validity_deadline="emergency_stop",
        answer_deadline="order_answer",
        valid_until=T0 + timedelta(hours=48),
        answer_by=T0 + timedelta(minutes=30),
        history=(OrderMoved(at=T0, actor="officer:officer-7", event="issue", state="issued"),),
    )
    dissuasion = Dissuasion(
        dissuasion_id=dissuasion_id,
        case_id=case.case_id,
        agency=case.queue,
        person=Subject(
            kind="phone", role="victim", token=phone, sealed=sealer.seal("+8613900005678", f"{dissuasion_id}/{phone}")
        ),
        reachable_by=(
            Reach(party="bank-001", party_type="bank"),
            Reach(party="police-station-ledu", party_type="police_station"),
        ),
        state="open",
        opened_at=T0,
        changed_at=T0,
    )
    appeal = Appeal(
        appeal_id=appeal_id,
        case_id=case.case_id,
        state="filed",
        filed_through="bank-001",
        filed_at=T0,
        changed_at=T0,
        orders=(order_id,),
        text_sealed=sealer.seal("这是我的工资", f"{appeal_id}/text"),
    )
    return case.model_copy(update={"orders": (order,), "dissuasions": (dissuasion,), "appeals": (appeal,)})


def lines(response: httpx.Response) -> list[dict[str, Any]]:
    return [json.loads(line) for line in response.content.splitlines()]


async def in_pieces(body: bytes, size: int) -> AsyncIterator[bytes]:
    for start in range(0, len(body), size):
        yield body[start : start + size]
