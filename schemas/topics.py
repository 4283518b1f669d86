"""The table of topics: name, key, model, partitions, retention, writers, readers.

Topic creation, ACLs, the codec and the docs are generated from it. All topics use LogAppendTime: `now` in a decision is the
broker's time of the source record, so that reprocessing decides with the same time.
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
"""Prefix of the Kafka users of our own stages: `assess` has `liandong-assess`. The user of an institution is its id."""
MAX_RECORD_BYTES = 1 << 20
FOR_EVER = 36_500
"""Days: a hundred years."""
MOST_COPIES = 3
"""A topic has one copy on each broker, and three at most."""


def least_in_sync(copies: int) -> int:
    """`min.insync.replicas`: the copies that have a record before it is acknowledged. Two of three copies, so that an
    acknowledged record survives the loss of any one broker while one may be away. With fewer copies, one lost broker would stop
    all writing, so an acknowledgement promises one copy there."""
    return 2 if copies >= MOST_COPIES else 1


@dataclass(frozen=True)
class Topic:
    """`key` names the key of the records; `version` is the schema version, the suffix of the name.

    `party` is the institution that owns the topic: no other may write or read there. Such topics share one `form`.
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
        """The Kafka configuration of the topic for this number of copies."""
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
"""The records behind the figures of a year are kept from its first day until its appraisal is over."""
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
"""Kept for ten years, because a locked result is read and verified long after its year."""
ENDPOINTS = Topic("webhooks.endpoints.v1", "institution", Endpoints, ("gateway", "webhook"), ("project", "webhook"), FOR_EVER)
"""Few and small records, each valid until a newer one replaces it, however old it is. Not compacted, because of two records with
one revision the first counts."""
READERS = ("gateway", "assess", "track", "deliver", "timekeeper", "webhook", "oversee", "project", "intake")
GENERATIONS = Topic(
    "log.generations.v1", "topic and partition", LogGeneration, ("recover",), READERS, FOR_EVER, partitions=1, is_flushed=True
)
"""Every process reads it at every start. The broker flushes each record to disk: it must survive the loss that it records."""
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
    """Records of an institution's own Kafka client: each value is a body as for `POST /v1/signals`, without an envelope.

    Retention is short, because subjects are readable there. Stored uncompressed, so that the broker refuses a batch that is small
    only while compressed, and any codec of the sender is readable.
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
    """A fact for each raw record in the partition of the same number: accepted, or refused with the reason."""
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
    """The table, and the two topics of each institution with its own Kafka client."""
    return [*TOPICS.values(), *(topic for institution in institutions for topic in (raw(institution), receipts(institution)))]
