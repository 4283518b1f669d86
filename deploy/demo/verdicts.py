"""Checks the results of the planted schemes through the gateway, as an institution and as an officer.

Invariant: only signals of this run count, so a case of an earlier run hides nothing.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import httpx

from deploy.demo.day import Day
from deploy.demo.feeding import Fed
from deploy.demo.reports import DemoReport
from deploy.demo.schemes import Landing, Scheme
from deploy.verify.ledger import LedgerEntry

SEVERITIES = ("low", "medium", "high", "critical")
OFFICER = "officer-demo"
_AT_ONCE = 8


@dataclass(frozen=True)
class SchemeVerdict:
    """`outcome` describes the result; `wrong` lists the deviations."""

    scheme: Scheme
    outcome: str
    wrong: tuple[str, ...]


@dataclass(frozen=True)
class Queues:
    """Open cases by queue."""

    cases: dict[str, list[dict[str, Any]]]

    def of_subject(self, queue: str, value: str) -> list[dict[str, Any]]:
        return [case for case in self.cases.get(queue, ()) if case["primary_subject"]["value"] == value]

    def severities(self, queue: str) -> Counter[str]:
        return Counter(case["severity"] for case in self.cases[queue])


class Judge:
    """Asks the gateway. `token` mints for an institution or an officer."""

    def __init__(
        self, client: httpx.AsyncClient, token: Callable[[str], str], entries: list[LedgerEntry], fed: list[Fed]
    ) -> None:
        self._client = client
        self._token = token
        self.signal_ids = {(entry.who, entry.reference): entry.signal_id for entry in entries if entry.signal_id}
        self._fed = fed
        self._gate = asyncio.Semaphore(_AT_ONCE)

    async def _get_json(self, path: str, who: str, **query: str | int) -> Any:
        async with self._gate:
            answer = await self._client.get(path, params=query, headers={"authorization": f"Bearer {self._token(who)}"})
        answer.raise_for_status()
        return answer.json()

    async def queues(self) -> Queues:
        """Returns all open cases of all queues, page by page."""
        names = [queue["queue"] for queue in (await self._get_json("/v1/queues", OFFICER))["queues"]]
        return Queues(dict(zip(names, await asyncio.gather(*(self._read_queue(name) for name in names)), strict=True)))

    async def _read_queue(self, name: str) -> list[dict[str, Any]]:
        cases: list[dict[str, Any]] = []
        more: dict[str, str] = {}
        while True:
            page = await self._get_json(f"/v1/queues/{name}/cases", OFFICER, limit=200, **more)
            cases += page["cases"]
            if page.get("next_cursor") is None:
                return cases
            more = {"cursor": page["next_cursor"]}

    async def judge(self, day: Day, queues: Queues) -> list[SchemeVerdict]:
        return [await self._judge_scheme(scheme, queues) for scheme in day.schemes]

    async def _judge_scheme(self, scheme: Scheme, queues: Queues) -> SchemeVerdict:
        wrong = [fault for fault in await asyncio.gather(*(self._judge_report(report) for report in scheme.reports)) if fault]
        sentences = []
        for landing in scheme.landings:
            sentence, missing = await self._judge_landing(scheme, landing, queues)
            sentences.append(sentence)
            wrong += missing
        if not scheme.landings:
            cases = [queue for queue in queues.cases if queues.of_subject(queue, scheme.subject[1])]
            wrong += [f"a case in {queue}, where none must be" for queue in cases]
            outcomes = Counter(report.expected for report in scheme.reports)
            sentences.append("no case; " + ", ".join(f"{n} {name}" for name, n in outcomes.items()))
        return SchemeVerdict(scheme, "; ".join(sentences), tuple(dict.fromkeys(wrong)))

    async def _judge_report(self, report: DemoReport) -> str | None:
        """Returns the deviation of one row; None if it is as expected."""
        if report.expected == "reject":
            return None if self._is_rejected(report) else f"the bad row of {report.institution} was not rejected"
        signal_id = self.signal_ids.get((report.institution, report.reference))
        if signal_id is None:
            return f"{report.institution} never had {report.reference} acknowledged"
        receipt = await self._get_json(f"/v1/signals/{signal_id}", report.institution)
        expected = "assessed" if report.expected == "duplicate_reference" else report.expected
        outcome = receipt.get("outcome") or "pending"
        return None if outcome == expected else f"{report.reference} is {outcome}, not {expected}"

    def _is_rejected(self, report: DemoReport) -> bool:
        """Matches the row itself: by its reference, or by the faulty text if there is none."""
        mark = report.reference if "reference" not in report.wrong else (report.victim_account or report.victim_phone)
        own = [row for fed in self._fed if fed.drop.institution == report.institution for row in fed.rejects]
        return any(mark in row["raw"] and row["reason"] for row in own)

    async def _judge_landing(self, scheme: Scheme, landing: Landing, queues: Queues) -> tuple[str, list[str]]:
        cases = queues.of_subject(landing.queue, scheme.subject[1])
        if not cases:
            return "", [f"no case in {landing.queue}"]
        case = await self._get_json(f"/v1/cases/{cases[0]['case_id']}", OFFICER)
        ours = {self.signal_ids.get((report.institution, report.reference)) for report in scheme.reports}
        joined = [signal for signal in case["signals"] if signal["signal_id"] in ours]
        institutions = len({signal["institution"] for signal in joined})
        wrong = []
        if SEVERITIES.index(case["severity"]) < SEVERITIES.index(landing.severity):
            wrong.append(f"{landing.queue}: {case['severity']}, not {landing.severity}")
        if institutions < landing.institutions:
            wrong.append(f"{landing.queue}: {institutions} institutions, not {landing.institutions}")
        if len(joined) < landing.signals:
            wrong.append(f"{landing.queue}: {len(joined)} signals, not {landing.signals}")
        sentence = f"{landing.queue}: {case['severity']} ({case['score']}), {len(joined)} signals of {institutions} institutions"
        return sentence, wrong
