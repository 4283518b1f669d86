"""A seeded stream of signals for chaos and benches: shared subjects over all partitions, duplicate references and contents,
corroborations.

Invariant: the same arguments give the same bytes. `note` describes each line for readers and counts; the oracle decides the
expected results (tests/oracle).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

from deploy.demo.values import COUNTIES, MAKERS, spelled

Body = dict[str, Any]
KIND_WEIGHTS = {"account": 50, "card": 10, "phone": 25, "url": 10, "domain": 5}
INSTITUTIONS = (*(f"bank-{n:03d}" for n in range(1, 7)), "pay-001", "pay-002", "telecom-001", "telecom-002")
_KEPT = 2000


@dataclass(frozen=True)
class Mix:
    """Shares of the lines. The rest are new signals of new or known subjects; `shared` of the second indicators come from a small
    pool, so that sightings cross partitions. `hot` of the lines name one single subject."""

    repeat: float = 0.03
    resend: float = 0.03
    conflict: float = 0.003
    bad: float = 0.0
    corroborate: float = 0.30
    second: float = 0.30
    shared: float = 0.25
    victim: float = 0.30
    hot: float = 0.0
    nobody: float = 0.0
    narrative: float = 0.5


@dataclass(frozen=True, slots=True)
class Planned:
    """One line to send: `note` is new, corroboration, repeat, resend, conflict or bad."""

    institution: str
    body: Body
    note: str


def generate(
    n: int,
    *,
    seed: int = 1,
    run: str = "g",
    start: datetime | None = None,
    span_s: int = 6 * 3600,
    institutions: tuple[str, ...] = INSTITUTIONS,
    mix: Mix | None = None,
) -> Iterator[Planned]:
    """Yields `n` lines. `run` begins every reference; events are between `start` (default: `span_s` ago) and `start + span_s`."""
    begin = start or datetime.now(UTC) - timedelta(seconds=span_s)
    maker = _Maker(Random(seed), run, begin.astimezone(UTC).replace(microsecond=0), span_s, institutions, mix or Mix())
    for index in range(n):
        yield maker.line(index)


class _Maker:
    def __init__(self, rng: Random, run: str, start: datetime, span_s: int, institutions: tuple[str, ...], mix: Mix) -> None:
        self._rng = rng
        self._run = run
        self._start = start
        self._span_s = span_s
        self._institutions = institutions
        self._mix = mix
        self._sent: list[Planned] = []
        self._subjects: list[tuple[str, str]] = []
        self._pool = [(kind, MAKERS[kind](rng)) for kind in ("phone", "url", "domain", "card") for _ in range(6)]
        self._hot = ("account", MAKERS["account"](rng))

    def line(self, index: int) -> Planned:
        mix, draw = self._mix, self._rng.random()
        if self._sent:
            for note, share in (
                ("duplicate_reference", mix.repeat),
                ("duplicate_content", mix.resend),
                ("conflict", mix.conflict),
            ):
                if draw < share:
                    return self._plan_again(note, index)
                draw -= share
        if draw < mix.bad:
            return self._plan_bad(index)
        planned = self._plan_new(index)
        if len(self._sent) < _KEPT:
            self._sent.append(planned)
        else:
            self._sent[self._rng.randrange(_KEPT)] = planned
        return planned

    def _plan_again(self, note: str, index: int) -> Planned:
        earlier = self._rng.choice(self._sent)
        body = dict(earlier.body)
        if note == "duplicate_content":
            body["reference"] = f"{self._run}-{index}"
            body["narrative"] = f"again, as {index}"
        elif note == "conflict":
            body["region"] = self._rng.choice([code for code in COUNTIES if code != body["region"]])
        return Planned(earlier.institution, body, note)

    def _plan_new(self, index: int) -> Planned:
        rng, mix = self._rng, self._mix
        is_corroboration = bool(self._subjects) and rng.random() < mix.corroborate
        if rng.random() < mix.hot:
            kind, value = self._hot
        elif is_corroboration:
            kind, value = rng.choice(self._subjects)
        else:
            kind = rng.choices(list(KIND_WEIGHTS), weights=list(KIND_WEIGHTS.values()))[0]
            value = MAKERS[kind](rng)
            self._subjects.append((kind, value))
            self._subjects = self._subjects[-_KEPT:]
        indicators = [self._build_indicator(kind, value, "suspect")]
        if rng.random() < mix.second:
            second = rng.choice(self._pool) if rng.random() < mix.shared else ("phone", MAKERS["phone"](rng))
            if second != (kind, value):
                indicators.insert(rng.randrange(2), self._build_indicator(*second, "suspect"))
        if rng.random() < mix.victim:
            indicators.append(self._build_indicator("phone", MAKERS["phone"](rng), "victim"))
        if mix.nobody and rng.random() < mix.nobody:
            self._name_nobody(indicators)
        body: Body = {
            "reference": f"{self._run}-{index}",
            "kind": "telecom_fraud" if rng.random() < 0.75 else "illegal_finance",
            "occurred_at": (self._start + timedelta(seconds=rng.randrange(self._span_s))).isoformat(),
            "region": rng.choice(COUNTIES),
            "indicators": indicators,
        }
        if rng.random() < 0.9:
            minor = int(10 ** rng.uniform(4.0, 7.9))
            body["amount"] = {"minor": minor, "currency": "CNY" if rng.random() < 0.97 else "USD"}
        if rng.random() < mix.narrative:
            body["narrative"] = f"客户来电称被骗，要求止付。编号 {index}。" + "，".join(["经核实"] * rng.randrange(6))
        return Planned(rng.choice(self._institutions), body, "corroboration" if is_corroboration else "new")

    def _name_nobody(self, indicators: list[dict[str, str]]) -> None:
        """Adds placeholders, beside the other values or in place of them."""
        if self._rng.random() < 0.5:
            indicators.append({"kind": "phone", "value": "见附件照片", "role": self._rng.choice(["suspect", "victim"])})
        else:
            indicators[:] = [{"kind": "account", "value": self._rng.choice(["UNKNOWN", "0000000000"]), "role": "suspect"}]

    def _plan_bad(self, index: int) -> Planned:
        planned = self._plan_new(index)
        body = dict(planned.body)
        fault = self._rng.randrange(4)
        if fault == 0:
            body["region"] = "999999"
        elif fault == 1:
            body["indicators"] = [{"kind": "phone", "value": "110", "role": "suspect"}]
        elif fault == 2:
            body["occurred_at"] = "yesterday"
        else:
            body["kind"] = "parking"
        return Planned(planned.institution, body, "bad")

    def _build_indicator(self, kind: str, value: str, role: str) -> dict[str, str]:
        return {"kind": kind, "value": spelled(self._rng, kind, value), "role": role}
