"""The examples of the loop: a small story of measures, orders, dissuasions, appeals and clocks, as the stages write it.

A bank reports a transfer, another bears it out; the officer acknowledges, orders a stop and asks for a dissuasion; a time runs
out; the account's holder objects. Of two cases one is transferred; signals are split off a case and merged into it again. What
was frozen goes back pro rata.
"""

from __future__ import annotations

from typing import Any

from schemas.appeals import AppealRequest
from schemas.cases.case import Action, CaseChange
from schemas.codec import decode, encode
from schemas.dissuasion import DissuasionEvent
from schemas.signals.subjects import Subject
from schemas.topics import CASE_CHANGES, CASE_COMMANDS, SUBMITTED, Topic
from tests.support.builders import SEALER, TOKENIZER, account, after, move, phone, submission, submitted
from tests.support.order_builders import ask, event, issue, measure

BANK, POLICE = "bank-001", "officer:officer-a"
ORDER, DISSUASION, APPEAL = "ord-1", "dissuasion-1", "obj-1"


def _subject(context: str, kind: str, value: str, role: str = "suspect") -> Subject:
    token = TOKENIZER.token(kind, value)
    return Subject.trusted(kind=kind, role=role, token=token, sealed=SEALER.seal(value, f"{context}/{token}"))


class Story:
    """Polls every stage after each record; gathers the actions and what became of them."""

    def __init__(self, world: Any) -> None:
        self.world = world
        self.found: dict[Topic, dict[str, bytes]] = {CASE_COMMANDS: {}, CASE_CHANGES: {}}

    async def settled(self) -> None:
        for stage in ("assess", "track", "deliver", "track", "project"):
            await self.world.poll(stage, 0)
        self.world.clock.forward(2)

    async def act(self, action: Action, actor: str) -> None:
        value = encode(
            CASE_COMMANDS, action, id=action.action_id, source="/gateway", actor=actor, time=after(), subject=action.case_id
        )
        self.world.submit(action.case_id.encode(), value, CASE_COMMANDS)
        await self.settled()

    async def officer(self, kind: str, case_id: str, officer: str = "officer-a", **more: Any) -> None:
        usual = {"action_id": f"act-{kind}-{case_id}", "queue": "public-security-630222"}
        await self.act(move(kind, officer, case_id, **{**usual, **more}), f"officer:{officer}")

    async def party(self, kind: str, case_id: str, name: str, actor: str, **payload: Any) -> None:
        fields = {"officer": actor.partition(":")[2]} if actor.startswith("officer") else {}
        made = Action.trusted(
            action_id=f"act-{name}", case_id=case_id, kind=kind, queue="public-security-630222", **fields, **payload
        )
        await self.act(made, actor)

    def gather(self) -> dict[Topic, dict[str, bytes]]:
        for record in self.world.log.all(CASE_COMMANDS):
            data = decode(CASE_COMMANDS, record.value).data
            self.found[CASE_COMMANDS].setdefault(_named(data, data.kind.value), record.value)
        for record in self.world.log.all(CASE_CHANGES):
            change = decode(CASE_CHANGES, record.value).data
            assert change.outcome == "applied", (change.kind, change.detail)
            self.found[CASE_CHANGES].setdefault(f"applied_{change.kind.value}" + "_with_notice" * _waits(change), record.value)
        return self.found


def _named(action: Action, kind: str) -> str:
    if action.order is not None:
        draft = action.order.draft
        pro_rata = draft is not None and draft.method is not None
        typed = draft is not None and draft.basis_sealed is not None
        return f"order_{action.order.kind.value}" + "_pro_rata" * pro_rata + "_sealed_basis" * typed
    return f"appeal_{action.appeal.action.value}" if action.appeal is not None else kind


def _waits(change: CaseChange) -> bool:
    return change.case is not None and any(one.public_notice_until is not None for one in change.case.orders)


async def loop_story() -> dict[Topic, dict[str, bytes]]:
    from tests.support.world import World

    world = await World(workers=1).up()
    story = Story(world)
    fraud = {"region": "630222", "occurred_at": after(minutes=-9), "narrative": None}
    for who, reference in (("bank-003", "TF/90"), (BANK, "2026-000130"), ("bank-002", "TF/91")):
        indicators = [account(7), phone(71), phone(72, "victim")]
        world.submit(*submission(submitted(who, reference, indicators=indicators, **fraud)), SUBMITTED)
        await story.settled()
    case = next(iter(await _cases(story)))
    await _handled(story, case)
    await _moved(story, case)
    await _returned(story, case.case_id)
    return story.gather()


async def _handled(story: Story, case: Any) -> None:
    name, bank = case.case_id, f"institution:{BANK}"
    await story.officer("acknowledge", name)
    done = measure("warned", "m-1", done_at=after(minutes=-5), reaction="insisted")
    await story.party("measure", name, "measure-1", bank, measure=done)
    await story.officer("claim", name)
    verify = {
        "name_sealed": SEALER.seal("张三", f"{ORDER}/verify.name"),
        "account_sealed": SEALER.seal("6222021000000007", f"{ORDER}/verify.account"),
        "amount_minor": 1_200_000,
        "occurred_at": after(minutes=-9),
    }
    subject = _subject(ORDER, "account", "6222021000000007")
    stop = issue("stop_payment", ORDER, case_id=name, subject=subject, verify=verify, amount_minor=800_000)
    await story.party("order", name, "order-1", POLICE, order=stop)
    fields = ("name", "account", "amount", "time")
    await story.party("order", name, "order-2", bank, order=event("verify", ORDER, verified_fields=fields))
    await story.party("order", name, "order-3", bank, order=event("execute", ORDER, amount_minor=800_000))
    person = _subject(DISSUASION, "phone", "+8613900000072", "victim")
    await story.party("dissuasion", name, "dissuasion-1", POLICE, dissuasion=ask(case_id=name, person=person))
    await story.party(
        "dissuasion",
        name,
        "dissuasion-2",
        bank,
        dissuasion=DissuasionEvent(event_id="act-dissuasion-2", dissuasion_id=DISSUASION, kind="take"),
    )
    words = SEALER.seal("这笔是我的货款，请核实。", f"{APPEAL}/text")
    lodged = AppealRequest(
        request_id="act-appeal-1", appeal_id=APPEAL, case_id=name, action="file", party=BANK, text_sealed=words
    )
    await story.party("appeal", name, "appeal-1", bank, appeal=lodged)
    story.world.clock.forward(8 * 60)
    waits = next(one for one in (await _now(story, name)).deadlines if (one.name, one.about) == ("warn", "bank-002"))
    due = {"deadline": waits.name, "run": waits.run, "step": waits.step}
    await story.party("deadline_due", name, f"due-{name}-warn-{waits.run}-{waits.step}", "stage:timekeeper", due=due)


async def _moved(story: Story, case: Any) -> None:
    """Another case of the same unit: split, merged again, disposed of, closed, opened again, transferred."""
    fraud = {"region": "630222", "occurred_at": after(minutes=-4), "narrative": None}
    for who, reference in (("bank-003", "TF/92"), ("bank-004", "x-1"), ("pay-001", "IF-9")):
        story.world.submit(*submission(submitted(who, reference, indicators=[account(8)], **fraud)), SUBMITTED)
        await story.settled()
    other = next(one for one in await _cases(story) if one.case_id != case.case_id and "bank-004" in one.institutions)
    name, part = other.case_id, f"{other.case_id}~1"
    await story.officer("claim", name, action_id="act-claim-2")
    await story.officer("split", name, signals=[other.signals[0].signal_id])
    await story.officer("claim", part, action_id="act-claim-3")
    await story.officer("merge", part, into_case_id=name, queue=other.queue)
    await story.officer("dispose", name, disposition="confirmed")
    await story.officer("close", name)
    await story.officer("reopen", name, note_sealed=SEALER.seal("新的线索，需要复核。", f"{name}/note"))
    await story.officer("transfer", name, queue="public-security-630200")


async def _returned(story: Story, name: str) -> None:
    """A freeze takes the place of the stop; some of it goes back pro rata, after a notice that was given the day before."""
    freeze, back, bank = "ord-2", "ord-3", f"institution:{BANK}"
    await story.officer("claim", name, action_id="act-claim-4")
    subject = _subject(freeze, "account", "6222021000000007")
    basis = {"basis_sealed": SEALER.seal("张三报案，条例第二十二条", f"{freeze}/basis")}
    more = {"related_order_id": ORDER, "subject": subject, "verify": None, "amount_minor": 800_000, "currency": "CNY", **basis}
    order = issue("freeze", freeze, case_id=name, **more)
    await story.party("order", name, "order-4", POLICE, order=order)
    await story.party("order", name, "order-5", bank, order=event("execute", freeze, amount_minor=800_000))
    more = {
        "related_order_id": freeze,
        "amount_minor": 300_000,
        "currency": "CNY",
        "method": "pro_rata",
        "public_notice_at": after(days=-1),
    }
    await story.party("order", name, "order-6", POLICE, order=issue("return_funds", back, case_id=name, **more))
    await story.party("order", name, "order-7", "officer:officer-b", order=event("approve", back))


async def _cases(story: Story) -> list[Any]:
    """Every case as it is, the newest revision of each."""
    found: dict[str, Any] = {}
    for record in story.world.log.all(CASE_CHANGES):
        case = decode(CASE_CHANGES, record.value).data.case
        if case is not None and (case.case_id not in found or found[case.case_id].revision < case.revision):
            found[case.case_id] = case
    return list(found.values())


async def _now(story: Story, case_id: str) -> Any:
    return next(one for one in await _cases(story) if one.case_id == case_id)
