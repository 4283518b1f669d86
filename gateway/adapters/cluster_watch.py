"""Watches the Kafka cluster: asks once a second, whether or not anybody sends.

Invariant: the reported state is a few seconds old at most. A cluster that does not answer, has no quorum of controllers, accepts
no writes, or has a topic below the topic table is never reported as ready.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaError

from schemas.topics import SUBMITTED, Topic, least_in_sync
from stream_processors.runtime.cluster_view import View, has_quorum, look
from stream_processors.runtime.metrics import GATEWAY as METRICS
from stream_processors.runtime.topic_check import Fault, TopicState, find_faults

LOOK_EVERY_S = 1.0
ASK_QUORUM_EVERY_S = 2.0
CHECK_EVERY_S = 60.0
"""How often the topics' settings are compared with the table; once a second while there is a fault."""
ANSWER_S = 2.0
"""The watch waits this long for a broker, then closes the connection and asks the next broker."""
_CONNECTED_S = 3 * ANSWER_S
"""The watch opens a new connection before it asks again."""
SILENT_S = 5.0
"""After this long without an answer the gateway treats the state of the cluster as unknown."""
NO_QUORUM_S = 8.0
"""Controllers elect a leader within a few seconds of a loss. A longer gap means that they cannot."""

logger = logging.getLogger("liandong.gateway")


class Health(NamedTuple):
    """Whether the cluster accepts signals, and its text: `ok`, or the fault."""

    is_ready: bool
    text: str


class Observation(NamedTuple):
    """The observed state and its age; None: never observed. `faults` of the topics; `least` is `min.insync.replicas` by topic."""

    view: View | None = None
    view_age_s: float = 0.0
    quorum_age_s: float | None = 0.0
    faults: tuple[Fault, ...] | None = None
    least: dict[str, int] = {}


def judge(observation: Observation) -> Health:
    """Returns ready while signals can be acknowledged. Some unwritable partitions of many leave the gateway ready: to remove
    every gateway would stop the others, too."""
    if observation.view is None or observation.faults is None:
        return Health(False, "no broker has described the cluster yet")
    if observation.view_age_s > SILENT_S:
        return Health(False, f"no broker has answered for {observation.view_age_s:.0f} s")
    if observation.faults:
        return Health(False, observation.faults[0].sentence())
    if observation.quorum_age_s is not None and observation.quorum_age_s > NO_QUORUM_S:
        return Health(
            False, f"the controllers have had no quorum for {observation.quorum_age_s:.0f} s: no partition can get a new leader"
        )
    stopped = list_unwritable(observation, SUBMITTED)
    if stopped and len(stopped) == SUBMITTED.partitions:
        reason = why_unwritable(observation, SUBMITTED, stopped[0])
        return Health(False, f"no partition of {SUBMITTED.name} accepts writes: {reason}")
    if stopped:
        some = f"{len(stopped)} of {SUBMITTED.partitions} partitions of {SUBMITTED.name} accept no writes"
        return Health(True, f"{some}: {why_unwritable(observation, SUBMITTED, stopped[0])}")
    return Health(True, "ok")


def list_unwritable(observation: Observation, topic: Topic) -> list[int]:
    """Returns the partitions that cannot acknowledge anything now."""
    state = observation.view.topics.get(topic.name) if observation.view else None
    return [copies.number for copies in state.partitions if why_unwritable(observation, topic, copies.number)] if state else []


def why_unwritable(observation: Observation, topic: Topic, partition: int) -> str | None:
    """Returns why a partition cannot acknowledge; None if it can, or if the state is unknown."""
    state: TopicState | None = observation.view.topics.get(topic.name) if observation.view else None
    copies = next((candidate for candidate in state.partitions if candidate.number == partition), None) if state else None
    if state is None or copies is None:
        return None
    if copies.leader < 0:
        return f"partition {partition} has no leader"
    least = observation.least.get(topic.name, least_in_sync(state.copies))
    if len(copies.in_sync) < least:
        return f"partition {partition} has {len(copies.in_sync)} in-sync replicas of the {least} that an acknowledgement requires"
    return None


def _say_end(task: asyncio.Task[None]) -> None:
    """Logs a watch that ended by a fault of ours: its state grows old, and an old state is not ready."""
    if not task.cancelled() and (error := task.exception()) is not None:
        logger.error("the task that watches the cluster has ended", exc_info=error)


class ClusterWatch:
    """Watches without end. `common` are the options that every client needs to reach the cluster."""

    def __init__(self, common: dict[str, Any], topics: Sequence[Topic], clock: Callable[[], float] = time.monotonic) -> None:
        self._common, self._topics, self._clock = common, topics, clock
        self._view: View | None = None
        self._viewed = self._quorum = float("-inf")
        self._can_ask_quorum = True
        self._faults: tuple[Fault, ...] | None = None
        self._least: dict[str, int] = {}
        self._checked = float("-inf")
        self._answered: int | None = None
        self._first: tuple[str, ...] = ()
        self._tasks: list[asyncio.Task[None]] = []
        self.has_looked = asyncio.Event()

    @property
    def observation(self) -> Observation:
        now = self._clock()
        quorum_age_s = now - self._quorum if self._can_ask_quorum else None
        return Observation(self._view, now - self._viewed, quorum_age_s, self._faults, self._least)

    @property
    def health(self) -> Health:
        return judge(self.observation)

    @property
    def is_checked(self) -> bool:
        """Whether the topics were compared with the table and match it."""
        return self._faults == ()

    @property
    def answers(self) -> bool:
        """Whether a broker answered recently."""
        return self._clock() - self._viewed <= ANSWER_S + LOOK_EVERY_S

    def why_not(self, topic: Topic, partition: int) -> str | None:
        """Returns why a record cannot be acknowledged there; None if it can, or if that is unknown."""
        return why_unwritable(self.observation, topic, partition) if self.answers else None

    def bootstrap(self) -> list[str]:
        """The brokers' addresses, the last one that answered first: a new client begins there."""
        named = self._common["bootstrap_servers"]
        addresses = [named] if isinstance(named, str) else list(named)
        return [*self._first, *(address for address in addresses if address not in self._first)]

    def open(self) -> None:
        self._tasks = [asyncio.create_task(self._watch_cluster()), asyncio.create_task(self._watch_quorum())]
        for task in self._tasks:
            task.add_done_callback(_say_end)

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def take_view(self, view: View, with_configs: bool) -> None:
        """Stores a broker's description; with settings, also compares them with the table."""
        self._view, self._viewed = view, self._clock()
        if with_configs:
            self._checked = self._viewed
            faults = tuple(find_faults(self._topics, view.topics, view.brokers))
            if faults != self._faults:
                for fault in faults:
                    logger.error("signals are refused: %s", fault.sentence())
            self._faults = faults
            texts = {name: (state.configs or {}).get("min.insync.replicas", "") for name, state in view.topics.items()}
            self._least = {name: int(text) for name, text in texts.items() if text.isdigit()}
        METRICS.unwritable.set(len([p for topic in self._topics for p in list_unwritable(self.observation, topic)]))
        self.has_looked.set()

    def take_quorum(self, is_there: bool | None) -> None:
        """Stores a broker's answer about the controllers; None: it cannot tell."""
        self._can_ask_quorum = is_there is not None
        if is_there:
            self._quorum = self._clock()

    async def _watch_cluster(self) -> None:
        async with contextlib.AsyncExitStack() as stack:
            client = await self._open_client(stack)
            while True:
                await self._look_once(client)
                await asyncio.sleep(LOOK_EVERY_S)

    async def _look_once(self, client: AIOKafkaClient) -> None:
        with_configs = bool(self._faults) or self._faults is None or self._clock() - self._checked > CHECK_EVERY_S
        for node in self._order_nodes(client):
            try:
                async with asyncio.timeout(_CONNECTED_S):
                    view = await look(client, self._topics, node, with_configs=with_configs)
            except (KafkaError, OSError, TimeoutError) as error:
                logger.debug("broker %s did not describe the cluster: %s", node, error)
                continue
            if view.brokers:
                self._remember_node(client, node)
                self.take_view(view, with_configs)
                return

    async def _watch_quorum(self) -> None:
        async with contextlib.AsyncExitStack() as stack:
            client = await self._open_client(stack)
            while True:
                for node in self._order_nodes(client):
                    with contextlib.suppress(KafkaError, OSError, TimeoutError):
                        async with asyncio.timeout(_CONNECTED_S):
                            is_there = await has_quorum(client, node)
                        self.take_quorum(is_there)
                        if is_there is not False:
                            break
                await asyncio.sleep(ASK_QUORUM_EVERY_S)

    def _order_nodes(self, client: AIOKafkaClient) -> list[int]:
        nodes = sorted(broker.nodeId for broker in client.cluster.brokers())
        return sorted(nodes, key=lambda node: node != self._answered)

    def _remember_node(self, client: AIOKafkaClient, node: int) -> None:
        self._answered = node
        if (broker := client.cluster.broker_metadata(node)) is not None:
            self._first = (f"{broker.host}:{broker.port}",)

    async def _open_client(self, stack: contextlib.AsyncExitStack) -> AIOKafkaClient:
        """Tries until a broker answers."""
        while True:
            options = {**self._common, "bootstrap_servers": self.bootstrap(), "request_timeout_ms": int(ANSWER_S * 1000)}
            client = AIOKafkaClient(**options, metadata_max_age_ms=10_000)
            try:
                await client.bootstrap()
            except (KafkaError, OSError, TimeoutError):
                await client.close()
                await asyncio.sleep(LOOK_EVERY_S)
                continue
            stack.push_async_callback(client.close)
            return client
