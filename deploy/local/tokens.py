"""Bearer tokens for local use, signed with a key that is created on demand, and the scrape token.

Invariant: the private key never leaves `<home>/<profile>/jwt.json` (mode 0600); `jwks.json` beside it has the public half for the
gateway.
"""

from __future__ import annotations

import json
import re
import secrets
import time
from pathlib import Path

from joserfc import jwt
from joserfc.jwk import OKPKey

from deploy.local.paths import default_home
from schemas.common import is_unit
from schemas.security.private_files import make_private_folder, write_private_file

ISSUER = "liandong-local"
AUDIENCE = "liandong"
ALGORITHM = "Ed25519"
ROLES = ("institution", "officer", "regulator", "coordinator", "operator")
LONGEST_S = 86_400
"""The gateway refuses tokens with a longer lifetime, unless LIANDONG_JWT_LONGEST_S allows it."""


def mint(
    subject: str,
    *,
    role: str | None = None,
    queues: list[str] | None = None,
    ttl_s: int = 86_400,
    home: Path | None = None,
    profile: str = "demo",
) -> str:
    """Returns a signed JWT. Without `role`, `officer-…` is an officer of all queues, `regulator-…`, `coordinator-…` and
    `operator-…` have these roles, and anything else is an institution. ValueError for an unknown role, and for an institution
    with a unit's name."""
    role = role or _role_of(subject)
    if role not in ROLES:
        raise ValueError(f"unknown role {role}; choose one of {', '.join(ROLES)}")
    if not re.fullmatch(r"[a-z0-9][a-z0-9-]{1,62}", subject):
        raise ValueError("a subject must be 2 to 63 lower-case letters, digits and hyphens")
    if role == "institution" and is_unit(subject):
        raise ValueError(
            f"{subject} names a unit, not an institution; create a token for an officer: liandong token "
            f"officer-wang --queues {subject}"
        )
    key = _load_key((home or default_home()) / profile)
    now = int(time.time())
    claims = {"iss": ISSUER, "aud": AUDIENCE, "sub": subject, "role": role, "iat": now, "nbf": now, "exp": now + ttl_s}
    if role == "officer":
        claims["queues"] = queues or ["*"]
    return jwt.encode({"alg": ALGORITHM, "kid": key.kid}, claims, key, algorithms=[ALGORITHM])


def _role_of(subject: str) -> str:
    first = subject.partition("-")[0]
    return first if first in ROLES else "institution"


def ensure_keys(folder: Path) -> Path:
    """Creates the keys if there are none, and returns the path of the public half."""
    _load_key(folder)
    return folder / "jwks.json"


def _load_key(folder: Path) -> OKPKey:
    """Returns the private key. Two concurrent creators end with one key."""
    private, public = folder / "jwt.json", folder / "jwks.json"
    if not private.exists():
        make_private_folder(folder)
        key = OKPKey.generate_key("Ed25519", auto_kid=True)
        write_private_file(private, json.dumps(key.as_dict(private=True)), keep_existing=True)
    key = OKPKey.import_key(json.loads(private.read_text("utf-8")))
    key_set = json.dumps({"keys": [{**key.as_dict(private=False), "alg": ALGORITHM, "use": "sig"}]})
    if not public.exists() or public.read_text("utf-8") != key_set:
        write_private_file(public, key_set)
    return key


def ensure_scrape_token(folder: Path) -> Path:
    """The file with the token that Prometheus shows to the gateway (gateway/security/scrape_token.py); created if missing."""
    path = folder / "scrape.token"
    if not path.exists():
        make_private_folder(folder)
        write_private_file(path, secrets.token_urlsafe(32), keep_existing=True)
    return path


def scrape_headers(folder: Path) -> dict[str, str]:
    """The headers of a scraper of this profile."""
    return {"Authorization": f"Bearer {ensure_scrape_token(folder).read_text('utf-8')}"}
