"""The one table of topics: name, key, model, partitions, retention, who writes, who reads.

Topic creation, ACLs, the codec and the docs are generated from it. LogAppendTime everywhere: `now` in a decision is the
broker's time of the source record, so that a replay decides with the same clock.
"""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import BaseModel

from schemas.cases import Action, CaseChange
from schemas.facts import AssessedSignal, DeadLetter
from schemas.signals import SubmittedSignal
from schemas.values import DAY_MS

PARTITIONS = 8
MAX_RECORD_BYTES = 1 << 20


@dataclass(frozen=True)
class Topic:
    """`key` says by what the records are keyed; `version` is the data's schema version, the suffix of the name."""

    name: str
    key: str
    model: type[BaseModel]
    producers: tuple[str, ...]
    consumers: tuple[str, ...]
    retention_days: int
    partitions: int = PARTITIONS

    @property
    def type(self) -> str:
        """The CloudEvents type."""
        return f"cn.liandong.{self.name}"

    def config(self) -> dict[str, str]:
        """The topic's Kafka configuration."""
        return {
            "message.timestamp.type": "LogAppendTime",
            "cleanup.policy": "delete",
            "retention.ms": str(self.retention_days * DAY_MS),
            "max.message.bytes": str(MAX_RECORD_BYTES),
        }


SUBMITTED = Topic("signals.submitted.v1", "primary subject", SubmittedSignal, ("gateway",), ("assess",), 30)
ASSESSED = Topic("signals.assessed.v1", "primary subject", AssessedSignal, ("assess",), ("assess", "project"), 400)
ACTIONS = Topic("loop.actions.v1", "case id", Action, ("gateway", "assess"), ("track",), 30)
CHANGED = Topic("cases.changed.v1", "case id", CaseChange, ("track",), ("track", "project"), 400)
DEADLETTER = Topic("deadletter.v1", "source", DeadLetter, ("assess", "track", "project"), (), 400, partitions=1)

TOPICS: dict[str, Topic] = {topic.name: topic for topic in (SUBMITTED, ASSESSED, ACTIONS, CHANGED, DEADLETTER)}
