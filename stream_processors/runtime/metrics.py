"""Every metric of the system, declared once: those of the workers, of the gateway, and those read from the views.

Names follow Prometheus' conventions: base units, `_total` for counters (the client adds it), a help text. Invariant: labels take
values from closed sets (stages, steps, outcomes, problem slugs, route names) or from sets with a limit (institutions, queues:
gateway/ops/exporter.py); never a reference, a path or a subject. tests/unit/test_metrics.py checks it.
"""

from __future__ import annotations

import time
from bisect import bisect_left
from collections import Counter as Tally
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from typing import NamedTuple

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, ProcessCollector

from schemas.cases.case import ActionOutcome
from schemas.notices import NotificationKind
from schemas.notifications.delivery import DeliveryState
from schemas.policy import Policy
from schemas.signals.assessed import AssessOutcome
from schemas.signals.receipts import RawOutcome

OTHER = "other"
"""The label for everything above a limit."""

STEPS: dict[str, tuple[str, ...]] = {
    "intake": ("read", "submit", "record", "fold"),
    "assess": ("read", "claim", "observe", "decide", "record", "emit", "fold"),
    "track": ("read", "decide", "record", "fold"),
    "deliver": ("read", "issue", "follow", "settle"),
    "webhook": ("read", "settle"),
    "oversee": ("read", "decide", "record", "fold"),
    "project": ("read", "fold"),
    "timekeeper": ("read", "fold"),
}
"""The steps of each stage in order. assess processes the two halves of a large poll concurrently, so their times overlap."""

OUTCOMES: dict[str, tuple[str, ...]] = {
    "intake": tuple(RawOutcome),
    "assess": tuple(AssessOutcome),
    "track": tuple(ActionOutcome),
    "deliver": (*NotificationKind, "follow"),
    "webhook": (DeliveryState.RECEIVED, DeliveryState.PARKED),
    "oversee": tuple(ActionOutcome),
    "project": (),
    "timekeeper": (),
}

WAITING_CAUSES = ("kafka", "redis", "lock")
"""Causes that a worker may wait for (stream_processors/runtime/waiting.py)."""

_STEP_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)
_DELAY_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600)
_REQUEST_S = (0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10)


class _Process:
    """Metrics of every process: its build and its start time. One registry for each kind of process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)  # process_*: CPU, memory, descriptors; nothing where there is no /proc
        # The version of this build.
        Info("liandong_build", "Version of the software", registry=self.registry).info({"version": _version()})
        # Start of the process. A change is a restart, planned or not.
        self.started = Gauge("liandong_start_time_seconds", "Start of the process since the epoch", registry=self.registry)
        self.started.set(time.time())


class PolledHistogram(Histogram):
    """A histogram that takes all values of a poll at once, because one `observe` for each record costs microseconds."""

    def observe_all(self, values: Iterable[float]) -> None:
        """Observes each value. Only for a histogram without labels."""
        for value, n in Tally(values).items():
            self._sum.inc(value * n)
            self._buckets[bisect_left(self._upper_bounds, value)].inc(n)


class Stages(_Process):
    """Metrics of the workers. `stage` is a stage of topology.py, or intake."""

    def __init__(self) -> None:
        super().__init__()
        r = self.registry
        # Records read from the log, redeliveries included.
        self.polled = Counter("liandong_records_polled", "Records read by a stage", ["stage"], registry=r)
        # Facts by outcome: accepted, refused; assessed, repeat, resend, conflict, refused; applied, refused, echo;
        # for deliver the kinds of notices, and `follow` for requests to other cases; for webhook received, parked.
        self.facts = Counter("liandong_facts", "Facts written by a stage", ["stage", "outcome"], registry=r)
        # Assessed signals about a subject that another institution reported within the policy's window.
        self.corroborations = Counter("liandong_corroborations", "Signals with a subject of another institution", registry=r)
        # Score of every assessed signal. The buckets go in tens, like the case thresholds of policies.
        self.score = PolledHistogram("liandong_signal_score", "Score of assessed signals", buckets=range(10, 101, 10), registry=r)
        # Unreadable records, including those that are written again after a kill.
        self.dead = Counter("liandong_dead_letters", "Dead letters written by a stage", ["stage"], registry=r)
        # Facts projected at the restore barrier. A jump means that Redis lost state.
        self.restored = Counter("liandong_facts_restored", "Facts projected at the restore barrier", ["stage"], registry=r)
        # Every start and every assignment passes the barrier, and the partitions stand still meanwhile.
        self.restore_s = Histogram(
            "liandong_restore_seconds", "Time to pass the restore barrier", ["stage"], buckets=_DELAY_S, registry=r
        )
        # Start of a wait, by cause: Kafka, Redis, or another worker at the same restore barrier. 0 while the worker works.
        self.waiting = Gauge("liandong_waiting_since_seconds", "Start of a worker's wait, or 0", ["stage", "reason"], registry=r)
        # From the arrival of a poll's records to its completion.
        self.poll_s = Histogram("liandong_poll_seconds", "Time to process one poll", ["stage"], buckets=_STEP_S, registry=r)
        # Where the time of a poll goes. One observation for each poll, or for each half of a large one.
        self.step_s = Histogram(
            "liandong_step_seconds", "Time of one step of a poll", ["stage", "step"], buckets=_STEP_S, registry=r
        )
        # Size of a poll: small while the stage keeps up, at the limit when it is behind.
        self.poll_records = Histogram(
            "liandong_poll_records", "Records per poll", ["stage"], buckets=(1, 10, 100, 500, 1000, 2000, 4000), registry=r
        )
        # From the LogAppendTime of a poll's oldest record to the poll's completion, by the worker's clock.
        self.delay_s = Histogram(
            "liandong_stage_delay_seconds",
            "Age of a poll's oldest record at its completion",
            ["stage"],
            buckets=_DELAY_S,
            registry=r,
        )
        # From the LogAppendTime of a submitted signal until its sender (`receipt`) or an officer (`queue`) sees it, and from
        # the cause of a notice until it is in its `inbox`. One observation for each partition and poll, of the oldest record,
        # so a high load looks worse.
        self.visible_s = Histogram(
            "liandong_visible_seconds", "From submission to the views", ["view"], buckets=_DELAY_S, registry=r
        )
        # An invalid change of the policy file leaves the old policy in force. The process logs the faults.
        self.policy_reload_failed = Counter(
            "liandong_policy_reload_failed", "Changed policy files that were rejected as invalid", ["stage"], registry=r
        )
        # The policy in force. A stage whose policy differs from that of the others was not reloaded.
        self.policy = Info("liandong_policy", "The policy in force", ["stage"], registry=r)

        self._timekeeper()

    def _timekeeper(self) -> None:
        r = self.registry
        # Metrics of the timekeeper. Each worker reports its own partitions: use `sum` over the workers, and `max` for ages.
        # Future and due moments, one for each running deadline.
        self.open_clocks = Gauge("liandong_open_clocks", "Deadlines with a future or due moment", registry=r)
        # Cases with a due moment that track has not decided yet.
        self.due_cases = Gauge("liandong_due_cases", "Cases with a due moment that track has not decided", registry=r)
        # Age of the oldest of them by the broker's time; 0 when there is none.
        self.oldest_due_s = Gauge("liandong_oldest_due_seconds", "Age of the oldest due moment", registry=r)
        # Requests appended for due moments, repeated ones included.
        self.due_requests = Counter("liandong_due_requests", "Requests for due moments", registry=r)
        # One search for due moments, with the requests for them.
        self.tick_s = Histogram("liandong_tick_seconds", "Time of one tick of the timekeeper", buckets=_STEP_S, registry=r)

        self._of_webhook(r)

    def _of_webhook(self, r: CollectorRegistry) -> None:
        # Metrics of the webhook stage. Each worker reports its own partitions: use `sum` over the workers, and `max` for ages.
        # Calls of endpoints by outcome and reason.
        self.webhook_calls = Counter("liandong_webhook_calls", "Calls of webhook endpoints", ["outcome", "reason"], registry=r)
        # Deliveries that the stage gave up, by kind of notice. A person must look at them.
        self.webhook_parked = Counter("liandong_webhook_parked", "Parked deliveries", ["kind"], registry=r)
        # Pending deliveries, including those to paused endpoints.
        self.webhook_pending = Gauge("liandong_webhook_pending_records", "Deliveries that are pending", registry=r)
        # Age of the oldest of them with an enabled endpoint; 0 when there is none.
        self.webhook_oldest_s = Gauge("liandong_webhook_oldest_seconds", "Age of the oldest pending delivery", registry=r)
        # From the LogAppendTime of a notice until its endpoint accepts it, by the worker's clock.
        self.webhook_taken_s = Histogram(
            "liandong_webhook_taken_seconds", "From notice to acceptance by its endpoint", buckets=_DELAY_S, registry=r
        )

    def prepare(self, stage: str) -> None:
        """Creates every series of a stage at zero, because a first event is an increase only from an earlier zero."""
        for metric in (self.polled, self.dead, self.restored, self.restore_s, self.poll_s, self.poll_records, self.delay_s):
            metric.labels(stage)
        self.policy_reload_failed.labels(stage)
        for cause in WAITING_CAUSES:
            self.waiting.labels(stage, cause)
        for step in STEPS[stage]:
            self.step_s.labels(stage, step)
        for outcome in OUTCOMES[stage]:
            self.facts.labels(stage, outcome)
        for kind in (*NotificationKind, OTHER) if stage == "webhook" else ():
            self.webhook_parked.labels(kind)
        for view in ("receipt", "queue", "inbox") if stage == "project" else ():
            self.visible_s.labels(view)

    def tell_policy(self, stage: str, policy: Policy) -> None:
        """Reports this policy in place of the previous one."""
        name, number, digest = policy.label.split("/")
        self.policy.labels(stage).info({"name": name, "version": number, "hash": digest})


class Gateway(_Process):
    """Metrics of the gateway."""

    def __init__(self) -> None:
        super().__init__()
        r = self.registry
        # Signals appended to the log and acknowledged, single and batch lines alike.
        self.accepted = Counter("liandong_gateway_accepted", "Signals acknowledged by the broker", registry=r)
        # Refused requests and batch lines by problem slug (gateway/problems.py). `internal` is a fault of the gateway.
        self.refused = Counter("liandong_gateway_refused", "Refused requests and batch lines", ["reason"], registry=r)
        # Signals answered with the receipt of an earlier request. These duplicates never reach the log.
        self.replayed = Counter("liandong_gateway_replayed", "Signals answered from an idempotency record", registry=r)
        # Responses and batch lines with the status 503 by problem slug.
        self.unavailable = Counter(
            "liandong_gateway_unavailable", "Requests and batch lines answered with 503", ["reason"], registry=r
        )
        # Actions of officers by outcome: applied, refused, pending.
        self.actions = Counter("liandong_gateway_actions", "Actions of officers", ["outcome"], registry=r)
        # Searches by indicator: found, nothing. The audit log records the searching officer and the searched token.
        self.searches = Counter("liandong_gateway_searches", "Searches by indicator", ["outcome"], registry=r)
        # Open live connections of officers.
        self.live_clients = Gauge("liandong_gateway_live_clients", "Open live connections", registry=r)
        # Events sent on live connections by kind: cases, counts, reset. Many resets mean that clients cannot resume.
        self.live_events = Counter("liandong_gateway_live_events", "Events sent on live connections", ["kind"], registry=r)
        # Closed live connections by reason: gone (by the client), slow, expired, draining.
        self.live_closed = Counter("liandong_gateway_live_closed", "Closed live connections", ["reason"], registry=r)
        # From the LogAppendTime of a change of a case until live connections receive it, by the gateway's clock.
        self.live_delay_s = Histogram(
            "liandong_gateway_live_delay_seconds", "From a change to live connections", buckets=_DELAY_S, registry=r
        )
        # Waiting long polls and open live connections of inboxes.
        self.inbox_waiting = Gauge("liandong_gateway_inbox_waiting_clients", "Waiting inbox requests", registry=r)
        # Notices handed to their recipients, repeated ones included: by poll, stream, api (redelivery).
        self.inbox_notices = Counter("liandong_gateway_inbox_notices", "Notices handed to recipients", ["kind"], registry=r)
        # Delivery marks that the gateway appended: received, acknowledged, redelivered.
        self.inbox_marks = Counter("liandong_gateway_inbox_marks", "Delivery marks appended to the log", ["status"], registry=r)
        # From the LogAppendTime of the action that caused a notice until a live connection gets it, by the gateway's clock.
        self.inbox_delay_s = Histogram(
            "liandong_gateway_inbox_delay_seconds", "From the cause to live connections", buckets=_DELAY_S, registry=r
        )
        # Public tips by outcome: taken, again (the same tip), refused (not valid), limited (too many).
        self.tips = Counter("liandong_gateway_tips", "Public tips", ["outcome"], registry=r)
        # Partitions of the gateway's topics that cannot acknowledge writes: no leader, or fewer in-sync replicas than required.
        self.unwritable = Gauge("liandong_gateway_unwritable_partitions", "Partitions that accept no writes", registry=r)
        # Producers replaced after a failed append.
        self.producers_discarded = Counter(
            "liandong_gateway_producers_discarded", "Kafka producers replaced after a failure", registry=r
        )
        # Records that a stage has not projected, by its lowest watermarks; absent while unknown.
        self.lag = Gauge("liandong_stage_lag_records", "Records that a stage has not projected yet", ["stage"], registry=r)
        # From the first byte of a request to the last byte of its response, by route name. `post_signal` is gateway accept.
        self.request_s = Histogram(
            "liandong_gateway_request_seconds", "Duration of a request", ["route"], buckets=_REQUEST_S, registry=r
        )
        # Parts of accepting a signal or a chunk of a batch: lock the references, await the broker, remember the receipts.
        self.accept_s = Histogram(
            "liandong_gateway_accept_seconds", "Time of one part of accepting a signal", ["part"], buckets=_REQUEST_S, registry=r
        )
        # LogAppendTime minus the gateway's clock at the last acknowledgement. Deadlines run on the broker's time.
        self.clock_offset_s = Gauge(
            "liandong_gateway_broker_clock_offset_seconds", "Clock of the broker minus the clock of the gateway", registry=r
        )
        self._zeros()

    def _zeros(self) -> None:
        """Creates every series at zero before its first event."""
        for outcome in ("applied", "refused", "pending"):
            self.actions.labels(outcome)
        for outcome in ("taken", "again", "refused", "limited"):
            self.tips.labels(outcome)
        for kind in ("poll", "stream", "api"):
            self.inbox_notices.labels(kind)
        for status in ("received", "acknowledged", "redelivered"):
            self.inbox_marks.labels(status)
        for kind in ("cases", "counts", "reset"):
            self.live_events.labels(kind)
        for reason in ("gone", "slow", "expired", "draining"):
            self.live_closed.labels(reason)
        for outcome in ("found", "nothing"):
            self.searches.labels(outcome)
        for part in ("lock", "ack", "remember"):
            self.accept_s.labels(part)

    def prepare(self, problems: Iterable[tuple[str, int]]) -> None:
        """Creates a series at zero for every problem slug, by its status."""
        for slug, status in problems:
            (self.unavailable if status == 503 else self.refused).labels(slug)


class Family(NamedTuple):
    """A metric that is read from the views at the scrape. All gateways report the same value: use `max`, not `sum`."""

    name: str
    help: str
    labels: tuple[str, ...] = ()
    counter: bool = False


# 1 when the views answered; 0 while they are rebuilt or Redis is unavailable, and then all metrics below are absent.
VIEWS_UP = Family("liandong_views_up", "Whether the views can be read")
# Facts by outcome, exact: a projection of the log, equal after a rebuild. Institutions above the limit are `other`.
SIGNALS = Family("liandong_signals", "Assessed signals by institution", ("institution", "outcome"), True)
# Outcomes of joins and of officers' actions, exact.
ACTIONS = Family("liandong_actions", "Changes of cases by kind of action", ("kind", "outcome"), True)
# Cases by status. A claim with an expired lease counts as claimed until the next record about the case.
QUEUE_CASES = Family("liandong_queue_cases", "Cases in a queue", ("queue", "severity", "status"))
# Time since when the oldest case has had its status. Open cases have not been acknowledged since then.
QUEUE_OLDEST = Family(
    "liandong_queue_oldest_timestamp_seconds", "Oldest case with this status, by start", ("queue", "severity", "status")
)
# The scorecard of the current period, without small counts. A figure goes down when its source is retracted. The first
# parties by name, as many as the operator allows, and the total.
INSTITUTION_FIGURES = Family("liandong_institution_figure_records", "Figures of institutions", ("institution", "figure"))
# Sums of yuan stopped, frozen, blocked and returned. They may be the same money at different times, so never add them up.
INSTITUTION_MONEY = Family("liandong_institution_figure_fen", "Money held or returned", ("institution", "figure"))
# Percentiles of the response times of institutions, within a few per cent.
INSTITUTION_TIMES = Family("liandong_institution_time_seconds", "Times of institutions", ("institution", "figure", "percentile"))
# Figures of member units, for the coordination body. No figure has the same name in both families.
UNIT_FIGURES = Family("liandong_unit_figure_records", "Retrieve the figures of member units", ("unit", "figure"))
# Percentiles of the response times of member units.
UNIT_TIMES = Family("liandong_unit_time_seconds", "Times of member units", ("unit", "figure", "percentile"))
SCORECARDS = (INSTITUTION_FIGURES, INSTITUTION_MONEY, INSTITUTION_TIMES, UNIT_FIGURES, UNIT_TIMES)
VIEWS = (VIEWS_UP, SIGNALS, ACTIONS, QUEUE_CASES, QUEUE_OLDEST, *SCORECARDS)


class Steps:
    """Times the parts of one poll's step: `done(name)` ends a part and begins the next."""

    def __init__(self, stage: str) -> None:
        self._stage, self._at = stage, time.perf_counter()

    def done(self, step: str) -> None:
        now = time.perf_counter()
        METRICS.step_s.labels(self._stage, step).observe(now - self._at)
        self._at = now


def _version() -> str:
    try:
        return version("liandong")
    except PackageNotFoundError:
        return "unknown"


METRICS = Stages()
GATEWAY = Gateway()
