"""Which Prometheus is used, what is said when there is none, and what it is told to scrape."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml

from deploy.local import process_specs as plan
from deploy.local import prometheus
from deploy.local.errors import LauncherError
from deploy.local.paths import Places
from deploy.local.stack import Stack

ROOT = Path(__file__).resolve().parents[3]
ALERTS = [
    rule["alert"]
    for file in sorted((prometheus.COMMITTED / "rules").glob("*.yml"))
    for group in yaml.safe_load(file.read_text("utf-8"))["groups"]
    for rule in group["rules"]
    if "alert" in rule
]


@pytest.fixture(autouse=True)
def bare_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("LIANDONG_PROMETHEUS", raising=False)
    monkeypatch.setenv("LIANDONG_CACHE", str(tmp_path / "cache"))
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))


def program(path: Path, script: str = "echo prometheus, version 2.42.0") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


def test_one_on_the_path_comes_before_the_one_in_the_cache_and_none_is_no_error(tmp_path: Path) -> None:
    assert prometheus.find() is None
    cached = program(tmp_path / "cache/prometheus/prometheus")
    assert prometheus.find() == cached
    on_path = program(tmp_path / "bin/prometheus")
    assert prometheus.find() == on_path
    program(on_path, "exit 3")
    assert prometheus.find() == cached, "one that does not run is passed over"


def test_a_named_one_that_does_not_run_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIANDONG_PROMETHEUS", str(tmp_path / "nothing"))
    with pytest.raises(LauncherError, match="does not run"):
        prometheus.find()


def test_without_apt_it_says_what_to_install() -> None:
    with pytest.raises(LauncherError, match=r"(?s)without apt .*brew install prometheus"):
        prometheus.find_or_fetch()


def test_when_apt_fails_its_last_words_are_told_and_nothing_is_left(tmp_path: Path) -> None:
    program(tmp_path / "bin/apt-get", "echo 'Temporary failure resolving deb.debian.org' >&2; exit 100")
    program(tmp_path / "bin/dpkg-deb")
    with pytest.raises(LauncherError, match=r"(?s)apt-get update failed.*Temporary failure"):
        prometheus.find_or_fetch()
    assert list((tmp_path / "cache/prometheus").iterdir()) == []


def test_the_local_configuration_is_the_committed_one_with_the_targets_of_the_profile(tmp_path: Path) -> None:
    places = Places.of("test", tmp_path)
    prometheus.configure(places, scrape_s=0.5)
    config = yaml.safe_load((places.prometheus / "prometheus.yml").read_text())
    committed = yaml.safe_load((prometheus.COMMITTED / "prometheus.yml").read_text())
    assert config["global"] == {"scrape_interval": "500ms", "evaluation_interval": "500ms"}
    assert [job["job_name"] for job in config["scrape_configs"]] == [job["job_name"] for job in committed["scrape_configs"]]
    assert all(list(Path("/").glob(rules.lstrip("/"))) for rules in config["rule_files"])
    prometheus.aim(places, {"gateway": 1, "assess-0": 2, "assess-1": 3}, ["assess-0", "assess-1"], True)
    targets = {}
    for job in config["scrape_configs"]:
        (file,) = job["file_sd_configs"][0]["files"]
        targets[job["job_name"]] = [one["targets"] for one in json.loads(Path(file).read_text())]
    assert targets == {"liandong-gateway": [["127.0.0.1:1"]], "liandong-worker": [["127.0.0.1:2"], ["127.0.0.1:3"]]}


def test_it_listens_on_this_machine_only_and_is_started_only_when_there_is_one(tmp_path: Path) -> None:
    argv = prometheus.command(Places.of("test", tmp_path), 4711, Path("/x/prometheus"))
    assert "--web.listen-address=127.0.0.1:4711" in argv
    assert plan.PROMETHEUS not in Stack("test", home=tmp_path).services
    watched = Stack("test", home=tmp_path, monitor=Path("/x/prometheus"))
    assert watched.services == (*plan.SERVICES, plan.PROMETHEUS)
    assert plan.PROMETHEUS in plan.port_names(watched.services, {})


@pytest.mark.parametrize("alert", ALERTS)
def test_an_alert_is_tested_for_firing_and_for_not_firing_and_explained(alert: str) -> None:
    cases = [
        one
        for file in sorted((prometheus.COMMITTED / "tests").glob("*.yml"))
        for test in yaml.safe_load(file.read_text("utf-8"))["tests"]
        for one in test["alert_rule_test"]
        if one["alertname"] == alert
    ]
    assert any(one["exp_alerts"] for one in cases), "nothing makes it fire"
    assert any(not one["exp_alerts"] for one in cases), "nothing shows that it can be silent"
    told = (ROOT / "docs/operating/operations.md").read_text("utf-8")
    assert re.search(rf"^\| `{alert}` \|", told, re.MULTILINE), "docs/operating/operations.md does not say what to do"
