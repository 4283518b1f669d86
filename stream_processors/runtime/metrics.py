"""Every metric of the system, declared once: the workers', the gateway's, and those read from the views.

Names follow Prometheus' conventions: base units, `_total` for counters (the client adds it), a help text. Invariant: labels
take values from closed sets (stages, steps, outcomes, problem slugs, route names) or from sets that are cut off at a limit
(institutions, queues: gateway/ops/exporter.py); never a reference, a path or a subject. tests/unit/test_metrics.py holds it.
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
from schemas.notices import NoticeKind
from schemas.notifications.delivery import DeliveryState
from schemas.policy import Policy
from schemas.signals.assessed import Outcome
from schemas.signals.receipts import RawOutcome

OTHER = "other"
"""The label of all that is over a limit."""

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
"""A stage's steps, in order. Two halves of a large poll of assess go at once: their times overlap."""

OUTCOMES: dict[str, tuple[str, ...]] = {
    "intake": tuple(RawOutcome),
    "assess": tuple(Outcome),
    "track": tuple(ActionOutcome),
    "deliver": (*NoticeKind, "follow"),
    "webhook": (DeliveryState.RECEIVED, DeliveryState.PARKED),
    "oversee": tuple(ActionOutcome),
    "project": (),
    "timekeeper": (),
}

WAITING_CAUSES = ("kafka", "redis", "lock")
"""What a worker may wait for (stream_processors/runtime/waiting.py)."""

_STEP_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)
_DELAY_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600)
_REQUEST_S = (0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10)


class _Process:
    """What every process tells: which build it is and since when it runs. One registry a kind of process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)  # process_*: CPU, memory, descriptors; nothing where there is no /proc
        # Which version of the software this is.
        Info("liandong_build", "Version of the software", registry=self.registry).info({"version": _version()})
        # When the process started; a change is a restart, wanted or not.
        self.started = Gauge("liandong_start_time_seconds", "Start of the process since the epoch", registry=self.registry)
        self.started.set(time.time())


class PolledHistogram(Histogram):
    """A histogram that takes a whole poll's values at once: `observe` costs microseconds, and there is one a record."""

    def observe_all(self, values: Iterable[float]) -> None:
        """The same as `observe` of each. Without labels only."""
        for value, n in Tally(values).items():
            self._sum.inc(value * n)
            self._buckets[bisect_left(self._upper_bounds, value)].inc(n)


class Stages(_Process):
    """The workers' metrics. `stage` is one of topology.py's, or intake."""

    def __init__(self) -> None:
        super().__init__()
        r = self.registry
        # Records taken from the log, echoes of a replay included.
        self.polled = Counter("liandong_records_polled", "Records read by a stage", ["stage"], registry=r)
        # Facts by what they say: accepted, refused; assessed, repeat, resend, conflict, refused; applied, refused, echo;
        # of deliver the kinds of notices, and `follow`: what was asked of other cases; of webhook received, parked.
        self.facts = Counter("liandong_facts", "Facts written by a stage", ["stage", "outcome"], registry=r)
        # Assessed signals about a subject that another institution reported within the policy's window.
        self.corroborations = Counter("liandong_corroborations", "Signals that another institution's bear out", registry=r)
        # Points of every assessed signal. Policies set case thresholds in tens, so do the buckets.
        self.score = PolledHistogram(
            "liandong_signal_score", "Points of an assessed signal", buckets=range(10, 101, 10), registry=r
        )
        # Records that could not be taken, also the ones that are written again after a kill.
        self.dead = Counter("liandong_dead_letters", "Dead letters written by a stage", ["stage"], registry=r)
        # Facts folded at the restore barrier; a jump means that Redis lost state.
        self.restored = Counter("liandong_facts_restored", "Facts folded at a restore barrier", ["stage"], registry=r)
        # Every start and every assignment passes the barrier: this long nothing of its partitions goes on.
        self.restore_s = Histogram(
            "liandong_restore_seconds", "Time to pass the restore barrier", ["stage"], buckets=_DELAY_S, registry=r
        )
        # While a worker waits: since when. By what for: Kafka, Redis, or another one at the same restore barrier. 0: it works.
        self.waiting = Gauge("liandong_waiting_since_seconds", "Since when a worker waits", ["stage", "reason"], registry=r)
        # From a poll's records in hand to its completion.
        self.poll_s = Histogram("liandong_poll_seconds", "Duration of one poll's step", ["stage"], buckets=_STEP_S, registry=r)
        # One observation a poll (a half of it, in a large one): which step the time goes to.
        self.step_s = Histogram(
            "liandong_step_seconds", "Duration of a part of a poll's step", ["stage", "step"], buckets=_STEP_S, registry=r
        )
        # How many records a poll has: small while there is room, at the limit when the stage is behind.
        self.poll_records = Histogram(
            "liandong_poll_records", "Records of one poll", ["stage"], buckets=(1, 10, 100, 500, 1000, 2000, 4000), registry=r
        )
        # LogAppendTime of a poll's oldest record to the poll's completion, on the worker's clock.
        self.delay_s = Histogram(
            "liandong_stage_delay_seconds", "Age of a poll's oldest record when it is done", ["stage"], buckets=_DELAY_S,
            registry=r,
        )  # fmt: skip
        # From the LogAppendTime of a submitted signal until its sender sees it (`receipt`), an officer (`queue`), of the cause of
        # a notice until it is in its `inbox`. One observation, the oldest, a partition and poll: at a high load on the safe side.
        self.visible_s = Histogram(
            "liandong_visible_seconds", "Submitted to visible in the views", ["view"], buckets=_DELAY_S, registry=r
        )
        # A changed policy file that is not valid: the old policy goes on. The log says what is wrong.
        self.policy_reload_failed = Counter(
            "liandong_policy_reload_failed", "Changed policy files that are not valid", ["stage"], registry=r
        )
        # Which policy decides; a stage whose policy differs from the others' was not reloaded.
        self.policy = Info("liandong_policy", "The policy that decisions are made by", ["stage"], registry=r)

        self._timekeeper()

    def _timekeeper(self) -> None:
        r = self.registry
        # The timekeeper's own, each of its share of the partitions: `sum` over the workers, of the oldest `max`.
        # Moments that are still to come or due, one of each running clock.
        self.open_clocks = Gauge("liandong_open_clocks", "Clocks that something is still to come of", registry=r)
        # Cases of which something is due that track has not decided yet.
        self.due_cases = Gauge("liandong_due_cases", "Cases with a due moment that is not decided", registry=r)
        # How long the oldest of them is due, by the broker's time; 0 when there is none.
        self.oldest_due_s = Gauge("liandong_oldest_due_seconds", "Since when the oldest due moment waits", registry=r)
        # Requests appended for due moments, those made again included.
        self.due_requests = Counter("liandong_due_requests", "Requests for due moments", registry=r)
        # One look for what is due, and the requests for it.
        self.tick_s = Histogram("liandong_tick_seconds", "Duration of a tick of the timekeeper", buckets=_STEP_S, registry=r)

        self._of_webhook(r)

    def _of_webhook(self, r: CollectorRegistry) -> None:
        # The sender's own, each of its share of the partitions: `sum` over the workers, of the oldest `max`.
        # Calls of endpoints by what they meant, and why.
        self.webhook_calls = Counter("liandong_webhook_calls", "Calls of endpoints", ["outcome", "reason"], registry=r)
        # Deliveries that were given up, by kind of notice: a person must look.
        self.webhook_parked = Counter("liandong_webhook_parked", "Deliveries that were parked", ["kind"], registry=r)
        # What is still to be sent, also to endpoints that are switched off.
        self.webhook_pending = Gauge("liandong_webhook_pending_records", "Deliveries that are still to be sent", registry=r)
        # How long the oldest of them waits whose endpoint is switched on; 0 when there is none.
        self.webhook_oldest_s = Gauge("liandong_webhook_oldest_seconds", "Since when the oldest delivery waits", registry=r)
        # LogAppendTime of a notice until its endpoint took it, on the worker's clock.
        self.webhook_taken_s = Histogram(
            "liandong_webhook_taken_seconds", "Notice issued to taken by its endpoint", buckets=_DELAY_S, registry=r
        )

    def prepare(self, stage: str) -> None:
        """Every series that a stage will have, at zero: a first event is an increase only where there was a zero before."""
        for metric in (self.polled, self.dead, self.restored, self.restore_s, self.poll_s, self.poll_records, self.delay_s):
            metric.labels(stage)
        self.policy_reload_failed.labels(stage)
        for cause in WAITING_CAUSES:
            self.waiting.labels(stage, cause)
        for step in STEPS[stage]:
            self.step_s.labels(stage, step)
        for outcome in OUTCOMES[stage]:
            self.facts.labels(stage, outcome)
        for kind in (*NoticeKind, OTHER) if stage == "webhook" else ():
            self.webhook_parked.labels(kind)
        for view in ("receipt", "queue", "inbox") if stage == "project" else ():
            self.visible_s.labels(view)

    def tell_policy(self, stage: str, policy: Policy) -> None:
        """Replaces what is told of the policy."""
        name, number, digest = policy.label.split("/")
        self.policy.labels(stage).info({"name": name, "version": number, "hash": digest})


class Gateway(_Process):
    """The gateway's metrics."""

    def __init__(self) -> None:
        super().__init__()
        r = self.registry
        # Signals appended to the log and acknowledged, single and batch lines alike.
        self.accepted = Counter("liandong_gateway_accepted", "Signals acknowledged by the broker", registry=r)
        # Requests or batch lines refused, by problem slug (gateway/problems.py); `internal` is a fault of ours.
        self.refused = Counter("liandong_gateway_refused", "Requests and batch lines refused", ["reason"], registry=r)
        # Signals answered with the receipt of an earlier request: repeats that never reached the log.
        self.replayed = Counter("liandong_gateway_replayed", "Signals answered from an idempotency record", registry=r)
        # Answers 503 and batch lines of status 503, by problem slug.
        self.unavailable = Counter(
            "liandong_gateway_unavailable", "Requests and batch lines answered 503", ["reason"], registry=r
        )
        # Officers' actions by what became of them: applied, refused, pending.
        self.actions = Counter("liandong_gateway_actions", "Officers' actions", ["outcome"], registry=r)
        # Searches by indicator: found, nothing. Who searched for what is in the audit log.
        self.searches = Counter("liandong_gateway_searches", "Searches by an indicator", ["outcome"], registry=r)
        # Live connections of officers open now.
        self.live_clients = Gauge("liandong_gateway_live_clients", "Open live connections", registry=r)
        # Events sent on live connections by kind: cases, counts, reset. Many resets: clients that cannot resume.
        self.live_events = Counter("liandong_gateway_live_events", "Events sent on live connections", ["kind"], registry=r)
        # How live connections ended: gone (by the client), slow, expired, draining.
        self.live_closed = Counter("liandong_gateway_live_closed", "Live connections ended", ["reason"], registry=r)
        # LogAppendTime of a change of a case until it is handed to the live connections, on the gateway's clock.
        self.live_delay_s = Histogram(
            "liandong_gateway_live_delay_seconds", "Change of a case to live", buckets=_DELAY_S, registry=r
        )
        # Long polls that wait and live connections of inboxes, now.
        self.inbox_waiting = Gauge("liandong_gateway_inbox_waiting_clients", "Who waits for an inbox", registry=r)
        # Notices handed to their recipients, also those that come again: by poll, stream, api (asked for once more).
        self.inbox_notices = Counter("liandong_gateway_inbox_notices", "Notices handed out", ["kind"], registry=r)
        # Marks of delivery that the gateway appended: received, acknowledged, replayed.
        self.inbox_marks = Counter("liandong_gateway_inbox_marks", "Marks of delivery appended", ["status"], registry=r)
        # LogAppendTime of the action that caused a notice until it is written to a live connection, on the gateway's clock.
        self.inbox_delay_s = Histogram(
            "liandong_gateway_inbox_delay_seconds", "Cause of a notice to live", buckets=_DELAY_S, registry=r
        )
        # Public tips by what became of them: taken, again (the same one), refused (not valid), limited (too many).
        self.tips = Counter("liandong_gateway_tips", "Public tips", ["outcome"], registry=r)
        # Partitions of the topics that the gateway writes which cannot acknowledge: no leader, or fewer copies than promised.
        self.unwritable = Gauge("liandong_gateway_unwritable_partitions", "Partitions that cannot acknowledge", registry=r)
        # Producers replaced after a failed append.
        self.producers_discarded = Counter(
            "liandong_gateway_producers_discarded", "Kafka producers replaced after a failure", registry=r
        )
        # Records that a stage has not folded, by its lowest marks; absent while it is not known.
        self.lag = Gauge("liandong_stage_lag_records", "Records that a stage has not folded", ["stage"], registry=r)
        # From the first byte of a request to the last of its answer, by route name: `post_signal` is gateway accept.
        self.request_s = Histogram(
            "liandong_gateway_request_seconds", "Duration of a request", ["route"], buckets=_REQUEST_S, registry=r
        )
        # Parts of accepting one signal or a chunk of a batch: lock the names, broker's acknowledgement, remember.
        self.accept_s = Histogram(
            "liandong_gateway_accept_seconds", "Duration of a part of accepting", ["part"], buckets=_REQUEST_S, registry=r
        )
        # LogAppendTime minus our clock at the last acknowledgement. Clocks of law run on the broker's time, tokens on ours.
        self.clock_offset_s = Gauge(
            "liandong_gateway_broker_clock_offset_seconds", "Broker's clock minus the gateway's", registry=r
        )
        self._zeros()

    def _zeros(self) -> None:
        """What has not happened yet is told, too."""
        for outcome in ("applied", "refused", "pending"):
            self.actions.labels(outcome)
        for outcome in ("taken", "again", "refused", "limited"):
            self.tips.labels(outcome)
        for kind in ("poll", "stream", "api"):
            self.inbox_notices.labels(kind)
        for status in ("received", "acknowledged", "replayed"):
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
        """A zero for every problem slug, by its status."""
        for slug, status in problems:
            (self.unavailable if status == 503 else self.refused).labels(slug)


class Family(NamedTuple):
    """A metric that is read from the views at the scrape. Every gateway tells the same: take `max`, not `sum`, over them."""

    name: str
    help: str
    labels: tuple[str, ...] = ()
    counter: bool = False


# 1 when the views answered; 0 while they are rebuilt or Redis is away, and then all below are absent.
VIEWS_UP = Family("liandong_views_up", "Whether the views are whole")
# Facts by what they say, exact: a fold of the log, the same after a rebuild. Over the limit institutions are `other`.
SIGNALS = Family("liandong_signals", "Assessed facts by institution", ("institution", "outcome"), True)
# What became of joins and officers' moves, exact.
ACTIONS = Family("liandong_actions", "Changes of cases by kind of action", ("kind", "outcome"), True)
# Cases by how they stand. A claim whose lease ran out counts as claimed until the next record about the case.
QUEUE_CASES = Family("liandong_queue_cases", "Cases in a queue", ("queue", "severity", "status"))
# Since when the longest-standing case stands as it does; open ones have not been acknowledged since then.
QUEUE_OLDEST = Family(
    "liandong_queue_oldest_timestamp_seconds", "Since when the longest-standing case stands so", ("queue", "severity", "status")
)
# The scorecard of the running period, small counts hidden: a figure goes down when what it counted is taken back. The first
# parties by name, as many as the operator allows, and the total.
INSTITUTION_FIGURES = Family("liandong_institution_figure_records", "What institutions did", ("institution", "figure"))
# Sums of yuan that were stopped, frozen, blocked, returned: maybe the same money at different times, so never one sum.
INSTITUTION_MONEY = Family("liandong_institution_figure_fen", "Money that institutions held back", ("institution", "figure"))
# Percentiles of how long institutions took, within a few per cent.
INSTITUTION_TIMES = Family("liandong_institution_time_seconds", "How long it took", ("institution", "figure", "percentile"))
# The same of member units, for the coordination body: no figure has the same name in both.
UNIT_FIGURES = Family("liandong_unit_figure_records", "What member units did", ("unit", "figure"))
# Percentiles of how long member units took.
UNIT_TIMES = Family("liandong_unit_time_seconds", "How long units took", ("unit", "figure", "percentile"))
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
