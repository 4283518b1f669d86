"""File formats of the demo's institutions: a file each, CSV or NDJSON, and the mapping that reads it.

Invariant: format and mapping agree (a test feeds every format and compares); no two types of institution use the same one.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

from deploy.demo.reports import DemoReport

MAPPINGS = Path(__file__).parent / "mappings"
_BEIJING = timezone(timedelta(hours=8))
_NAMES = {"630202": "乐都区", "630203": "平安区", "630222": "民和县", "630223": "互助县", "630224": "化隆县", "630225": "循化县"}


def _suspect_of(report: DemoReport, kind: str) -> str:
    return dict(report.suspects).get(kind, "")


def _write_yuan(report: DemoReport) -> str:
    """Writes the amount as `12,000.50`."""
    return "" if report.amount_minor is None else f"{Decimal(report.amount_minor) / 100:,.2f}"


def _bank_row(report: DemoReport) -> dict[str, Any]:
    """A core banking export: Chinese columns, local time, thousands separated."""
    return {
        "流水号": report.reference,
        "业务类型": {"telecom_fraud": "电信网络诈骗", "illegal_finance": "非法金融活动"}[report.kind],
        "发生时间": f"{report.occurred_at.astimezone(_BEIJING):%Y-%m-%d %H:%M:%S}",
        "区县": _NAMES[report.region],
        "涉案账号": _suspect_of(report, "account"),
        "涉案卡号": _suspect_of(report, "card"),
        "涉案电话": _suspect_of(report, "phone"),
        "涉案网址": _suspect_of(report, "url"),
        "受害人账号": report.victim_account,
        "金额（元）": _write_yuan(report),
        "摘要": report.narrative,
    }


def _payment_row(report: DemoReport) -> dict[str, Any]:
    """A payment institution's export: semicolons, instants with offset, fen."""
    return {
        "order_id": report.reference,
        "type": {"telecom_fraud": "FRAUD", "illegal_finance": "ILLEGAL_FIN"}[report.kind],
        "created": report.occurred_at.astimezone(_BEIJING).isoformat(),
        "district": report.region,
        "payee_account": _suspect_of(report, "account"),
        "payee_card": _suspect_of(report, "card"),
        "payee_phone": _suspect_of(report, "phone"),
        "link": _suspect_of(report, "url"),
        "payer_account": report.victim_account,
        "amount_fen": "" if report.amount_minor is None else str(report.amount_minor),
        "note": report.narrative,
    }


def _telecom_row(report: DemoReport) -> dict[str, Any]:
    """An operator's events: numbers and links, milliseconds, yuan as JSON numbers."""
    return {
        "id": report.reference,
        "category": 1 if report.kind == "telecom_fraud" else 2,
        "ts": int(report.occurred_at.timestamp() * 1000),
        "county": report.region,
        "caller": _suspect_of(report, "phone"),
        "url": _suspect_of(report, "url"),
        "callee": report.victim_phone,
        "loss": None if report.amount_minor is None else report.amount_minor / 100,
        "text": report.narrative,
    }


def _platform_row(report: DemoReport) -> dict[str, Any]:
    """A platform's complaints: nested objects."""
    return {
        "complaint": {"no": report.reference, "type": report.kind, "at": report.occurred_at.isoformat()},
        "place": {"adcode": report.region},
        "content": {key: _suspect_of(report, key) for key in ("url", "domain", "phone")},
        "reporter": {"mobile": report.victim_phone},
        "loss": {"fen": report.amount_minor},
        "remark": report.narrative,
    }


@dataclass(frozen=True)
class FileForm:
    """`fields` names the column of a `DemoReport.wrong` field (dots lead into objects)."""

    name: str
    ending: str
    row: Callable[[DemoReport], dict[str, Any]]
    fields: dict[str, str]
    encoding: str = "utf-8"
    delimiter: str = ","

    @property
    def mapping(self) -> Path:
        return MAPPINGS / f"{self.name}.yaml"

    def write(self, path: Path, reports: Sequence[DemoReport]) -> None:
        rows = [self._with_faults(self.row(report), report) for report in reports]
        if self.ending == "csv":
            out = io.StringIO(newline="")
            writer = csv.DictWriter(out, list(rows[0]), delimiter=self.delimiter, lineterminator="\r\n")
            writer.writeheader()
            writer.writerows(rows)
            path.write_bytes(out.getvalue().encode(self.encoding))
        else:
            path.write_bytes(b"".join(json.dumps(row, ensure_ascii=False).encode() + b"\n" for row in rows))

    def _with_faults(self, row: dict[str, Any], report: DemoReport) -> dict[str, Any]:
        for name, text in report.wrong.items():
            *above, last = self.fields[name].split(".")
            inside = row
            for part in above:
                inside = inside[part]
            inside[last] = text
        return row


FORMS = {
    "bank": FileForm(
        "bank",
        "csv",
        _bank_row,
        {
            "amount": "金额（元）",
            "time": "发生时间",
            "region": "区县",
            "kind": "业务类型",
            "phone": "涉案电话",
            "reference": "流水号",
        },
        encoding="gb18030",
    ),
    "pay": FileForm(
        "payment",
        "csv",
        _payment_row,
        {
            "amount": "amount_fen",
            "time": "created",
            "region": "district",
            "kind": "type",
            "phone": "payee_phone",
            "reference": "order_id",
        },
        delimiter=";",
    ),
    "telecom": FileForm(
        "telecom",
        "ndjson",
        _telecom_row,
        {"amount": "loss", "time": "ts", "region": "county", "kind": "category", "phone": "caller", "reference": "id"},
    ),
    "platform": FileForm(
        "platform",
        "ndjson",
        _platform_row,
        {
            "amount": "loss.fen",
            "time": "complaint.at",
            "region": "place.adcode",
            "kind": "complaint.type",
            "phone": "content.phone",
            "reference": "complaint.no",
        },
    ),
}


def form_of(institution: str) -> FileForm:
    return FORMS[institution.partition("-")[0]]
