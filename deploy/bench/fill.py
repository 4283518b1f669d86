"""Puts work before a stage, in a process of its own: protected signals, or officers' moves on the cases that were joined.

Invariant: what it appends is what the gateway would have appended, through the same functions.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Iterable, Iterator
from datetime import UTC, datetime
from itertools import islice

from pydantic import ValidationError

from deploy.bench.setting import answer, request
from deploy.demo_data.generate import generate
from schemas.cases import Action, ActionKind, Disposition
from schemas.codec import decode, encode
from schemas.protect import AesGcmSealer, Tokenizer
from schemas.protect.submission import protect
from schemas.signals import SignalIn
from schemas.topics import ACTIONS, SUBMITTED
from stream_processors.log import KafkaLog
from stream_processors.settings import Settings

CHUNK = 2000
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


async def cases(log: KafkaLog) -> AsyncIterator[tuple[str, str]]:
    """Each joined case once, with its queue."""
    seen: set[str] = set()
    for partition, end in (await log.ends(ACTIONS)).items():
        async for records in log.read(ACTIONS, partition, 0, end):
            for record in records:
                action: Action = decode(ACTIONS, record.value).data
                if action.kind is ActionKind.JOIN and action.case_id not in seen:
                    seen.add(action.case_id)
                    yield action.case_id, action.queue


def moves(found: Iterable[tuple[str, str]], count: int, seed: int) -> Iterator[Keyed]:
    """A working day on each case, over and over: claim, renew, hand over, release; now and then a disposal or a stale move."""
    rng, known = random.Random(seed), list(found)
    for number in range(0, count, 4):
        case_id, queue = rng.choice(known)
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
                to=other if kind is ActionKind.HAND_OVER else None,
                disposition=Disposition.CONFIRMED if kind is ActionKind.DISPOSE else None,
            )
            name, now = action.action_id, datetime.now(UTC)
            value = encode(ACTIONS, action, id=name, source="/gateway", actor=f"officer:{who}", time=now, subject=case_id)
            yield case_id.encode(), value


async def work(what: str, count: int, seed: int) -> int:
    settings = Settings()
    log = KafkaLog(settings, "liandong-bench-fill")
    await log.open()
    try:
        if what == "signals":
            entries, topic = signals(settings, count, seed), SUBMITTED
        else:
            entries, topic = moves([one async for one in cases(log)], count, seed), ACTIONS
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
