"""Files and mappings for the tests."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from connectors.filedrop.mapping import MappingFile, parse_mapping

CSV_MAPPING: dict[str, Any] = {
    "format": "csv",
    "encoding": "gb18030",
    "files": "*.csv",
    "reference": {"column": "流水号"},
    "kind": {"constant": "telecom_fraud"},
    "occurred_at": {"column": "时间", "format": "%Y-%m-%d %H:%M:%S"},
    "region": {"column": "区县", "translate": {"乐都区": "630202"}},
    "amount": {"column": "金额"},
    "indicators": [{"kind": "account", "column": "账号"}],
    "narrative": {"column": "摘要", "optional": True},
}

NDJSON_MAPPING: dict[str, Any] = {
    "format": "ndjson",
    "files": "*.ndjson",
    "reference": {"compose": "row"},
    "kind": {"constant": "telecom_fraud"},
    "occurred_at": {"column": "at"},
    "region": {"column": "place.code"},
    "amount": {"column": "yuan"},
    "indicators": [{"kind": "phone", "column": "phone"}],
}


def csv_mapping(**changes: Any) -> MappingFile:
    return parse_mapping({**CSV_MAPPING, **changes})


def ndjson_mapping(**changes: Any) -> MappingFile:
    return parse_mapping({**NDJSON_MAPPING, **changes})


def csv_row(number: int, *, bad: bool = False, narrative: str = "") -> str:
    region = "别处" if bad else "乐都区"
    return f'R{number},2026-03-01 08:00:00,{region},62990000{number:06d},"1,{number:03d}.00","{narrative}"\r\n'


def write_csv(path: Path, rows: int, bad: frozenset[int] = frozenset()) -> Path:
    """Row `n` has the reference `Rn`; every seventh has a line end inside of a cell."""
    head = "流水号,时间,区县,账号,金额,摘要\r\n"
    text = head + "".join(csv_row(n, bad=n in bad, narrative="两\r\n行" if n % 7 == 0 else "") for n in range(rows))
    path.write_bytes(text.encode("gb18030"))
    return path


def write_ndjson(path: Path, rows: int, bad: frozenset[int] = frozenset()) -> Path:
    lines = []
    for n in range(rows):
        row = {"at": "2026-03-01T08:00:00Z", "place": {"code": "630202"}, "phone": f"1380000{n:04d}", "yuan": n}
        lines.append("not json\n" if n in bad else json.dumps(row) + "\n")
    path.write_text("".join(lines), "utf-8")
    return path
