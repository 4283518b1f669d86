"""Lasting signatures for results that must not change: Ed25519 in compact JWS (RFC 8037, RFC 9864).

Invariant: the code chooses the algorithm, never the message. Another algorithm or an unknown key gives no valid signature.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import OKPKey

from schemas.security.private_files import write_private_file

ALGORITHM: Final = "Ed25519"


def public_path(path: Path) -> Path:
    return path.with_suffix(".pub")


def load_or_create(path: Path) -> OKPKey:
    """Returns the private key of a file (mode 0600) and creates it if there is none; two creators end with one. Its public half
    is beside it as a JWKS: copy that to the verifiers, and keep it as long as the results."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        key = OKPKey.generate_key(ALGORITHM, auto_kid=True)
        write_private_file(path, json.dumps(key.as_dict(private=True)), keep_existing=True)
    key = OKPKey.import_key(json.loads(path.read_text("utf-8")))
    published = [public_key.as_dict(private=False) for public_key in public_keys(public_path(path))]
    own = key.as_dict(private=False)
    if own not in published:  # what older keys signed is verified on
        public_path(path).write_text(json.dumps({"keys": [*published, own]}), "utf-8")
    return key


def public_keys(path: Path) -> list[OKPKey]:
    """Returns the keys of a JWKS file; none if there is no file."""
    if not path.exists():
        return []
    return [OKPKey.import_key(jwk) for jwk in json.loads(path.read_text("utf-8"))["keys"]]


class Ed25519Signer:
    """Signs with one private key. Its default id is its thumbprint (RFC 7638)."""

    def __init__(self, key: OKPKey) -> None:
        if key.curve_name != ALGORITHM or not key.is_private:
            raise ValueError("a private Ed25519 key is required")
        self._key = key

    @property
    def key_id(self) -> str:
        return self._key.kid or self._key.thumbprint()

    def sign(self, payload: bytes) -> str:
        """Returns a compact JWS. Ed25519 is deterministic: the same payload gives the same bytes."""
        return jws.serialize_compact({"alg": ALGORITHM, "kid": self.key_id}, payload, self._key, algorithms=[ALGORITHM])


class Ed25519Verifier:
    """Verifies signatures of known keys, retired ones included, because a result is verified for years."""

    def __init__(self, keys: Iterable[OKPKey]) -> None:
        self._keys = {key.kid or key.thumbprint(): key for key in keys}

    def __call__(self, signature: str) -> bytes | None:
        """Returns the payload; None if the signature is not valid for any reason."""
        try:
            parsed = jws.extract_compact(signature.encode())
            key = self._keys.get(str(parsed.headers().get("kid")))
            if key is None or not jws.validate_compact(parsed, key, algorithms=[ALGORITHM]):
                return None
            return bytes(parsed.payload)
        except (JoseError, ValueError, UnicodeError):
            return None
