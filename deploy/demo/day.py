"""The demo's day as files: one for each institution in its own format, and the AMLSim transactions if available.

Invariant: the same seed, run and end give the same files.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from random import Random

from deploy.demo import amlsim
from deploy.demo.background import noise
from deploy.demo.file_formats import MAPPINGS, form_of
from deploy.demo.reports import DemoReport, References
from deploy.demo.schemes import Scene, Scheme, plant


@dataclass(frozen=True)
class Drop:
    """One file to feed."""

    institution: str
    path: Path
    mapping: Path
    rows: int


@dataclass(frozen=True)
class Day:
    """The written files and their expected results."""

    run: str
    seed: int
    reports: tuple[DemoReport, ...]
    schemes: tuple[Scheme, ...]
    drops: tuple[Drop, ...]
    aml: amlsim.SampleCut | None


@dataclass(frozen=True)
class Plan:
    """The size of each part. `aml` is the folder of the AMLSim samples."""

    seed: int
    run: str
    each: int = 150
    end: datetime | None = None
    aml: Path | None = None
    aml_laundering: int = 6000
    aml_others: int = 1500


def make_day(plan: Plan, out: Path, *, without: str | None = None) -> Day:
    """Writes the files into `out`. `without` omits the rows of one planted scheme, to test that the demo notices."""
    # The run is part of the seed: a second day with the same seed is about other subjects, so it changes no verdict of the first.
    rng, references = Random(f"{plan.seed}/{plan.run}"), References(plan.run)
    end = (plan.end or datetime.now(UTC)).replace(microsecond=0)
    schemes = plant(Scene(rng, references, end))
    reports = [*noise(rng, references, end, plan.each)]
    reports += [report for scheme in schemes if scheme.name != without for report in scheme.reports]
    reports.sort(key=lambda report: report.occurred_at)
    drops = []
    for institution in sorted({report.institution for report in reports}):
        form = form_of(institution)
        own = [report for report in reports if report.institution == institution]
        path = out / institution / f"{institution}-{end:%Y%m%d}.{form.ending}"
        path.parent.mkdir(parents=True, exist_ok=True)
        form.write(path, own)
        drops.append(Drop(institution, path, form.mapping, len(own)))
    aml = None
    if plan.aml is not None and amlsim.is_there(plan.aml):
        parts = (plan.aml_laundering, plan.aml_others)
        aml = amlsim.cut(plan.aml, out, run=plan.run, end=end, rng=rng, laundering=parts[0], others=parts[1])
        drops += [Drop(bank, path, MAPPINGS / "amlsim.yaml", aml.rows[bank]) for bank, path in aml.files.items()]
    return Day(plan.run, plan.seed, tuple(reports), tuple(schemes), tuple(drops), aml)
