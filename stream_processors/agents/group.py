"""Several agents of one stage in one process, each with topics and a state of its own, one for each institution.

Invariant: an agent sees only the partitions and records of its own topics.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence

from schemas.policy import Policy
from stream_processors.agents.base import Agent, Batch
from stream_processors.state.keys import Namespace
from stream_processors.state.restore import Restored
from stream_processors.state.streams import Stage


class AgentGroup:
    """A StageAgent made of several, none of which has ticks."""

    tick_every_s: float | None = None

    def __init__(self, agents: Sequence[Agent]) -> None:
        reads = tuple(topic for agent in agents for topic in agent.stage.reads)
        writes = tuple(topic for agent in agents for topic in agent.stage.writes)
        self.stage = Stage(agents[0].stage.name, Namespace(""), reads, writes, ())
        self._agents = agents
        self.log, self.policy = agents[0].log, agents[0].policy  # all have the same
        self._by_topic = {topic.name: agent for agent in agents for topic in agent.stage.reads}

    async def start(self) -> Restored:
        return Restored("", sum([(await agent.start()).folded for agent in self._agents]))

    async def revoked(self) -> None:
        await asyncio.gather(*(agent.revoked() for agent in self._agents))

    async def assigned(self, partitions: Iterable[tuple[str, int]]) -> dict[tuple[str, int], int]:
        assignment = list(partitions)
        positions: dict[tuple[str, int], int] = {}
        for agent in self._agents:
            own = [at for at in assignment if self._by_topic[at[0]] is agent]
            positions |= await agent.assigned(own) if own else {}
            if not own:
                await agent.revoked()
        return positions

    async def step(self, batch: Batch) -> None:
        shares = [({at: batch[at] for at in batch if self._by_topic[at[0]] is agent}, agent) for agent in self._agents]
        await asyncio.gather(*(agent.step(share) for share, agent in shares if share))

    async def tick(self) -> None:
        return

    async def check(self) -> None:
        for agent in self._agents:
            await agent.check()

    async def take_policy(self, policy: Policy) -> None:
        self.policy = policy
        for agent in self._agents:
            await agent.take_policy(policy)
