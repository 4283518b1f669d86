"""Subjects of signals: legal kinds, typologies with their Chinese and English names, and the events of each type of sender.

Techniques of the MITRE Fight Fraud Framework (F3) are named by id only. Invariant: an id in this table never changes its meaning
and is never removed, because old records contain it. docs/reference/taxonomy.md is written from here: `python -m
schemas.signals.taxonomy > docs/reference/taxonomy.md`.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Literal, NamedTuple, get_args


class SignalKind(StrEnum):
    TELECOM_FRAUD = "telecom_fraud"
    ILLEGAL_FINANCE = "illegal_finance"
    ORGANIZED_CRIME = "organized_crime"


class LegalKind(NamedTuple):
    """A legal kind: the article of the regulation that requires its report."""

    zh: str
    en: str
    article: int


KINDS: dict[SignalKind, LegalKind] = {
    SignalKind.TELECOM_FRAUD: LegalKind("电信网络诈骗", "telecom and network fraud", 22),
    SignalKind.ILLEGAL_FINANCE: LegalKind("非法金融活动", "illegal financial activity", 21),
    SignalKind.ORGANIZED_CRIME: LegalKind("有组织犯罪线索", "lead of organized crime", 17),
}


class TypologyId(StrEnum):
    IMPERSONATING_POLICE = "impersonating_police"
    FAKE_INVESTMENT = "fake_investment"
    TASK_SCAM = "task_scam"
    FAKE_LOAN = "fake_loan"
    FAKE_CUSTOMER_SERVICE = "fake_customer_service"
    ROMANCE = "romance"
    PHISHING = "phishing"
    SIM_GOIP = "sim_goip"
    SMS_BLASTING = "sms_blasting"
    MULE_ACCOUNT = "mule_account"
    ILLEGAL_FUNDRAISING = "illegal_fundraising"
    ILLEGAL_LENDING = "illegal_lending"
    UNDERGROUND_BANKING = "underground_banking"
    MONEY_LAUNDERING = "money_laundering"
    PYRAMID_SELLING = "pyramid_selling"
    ORGANIZED_CRIME = "organized_crime"


class Typology(NamedTuple):
    """A method of fraud. `kinds`: its legal kinds; `techniques`: matching F3 ids."""

    id: TypologyId
    zh: str
    en: str
    kinds: tuple[SignalKind, ...]
    techniques: tuple[str, ...] = ()


_FRAUD = (SignalKind.TELECOM_FRAUD,)
_FINANCE = (SignalKind.ILLEGAL_FINANCE,)
_CRIME = (SignalKind.ORGANIZED_CRIME,)

TYPOLOGIES: dict[TypologyId, Typology] = {
    typology.id: typology
    for typology in (
        Typology(TypologyId.IMPERSONATING_POLICE, "冒充公检法", "impersonating police or courts", _FRAUD, ("F1032", "F1040.002")),
        Typology(TypologyId.FAKE_INVESTMENT, "虚假投资理财", "fake investment", _FRAUD, ("F1020.002", "T1583.001")),
        Typology(TypologyId.TASK_SCAM, "刷单返利", "dissuasion scam (paid likes, brushing)", _FRAUD, ("T1660",)),
        Typology(TypologyId.FAKE_LOAN, "虚假贷款", "fake loan", _FRAUD, ("F1020.001", "F1020.002")),
        Typology(TypologyId.FAKE_CUSTOMER_SERVICE, "冒充客服", "fake customer service", _FRAUD, ("F1032", "F1040.002", "T1219")),
        Typology(TypologyId.ROMANCE, "婚恋交友诈骗", "romance scam", _FRAUD, ("T1585", "T1593.001")),
        Typology(TypologyId.PHISHING, "钓鱼网站和链接", "phishing", _FRAUD, ("T1660", "T1598", "F1020.002")),
        Typology(TypologyId.SIM_GOIP, "GoIP、猫池等通信设备", "SIM bank or GoIP gateway", _FRAUD, ("F1040",)),
        Typology(TypologyId.SMS_BLASTING, "短信群发、伪基站", "SMS blasting", _FRAUD, ("T1660",)),
        Typology(TypologyId.MULE_ACCOUNT, "涉诈跑分账户", "mule account", _FRAUD + _FINANCE, ("F1025", "F1047")),
        Typology(TypologyId.ILLEGAL_FUNDRAISING, "非法集资", "illegal fund-raising", _FINANCE, ("F1027",)),
        Typology(TypologyId.ILLEGAL_LENDING, "违法发放贷款", "illegal lending", _FINANCE + _CRIME),
        Typology(TypologyId.UNDERGROUND_BANKING, "地下钱庄", "underground banking", _FINANCE + _CRIME, ("F1018",)),
        Typology(
            TypologyId.MONEY_LAUNDERING, "洗钱", "money laundering", _FRAUD + _FINANCE + _CRIME, ("F1018", "F1026", "F1045")
        ),
        Typology(TypologyId.PYRAMID_SELLING, "传销", "pyramid selling", _FINANCE + _CRIME),
        Typology(TypologyId.ORGANIZED_CRIME, "有组织犯罪", "organized crime", _CRIME),
    )
}


EventType = Literal["transfer", "call", "message", "site", "app"]
EVENT_TYPES: tuple[EventType, ...] = get_args(EventType)


class Sender(NamedTuple):
    """A type of institution and the events that it usually reports. Any institution may send any event."""

    id: str
    zh: str
    en: str
    events: tuple[EventType, ...]


SENDERS: tuple[Sender, ...] = (
    Sender("bank", "银行业金融机构", "bank", ("transfer",)),
    Sender("payment", "非银行支付机构", "payment institution", ("transfer",)),
    Sender("telecom", "电信业务经营者", "telecom operator", ("call", "message")),
    Sender("platform", "互联网服务提供者", "internet platform", ("site", "app", "message")),
)


def markdown() -> str:
    """docs/reference/taxonomy.md."""
    lines = [
        "# What a signal may be about",
        "",
        "`python -m schemas.signals.taxonomy > docs/reference/taxonomy.md` writes this page; a test compares it with the table.",
        "",
        "## Kinds",
        "",
        "| `kind` | 中文 | English | Article |",
        "|---|---|---|---|",
        *(f"| `{kind}` | {legal_kind.zh} | {legal_kind.en} | {legal_kind.article} |" for kind, legal_kind in KINDS.items()),
        "",
        "## Typologies",
        "",
        "`typology` is optional and belongs to the signal's `kind`. Techniques are ids of the MITRE Fight Fraud Framework (F3).",
        "",
        "| `typology` | 中文 | English | Kinds | F3 |",
        "|---|---|---|---|---|",
        *(_row(typology) for typology in TYPOLOGIES.values()),
        "",
        "## Who sends which event",
        "",
        "Each type of institution usually reports these events. Any institution may send any event.",
        "`schemas/examples/http` contains a request body for each.",
        "",
        "| Institution | 中文 | `event.type` |",
        "|---|---|---|",
        *(f"| {sender.en} | {sender.zh} | {', '.join(f'`{event}`' for event in sender.events)} |" for sender in SENDERS),
        "",
    ]
    return "\n".join(lines)


def _row(typology: Typology) -> str:
    kinds = ", ".join(f"`{kind}`" for kind in typology.kinds)
    return f"| `{typology.id}` | {typology.zh} | {typology.en} | {kinds} | {', '.join(typology.techniques)} |"


if __name__ == "__main__":
    print(markdown(), end="")
