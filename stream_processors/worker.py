"""Starts one agent: `python -m stream_processors.worker intake|assess|track|timekeeper|deliver|webhook|oversee|project`. One
agent for each process.

Order: policy, keys, metrics, log, store, the restore barrier, and only then Faust joins the group. Anything unexpected ends the
process at once with a line that gives the reason; the supervisor restarts it and the barrier repairs the state.
"""

from __future__ import annotations

import asyncio
import contextlib
import faulthandler
import gc
import logging
import os
import sys
import time
import traceback
from collections.abc import Iterable, Mapping
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any, NoReturn

import faust
import uvloop
import yarl
from faust.types.auth import AuthProtocol, SASLMechanism
from prometheus_client import start_http_server

from schemas.policy import Policy
from schemas.security import AesGcmSealer, PlaceCipher, Tokenizer
from schemas.topics import Topic, all_topics
from stream_processors.agents.base import Agent, AgentPorts, Batch, StageAgent
from stream_processors.agents.group import AgentGroup
from stream_processors.runtime import faust_transport as transport
from stream_processors.runtime.cluster_view import check_topics
from stream_processors.runtime.generations import Generations
from stream_processors.runtime.kafka import KafkaLog
from stream_processors.runtime.log import CURE, DamagedLog
from stream_processors.runtime.metrics import METRICS
from stream_processors.runtime.policy_file import PolicyFile
from stream_processors.runtime.retry_policy import keep_trying, look_if_possible
from stream_processors.runtime.settings import PolicyError, Settings
from stream_processors.runtime.waiting import KAFKA, LOCK, Waiting
from stream_processors.state.keys import Namespace
from stream_processors.state.store import RedisLike, RedisStore, connect
from stream_processors.topology import STAGES, intake_stage
from stream_processors.webhooks.policy import load_hooks

if TYPE_CHECKING:
    from stream_processors.agents.webhook import Webhook

AGENTS = {"assess": "Assess", "timekeeper": "Timekeeper", "deliver": "Deliver", "project": "Project"}
"""The classes, in modules of the same names. A process imports only its own agent, because each start costs CPU that the other
processes of a machine wait for."""
NAMES = ("intake", "track", "webhook", "oversee", *AGENTS)
MOST_POLLED = {"track": 1000}
"""Records per poll of track. Each loads a whole case before and after its change; more of them need over 250 MiB."""
PACE_S = {"timekeeper": 0.15, "deliver": 0.03, "assess": 0.01, "track": 0.003, "project": 0.01}
"""A pause before a poll ends, in which records for the next one gather: at 200 signals/s on two cores many small polls block each
other (docs/operating/benchmarks.md, latency)."""
CHECK_EVERY_S = 1.0
ASSIGN_TIMEOUT_S = {"webhook": 900.0}
"""Faust forgets an assignment that takes longer than its request time-out, and then consumes nothing. The worker ends before
that. `webhook` keeps its state in memory and may have to replay a month of notices on assignment, when Redis was lost or an
endpoint is paused."""
EXIT_UNEXPECTED = 70
GC_THRESHOLD = (50_000, 20, 100)
"""A poll creates some 100,000 objects without cycles, which the default threshold of Python would scan again and again."""

logger = logging.getLogger("liandong")


class Sparing(logging.Filter):
    """aiokafka logs an unavailable broker twenty times a second; once in five seconds is enough."""

    def __init__(self) -> None:
        super().__init__()
        self._last_logged: dict[str, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        if not record.name.startswith("aiokafka") or record.created - self._last_logged.get(str(record.msg), 0.0) > 5:
            self._last_logged[str(record.msg)] = record.created
            return True
        return False


def die(error: BaseException) -> NoReturn:
    """Law 4: anything unexpected ends the process before it completes. No handler, no flush of unfinished work."""
    lines = traceback.format_exception(error)
    logger.error("ending: %s: %s\n%s", type(error).__name__, error, "".join(lines))
    logging.shutdown()
    os._exit(EXIT_UNEXPECTED)


def build_app(settings: Settings, stage: str, loop: asyncio.AbstractEventLoop) -> faust.App:
    """The Faust app: no web server, no tables, no leader topic, static membership, our transport."""
    scratch = settings.home / settings.profile / "faust" / settings.worker_id
    scratch.parent.mkdir(parents=True, exist_ok=True)
    brokers = [yarl.URL(f"kafka://{server}") for server in settings.kafka_bootstrap.split(",")]
    app = faust.App(
        f"liandong-{stage}",
        loop=loop,
        broker=brokers,
        broker_credentials=_make_credentials(settings),
        store="memory://",
        datadir=scratch,
        web_enabled=False,
        topic_disable_leader=True,
        topic_allow_declare=False,
        consumer_auto_offset_reset="earliest",
        consumer_group_instance_id=settings.worker_id,
        broker_session_timeout=settings.session_timeout_s,
        broker_heartbeat_interval=settings.heartbeat_s,
        broker_max_poll_records=min(settings.poll_records, MOST_POLLED.get(stage, settings.poll_records)),
        broker_commit_interval=1.0,
        broker_request_timeout=_assign_s(stage) + 30,
        stream_wait_empty=False,
    )
    transport._Thread.fetch_wait_ms = settings.fetch_wait_ms
    transport._Thread.isolation = "read_committed" if stage == "intake" else "read_uncommitted"
    app.transport = transport.Transport(brokers, app, loop=loop)
    return app


def _assign_s(stage: str) -> float:
    return ASSIGN_TIMEOUT_S.get(stage, 60.0)


def _make_credentials(settings: Settings) -> Any:
    if settings.kafka_security_protocol == "PLAINTEXT":
        return None
    context = settings.kafka_auth().get("ssl_context")
    if not settings.kafka_security_protocol.startswith("SASL"):
        return faust.SSLCredentials(context)
    return faust.SASLCredentials(
        username=settings.kafka_sasl_username,
        password=settings.kafka_sasl_password,
        mechanism=SASLMechanism(settings.kafka_sasl_mechanism),
        ssl_context=context,
        **({} if context else {"protocol": AuthProtocol.SASL_PLAINTEXT}),
    )


def wire(app: faust.App, agent: StageAgent, policies: PolicyFile | None = None, waiting: Waiting | None = None) -> None:
    """Passes every poll to the agent, and checks state and policy once a second."""
    name = agent.stage.name
    waits = waiting or Waiting(Settings(), name)
    topic = app.topic(*(topic.name for topic in agent.stage.reads), value_serializer="raw", key_serializer="raw", acks=False)

    async def positions(partitions: Iterable[tuple[str, int]]) -> Mapping[tuple[str, int], int]:
        requested = list(partitions)
        async with asyncio.timeout(_assign_s(name)):
            assigned = await keep_trying(lambda: agent.assigned(requested), waits, causes=(KAFKA,))
            return as_offsets(agent.log.generations, assigned)

    async def release(*_: Any, **__: Any) -> None:
        await _end_on_error(agent.revoked)()

    transport.PollConsumer.positions = staticmethod(_end_on_error(positions))
    app.on_partitions_revoked.connect(release, weak=False)

    @app.agent(topic, name=name)
    async def run(stream: Any) -> None:
        async for poll in stream:
            await _end_on_error(_take_poll)(agent, poll)

    async def watch() -> None:
        while True:
            await asyncio.sleep(CHECK_EVERY_S)
            await _end_on_error(look_if_possible)(agent.check, waits)
            if policies is not None:
                await _end_on_error(look_at_policy)(agent, policies)

    app.task(watch)
    if agent.tick_every_s is not None:
        app.task(_keep_ticking(agent, agent.tick_every_s))


def _keep_ticking(agent: StageAgent, every_s: float) -> Any:
    async def ticking() -> None:
        while True:
            began = time.perf_counter()
            await _end_on_error(agent.tick)()
            await asyncio.sleep(max(0.0, every_s - (time.perf_counter() - began)))

    return ticking


async def look_at_policy(agent: StageAgent, policies: PolicyFile) -> None:
    """Uses a changed policy; an invalid one is logged loudly and the old one stays."""
    stage = agent.stage.name
    try:
        policy = policies.changed()
    except PolicyError as error:
        METRICS.policy_reload_failed.labels(stage).inc()
        logger.error("changed policy file is not valid, %s keeps policy %s: %s", stage, agent.policy.label, error)
        return
    if policy is not None:
        logger.info("%s now uses policy %s, before %s", stage, policy.label, agent.policy.label)
        await agent.take_policy(policy)


async def _take_poll(agent: StageAgent, poll: transport.Poll) -> None:
    name, began = agent.stage.name, time.perf_counter()
    if not poll.stale:
        check_went_on(name, poll.rewound)
        await agent.step(as_positions(agent.log.generations, poll.batch))
    METRICS.poll_s.labels(name).observe(time.perf_counter() - began)
    oldest = min(records[0].timestamp_ms for records in poll.batch.values())
    METRICS.delay_s.labels(name).observe(max(0.0, time.time() - oldest / 1000))
    await asyncio.sleep(PACE_S.get(name, 0))
    poll.complete()


def as_offsets(generations: Generations, positions: Mapping[tuple[str, int], int]) -> dict[tuple[str, int], int]:
    """The next offsets for the consumer, which knows the broker's offsets."""
    return {at: generations.offset(*at, position) for at, position in positions.items()}


def as_positions(generations: Generations, batch: Batch) -> Batch:
    """The consumer's records with positions."""
    if not generations:
        return batch
    return {
        at: [record._replace(offset=generations.position(*at, record.offset)) for record in records]
        for at, records in batch.items()
    }


def check_went_on(stage: str, rewound: Mapping[tuple[str, int], tuple[int, int]]) -> None:
    """DamagedLog if the broker sent earlier records than the next ones."""
    for (topic, partition), (expected, came) in rewound.items():
        raise DamagedLog(
            f"{topic}/{partition}: {stage} continues from offset {expected}, but the broker sent {came}: it lost "
            f"acknowledged records; {CURE}"
        )


def _end_on_error(work: Any) -> Any:
    async def run(*args: Any) -> Any:
        try:
            return await work(*args)
        except asyncio.CancelledError:
            raise
        except BaseException as error:
            die(error)

    return run


async def open_agent(settings: Settings, stage: str, policy: Policy, waiting: Waiting | None = None) -> StageAgent:
    """The agent with its real ports, past the barrier. Each try has its own ports: a connection never comes back silently."""
    waits = waiting or Waiting(settings, stage)
    return await keep_trying(lambda: _open_once(settings, stage, policy, waits), waits)


async def _open_once(settings: Settings, stage: str, policy: Policy, waiting: Waiting) -> StageAgent:
    log = KafkaLog(settings, f"liandong-{stage}-{settings.worker_id}")
    redis = connect(settings.redis_url)
    try:
        await check_topics(log.client_options, own_topics(stage, settings.raw_institutions))
        await log.open()
        make = _make_intakes if stage == "intake" else partial(_make_agent, stage=stage)
        agent: StageAgent = await make(settings, log=log, redis=redis, policy=policy, waiting=waiting)
        began = time.perf_counter()
        restored = await agent.start()
    except Exception:
        for close in (log.close, redis.aclose):
            with contextlib.suppress(Exception):
                await close()
        raise
    logger.info("%s: restored %d facts in %.1f s", stage, restored.folded, time.perf_counter() - began)
    return agent


def own_topics(stage: str, institutions: Iterable[str] = ()) -> list[Topic]:
    """The topics that a stage reads or writes, dead letters included, which must match the table before it starts."""
    return [topic for topic in all_topics(institutions) if stage in topic.producers or stage in topic.consumers]


async def _open_store(redis: RedisLike, namespace: Namespace, stage: str, waiting: Waiting) -> RedisStore:
    store = RedisStore(redis, namespace)

    def hear(is_held: bool) -> None:
        if not is_held:
            waiting.end(LOCK)
        elif LOCK not in waiting.causes:
            waiting.begin(LOCK, f"another worker of {stage} is at the restore barrier")

    store.held = hear
    await store.open()
    return store


async def _make_agent(settings: Settings, stage: str, log: KafkaLog, redis: RedisLike, policy: Policy, waiting: Waiting) -> Agent:
    store = await _open_store(redis, STAGES[stage].namespace, stage, waiting)
    ports = AgentPorts(log, store, policy, AesGcmSealer(settings.keyring()), logger.info)
    agent: Agent
    if stage == "track":
        from stream_processors.agents.track import Track
        from stream_processors.runtime.calendar_file import load_holidays

        agent = Track(ports, holidays=load_holidays(settings.holidays_file))
    elif stage == "oversee":
        from schemas.security.signing import Ed25519Signer, load_or_create
        from stream_processors.agents.oversee import Oversee

        agent = Oversee(ports, Ed25519Signer(load_or_create(settings.signing_path)))
    elif stage == "webhook":
        agent = _make_webhook(settings, ports)
    else:
        made = getattr(import_module(f"stream_processors.agents.{stage}"), AGENTS[stage])
        agent = made(ports)
    METRICS.tell_policy(stage, agent.policy)
    return agent


def _make_webhook(settings: Settings, ports: AgentPorts) -> Webhook:
    from stream_processors.agents.webhook import Webhook
    from stream_processors.webhooks.http_client import Poster, SystemResolver, trust

    hooks = load_hooks(settings.webhooks_file)
    if loosened := hooks.loosened():
        logger.warning("WEBHOOK ADDRESS CHECKS ARE RELAXED: %s may be called, by %s", loosened, settings.webhooks_file)
    posts = Poster(hooks, context=trust(settings.webhooks_cafile), resolve=SystemResolver())
    return Webhook(ports, posts=posts, hooks=hooks)


async def _make_intakes(settings: Settings, log: KafkaLog, redis: RedisLike, policy: Policy, waiting: Waiting) -> AgentGroup:
    """One agent for each institution, side by side."""
    from stream_processors.agents.intake import Intake

    keyring = settings.keyring()
    tokenizer, sealer, places = Tokenizer(keyring), AesGcmSealer(keyring), PlaceCipher(keyring)
    limits = {"body_limit_bytes": settings.body_limit_bytes, "json_depth_limit": settings.json_depth_limit}
    agents: list[Agent] = []
    for institution in settings.raw_institutions:
        store = await _open_store(redis, intake_stage(institution).namespace, "intake", waiting)
        agents.append(Intake(institution, AgentPorts(log, store, policy, sealer, logger.info), tokenizer, places, **limits))
    return AgentGroup(agents)


def main() -> None:
    if len(sys.argv) != 2 or sys.argv[1] not in NAMES:
        sys.exit(f"usage: python -m stream_processors.worker {'|'.join(NAMES)}")
    stage = sys.argv[1]
    faulthandler.enable()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s", stream=sys.stderr)
    for handler in logging.getLogger().handlers:
        handler.addFilter(Sparing())
    try:
        settings = Settings()
        if stage == "intake" and not settings.raw_institutions:
            sys.exit("LIANDONG_RAW_INSTITUTIONS is empty, so intake has nothing to read")
        run(settings, stage)
    except BaseException as error:
        if isinstance(error, SystemExit):
            raise
        die(error)


def spare_collector() -> None:
    """Existing objects stay, and a collection pays off only after many new ones."""
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLD)


def run(settings: Settings, stage: str) -> None:
    """Runs until SIGTERM or SIGINT."""
    if settings.metrics_port:
        METRICS.prepare(stage)
        start_http_server(settings.metrics_port, addr="127.0.0.1", registry=METRICS.registry)
    import_module(f"stream_processors.agents.{stage}")
    spare_collector()
    loop = uvloop.new_event_loop()
    asyncio.set_event_loop(loop)
    policies = PolicyFile(settings.policy_file)
    waiting = Waiting(settings, stage)
    agent = loop.run_until_complete(open_agent(settings, stage, policies.now, waiting))
    app = build_app(settings, stage, loop)
    wire(app, agent, policies, waiting)
    faust.Worker(app, loop=loop, loglevel="WARN", redirect_stdouts=False, override_logging=False).execute_from_commandline()


if __name__ == "__main__":
    main()
