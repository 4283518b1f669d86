"""Builders: a realistic record of each kind in one call, at the fixed instant T0, with fixed test keys."""

from __future__ import annotations

from base64 import b64encode
from datetime import UTC, datetime, timedelta
from typing import Any

from schemas.cases.case import Action, ActionKind, JoinedSignal
from schemas.codec import encode
from schemas.common import instant_ms
from schemas.envelope import Origin
from schemas.policy import Policy
from schemas.security import AesGcmSealer, Keyring, PlaceCipher, Tokenizer, opened
from schemas.security.signal_protection import protect, signal_id
from schemas.signals.assessed import AssessedSignal
from schemas.signals.hubs import Hubs
from schemas.signals.retraction import FOREVER, Contribution, Retraction
from schemas.signals.submission import SignalIn, SubmittedSignal
from schemas.topics import ASSESSED, CASE_CHANGES, CASE_COMMANDS, RETRACTIONS, SUBMITTED, Topic
from stream_processors.domain.cases import decide as case
from stream_processors.domain.signals import decision as assess
from stream_processors.domain.signals.features import Features, Observed
from stream_processors.runtime.settings import SHIPPED_POLICY, load_policy

T0 = datetime(2026, 3, 2, 1, 0, tzinfo=UTC)
T0_MS = instant_ms(T0)

KEYRING = Keyring(
    current="k1",
    token_keys={"k1": b64encode(b"a token key of the tests, 32 B!!!").decode()},
    sealing_keys={"k1": b64encode(b"a sealing key of the tests, 32B!").decode()},
)
TOKENIZER = Tokenizer(KEYRING)
SEALER = AesGcmSealer(KEYRING)
PLACES = PlaceCipher(KEYRING)
POLICY = load_policy(SHIPPED_POLICY)
HOTLINE = {"kind": "phone", "value": "95588", "role": "suspect"}
CROWDED = Policy.model_validate(
    {
        **POLICY.model_dump(),
        "hubs": {
            "max_primary_subjects": 4,
            "listed": [{"name": "hotline", "kind": "phone", "value": "95588", "owner": "bank-009"}],
        },
    }
)
"""A policy by which hubs occur often."""


def after(**span: float) -> datetime:
    """T0 and a bit: `after(minutes=5)`."""
    return T0 + timedelta(**span)


def body(**over: Any) -> SignalIn:
    """What a bank posts: a fraud of 12,000 yuan to a phone's owner."""
    fields: dict[str, Any] = {
        "kind": "telecom_fraud",
        "occurred_at": T0,
        "region": "630202",
        "amount": {"minor": 1_200_000, "currency": "CNY"},
        "indicators": [{"kind": "phone", "value": "13800001234"}],
        "narrative": "冒充客服，要求转账到安全账户",
    }
    return SignalIn.model_validate({**fields, **over})


def phone(number: int, role: str = "suspect") -> dict[str, str]:
    return {"kind": "phone", "value": f"138{number:08d}", "role": role}


def account(number: int, role: str = "suspect") -> dict[str, str]:
    return {"kind": "account", "value": f"62220210{number:08d}", "role": role}


def submitted(institution: str = "bank-001", reference: str = "r-1", *, hubs: Hubs = POLICY.hubs, **over: Any) -> SubmittedSignal:
    """A protected signal. `over` changes its body."""
    whole = body(**over)
    return protect(whole, institution=institution, reference=reference, tokenizer=TOKENIZER, sealer=SEALER, hubs=hubs)


def reference_of(one: SubmittedSignal | AssessedSignal) -> str | None:
    """The sender's own name of the signal; None in the fact of a record that cannot be read."""
    return opened(SEALER, one.reference_sealed, f"{one.signal_id}/reference")


def submission(signal: SubmittedSignal) -> tuple[bytes, bytes]:
    """Key and value as the gateway appends them."""
    value = encode(
        SUBMITTED,
        signal,
        id=signal.signal_id,
        source="/gateway",
        actor=f"institution:{signal.institution}",
        time=T0,
        subject=signal.signal_id,
    )
    return signal.primary.token.encode(), value


def retraction(institution: str = "bank-001", reference: str = "r-1", below: int = FOREVER) -> Retraction:
    """What takes a signal back, or the versions of it below a number."""
    return Retraction(signal_id=signal_id(TOKENIZER, institution, reference), institution=institution, below_version=below)


def retraction_record(one: Retraction) -> tuple[bytes, bytes]:
    """Key and value as the gateway appends them."""
    value = encode(
        RETRACTIONS,
        one,
        id=f"retract-{one.signal_id}",
        source="/gateway",
        actor=f"institution:{one.institution}",
        time=T0,
        subject=one.signal_id,
    )
    return one.signal_id.encode(), value


def nothing_known(signal: SubmittedSignal, source: str = "0:0", **features: int) -> Observed:
    """What an empty state says about the record at `source`."""
    return Observed(source, signal.body_id, None, Features(**features), frozenset())


def fact(signal: SubmittedSignal, source: str = "0:0", now: datetime = T0, **features: int) -> AssessedSignal:
    """The fact of a signal that nothing was known about, but for the features given."""
    observed = nothing_known(signal, source, **features)
    return assess.decide(signal, observed=observed, source=source, policy=POLICY, now=now, emitted=0)


def joined(**over: Any) -> JoinedSignal:
    """A signal as its case sees it."""
    found = fact(submitted())
    return JoinedSignal.trusted(**{**{name: getattr(found, name) for name in JoinedSignal.model_fields}, **over})


def join(case_id: str = "case-1", action_id: str | None = None, **over: Any) -> Action:
    signal = joined(**over)
    name = action_id or f"join-{signal.signal_id}-q"
    return Action.trusted(action_id=name, case_id=case_id, kind=ActionKind.JOIN, queue="public-security-630202", signal=signal)


def taken_back(signal: JoinedSignal, case_id: str = "case-1") -> Action:
    """The retraction of a signal from its case, as assess asks for it."""
    shared = {name: getattr(signal, name) for name in JoinedSignal.model_fields if name in Contribution.model_fields}
    gone = Contribution.trusted(**shared, content_id="c", primary=signal.subjects[0].token, queues=("public-security-630202",))
    return Action.trusted(
        action_id=f"retract-{gone.name}-q",
        case_id=case_id,
        kind=ActionKind.RETRACT,
        queue="public-security-630202",
        retracted_contribution=gone,
    )


def move(kind: str, officer: str = "officer-a", case_id: str = "case-1", **over: Any) -> Action:
    """An officer's action, with what its kind needs."""
    fields: dict[str, Any] = {"action_id": f"act-{kind}-{officer}", "queue": "public-security-630202", **_NEEDS.get(kind, {})}
    return Action.model_validate({**fields, "case_id": case_id, "kind": kind, "officer": officer, **over})


_NEEDS: dict[str, dict[str, Any]] = {
    "dispose": {"disposition": "confirmed"},
    "hand_over": {"to_officer": "officer-b"},
    "transfer": {"queue": "financial-regulator-630200"},
    "merge": {"into_case_id": "case-0"},
    "split": {"signals": ["sig-more"]},
    "reopen": {"note_sealed": "k1.why"},
}


def action_record(action: Action, origin: Origin | None = None, actor: str | None = None) -> tuple[bytes, bytes]:
    """Key and value of an action as the gateway (no origin) or assess (a join's origin) appends it."""
    actor = actor or (f"officer:{action.officer}" if action.officer else "stage:assess")
    source = "/gateway" if action.officer else "/assess"
    value = encode(
        CASE_COMMANDS, action, id=action.action_id, source=source, actor=actor, time=T0, origin=origin, subject=action.case_id
    )
    return action.case_id.encode(), value


def fact_record(data: Any, topic: Topic, partition: int, offset: int, now: datetime = T0, actor: str = "stage:test") -> bytes:
    """The value of a fact about the source record at `partition`/`offset`."""
    source = {ASSESSED.name: SUBMITTED, CASE_CHANGES.name: CASE_COMMANDS}[topic.name]
    origin = Origin(source.name, partition, offset)
    return encode(topic, data, id=f"{topic.name}-{partition}:{offset}", source="/test", actor=actor, time=now, origin=origin)


def opened_case(now: datetime = T0, **over: Any) -> Any:
    """A case with one signal, at revision 1."""
    change = case.decide(action=join(**over), actor="stage:assess", case=None, policy=POLICY, now=now)
    assert change.case is not None
    return change.case


def case_in(state: str) -> Any:
    """A case of two signals in a state of its table; `lease_expired` is a claimed one, seen a day later."""
    found = opened_case()
    ways: dict[str, tuple[str, ...]] = {
        "claimed": ("claim",),
        "lease_expired": ("claim",),
        "disposed": ("claim", "dispose"),
        "closed": ("claim", "dispose", "close"),
        "merged": ("claim", "merge"),
    }
    more = join(action_id="join-more", signal_id="sig-more", institution="bank-002")
    for action in (more, *(move(kind) for kind in ways.get(state, ()))):
        actor = f"officer:{action.officer}" if action.officer else "stage:assess"
        change = case.decide(action=action, actor=actor, case=found, policy=POLICY, now=T0)
        assert change.case is not None, change.detail
        found = change.case
    return found


def held_case(officer: str = "officer-a", now: datetime = T0) -> Any:
    """The same, claimed: revision 2."""
    change = case.decide(action=move("claim", officer), actor=officer, case=opened_case(), policy=POLICY, now=now)
    assert change.case is not None
    return change.case
