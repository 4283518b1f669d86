"""The break `tail-lost`: the broker comes back without the newest records of some topics, as after a power cut."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from deploy.chaos.tails import cut_tail
from deploy.local.stack import Stack
from schemas.topics import ACTIONS, ASSESSED, CHANGED, ISSUED, RETRACTIONS, SUBMITTED, Topic

SOURCES = (SUBMITTED, RETRACTIONS, ACTIONS)
FACTS = (ASSESSED, CHANGED, ISSUED)


def lose_tails(stack: Stack, topics: Iterable[Topic], share: float = 0.3) -> int:
    """Kills the broker, cuts the tails of all partitions that hold something, and starts it again; how many records are gone."""
    stack.stop_one("kafka", grace_s=0)
    lost = sum(
        cut_tail([folder], share) for topic in topics for folder in sorted(data_folder(stack).glob(f"{topic.name}-*"))
    )
    stack.start_one("kafka")
    return lost


def data_folder(stack: Stack) -> Path:
    return stack.places.kafka / "data"
