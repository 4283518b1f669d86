"""A policy file under a running worker: changed, broken, mended, moved, gone."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

import pytest

from schemas.topics import ASSESSED, SUBMITTED
from stream_processors.agents.base import Agent
from stream_processors.runtime.metrics import METRICS
from stream_processors.runtime.policy_file import PolicyFile
from stream_processors.runtime.settings import SHIPPED_POLICY, PolicyError
from stream_processors.worker import look_at_policy
from tests.support.builders import submission, submitted
from tests.support.world import World, sources

SHIPPED = SHIPPED_POLICY.read_text("utf-8")
OTHER = SHIPPED.replace('version: "', 'version: "next-').replace("telecom_fraud: 20", "telecom_fraud: 40")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    found = tmp_path / "policy.yaml"
    found.write_text(SHIPPED, "utf-8")
    return found


def replace(path: Path, text: str) -> None:
    """As an editor and as Kubernetes do it: another file is moved into place."""
    draft = path.with_suffix(".draft")
    draft.write_text(text, "utf-8")
    draft.rename(path)


def test_a_changed_policy_is_taken_once(path: Path) -> None:
    policies = PolicyFile(path)
    assert policies.changed() is None
    replace(path, OTHER)
    taken = policies.changed()
    assert taken is not None and taken.version.startswith("next-") and policies.now is taken
    assert policies.changed() is None


def test_a_file_that_was_only_touched_or_commented_is_no_other_policy(path: Path) -> None:
    policies = PolicyFile(path)
    replace(path, SHIPPED)
    assert policies.changed() is None
    replace(path, SHIPPED + "\n# a comment\n")
    assert policies.changed() is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "valid"),
        ("a: [", "cannot read"),
        (SHIPPED.replace("case_threshold: 40", "case_threshold: many"), "case_threshold"),
        (SHIPPED.replace("scope: county, article: 22", "scope: county, article: 22, from_score: 50", 1), "receives every case"),
        (SHIPPED.replace("indicator_kinds: [url", "indicator_kinds: [urn"), "indicator_kinds"),
        (SHIPPED.replace("{minutes: 15}", "{minutes: 15, hours: 1}"), "a length requires exactly one of"),
        (SHIPPED.replace("name: appeal", "name: release"), "release occurs twice"),
        (SHIPPED.replace("verify_deadline: verify_stop", "verify_deadline: verify_soon"), "there is no deadline verify_soon"),
        (
            SHIPPED.replace("public_notice_deadline: return_notice", "public_notice_deadline: appeal"),
            "appeal is a waiting period",
        ),
        (SHIPPED.replace("{from_count: 10, points: 30}", "{from_count: 1, points: 30}", 1), "easiest bound"),
        (SHIPPED.replace("{within_s: 7200, points: 20}", "{within_s: 7200, points: 2}"), "fewer points"),
        (SHIPPED.replace("within_s: 3600, points: 20", "within_s: 3600, pts: 20"), "pts"),
        (SHIPPED.replace("flows: {window_s: 86400", "flows: {window_s: 8640000"), "flows.window_s exceeds"),
    ],
)
def test_what_is_not_valid_is_told_once_and_the_old_policy_goes_on(path: Path, text: str, said: str) -> None:
    policies = PolicyFile(path)
    before = policies.now
    replace(path, text)
    with pytest.raises(PolicyError, match=said):
        policies.changed()
    assert policies.changed() is None and policies.now is before
    replace(path, OTHER)
    assert policies.changed() is not None


def test_a_file_that_is_gone_for_a_moment_is_told_and_comes_back(path: Path) -> None:
    policies = PolicyFile(path)
    path.unlink()
    with pytest.raises(PolicyError, match="cannot read"):
        policies.changed()
    assert policies.changed() is None
    path.write_text(OTHER, "utf-8")
    assert policies.changed() is not None


def test_without_a_valid_policy_nothing_begins(path: Path) -> None:
    replace(path, "name: nobody")
    with pytest.raises(PolicyError, match=str(path)):
        PolicyFile(path)


async def _label(world: World, reference: str) -> str:
    world.submit(*submission(submitted(reference=reference, narrative=reference)), SUBMITTED)
    assert await world.poll("assess", 0)
    facts = sources(world.log.all(ASSESSED), ASSESSED)
    return str(facts[max(facts)][0].data.policy)


async def test_every_decision_names_the_policy_that_it_was_made_by(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    world, policies = await World(workers=1).up(), PolicyFile(path)
    agent = world.workers["assess"][0].agent
    failed = METRICS.policy_reload_failed.labels("assess")
    before = failed._value.get()
    first = await _label(world, "a")
    assert first == policies.now.label == agent.policy.label
    replace(path, "kaputt")
    await look_at_policy(agent, policies)
    assert failed._value.get() == before + 1 and "keeps policy" in caplog.text
    assert await _label(world, "b") == first
    replace(path, OTHER)
    await look_at_policy(agent, policies)
    second = await _label(world, "c")
    assert second == policies.now.label != first and f"now uses policy {second}" in caplog.text


async def test_a_policy_is_never_taken_in_the_middle_of_a_step(path: Path) -> None:
    world = await World(workers=1).up()
    agent: Agent = world.workers["assess"][0].agent
    replace(path, OTHER)
    await agent._busy.acquire()
    taking = asyncio.create_task(agent.take_policy(PolicyFile(path).now))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert not agent.policy.version.startswith("next-")
    agent._busy.release()
    await taking
    assert agent.policy.version.startswith("next-")
