"""The oracle's parts: its own reading of values, the places of doubtful records, independence."""

from __future__ import annotations

import ast
from datetime import UTC, datetime
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

import tests.oracle
from deploy.demo.generate import generate
from deploy.demo.values import MAKERS, spelled
from deploy.verify import ledger
from deploy.verify.ledger import LedgerEntry
from schemas.common import instant_ms as theirs
from schemas.signals.indicators import canonical
from stream_processors.domain.signals.scoring import severity
from stream_processors.runtime.settings import SHIPPED_POLICY, load_policy
from stream_processors.views.receipts import Receipt
from tests.oracle.compare import Live
from tests.oracle.expected_log import FAR, identities, members
from tests.oracle.reference_model import Policy, content_of, instant_ms, is_apart, plain
from tests.oracle.verify import other_policies

ORACLE = Path(tests.oracle.__file__).parent
PARTS = [
    *(ORACLE / f"{name}.py" for name in ("reference_model", "expected_log", "features", "expectations")),
    *(ORACLE / f"{name}.py" for name in ("request_journal", "log_history", "case_lineage", "case_oracle")),
    Path(ledger.__file__),
]
BODY = next(iter(generate(1, seed=1))).body


def test_the_oracle_imports_nothing_of_the_stages():
    for path in PARTS:
        tree = ast.parse(path.read_text("utf-8"))
        modules = {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
        modules |= {one.name for node in ast.walk(tree) if isinstance(node, ast.Import) for one in node.names}
        assert not [one for one in modules if one.startswith(("stream_processors", "gateway", "schemas"))], path.name


@given(st.sampled_from(sorted(MAKERS)), st.integers(0, 10**9))
def test_every_spelling_of_the_generators_is_read_as_the_system_reads_it(kind, seed):
    rng = Random(seed)
    value = MAKERS[kind](rng)
    written = spelled(rng, kind, value)
    assert plain(kind, written) == canonical(kind, written) == canonical(kind, value)


@pytest.mark.parametrize("text", ["2026-03-01T08:00:00+08:00", "2026-03-01T00:00:00.123Z", "2026-03-01T00:00:00.123456+00:00"])
def test_instants_are_the_same_milliseconds(text):
    assert instant_ms(text) == theirs(datetime.fromisoformat(text))


def test_severities_are_those_of_the_policy():
    mine, shipped = Policy(SHIPPED_POLICY), load_policy(SHIPPED_POLICY)
    assert [mine.severity(n) for n in range(101)] == [severity(n, shipped) for n in range(101)]


def entry(reference: str, *, at: int | None, first_try: int, answer_at: int | None, doubt: bool = False, **more) -> LedgerEntry:
    body = {**BODY, "reference": reference, **more}
    position = None if at is None else (0, at)
    fate = "open" if at is None else "accepted"
    return LedgerEntry("l", "bank-001", body, first_try, answer_at, fate, doubt, f"sig-{reference}", position, attempts=1)


def test_a_doubtful_record_stands_after_what_was_acknowledged_before_it_was_tried():
    found = identities(
        [
            entry("a", at=10, first_try=1, answer_at=2),
            entry("b", at=30, first_try=3, answer_at=6, doubt=True),
            entry("c", at=20, first_try=4, answer_at=5),
            entry("d", at=None, first_try=7, answer_at=None, doubt=True),
        ]
    )
    assert [(one.reference, one.low, one.high, one.sure) for one in found] == [
        ("a", 10, 10, True),
        ("b", 11, 30, True),
        ("c", 20, 20, True),
        ("d", 31, FAR, False),
    ]


def test_the_first_of_two_references_with_one_content_is_the_one_that_counts():
    (member,) = members(identities([entry("a", at=12, first_try=1, answer_at=2), entry("b", at=7, first_try=3, answer_at=4)]))
    assert member.first is not None
    assert member.first.reference == "b"


def test_when_doubt_remains_either_may_be_first():
    found = identities([entry("a", at=12, first_try=1, answer_at=4, doubt=True), entry("b", at=7, first_try=2, answer_at=3)])
    (member,) = members(found)
    assert member.first is None
    assert all(member.may_be_first(one) for one in member.identities)


def test_a_reference_with_two_bodies_is_the_first_ones_or_blurred():
    first = entry("a", at=5, first_try=1, answer_at=2)
    later = entry("a", at=9, first_try=3, answer_at=4, region="630200")
    (one,) = identities([first, later])
    assert (one.blurred, one.high) == (False, 5)
    doubtful = entry("a", at=9, first_try=1, answer_at=4, doubt=True, region="630200")
    assert [(one.blurred, one.sure, one.acknowledged) for one in identities([first, doubtful])] == [(True, False, True)] * 2


def test_a_body_that_was_refused_is_nowhere():
    refused = entry("a", at=None, first_try=1, answer_at=2, doubt=True)
    refused.fate, refused.problem = "refused", "invalid-signal"
    assert identities([refused]) == []


def test_policies_that_decided_before_the_present_one_are_named():
    at = datetime(2026, 3, 2, tzinfo=UTC)

    def receipt(name: str, policy: str | None) -> Receipt:
        plain = {"signal_id": name, "outcome": "assessed", "institution": "b"}
        return Receipt.model_validate({**plain, "accepted_at": at, "assessed_at": at, "policy": policy})

    live = Live({name: receipt(name, policy) for name, policy in (("a", "x/1/1"), ("b", "x/2/2"), ("c", None))}, {}, {})
    assert other_policies(live, "x/2/2") == ["x/1/1"]


@pytest.mark.parametrize(
    ("kind", "value", "apart"),
    [("account", "UNKNOWN", True), ("account", "0000000000", True), ("phone", "见附件照片", True), ("phone", "无", True)]
    + [(kind, MAKERS[kind](Random(1)), False) for kind in ("account", "card", "phone", "url", "domain")],
)
def test_the_oracle_reads_by_itself_what_is_matched_with_nothing(kind: str, value: str, apart: bool) -> None:
    assert is_apart(kind, value) is apart
    named = [{"kind": kind, "value": value}]
    one, other = (content_of(who, {**BODY, "indicators": named}) for who in ("bank-001", "bank-002"))
    assert (one.primary != other.primary) is apart
    assert (one.suspects == []) is apart
    assert one.primary == content_of("bank-001", {**BODY, "indicators": named, "narrative": "again"}).primary
