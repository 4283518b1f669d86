"""Puts work before a stage, in a process of its own: protected signals, officers' moves on the cases that were joined, or the
loop of these cases: measures, orders and their answers, clocks.

Invariant: what it appends is what the gateway would have appended, through the same functions.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Iterable, Iterator
from datetime import UTC, datetime
from itertools import islice
from typing import Any

from pydantic import ValidationError

from deploy.demo.generate import generate
from schemas.cases.case import Action, ActionKind, Disposition
from schemas.codec import decode, encode
from schemas.deadlines import DeadlineStep, Due
from schemas.measures import Channel, Measure, MeasureKind, Reaction
from schemas.orders.kinds import OrderKind
from schemas.orders.order import OrderDraft, OrderEvent, OrderEventKind, Verify, VerifyField
from schemas.security import AesGcmSealer, Tokenizer
from schemas.security.signal_protection import protect
from schemas.signals.submission import SignalIn
from schemas.topics import CASE_COMMANDS, SUBMITTED
from stream_processors.runtime.kafka import KafkaLog
from stream_processors.runtime.settings import Settings
from tests.bench.harness import answer, request

CHUNK = 2000
LOOP_STEPS = 7
Keyed = tuple[bytes, bytes]


def signals(settings: Settings, count: int, seed: int) -> Iterator[Keyed]:
    keyring = settings.keyring()
    tokenizer, sealer = Tokenizer(keyring), AesGcmSealer(keyring)
    for planned in generate(count, seed=seed, run=f"bench{seed}"):
        try:
            body = SignalIn.model_validate(planned.body)
        except ValidationError:
            continue
        reference = body.reference or ""
        signal = protect(body, institution=planned.institution, reference=reference, tokenizer=tokenizer, sealer=sealer)
        actor, name = f"institution:{planned.institution}", signal.signal_id
        value = encode(SUBMITTED, signal, id=name, source="/gateway", actor=actor, time=datetime.now(UTC), subject=name)
        yield signal.primary.token.encode(), value


async def cases(log: KafkaLog) -> AsyncIterator[Action]:
    """Each joined case once, by the join that was the first."""
    seen: set[str] = set()
    for partition, end in (await log.ends(CASE_COMMANDS)).items():
        async for records in log.read(CASE_COMMANDS, partition, 0, end):
            for record in records:
                action: Action = decode(CASE_COMMANDS, record.value).data
                if action.kind is ActionKind.JOIN and action.case_id not in seen:
                    seen.add(action.case_id)
                    yield action


def loop(found: Iterable[Action], count: int, seed: int) -> Iterator[Keyed]:
    """A case's loop, over and over: claimed, warned, a stop that is compared and executed, a clock that is asked for, given back
    or disposed of (a false alarm releases what was ordered)."""
    rng, known = random.Random(seed), list(found)
    for number in range(0, count, LOOP_STEPS):
        joined = rng.choice(known)
        signal, officer = joined.signal, f"officer:officer-{rng.randrange(40)}"
        assert signal is not None
        bank, name = f"institution:{signal.institution}", f"bench-{seed}-{number}"
        subject, at = signal.subjects[0], datetime.now(UTC)
        verify = Verify(name_sealed="k1.name", account_sealed="k1.account", amount_minor=50_000 + number, occurred_at=at)
        draft = OrderDraft(
            order_id=name,
            kind=OrderKind.STOP_PAYMENT,
            case_id=joined.case_id,
            agency=joined.queue,
            recipient=signal.institution,
            subject=subject,
            verify=verify,
            amount_minor=50_000,
            currency="CNY",
        )
        warned = {"kind": MeasureKind.WARNED, "channel": Channel.CALL, "reaction": Reaction.HESITATED}
        measure = Measure(measure_id=name, institution=signal.institution, done_at=at, recorded_at=at, **warned)
        due = Due(deadline="acknowledge", run=1, step=DeadlineStep.DUE)
        ended = Disposition.FALSE_POSITIVE if rng.random() < 0.5 else Disposition.CONFIRMED
        last = {"kind": ActionKind.DISPOSE, "disposition": ended} if rng.random() < 0.2 else {"kind": ActionKind.RELEASE}
        executed = {"amount_minor": 50_000, "done_at": at}
        steps: tuple[tuple[str, dict[str, Any]], ...] = (
            (officer, {"kind": ActionKind.CLAIM}),
            (bank, {"kind": ActionKind.MEASURE, "measure": measure}),
            (officer, {"kind": ActionKind.ORDER, "order": _event(name, "issue", draft=draft)}),
            (bank, {"kind": ActionKind.ORDER, "order": _event(name, "verify", verified_fields=tuple(VerifyField))}),
            (bank, {"kind": ActionKind.ORDER, "order": _event(name, "execute", **executed)}),
            ("stage:timekeeper", {"kind": ActionKind.DEADLINE_DUE, "due": due}),
            (officer, last),
        )
        for step, (actor, members) in enumerate(steps):
            role, _, who = actor.partition(":")
            officers = {"officer": who} if role == "officer" else {}
            head = {"action_id": f"{name}-{step}", "case_id": joined.case_id, "queue": joined.queue}
            action = Action.trusted(**head, **officers, **members)
            value = encode(
                CASE_COMMANDS, action, id=action.action_id, source="/gateway", actor=actor, time=at, subject=joined.case_id
            )
            yield joined.case_id.encode(), value


def _event(name: str, kind: str, **members: Any) -> OrderEvent:
    return OrderEvent(event_id=f"{name}-{kind}", order_id=name, kind=OrderEventKind(kind), **members)


def moves(found: Iterable[Action], count: int, seed: int) -> Iterator[Keyed]:
    """A working day on each case, over and over: claim, renew, hand over, release; now and then a disposal or a stale move."""
    rng, known = random.Random(seed), list(found)
    for number in range(0, count, 4):
        joined = rng.choice(known)
        case_id, queue = joined.case_id, joined.queue
        officer, other = f"officer-{rng.randrange(40)}", f"officer-{rng.randrange(40)}"
        last = ActionKind.DISPOSE if rng.random() < 0.2 else ActionKind.RELEASE
        day = ((ActionKind.CLAIM, officer), (ActionKind.RENEW, officer), (ActionKind.HAND_OVER, officer), (last, other))
        for step, (kind, who) in enumerate(day):
            action = Action.trusted(
                action_id=f"act-{seed}-{number + step}",
                case_id=case_id,
                kind=kind,
                queue=queue,
                officer=who,
                to_officer=other if kind is ActionKind.HAND_OVER else None,
                disposition=Disposition.CONFIRMED if kind is ActionKind.DISPOSE else None,
            )
            name, now = action.action_id, datetime.now(UTC)
            value = encode(CASE_COMMANDS, action, id=name, source="/gateway", actor=f"officer:{who}", time=now, subject=case_id)
            yield case_id.encode(), value


async def work(what: str, count: int, seed: int) -> int:
    settings = Settings()
    log = KafkaLog(settings, "liandong-bench-fill")
    await log.open()
    try:
        if what == "signals":
            entries, topic = signals(settings, count, seed), SUBMITTED
        else:
            make = {"moves": moves, "loop": loop}[what]
            entries, topic = make([one async for one in cases(log)], count, seed), CASE_COMMANDS
        appended = 0
        while chunk := list(islice(entries, CHUNK)):
            await log.append_keyed(topic, chunk)
            appended += len(chunk)
        return appended
    finally:
        await log.close()


if __name__ == "__main__":
    asked = request()
    answer({"appended": asyncio.run(work(asked["what"], asked["count"], asked["seed"]))})
