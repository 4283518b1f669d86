"""The planted schemes of the demo's day: what is reported, and where it must end up.

Invariant: each expectation follows from the policy's law alone, whatever the order in which the files arrive.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random

from deploy.demo_data.noise import BANKS, PLATFORMS
from deploy.demo_data.reports import References, Report, victims
from deploy.demo_data.values import account, phone, url

YUAN = 100
Subject = tuple[str, str]


@dataclass(frozen=True)
class Landing:
    """A case that must be in a queue: at least this severe, with at least so many institutions and signals."""

    queue: str
    severity: str
    institutions: int
    signals: int


@dataclass(frozen=True)
class Scheme:
    """`reports` and what must become of them. No landing: the subject must have no case at all."""

    name: str
    title: str
    subject: Subject
    reports: tuple[Report, ...]
    landings: tuple[Landing, ...] = ()


@dataclass(frozen=True)
class Scene:
    """What the makers need. `wherever(n)` is the end of the day less `n` minutes."""

    rng: Random
    references: References
    end: datetime

    def wherever(self, minutes: float) -> datetime:
        return (self.end - timedelta(minutes=minutes)).replace(microsecond=0)

    def report(self, institution: str, minutes: float, subject: Subject, **more: object) -> Report:
        given = {"kind": "telecom_fraud", "region": "630202", **victims(self.rng, institution), **more}
        reference = self.references.take(institution)
        return Report(institution, reference, occurred_at=self.wherever(minutes), suspects=(subject,), **given)  # type: ignore[arg-type]


def mule_account(scene: Scene) -> Scheme:
    """One collecting account, reported by four institutions within an hour."""
    subject = ("account", account(scene.rng))
    more = {"amount_minor": 68_000 * YUAN, "narrative": "多名客户向该账户转账后被骗，资金随即分散转出"}
    senders = ("bank-001", "bank-002", "pay-001", "bank-004")
    reports = [scene.report(one, 300 - 15 * n, subject, **more) for n, one in enumerate(senders)]
    landing = Landing("public-security-630202", "critical", 4, 4)
    return Scheme("mule-account", "mule account, 4 institutions within an hour", subject, tuple(reports), (landing,))


def fake_investment_site(scene: Scene) -> Scheme:
    """The address of a fake investment site, reported by six."""
    subject = ("url", url(scene.rng))
    more = {"region": "630203", "amount_minor": 52_000 * YUAN, "narrative": "虚假投资平台，无法提现"}
    senders = ("telecom-001", "telecom-002", *PLATFORMS, "bank-003", "pay-002")
    reports = [scene.report(one, 600 - 9 * n, subject, **more) for n, one in enumerate(senders)]
    landing = Landing("public-security-630203", "critical", 6, 6)
    return Scheme("fake-site", "fake investment site, reported by 6", subject, tuple(reports), (landing,))


def phone_of_many_victims(scene: Scene) -> Scheme:
    """One number that was used against ten victims, seen by an operator and a bank."""
    subject = ("phone", phone(scene.rng))
    more = {"region": "630222", "amount_minor": 50_000 * YUAN, "narrative": "冒充公检法，要求转入安全账户"}
    senders = ["telecom-001"] * 6 + ["bank-005"] * 4
    reports = [scene.report(one, 200 - 5 * n, subject, **more) for n, one in enumerate(senders)]
    landing = Landing("public-security-630222", "critical", 2, 10)
    return Scheme("one-phone", "phone number used against 10 victims", subject, tuple(reports), (landing,))


def fund_raising(scene: Scene) -> Scheme:
    """An illegal fund-raising account: the regulator's case, linked to public security when the score says crime."""
    subject = ("account", account(scene.rng))
    more = {
        "kind": "illegal_finance",
        "region": "630223",
        "amount_minor": 860_000 * YUAN,
        "narrative": "以养老项目名义向不特定对象吸收资金",
    }
    reports = [scene.report(one, 400 - 30 * n, subject, **more) for n, one in enumerate(("bank-001", "bank-003", "pay-003"))]
    landings = (Landing("financial-regulator-630200", "critical", 3, 3), Landing("public-security-630200", "critical", 2, 2))
    title = "illegal fund-raising account, regulator and public security"
    return Scheme("fund-raising", title, subject, tuple(reports), landings)


def resent_nine_times(scene: Scene) -> Scheme:
    """One small report, sent nine times more under other references, and twice under its own: it counts once, so no case."""
    subject = ("account", account(scene.rng))
    first = scene.report("bank-002", 100, subject, amount_minor=900 * YUAN, narrative="小额退款纠纷")
    reports = [first]
    for n in range(11):
        same = n >= 9
        again = {**first.__dict__, "reference": first.reference if same else scene.references.take("bank-002")}
        reports.append(Report(**{**again, "expected": "repeat" if same else "resend"}))
    return Scheme("sent-again", "one report sent 12 times counts once", subject, tuple(reports))


def bad_rows(scene: Scene) -> Scheme:
    """Rows that must be refused, each with its reason."""
    subject = ("phone", phone(scene.rng))
    faults = (
        {"amount": "一万二"},
        {"time": "昨天下午"},
        {"region": "某区"},
        {"kind": "停车纠纷"},
        {"phone": "110"},
        {"reference": ""},
    )
    senders = (BANKS[0], "pay-001", "telecom-001", "platform-001", BANKS[4], "pay-002")
    reports = [scene.report(one, 50, subject, wrong=wrong, expected="reject") for one, wrong in zip(senders, faults, strict=True)]
    return Scheme("bad-rows", "rows that must be rejected", subject, tuple(reports))


SCHEMES: tuple[Callable[[Scene], Scheme], ...] = (
    mule_account,
    fake_investment_site,
    phone_of_many_victims,
    fund_raising,
    resent_nine_times,
    bad_rows,
)


def plant(scene: Scene) -> list[Scheme]:
    """All of them, each report marked with its scheme."""
    planted = []
    for make in SCHEMES:
        scheme = make(scene)
        marked = tuple(Report(**{**report.__dict__, "scheme": scheme.name}) for report in scheme.reports)
        planted.append(Scheme(scheme.name, scheme.title, scheme.subject, marked, scheme.landings))
    return planted
