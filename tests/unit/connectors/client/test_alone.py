"""The client installs alone: a wheel of its own, built from this source, that needs httpx and pydantic and nothing of ours."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import connectors.client

SOURCE = Path(connectors.client.__file__).parent
PROJECT = SOURCE.parents[1]

SAY = """
import sys
sys.path.insert(0, sys.argv[1])
import liandong_client
assert liandong_client.__file__.startswith(sys.argv[1]), liandong_client.__file__
ours = {"connectors", "schemas", "gateway", "stream_processors", "deploy", "orjson", "typer", "fastapi"} & set(sys.modules)
assert not ours, ours
with liandong_client.Client("http://127.0.0.1:1", "t", patience=liandong_client.RetryPolicy(give_up_after=0)) as client:
    try:
        client.send({"reference": "r"})
    except liandong_client.Unavailable as error:
        print(error)
"""


def test_the_client_builds_as_a_wheel_of_its_own_and_works_without_the_rest(tmp_path: Path):
    shutil.copytree(SOURCE, tmp_path / "source", ignore=shutil.ignore_patterns("__pycache__"))
    build = [sys.executable, "-P", "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path / "out")]
    subprocess.run(build, cwd=tmp_path / "source", check=True, capture_output=True, timeout=60)
    (wheel,) = (tmp_path / "out").iterdir()
    shutil.unpack_archive(wheel, tmp_path / "site", "zip")
    assert (tmp_path / "site" / "liandong_client" / "py.typed").exists()
    assert not (tmp_path / "site" / "liandong_client" / "examples").exists()
    said = subprocess.run(
        [sys.executable, "-c", SAY, str(tmp_path / "site")], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
    )
    assert said.returncode == 0, said.stderr
    assert "gave up after 0 tries: the gateway cannot be reached" in said.stdout


def test_it_has_the_projects_version_and_bounds():
    own = tomllib.loads((SOURCE / "pyproject.toml").read_text("utf-8"))["project"]
    whole = tomllib.loads((PROJECT / "pyproject.toml").read_text("utf-8"))["project"]
    assert own["version"] == whole["version"]
    assert set(own["dependencies"]) <= set(whole["dependencies"])
