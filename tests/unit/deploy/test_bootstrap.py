"""Set-up with the standard library only."""

from __future__ import annotations

import ast
import hashlib
import io
import json
import platform
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from deploy import bootstrap

INDEX = "https://index.example/simple"


@pytest.fixture(autouse=True)
def plain(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("UV_DEFAULT_INDEX", "UV_INDEX_URL", "PIP_INDEX_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(bootstrap, "TOOLS", tmp_path / "tools")
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(bootstrap, "is_musl", lambda: False)


def wheel(version: str, tag: str = "manylinux_2_17_x86_64.manylinux2014_x86_64") -> tuple[str, str]:
    return f"https://files.example/uv-{version}-py3-none-{tag}.whl", "00"


def test_only_the_standard_library_is_imported() -> None:
    tree = ast.parse(Path(bootstrap.__file__).read_text())
    names = {alias.name.split(".")[0] for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    names |= {str(node.module).split(".")[0] for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert names <= sys.stdlib_module_names


def test_an_old_python_can_read_it_far_enough_to_say_that_it_is_too_old() -> None:
    ast.parse(Path(bootstrap.__file__).read_text(), feature_version=(3, 8))


def test_it_runs_as_a_script_beside_modules_named_like_standard_ones() -> None:
    done = subprocess.run([sys.executable, bootstrap.__file__], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_newest_uv_for_this_machine_is_chosen() -> None:
    files = [wheel("0.9.30"), wheel("0.10.2"), wheel("0.10.10"), wheel("0.11.0rc1"), wheel("0.12.0", "macosx_11_0_arm64")]
    assert bootstrap.choose_wheel(files) == wheel("0.10.10")


def test_on_musl_its_own_uv_is_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bootstrap, "is_musl", lambda: True)
    assert bootstrap.choose_wheel([wheel("0.10.2"), wheel("0.10.1", "musllinux_1_1_x86_64")])[0].endswith(
        "musllinux_1_1_x86_64.whl"
    )


def test_no_uv_for_this_machine_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "vax")
    with pytest.raises(bootstrap.SetupError, match="has no uv for linux vax"):
        bootstrap.choose_wheel([wheel("0.10.2")])


def test_both_forms_of_the_index_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", INDEX)
    page = json.dumps({"files": [{"url": "../../f/uv-1.whl", "hashes": {"sha256": "aa"}}, {"url": "x", "yanked": "bad"}]})
    monkeypatch.setattr(bootstrap, "download", lambda *_: (page.encode(), "application/vnd.pypi.simple.v1+json"))
    assert bootstrap.index_page("uv") == [("https://index.example/f/uv-1.whl", "aa")]
    page = '<a href="../../f/uv-1.whl#sha256=aa">uv</a><a href="https://o.example/uv-2.whl?a=1&amp;b=2">uv</a>'
    monkeypatch.setattr(bootstrap, "download", lambda *_: (page.encode(), "text/html"))
    assert bootstrap.index_page("uv") == [
        ("https://index.example/f/uv-1.whl", "aa"),
        ("https://o.example/uv-2.whl?a=1&b=2", None),
    ]


def test_a_wheel_with_another_checksum_is_not_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bootstrap, "download", lambda *_: (b"evil", ""))
    with pytest.raises(bootstrap.SetupError, match="does not have the checksum"):
        bootstrap.unpack_uv("https://files.example/uv-1.whl", "0" * 64)
    with pytest.raises(bootstrap.SetupError, match="gives no sha256"):
        bootstrap.unpack_uv("https://files.example/uv-1.whl", None)
    assert not (bootstrap.TOOLS / "bin" / "uv").exists()


def test_the_program_is_taken_out_of_the_wheel_and_can_be_run(monkeypatch: pytest.MonkeyPatch) -> None:
    body = io.BytesIO()
    with zipfile.ZipFile(body, "w") as archive:
        archive.writestr("uv-1.data/scripts/uv", "#!/bin/sh\nexit 0\n")
    monkeypatch.setattr(bootstrap, "download", lambda *_: (body.getvalue(), ""))
    monkeypatch.setattr(bootstrap.shutil, "which", lambda _: None)
    bootstrap.unpack_uv("https://files.example/uv-1.whl", hashlib.sha256(body.getvalue()).hexdigest())
    assert bootstrap.find_uv() == str(bootstrap.TOOLS / "bin" / "uv")


def test_a_machine_without_uv_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bootstrap.shutil, "which", lambda _: None)
    assert bootstrap.find_uv() is None


def test_without_a_fitting_python_it_says_which_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "version_info", (3, 9, 18, "final", 0))
    monkeypatch.setattr(bootstrap.shutil, "which", lambda _: None)
    with pytest.raises(bootstrap.SetupError, match=r"Python 3\.11, 3\.12 or 3\.13 is needed"):
        bootstrap.find_python()


def test_on_windows_it_says_wsl(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    with pytest.raises(bootstrap.SetupError, match="WSL"):
        bootstrap.check_platform()


def test_an_unreachable_index_says_what_can_be_set() -> None:
    with pytest.raises(bootstrap.SetupError, match="PIP_INDEX_URL"):
        bootstrap.download("http://127.0.0.1:9/simple/uv/")


def test_arm_linux_without_a_compiler_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    monkeypatch.setattr(bootstrap.shutil, "which", lambda _: None)
    with pytest.raises(bootstrap.SetupError, match="needs a C compiler"):
        bootstrap.run_uv([sys.executable, "-c", "raise SystemExit(1)"])
