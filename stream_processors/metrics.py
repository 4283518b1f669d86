"""Every metric of the workers, declared once. Labels are bounded: stages and outcomes, never parties or subjects."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram


class _Metrics:
    """Names follow Prometheus conventions: base units, `_total` for counters (added by the client)."""

    def __init__(self) -> None:
        # Records taken from the log by a stage, echoes of a replay included.
        self.polled = Counter("liandong_records_polled", "Records read by a stage", ["stage"])
        # Facts by what they say: assessed, repeat, resend, conflict, refused; applied, echo.
        self.facts = Counter("liandong_facts", "Facts written by a stage", ["stage", "outcome"])
        # Facts folded at the restore barrier; a jump means that Redis lost state.
        self.restored = Counter("liandong_facts_restored", "Facts folded at a restore barrier", ["stage"])
        # Records that could not be taken.
        self.dead = Counter("liandong_dead_letters", "Dead letters written by a stage", ["stage"])
        # One step of a stage, from the poll to its completion.
        self.step_s = Histogram(
            "liandong_step_seconds",
            "Duration of one poll's step",
            ["stage"],
            buckets=(0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5),
        )
        # LogAppendTime of a submitted signal to the end of the step that assessed or projected it.
        self.behind_s = Gauge("liandong_behind_seconds", "Age of the oldest record of the last poll", ["stage"])


METRICS = _Metrics()
