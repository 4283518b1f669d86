"""The planted schemes of the demo's day: their reports and the expected cases.

Invariant: each expectation follows from the policy alone, whatever the order in which the files arrive.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from random import Random

from deploy.demo.background import BANKS, PLATFORMS
from deploy.demo.reports import DemoReport, References, victim_of
from deploy.demo.values import account, phone, url

Subject = tuple[str, str]


@dataclass(frozen=True)
class Landing:
    """A case that must be in a queue: at least this severe, with at least this many institutions and signals."""

    queue: str
    severity: str
    institutions: int
    signals: int


@dataclass(frozen=True)
class Scheme:
    """`reports` and their expected result. No landing: the subject must have no case at all."""

    name: str
    title: str
    subject: Subject
    reports: tuple[DemoReport, ...]
    landings: tuple[Landing, ...] = ()


@dataclass(frozen=True)
class Story:
    """Members shared by the reports of a scheme."""

    narrative: str
    yuan: int
    region: str = "630202"
    kind: str = "telecom_fraud"


@dataclass(frozen=True)
class Scene:
    """Inputs of the makers. `wherever(n)` is the end of the day less `n` minutes."""

    rng: Random
    references: References
    end: datetime

    def wherever(self, minutes: float) -> datetime:
        return (self.end - timedelta(minutes=minutes)).replace(microsecond=0)

    def report(
        self, institution: str, minutes: float, subject: Subject, story: Story, wrong: dict[str, str] | None = None
    ) -> DemoReport:
        payer, called = victim_of(self.rng, institution)
        return DemoReport(
            institution,
            self.references.take(institution),
            story.kind,
            self.wherever(minutes),
            story.region,
            (subject,),
            amount_minor=story.yuan * 100,
            victim_account=payer,
            victim_phone=called,
            narrative=story.narrative,
            expected="reject" if wrong else "assessed",
            wrong=wrong or {},
        )


def mule_account(scene: Scene) -> Scheme:
    """One collecting account, reported by four institutions within an hour."""
    subject = ("account", account(scene.rng))
    story = Story("多名客户向该账户转账后被骗，资金随即分散转出", 68_000)
    senders = ("bank-001", "bank-002", "pay-001", "bank-004")
    reports = [scene.report(sender, 300 - 15 * n, subject, story) for n, sender in enumerate(senders)]
    landing = Landing("public-security-630202", "critical", 4, 4)
    return Scheme("mule-account", "mule account, 4 institutions within an hour", subject, tuple(reports), (landing,))


def fake_investment_site(scene: Scene) -> Scheme:
    """The address of a fake investment site, reported by six."""
    subject = ("url", url(scene.rng))
    story = Story("虚假投资平台，无法提现", 52_000, "630203")
    senders = ("telecom-001", "telecom-002", *PLATFORMS, "bank-003", "pay-002")
    reports = [scene.report(sender, 600 - 9 * n, subject, story) for n, sender in enumerate(senders)]
    landing = Landing("public-security-630203", "critical", 6, 6)
    return Scheme("fake-site", "fake investment site, reported by 6", subject, tuple(reports), (landing,))


def phone_of_many_victims(scene: Scene) -> Scheme:
    """One number used against ten victims, seen by an operator and a bank."""
    subject = ("phone", phone(scene.rng))
    story = Story("冒充公检法，要求转入安全账户", 50_000, "630222")
    senders = ["telecom-001"] * 6 + ["bank-005"] * 4
    reports = [scene.report(sender, 200 - 5 * n, subject, story) for n, sender in enumerate(senders)]
    landing = Landing("public-security-630222", "critical", 2, 10)
    return Scheme("one-phone", "phone number used against 10 victims", subject, tuple(reports), (landing,))


def fund_raising(scene: Scene) -> Scheme:
    """An illegal fund-raising account: the regulator's case, linked to public security from the score of a crime on."""
    subject = ("account", account(scene.rng))
    story = Story("以养老项目名义向不特定对象吸收资金", 860_000, "630223", "illegal_finance")
    reports = [scene.report(sender, 400 - 30 * n, subject, story) for n, sender in enumerate(("bank-001", "bank-003", "pay-003"))]
    landings = (Landing("financial-regulator-630200", "critical", 3, 3), Landing("public-security-630200", "critical", 2, 2))
    title = "illegal fund-raising account, regulator and public security"
    return Scheme("fund-raising", title, subject, tuple(reports), landings)


def resent_nine_times(scene: Scene) -> Scheme:
    """One small report, nine more times under other references, and twice under its own: it counts once, without a case."""
    subject = ("account", account(scene.rng))
    first = scene.report("bank-002", 100, subject, Story("小额退款纠纷", 900))
    reports = [first]
    for n in range(11):
        same = n >= 9
        reference = first.reference if same else scene.references.take("bank-002")
        reports.append(replace(first, reference=reference, expected="duplicate_reference" if same else "duplicate_content"))
    return Scheme("sent-again", "one report sent 12 times counts once", subject, tuple(reports))


def bad_rows(scene: Scene) -> Scheme:
    """Rows that must be refused, each with its reason."""
    subject = ("phone", phone(scene.rng))
    faults = (
        {"amount": "一万二"},
        {"time": "昨天下午"},
        {"region": "某区"},
        {"kind": "停车纠纷"},
        {"phone": "见附件照片"},
        {"reference": ""},
    )
    senders = (BANKS[0], "pay-001", "telecom-001", "platform-001", BANKS[4], "pay-002")
    story = Story("", 100)
    reports = [scene.report(sender, 50, subject, story, wrong) for sender, wrong in zip(senders, faults, strict=True)]
    return Scheme("bad-rows", "rows that must be rejected", subject, tuple(reports))


SCHEMES: tuple[Callable[[Scene], Scheme], ...] = (
    mule_account,
    fake_investment_site,
    phone_of_many_victims,
    fund_raising,
    resent_nine_times,
    bad_rows,
)


SCHEME_NAMES = ("mule-account", "fake-site", "one-phone", "fund-raising", "sent-again", "bad-rows")


def plant(scene: Scene) -> list[Scheme]:
    """Returns all schemes, with each report marked by its scheme."""
    planted = []
    for make in SCHEMES:
        scheme = make(scene)
        marked = tuple(replace(report, scheme=scheme.name) for report in scheme.reports)
        planted.append(replace(scheme, reports=marked))
    return planted
