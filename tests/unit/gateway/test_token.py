"""`liandong token`: a token that the gateway takes, and a private key that stays private."""

from __future__ import annotations

import json
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import typer
from joserfc import jwt
from joserfc.jwk import KeySet
from typer.testing import CliRunner

from deploy.commands.token import register
from deploy.local import paths as places
from deploy.local.tokens import ensure_keys, mint


def claims(token: str, home: Path, profile: str = "demo") -> dict:
    keys = KeySet.import_key_set(json.loads((home / profile / "jwks.json").read_text()))
    return jwt.decode(token, keys, algorithms=["Ed25519"]).claims


def test_a_bank_is_an_institution_and_an_officer_has_all_queues(tmp_path: Path):
    assert claims(mint("bank-001", home=tmp_path), tmp_path)["role"] == "institution"
    officer = claims(mint("officer-7", home=tmp_path), tmp_path)
    assert (officer["role"], officer["queues"]) == ("officer", ["*"])
    assert claims(mint("x-1", role="regulator", home=tmp_path), tmp_path)["role"] == "regulator"


def test_the_private_key_is_its_owners_alone_and_the_public_file_has_no_private_part(tmp_path: Path):
    public = ensure_keys(tmp_path / "demo")
    assert stat.S_IMODE((tmp_path / "demo" / "jwt.json").stat().st_mode) == 0o600
    assert '"d"' in (tmp_path / "demo" / "jwt.json").read_text() and '"d"' not in public.read_text()


def test_many_makers_at_once_end_with_one_key(tmp_path: Path):
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda n: mint(f"bank-{n:03d}", home=tmp_path), range(16)))
    assert {claims(token, tmp_path)["sub"] for token in made} == {f"bank-{n:03d}" for n in range(16)}


@pytest.mark.parametrize(("subject", "role"), [("Bank 1", None), ("bank-001", "king"), ("", None)])
def test_a_subject_or_role_that_is_none_is_refused(tmp_path: Path, subject: str, role: str | None):
    with pytest.raises(ValueError):
        mint(subject, role=role, home=tmp_path)


def test_the_command_prints_one_token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("LIANDONG_HOME", str(tmp_path))
    app = typer.Typer()
    app.callback()(lambda: None)
    register(app)
    result = CliRunner().invoke(app, ["token", "officer-1", "--queues", "public-security-*", "--ttl", "30m", "--profile", "p"])
    said = claims(result.stdout.strip(), tmp_path, "p")
    assert said["queues"] == ["public-security-*"] and said["exp"] - said["iat"] == 1800
    for wrong in (["bank-001", "--ttl", "soon"], ["bank-001", "--ttl", "2d"], ["public-security-630202"]):
        assert CliRunner().invoke(app, ["token", *wrong]).exit_code == 2


def test_a_token_that_is_made_in_another_folder_is_signed_with_the_projects_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("LIANDONG_HOME", raising=False)
    monkeypatch.setattr(places, "project_root", lambda: tmp_path / "project")
    for name in ("here", "there"):
        (tmp_path / name).mkdir()
        monkeypatch.chdir(tmp_path / name)
        assert claims(mint("bank-001"), tmp_path / "project" / ".liandong")["sub"] == "bank-001"
    assert not list(tmp_path.glob("*here/*"))
