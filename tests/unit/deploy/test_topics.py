"""Who may do what in which topic: from the table, and nothing more."""

from __future__ import annotations

import re

import pytest
from pydantic import ValidationError
from typer.testing import CliRunner

from deploy.cli import app
from deploy.commands.topics import access, table
from deploy.local.errors import LauncherError
from deploy.local.stack import Stack
from deploy.local.topics import create_topics
from schemas.topics import TOPICS, all_topics, raw, receipts
from stream_processors.runtime.settings import Settings

TWO = ("bank-001", "bank-0011")


def _granted(principal: str) -> set[tuple[str, str]]:
    """(operation, on what) of one user."""
    found = set()
    for line in access(all_topics(TWO)):
        parts = re.fullmatch(r"kafka-acls\.sh \$KAFKA --add --allow-principal User:(\S+) --operation (\S+) (.+)", line)
        if parts and parts[1] == principal:
            found.add((parts[2], parts[3]))
    return found


@pytest.mark.parametrize("who", TWO)
def test_an_institution_writes_only_to_its_raw_topic_and_reads_only_its_receipts(who: str) -> None:
    assert _granted(who) == {
        ("Write", f"--topic signals.raw.{who}"),
        ("Read", f"--topic signals.receipts.{who}"),
        ("Read", f"--group {who}. --resource-pattern-type prefixed"),
    }


def test_a_prefix_of_groups_is_not_a_prefix_of_another_institutions() -> None:
    assert not f"{TWO[1]}.any".startswith(f"{TWO[0]}.")


def test_our_parts_have_what_they_write_and_read_and_a_group() -> None:
    granted = _granted("liandong-intake")
    assert {("Write", "--topic signals.submitted.v1"), ("Write", "--topic deadletter.v1")} <= granted
    assert {("Read", f"--topic {topic(who).name}") for who in TWO for topic in (raw, receipts)} <= granted
    assert ("Read", "--group liandong-intake") in granted
    assert not any(operation == "Write" and "raw" in on for operation, on in granted)
    others = _granted("liandong-gateway") | _granted("liandong-assess")
    assert all("signals.raw" not in on and "signals.receipts" not in on for _, on in others)


def test_the_table_tells_every_topic() -> None:
    theirs = [topic(who).name for who in TWO for topic in (raw, receipts)]
    assert [line.split()[0] for line in table(all_topics(TWO))[1:]] == [*TOPICS, *theirs]


@pytest.mark.parametrize("name", ["Bank", "a", "liandong-x", "intake", "bank_1", "../x", "bank-001\n"])
def test_what_cannot_be_an_institution_makes_no_topic(name: str) -> None:
    if name.strip() == name:
        with pytest.raises(ValidationError):
            Settings(raw_institutions=f"bank-001,{name}")
    with pytest.raises(LauncherError):
        create_topics("127.0.0.1:1", [name])


def test_a_list_is_read_with_spaces_and_repeats(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIANDONG_RAW_INSTITUTIONS", " bank-001, pay-002 ,,bank-001")
    assert Settings().raw_institutions == ("bank-001", "pay-002")
    monkeypatch.setenv("LIANDONG_RAW_INSTITUTIONS", "")
    assert Settings().raw_institutions == ()


def test_intake_runs_where_institutions_write_raw_and_by_default_only_in_the_demo(
    tmp_path: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("LIANDONG_RAW_INSTITUTIONS", raising=False)
    assert "intake" not in Stack("test").workers
    assert Stack("demo").workers["intake"] == 1
    assert Stack("test", raw_institutions=("bank-001",)).env["LIANDONG_RAW_INSTITUTIONS"] == "bank-001"
    assert Stack("demo", raw_institutions=()).env["LIANDONG_RAW_INSTITUTIONS"] == ""
    monkeypatch.setenv("LIANDONG_RAW_INSTITUTIONS", "pay-002")
    assert Stack("demo").raw_institutions == Stack("test").raw_institutions == ("pay-002",)


def test_the_commands_make_every_topic_with_the_copies_that_an_acknowledgement_promises() -> None:
    answer = CliRunner().invoke(app, ["topics", "--raw", "bank-001", "--create"])
    lines = answer.output.splitlines()
    assert [line.split("--topic ")[1].split()[0] for line in lines] == [topic.name for topic in all_topics(("bank-001",))]
    assert all("--replication-factor 3 --config min.insync.replicas=2" in line for line in lines)
    one = CliRunner().invoke(app, ["topics", "--create", "--copies", "1"]).output
    assert one.count("--replication-factor 1 --config min.insync.replicas=1") == len(TOPICS)


def test_a_check_of_a_cluster_that_does_not_answer_says_so_and_is_no_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAFKA_BOOTSTRAP", "127.0.0.1:1")
    answer = CliRunner().invoke(app, ["topics", "--check"])
    assert answer.exit_code == 2
    assert "cannot read the topics of Kafka at 127.0.0.1:1" in answer.output


def test_our_parts_may_read_the_settings_of_their_topics_and_the_gateway_asks_for_the_quorum() -> None:
    assert ("DescribeConfigs", "--topic signals.submitted.v1") in _granted("liandong-gateway") & _granted("liandong-assess")
    assert ("Describe", "--cluster") in _granted("liandong-gateway")
    assert ("DescribeConfigs", "--topic signals.raw.bank-001") in _granted("liandong-intake")
