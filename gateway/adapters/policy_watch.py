"""Follows the policy file once a second, as the stages do.

Invariant: an invalid file never takes effect; the policy in force stays.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from schemas.policy import Policy
from stream_processors.runtime.policy_file import PolicyFile
from stream_processors.runtime.settings import PolicyError

EVERY_S = 1.0
logger = logging.getLogger("liandong.gateway")


async def follow_policy(policies: PolicyFile, take: Callable[[Policy], None], every_s: float = EVERY_S) -> None:
    """Yields each new policy of the file, without end."""
    take(policies.now)
    while True:
        await asyncio.sleep(every_s)
        try:
            policy = policies.changed()
        except PolicyError as error:
            logger.error("changed policy file is not valid, the gateway keeps policy %s: %s", policies.now.label, error)
            continue
        if policy is not None:
            logger.info("the gateway now uses policy %s", policy.label)
            take(policy)
