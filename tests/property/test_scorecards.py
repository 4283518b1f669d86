"""Scorecards under any history: order does not matter, errors are bounded, and what is hidden cannot be computed."""

from __future__ import annotations

import csv
import io
import random
from datetime import timedelta
from fractions import Fraction
from itertools import count
from typing import Any

from hypothesis import assume, given
from hypothesis import strategies as st

from schemas.scorecards import LAYOUTS, CardKind, CountedFigures, Scorecard
from stream_processors.domain.scorecards import ERROR_PERCENT, card, contributions, counted, fold, from_csv, to_csv
from stream_processors.domain.scorecards.buckets import BOUNDS, LONGEST_S, bucket, percentile
from stream_processors.domain.scorecards.card import TOTAL
from stream_processors.domain.scorecards.export import plain, safe
from stream_processors.domain.scorecards.suppression import hidden
from tests.support.builders import T0
from tests.support.scores import CaseOf, DeadlineOf, MeasureOf, OrderOf, folded

KIND = CardKind.INSTITUTION
BANKS = ("bank-001", "bank-002")
NUMBERS = st.integers(0, 9)
WHAT = st.sampled_from(
    ["answer", "order", "dispose", "reopen", "empty", "join", "leave", "clock", "end", "order", "answer", "measure", "forget"]
)
STEPS = st.lists(st.tuples(WHAT, NUMBERS, st.integers(0, 10**7)), min_size=3, max_size=40)


def _moved(case: CaseOf, what: str, n: int, at: Any, number: int) -> CaseOf:
    bank = BANKS[n % 2]
    match what:
        case "dispose":
            return case.disposed(("confirmed", "false_positive", "insufficient", "transferred", "merged")[n % 5], at)
        case "reopen":
            return case.but(status="open")
        case "empty":
            return case.but(status="retracted", institutions=())
        case "join":
            return case.but(institutions=tuple(sorted({*case.institutions, bank})))
        case "leave":
            return case.but(institutions=tuple(one for one in case.institutions if one != bank))
        case "clock":
            name = ("acknowledge", "dispose", "warn", "block", "report", "emergency_stop")[n % 6]
            return case.but(
                deadlines=(*case.deadlines, DeadlineOf(name, number, bank, started_at=at, due_at=at + timedelta(hours=n)))
            )
        case "end" if case.deadlines:
            state = ("fired", "stopped", "cancelled")[n % 3]
            ended = DeadlineOf(**{**vars(case.deadlines[n % len(case.deadlines)]), "state": state, "stopped_at": at})
            return case.but(deadlines=tuple(ended if one.run == ended.run else one for one in case.deadlines))
        case "order":
            kind = ("stop_payment", "freeze", "return_funds", "supervision_letter")[n % 4]
            return case.but(orders=(*case.orders, OrderOf(f"ord-{number}", kind, bank, issued_at=at)))
        case "answer" if case.orders:
            old = case.orders[n % len(case.orders)]
            if old.executed_at is None:
                state = ("executed", "executed", "refused", "failed", "delivered", "released", "expired")[n % 7]
                done = {"executed_at": at, "held_minor": 100 + n, "late": n > 6} if state == "executed" else {}
                over: dict[str, Any] = {"state": state, "overdue": n > 7, **done}
            else:  # what is held only falls from then on
                over = {"state": ("expired", "released", "renewed")[n % 3], "held_minor": old.held_minor // 2 if n > 4 else 0}
            new = OrderOf(**{**vars(old), **over})
            return case.but(orders=tuple(new if one is old else one for one in case.orders))
        case "measure":
            kind = ("warned", "blocked", "reported")[n % 3]
            return case.but(measures=(*case.measures, MeasureOf(f"mea-{number}", bank, kind, at, n * 10)))
        case "forget":
            return case.but(measures=case.measures[1:], orders=case.orders[1:])
    return case


def _history(steps: list[Any]) -> tuple[list[CountedFigures], CaseOf]:
    """What the facts carry, and the case with everything that its lists let go of, at the most that each order held."""
    now, facts, at = CaseOf(), [counted(None, CaseOf())], T0
    orders: dict[str, OrderOf] = {}
    measures: dict[str, MeasureOf] = {}
    for number, (what, n, pause_s) in enumerate(steps, 1):
        at += timedelta(seconds=pause_s)
        after = _moved(now, what, n, at, number)
        facts.append(counted(now, after))
        now = after
        for one in now.orders:
            most = max(one.held_minor, orders[one.order_id].held_minor if one.order_id in orders else 0)
            orders[one.order_id] = OrderOf(**{**vars(one), "held_minor": most})
        measures |= {one.measure_id: one for one in now.measures}
    whole = now.but(orders=tuple(orders.values()), measures=tuple(measures.values()))
    return [fact for fact in facts if fact is not None], whole


@given(STEPS, st.randoms(use_true_random=False))
def test_the_cells_are_the_same_in_any_order_of_facts(steps: list[Any], shuffled: random.Random) -> None:
    facts, _ = _history(steps)
    other = list(facts)
    shuffled.shuffle(other)
    assert folded(*facts) == folded(*other)


@given(STEPS)
def test_the_cells_are_what_the_last_state_counts_whatever_was_undone_on_the_way(steps: list[Any]) -> None:
    facts, whole = _history(steps)
    cells = folded(*facts)
    assert cells == folded(counted(None, whole))
    assert all(n > 0 for n in cells.values())


@given(STEPS, STEPS)
def test_views_of_parts_of_the_log_add_up(one: list[Any], other: list[Any]) -> None:
    left, right = _history(one)[0], _history(other)[0]
    sums = folded(*left)
    for cell, n in folded(*right).items():
        sums[cell] = sums.get(cell, 0) + n
    assert sums == folded(*left, *right)


@given(STEPS)
def test_a_fact_alone_changes_each_cell_once_and_days_make_the_month(steps: list[Any]) -> None:
    for fact in _history(steps)[0]:
        adds = contributions(fact)
        assert len({add.cell for add in adds}) == len(adds) and all(add.n for add in adds)
        for length in (7, 4):
            days: dict[Any, int] = {}
            fold(
                days,
                (
                    add._replace(cell=add.cell._replace(period=add.cell.period[:length]))
                    for add in adds
                    if len(add.cell.period) == 10
                ),
            )
            assert days == {add.cell: add.n for add in adds if len(add.cell.period) == length}


@given(st.lists(st.integers(0, LONGEST_S) | st.integers(0, 300), min_size=1, max_size=200), st.sampled_from([1, 50, 90, 99, 100]))
def test_a_percentile_is_within_its_error_of_the_exact_one(seconds: list[int], percent: int) -> None:
    histogram = [0] * len(BOUNDS)
    for one in seconds:
        histogram[bucket(one)] += 1
    exact = sorted(seconds)[(percent * len(seconds) + 99) // 100 - 1]
    found = percentile(histogram, percent)
    assert found is not None and abs(found - exact) * 100 <= ERROR_PERCENT * exact


PARTIES = st.integers(1, 6)
SMALL = st.sampled_from([0, 0, 1, 1, 2, 3, 4, 5, 6, 9, 20, 400])


@st.composite
def books(draw: Any) -> dict[str, dict[str, int]]:
    parties = [f"bank-{n:03}" for n in range(draw(PARTIES))]
    families = LAYOUTS[KIND].families
    leaves = [leaf for family in families for leaf in (family.parts or (family.name, *family.money))]
    return {party: {leaf: draw(SMALL) for leaf in leaves} for party in parties}


def known(shown: Scorecard) -> set[tuple[str, str]]:
    """The attacker: which hidden figures follow from the shown ones, by any sums and differences of rows and columns, and by what
    a count can be at least and at most (a hidden count of a party is 1 or more, for a zero would be shown)."""
    rows = {row.party: row for row in (*shown.rows, shown.total)}
    equations: list[list[tuple[tuple[str, str], int]]] = []
    for family in LAYOUTS[shown.kind].families:
        if family.parts:
            equations += [[((party, family.name), 1), *(((party, part), -1) for part in family.parts)] for party in rows]
        for figure in family.figures:
            equations.append([((TOTAL, figure), 1), *(((row.party, figure), -1) for row in shown.rows)])
    system = []
    for terms in equations:
        free = {name: Fraction(by) for name, by in terms if name[1] in rows[name[0]].suppressed}
        if free:
            system.append((free, -sum(Fraction(by * rows[name[0]].counts[name[1]]) for name, by in terms if name not in free)))
    return _solved(system) | _squeezed(system)


def _solved(system: list[Any]) -> set[tuple[str, str]]:
    """Gauss and Jordan: what has an equation of its own."""
    left = [(dict(free), value) for free, value in system]
    done: list[tuple[tuple[str, str], dict[Any, Fraction], Fraction]] = []
    while left:
        free, value = left.pop()
        for pivot, other, known_value in done:
            if (by := free.get(pivot, 0)) != 0:
                free, value = _less(free, other, by), value - by * known_value
        if not free:
            assert value == 0
            continue
        pivot = min(free)
        by = free[pivot]
        free, value = {name: n / by for name, n in free.items()}, value / by
        done = [
            (name, _less(other, free, other.get(pivot, Fraction(0))), known_value - other.get(pivot, 0) * value)
            for name, other, known_value in done
        ]
        done.append((pivot, free, value))
    return {pivot for pivot, free, _ in done if len(free) == 1}


def _less(one: dict[Any, Fraction], other: dict[Any, Fraction], by: Fraction) -> dict[Any, Fraction]:
    found = {name: one.get(name, Fraction(0)) - by * other.get(name, 0) for name in {*one, *other}}
    return {name: n for name, n in found.items() if n}


def _squeezed(system: list[Any]) -> set[tuple[str, str]]:
    """Bounds of each unknown, made narrower by each equation until nothing changes."""
    counts = {family.name for family in LAYOUTS[KIND].families}
    names = {name for free, _ in system for name in free}
    low: dict[Any, Any] = {name: Fraction(int(name[1] in counts and name[0] != TOTAL)) for name in names}
    high: dict[Any, Any] = dict.fromkeys(names, float("inf"))
    for _ in range(50):
        before = (dict(low), dict(high))
        for free, value in system:
            for name, by in free.items():
                rest = [(other, n) for other, n in free.items() if other != name]
                least = sum(n * (low if n > 0 else high)[other] for other, n in rest)
                most = sum(n * (high if n > 0 else low)[other] for other, n in rest)
                ends = sorted(((value - least) / by, (value - most) / by))
                low[name], high[name] = max(low[name], ends[0]), min(high[name], ends[1])
        if (low, high) == before:
            break
    return {name for name in names if low[name] == high[name]}


@given(books(), st.sampled_from([2, 3, 5, 10]))
def test_no_small_count_is_shown_or_follows_from_what_is_shown(cells: dict[str, dict[str, int]], threshold: int) -> None:
    truth, found = card(cells, kind=KIND, period="2026", threshold=0), card(cells, kind=KIND, period="2026", threshold=threshold)
    rows = {row.party: row.counts for row in (*truth.rows, truth.total)}
    money = {name for family in LAYOUTS[KIND].families for name in family.money}
    secret = {(party, name) for party, row in rows.items() for name, n in row.items() if 0 < n < threshold and name not in money}
    for row in (*found.rows, found.total):
        assert not row.counts.keys() & {name for party, name in secret if party == row.party}
        assert row.counts.items() <= rows[row.party].items(), "what is shown is true"
    for family in LAYOUTS[KIND].families:
        few = {party for party, row in rows.items() if 0 < row[family.name] < threshold}
        secret |= {(party, name) for party in few for name in family.money if rows[party][name]}
    assert known(found) & secret == set()


def test_the_attacker_finds_what_is_hidden_alone() -> None:
    """So that the test above can fail."""
    cells = {"a": {"warnings": 2, "confirmed": 2, "insufficient": 9}, "b": {"warnings": 9, "confirmed": 20}}
    whole = card(cells, kind=KIND, period="2026", threshold=0)
    row = whole.rows[0]
    less = {name: n for name, n in row.counts.items() if name not in ("warnings", "confirmed")}
    naive = row.model_copy(update={"counts": less, "suppressed": ("warnings", "confirmed")})
    assert known(whole.model_copy(update={"rows": (naive, whole.rows[1])})) == {("a", "warnings"), ("a", "confirmed")}


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=2, max_size=3), st.sampled_from([2, 3, 4]))
def test_each_small_count_could_be_as_many_values_as_the_threshold(parts: list[tuple[int, int]], threshold: int) -> None:
    """By trying all tables that show the same."""
    table = {str(n): row for n, row in enumerate(parts)}
    found = hidden(table, threshold)
    same = [other for other in _tables(table, found) if other is not None]
    for party, row in table.items():
        if 0 < sum(row) < threshold:
            assert len({sum(other[party]) for other in same}) >= threshold
        for place, n in enumerate(row):
            if 0 < n < threshold:
                assert len({other[party][place] for other in same}) >= threshold


def _tables(table: dict[str, tuple[int, int]], found: Any) -> list[dict[str, tuple[int, int]]]:
    """All small tables with the same shown figures. Without a total nothing bounds a hidden count, so 12 stands for many."""
    choices = []
    for party, row in table.items():
        if party in found.whole:
            choices.append([(a, b) for a in range(13) for b in range(13 - a) if a + b])
        elif party in found.parts:
            choices.append([(a, sum(row) - a) for a in range(sum(row) + 1)])
        else:
            choices.append([row])
    made: list[dict[str, tuple[int, int]]] = []
    wanted = tuple(sum(column) for column in zip(*table.values(), strict=True))

    def walk(at: int, rows: list[tuple[int, int]], a: int, b: int) -> None:
        if (found.total_shown and a + b > sum(wanted)) or (found.total_parts_shown and (a > wanted[0] or b > wanted[1])):
            return
        if at == len(choices):
            if (not found.total_shown or a + b == sum(wanted)) and (not found.total_parts_shown or (a, b) == wanted):
                made.append(dict(zip(table, rows, strict=True)))
            return
        for one in choices[at]:
            walk(at + 1, [*rows, one], a + one[0], b + one[1])

    if not found.total_shown:
        # Nothing ties the rows to each other: one at a time is enough.
        for number, options in enumerate(choices):
            for one in options:
                made.append({name: one if at == number else row for at, (name, row) in zip(count(), table.items(), strict=False)})
        return made
    walk(0, [], 0, 0)
    return made


TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)
FORMULAS = ["=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠", "﹣", " =", "\ufeff=", "'=", "'", "\u200b＝", "\u3000-"]
HOSTILE = st.builds(str.__add__, st.sampled_from(FORMULAS), TEXT)


@given(st.dictionaries(st.sampled_from(["bank-001", "bank-002", TOTAL]), TEXT | HOSTILE), st.booleans(), books())
def test_a_csv_reads_back_as_it_was_and_no_cell_begins_with_a_formula(names: dict[str, str], bom: bool, cells: Any) -> None:
    found = card(cells, kind=KIND, period="2026-03")
    data = to_csv(found, names, bom=bom)
    for line in csv.reader(io.StringIO(data.decode("utf-8-sig"), newline=""), strict=True):
        for cell in line:
            assert cell.lstrip(" \ufeff\u200b\u3000\u00a0")[:1] not in set("=+-@\t\r\n＝＋－＠﹣﹢﹦﹫") - {""} or cell == ""
    lines = from_csv(data)
    assert [line["name"] for line in lines] == [names.get(line["party"], "") for line in lines]
    for line, row in zip(lines, (*found.rows, found.total), strict=True):
        assert {name: int(line[name]) for name in row.counts} == row.counts
        assert {name for name, text in line.items() if text == "*"} >= set(row.suppressed)


@given(TEXT | HOSTILE)
def test_a_text_made_safe_is_the_same_text(text: str) -> None:
    assume("\0" not in text)
    assert plain(safe(text)) == text
