"""The coalescer: never more than the rate, never the last state lost, never more than its bound in memory."""

from __future__ import annotations

from itertools import pairwise
from types import SimpleNamespace

from hypothesis import given
from hypothesis import strategies as st

from gateway.live.coalesce import NEVER, Coalescer
from gateway.live.rows import LiveRow

EVERY_S, MOST = 0.25, 6
Step = tuple[str, int, float]

steps = st.lists(
    st.one_of(
        st.tuples(st.just("change"), st.integers(0, 9), st.just(0.0)),
        st.tuples(st.just("count"), st.integers(0, 2), st.just(0.0)),
        st.tuples(st.just("take"), st.just(0), st.floats(0, 0.6)),
        st.tuples(st.just("reset"), st.just(0), st.just(0.0)),
    ),
    max_size=120,
)


class Client:
    """What a client knows from its events alone; a reset makes it read everything that stands at that moment."""

    def __init__(self, standing: dict[str, int]) -> None:
        self.standing, self.cases, self.counts = standing, dict[str, int](), dict[str, bytes]()
        self.times: list[float] = []
        self.at_counts: list[float] = []

    def hear(self, coalescer: Coalescer, now: float) -> None:
        update = coalescer.take(now)
        if update is None:
            return
        assert update.reset or update.rows or update.counts, "an update says something"
        self.times.append(now)
        if update.reset:
            self.cases = dict(self.standing)
        if update.counts:
            self.at_counts.append(now)
            self.counts |= dict(one.split(b"=") for one in update.counts)
        for row in update.rows:
            assert self.cases.get(row.case.case_id, 0) < row.case.revision, "a row brings news"
            self.cases[row.case.case_id] = row.case.revision


def row(name: str, revision: int) -> LiveRow:
    return LiveRow(SimpleNamespace(case_id=name, revision=revision), 0, 0)  # type: ignore[arg-type]


@given(steps)
def test_the_last_state_arrives_and_the_rate_is_kept(found: list[Step]) -> None:
    coalescer = Coalescer(every_s=EVERY_S, counts_every_s=1.0, most=MOST, rows_an_update=3)
    standing: dict[str, int] = {}
    counts: dict[bytes, bytes] = {}
    client, now = Client(standing), 0.0
    for kind, which, passes in found:
        now += passes
        if kind == "change":
            name = f"case-{which}"
            standing[name] = standing.get(name, 0) + 1
            coalescer.offer(row(name, standing[name]))
            coalescer.offer(row(name, standing[name] - 1))
        elif kind == "count":
            queue = b"q%d" % which
            counts[queue] = b"%d" % (int(counts.get(queue, b"0")) + 1)
            coalescer.count(queue.decode(), queue + b"=" + counts[queue])
        elif kind == "reset":
            coalescer.reset("gap")
        else:
            client.hear(coalescer, now)
        assert len(coalescer) <= MOST
    while (due := coalescer.due()) != NEVER:
        now = max(now, due)
        client.hear(coalescer, now)
    assert client.cases == standing
    assert client.counts == counts
    assert all(later - earlier >= EVERY_S - 1e-9 for earlier, later in pairwise(client.times))
    assert all(later - earlier >= 1.0 - 1e-9 for earlier, later in pairwise(client.at_counts))
    assert coalescer.idle


@given(st.lists(st.floats(0, 2), min_size=1, max_size=60))
def test_nothing_is_due_before_its_time_and_what_is_due_is_given(gaps: list[float]) -> None:
    coalescer = Coalescer(every_s=EVERY_S, counts_every_s=1.0, most=MOST, rows_an_update=3)
    now = 0.0
    for n, gap in enumerate(gaps):
        coalescer.offer(row("case", n + 1))
        now += gap
        assert (coalescer.take(now) is not None) == (not coalescer.due() > now or coalescer.due() == NEVER)
