"""`liandong recover`: shows acknowledged records that the broker lost, and continues without them.

Invariant: without --yes nothing changes; with it nothing changes while a worker runs.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from deploy.local.commands import ProfileOption, saying_why
from deploy.local.errors import LauncherError
from deploy.local.process_specs import ALL_AGENTS
from deploy.local.stack import Stack
from schemas.topics import OURS

if TYPE_CHECKING:
    from schemas.security import AesGcmSealer
    from stream_processors.recovery.losses import LogLoss, LostSignals
    from stream_processors.runtime.settings import Settings

GONE_WITHIN_S = 45.0
"""A killed worker stays a member of its group until its session expires."""
SHOWN = 20


def register(app: typer.Typer) -> None:
    app.command("recover")(command)


def command(
    profile: ProfileOption = "demo",
    yes: Annotated[bool, typer.Option("--yes", help="Apply the changes. Default: only show the losses and the plan.")] = False,
    state: Annotated[
        str | None, typer.Option("--state", metavar="STAGE", help="Empty one stage's state; its workers rebuild it from the log.")
    ] = None,
) -> None:
    """Show acknowledged records that the broker lost, and continue from the remaining log."""
    with saying_why():
        for line in recover(Stack(profile, external=True), yes=yes, state=state):
            typer.echo(line)


def recover(stack: Stack, *, yes: bool, state: str | None = None) -> list[str]:
    """Returns the findings and actions as sentences. The workers of the profile are stopped meanwhile."""
    from deploy.verify.run import settings_of

    settings = settings_of(stack)
    workers = [name for name in stack.names() if name.rpartition("-")[0] in ALL_AGENTS] if yes else []
    for name in workers:
        stack.control.stop(name)  # they end side by side
    for name in workers:
        stack.stop_one(name)
    try:
        return asyncio.run(_empty_stage(settings, state, yes) if state else _recover_log(settings, yes))
    finally:
        for name in workers:
            stack.start_one(name, wait=False)


@dataclass(frozen=True)
class RecoveryReport:
    losses: Sequence[LogLoss]
    signals: LostSignals

    def lines(self, *, is_done: bool) -> list[str]:
        if not self.losses:
            return ["nothing is lost: the log contains every recorded position"]
        lines = [_describe_loss(loss, is_done) for loss in self.losses]
        lines += _signal_lines(self.signals)
        lines.append(
            "Acknowledged records that were lost before a stage processed them leave no trace. Ask the "
            "institutions to send again everything since the times above, and the officers to check that their "
            "last actions took effect. Nothing counts twice."
        )
        if not is_done:
            lines.append("Nothing was changed. `liandong recover --yes` opens the new generations.")
        return lines


def _describe_loss(loss: LogLoss, is_done: bool) -> str:
    since = "its beginning" if loss.last_ms is None else datetime.fromtimestamp(loss.last_ms / 1000, UTC).strftime("%F %T UTC")
    newer = f", {loss.newer} newer records have their positions and count from now on" if loss.newer and is_done else ""
    newer = newer or (f", {loss.newer} newer records have their positions" if loss.newer else "")
    does = "opened" if is_done else "would open"
    return (
        f"{loss.topic}/{loss.partition}: {loss.lost} records lost since {since} (positions {loss.agrees_to} to {loss.known - 1}, "
        f"known from {loss.shown_by}){newer}; {does} a new generation at offset {loss.begins_at}"
    )


def _signal_lines(signals: LostSignals) -> list[str]:
    if not signals.by_institution:
        return []
    counts = ", ".join(f"{who} {n}" for who, n in sorted(signals.by_institution.items()))
    lines = [f"{signals.by_institution.total()} of the lost signals were assessed, which stands ({counts}). Among them:"]
    lines += [f"  {who} {reference or '?'} {signal_id}" for who, reference, signal_id in signals.names[:SHOWN]]
    return lines


async def _recover_log(settings: Settings, yes: bool) -> list[str]:
    from stream_processors.recovery.losses import find_losses, name_lost_signals, open_generations
    from stream_processors.runtime.kafka import KafkaLog
    from stream_processors.state.keys import namespace_of
    from stream_processors.state.store import RedisStore, connect
    from stream_processors.topology import all_stages

    stages = all_stages(settings.raw_institutions)
    log, redis = KafkaLog(settings, "liandong-recover"), connect(settings.redis_url)
    await log.open()
    try:
        if yes:
            await check_stopped(settings)
        marks = {name: await RedisStore(redis, namespace_of(name)).marks() for name in stages}
        losses = await find_losses(log, stages, marks)
        report = RecoveryReport(losses, await name_lost_signals(log, losses, _open_sealer(settings)))
        if yes and losses:
            await open_generations(log, losses, datetime.now(UTC))
            await _forget_receipts(redis)
        return report.lines(is_done=yes)
    finally:
        await redis.aclose()
        await log.close()


def _open_sealer(settings: Settings) -> AesGcmSealer | None:
    """None without a key file. None is created, because a new key would open nothing."""
    from schemas.security import AesGcmSealer, Keyring

    return AesGcmSealer(Keyring.load(settings.keys_path)) if settings.keys_path.exists() else None


async def _forget_receipts(redis: Any) -> None:
    """The gateways must not answer a retry from their memory of lost records. Without that memory a retry is recognised later
    (docs/laws.md)."""
    async for key in redis.scan_iter(match="{gw*}m=*", count=1000):
        await redis.unlink(key)


async def _empty_stage(settings: Settings, stage: str, yes: bool) -> list[str]:
    from stream_processors.state.keys import namespace_of
    from stream_processors.state.restore import empty_state
    from stream_processors.state.store import RedisStore, connect
    from stream_processors.topology import all_stages

    stages = all_stages(settings.raw_institutions)
    if stage not in stages:
        raise LauncherError(f"unknown stage {stage!r}", f"choose one of {', '.join(stages)}")
    if not yes:
        return [f"Nothing was changed. --yes empties the state of {stage} in Redis, and its workers rebuild it from the log."]
    await check_stopped(settings)
    redis = connect(settings.redis_url)
    try:
        store = RedisStore(redis, namespace_of(stage))
        await empty_state(store)
    finally:
        await redis.aclose()
    return [f"the state of {stage} is empty; its workers rebuild it from the log"]


async def check_stopped(settings: Settings, within_s: float = GONE_WITHIN_S) -> None:
    """LauncherError while a worker is a member of its group."""
    from aiokafka.admin import AIOKafkaAdminClient

    common = {"bootstrap_servers": settings.kafka_bootstrap, **settings.kafka_auth()}
    admin = AIOKafkaAdminClient(**common)
    await admin.start()
    deadline = time.monotonic() + within_s
    try:
        while running := await _list_running(admin):
            if time.monotonic() > deadline:
                raise LauncherError(f"workers run: {', '.join(running)}", "stop all workers of the stages, and run it again")
            await asyncio.sleep(1)
    finally:
        await admin.close()


async def _list_running(admin: Any) -> list[str]:
    """Returns the stages with members. aiokafka's own call asks in version 3 and reads the response as version 2."""
    from aiokafka.protocol.admin import DescribeGroupsRequest_v2
    from aiokafka.protocol.api import Request

    class DescribeGroup(Request[DescribeGroupsRequest_v2]):
        API_KEY = DescribeGroupsRequest_v2.API_KEY

        def __init__(self, group: str) -> None:
            self._group = group

        def build(self, request_struct_class: type[DescribeGroupsRequest_v2]) -> DescribeGroupsRequest_v2:
            return request_struct_class([self._group])

    running = []
    for agent in ALL_AGENTS:
        group = f"{OURS}{agent}"
        response = await admin._send_request(DescribeGroup(group), await admin.find_coordinator(group))
        running += [agent for _, _, _, _, _, members in response.groups if members]
    return running
