"""The one table of topics: name, key, model, partitions, retention, who writes, who reads.

Topic creation, ACLs, the codec and the docs are generated from it. LogAppendTime everywhere: `now` in a decision is the
broker's time of the source record, so that a replay decides with the same clock.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from pydantic import BaseModel

from schemas.cases.case import Action, CaseChange
from schemas.common import DAY_MS
from schemas.generations import LogGeneration
from schemas.notifications.delivery import DeliveryMark, Issued
from schemas.notifications.webhook import Endpoints
from schemas.oversight.oversight import OversightAction, OversightChange
from schemas.signals.assessed import AssessedSignal, DeadLetter
from schemas.signals.receipts import RawReceipt
from schemas.signals.retraction import Retraction
from schemas.signals.submission import SignalIn, SubmittedSignal

PARTITIONS = 8
RAW_PARTITIONS = 4
OURS = "liandong-"
"""The Kafka user of our own part `assess` is `liandong-assess`; an institution's is its id."""
MAX_RECORD_BYTES = 1 << 20
FOR_EVER = 36_500
"""Days: a hundred years."""
MOST_COPIES = 3
"""A topic has one copy a broker, and three at most."""


def least_in_sync(copies: int) -> int:
    """How many copies have a record before it is acknowledged, `min.insync.replicas`. Of three copies two, so that an
    acknowledged record outlives the loss of any one broker, and one broker may be away. With fewer the loss of one would stop
    all writing, so there an acknowledgement promises one copy."""
    return 2 if copies >= MOST_COPIES else 1


@dataclass(frozen=True)
class Topic:
    """`key` says by what the records are keyed; `version` is the data's schema version, the suffix of the name.

    `party` is the institution whose own topic it is: no other may write or read there. Such topics share one `form`.
    """

    name: str
    key: str
    model: type[BaseModel]
    producers: tuple[str, ...]
    consumers: tuple[str, ...]
    retention_days: int
    partitions: int = PARTITIONS
    party: str | None = None
    form: str | None = None
    compression: str = "producer"
    is_flushed: bool = False

    @property
    def type(self) -> str:
        """The CloudEvents type."""
        return f"cn.liandong.{self.form or self.name}"

    def config(self, copies: int) -> dict[str, str]:
        """The topic's Kafka configuration where it has so many copies."""
        flushed = {"flush.messages": "1"} if self.is_flushed else {}
        return {
            "min.insync.replicas": str(least_in_sync(copies)),
            "unclean.leader.election.enable": "false",
            "message.timestamp.type": "LogAppendTime",
            "cleanup.policy": "delete",
            "compression.type": self.compression,
            "retention.ms": str(self.retention_days * DAY_MS),
            "max.message.bytes": str(MAX_RECORD_BYTES),
        } | flushed


SUBMITTED = Topic("signals.submitted.v1", "primary subject", SubmittedSignal, ("gateway", "intake"), ("assess",), 30)
RETRACTIONS = Topic("signals.retractions.v1", "signal id", Retraction, ("gateway", "assess"), ("assess",), 30)
COUNTED_DAYS = 800
"""What the year's figures are made of is kept until that year's assessment is over, from its first day on."""
ASSESSED = Topic("signals.assessed.v1", "primary subject", AssessedSignal, ("assess",), ("assess", "project"), COUNTED_DAYS)
CASE_COMMANDS = Topic("cases.commands.v1", "case id", Action, ("gateway", "assess", "deliver", "timekeeper"), ("track",), 30)
CASE_CHANGES = Topic(
    "cases.changed.v1",
    "case id",
    CaseChange,
    ("track",),
    ("track", "project", "assess", "deliver", "timekeeper"),
    COUNTED_DAYS,
)
NOTIFICATIONS = Topic("notifications.issued.v1", "recipient", Issued, ("deliver",), ("deliver", "project", "webhook"), 400)
DELIVERIES = Topic("notifications.deliveries.v1", "recipient", DeliveryMark, ("gateway", "webhook"), ("project", "webhook"), 400)
APPRAISAL_COMMANDS = Topic("appraisals.commands.v1", "what it is about", OversightAction, ("gateway",), ("oversee",), 30)
APPRAISAL_CHANGES = Topic(
    "appraisals.changed.v1", "what it is about", OversightChange, ("oversee",), ("oversee", "project"), 3660
)
"""Kept for ten years: a locked result is read and verified long after its year."""
ENDPOINTS = Topic("webhooks.endpoints.v1", "institution", Endpoints, ("gateway", "webhook"), ("project", "webhook"), FOR_EVER)
"""Few and small, and what they say is true until a newer one says otherwise, however old it is. Not compacted: of two with one
revision the first counts."""
READERS = ("gateway", "assess", "track", "deliver", "timekeeper", "webhook", "oversee", "project", "intake")
GENERATIONS = Topic(
    "log.generations.v1", "topic and partition", LogGeneration, ("recover",), READERS, FOR_EVER, partitions=1, is_flushed=True
)
"""Read by everybody at every start. The broker writes each record through to the disk: it must survive what it is about."""
DEADLETTER = Topic(
    "deadletter.v1",
    "source",
    DeadLetter,
    ("intake", "assess", "track", "deliver", "timekeeper", "webhook", "oversee", "project"),
    (),
    400,
    partitions=1,
)

TOPICS: dict[str, Topic] = {
    topic.name: topic
    for topic in (
        SUBMITTED,
        RETRACTIONS,
        ASSESSED,
        CASE_COMMANDS,
        CASE_CHANGES,
        NOTIFICATIONS,
        DELIVERIES,
        ENDPOINTS,
        APPRAISAL_COMMANDS,
        APPRAISAL_CHANGES,
        GENERATIONS,
        DEADLETTER,
    )
}


def raw(institution: str) -> Topic:
    """What an institution's own Kafka client writes: each value is a body as for `POST /v1/signals`, no envelope.

    Kept short, for subjects are readable there. Stored uncompressed, so that the broker refuses a batch that is small only while
    compressed, and any codec of the sender's can be read.
    """
    return Topic(
        f"signals.raw.{institution}",
        "whatever the institution likes",
        SignalIn,
        (institution,),
        ("intake",),
        7,
        RAW_PARTITIONS,
        institution,
        "signals.raw.v1",
        "uncompressed",
    )


def receipts(institution: str) -> Topic:
    """A fact for each raw record, in the partition of the same number: accepted, or refused and why."""
    return Topic(
        f"signals.receipts.{institution}",
        "the signal's reference",
        RawReceipt,
        ("intake",),
        ("intake", institution),
        400,
        RAW_PARTITIONS,
        institution,
        "signals.receipts.v1",
    )


def all_topics(institutions: Iterable[str] = ()) -> list[Topic]:
    """The table, and the two topics of each institution that writes with its own Kafka client."""
    return [*TOPICS.values(), *(topic for institution in institutions for topic in (raw(institution), receipts(institution)))]
