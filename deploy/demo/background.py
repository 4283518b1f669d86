"""Background of an ordinary day: single reports, a few repeated subjects, odd small things."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from random import Random

from deploy.demo.reports import DemoReport, References, victim_of
from deploy.demo.values import COUNTIES, MAKERS

BANKS = tuple(f"bank-{n:03d}" for n in range(1, 6))
PAYMENTS = ("pay-001", "pay-002", "pay-003")
TELECOMS = ("telecom-001", "telecom-002")
PLATFORMS = ("platform-001", "platform-002")
INSTITUTIONS = BANKS + PAYMENTS + TELECOMS + PLATFORMS
DAY_S = 86_400

_KINDS = {
    "bank": {"account": 80, "card": 15, "phone": 5},
    "pay": {"account": 60, "phone": 30, "card": 10},
    "telecom": {"phone": 85, "url": 15},
    "platform": {"url": 55, "domain": 25, "phone": 20},
}
_STORIES = (
    "客户称接到冒充客服来电，按提示转账",
    "刷单返利，首笔小额返现后连续转账",
    "网络贷款要求先交保证金",
    "冒充熟人借款，微信语音疑似合成",
    "投资理财群荐股，提现被拒",
    "短信链接要求填写卡号和验证码",
    "账户夜间快进快出，与职业不符",
    "宣称年化收益百分之二十，发展下线有奖励",
)


def noise(rng: Random, references: References, end: datetime, each: int) -> Iterator[DemoReport]:
    """Makes about `each` reports of every institution over the day before `end`; every tenth subject is reported once more."""
    subjects: list[tuple[str, str]] = []
    for institution in INSTITUTIONS:
        weights = _KINDS[institution.partition("-")[0]]
        for _ in range(each):
            kind = rng.choices(list(weights), weights=list(weights.values()))[0]
            subject = (kind, MAKERS[kind](rng))
            candidates = [earlier for earlier in subjects if earlier[0] in weights] if rng.random() < 0.1 else []
            if candidates:
                subject = rng.choice(candidates)
            subjects.append(subject)
            suspects = [subject]
            if subject[0] == "account" and rng.random() < 0.3:
                suspects.append(("phone", MAKERS["phone"](rng)))
            amount = int(10 ** rng.uniform(4.3, 7.2)) // 100 * 100 if rng.random() < 0.85 else None
            payer, called = victim_of(rng, institution)
            yield DemoReport(
                institution=institution,
                reference=references.take(institution),
                kind="telecom_fraud" if rng.random() < 0.85 else "illegal_finance",
                occurred_at=end - timedelta(seconds=rng.randrange(DAY_S)),
                region=rng.choice(COUNTIES),
                suspects=tuple(suspects),
                amount_minor=amount,
                narrative=rng.choice(_STORIES) if rng.random() < 0.7 else "",
                victim_account=payer,
                victim_phone=called,
            )
