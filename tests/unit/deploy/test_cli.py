"""The command line's frame."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest
from typer.testing import CliRunner

from deploy import cli


def test_every_module_registers_the_commands_that_the_table_says() -> None:
    named = {command.name or command.callback.__name__ for command in cli.app.registered_commands if command.callback}
    there = {name for module, names in cli.MODULES.items() if cli._is_there(module) for name in names}
    assert there <= named | {group.name for group in cli.app.registered_groups}


def test_a_command_needs_only_its_own_module() -> None:
    assert cli._select_modules(["status", "--profile", "demo"]) == ["deploy.local.commands"]
    assert cli._select_modules(["--help"]) == list(cli.MODULES)
    assert cli._select_modules(["no-such-command"]) == list(cli.MODULES)


def test_status_of_what_does_not_run_is_exit_code_1(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIANDONG_HOME", str(tmp_path))
    result = CliRunner().invoke(cli.app, ["status", "--json"])
    assert result.exit_code == 1
    assert json.loads(result.stdout) == {"profile": "demo", "healthy": False, "processes": {}}


def test_down_of_what_does_not_run_is_fine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIANDONG_HOME", str(tmp_path))
    assert CliRunner().invoke(cli.app, ["down"]).exit_code == 0


def test_an_error_is_a_message_without_a_traceback(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIANDONG_HOME", str(tmp_path))
    result = CliRunner().invoke(cli.app, ["up", "--workers", "cook=2"])
    assert result.exit_code == 1
    assert "agents: intake, assess, track, timekeeper, deliver, webhook, oversee, project" in result.stderr
    assert "Traceback" not in result.stderr


def test_verify_of_what_does_not_run_says_so_without_a_traceback(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIANDONG_HOME", str(tmp_path))
    (tmp_path / "demo").mkdir()
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        free = one.getsockname()[1]
    (tmp_path / "demo" / "ports.json").write_text(json.dumps({"kafka": free, "redis": free}))
    result = CliRunner().invoke(cli.app, ["verify"])
    assert (result.exit_code, isinstance(result.exception, SystemExit)) == (2, True)
    assert "liandong up --profile demo" in result.stdout


def test_the_loop_is_drawn_from_its_tables() -> None:
    told = CliRunner().invoke(cli.app, ["diagram", "order"])
    assert told.exit_code == 0 and told.stdout.startswith("%% order\nstateDiagram-v2\n") and "issue" in told.stdout
    assert CliRunner().invoke(cli.app, ["diagram", "nothing"]).exit_code == 2
