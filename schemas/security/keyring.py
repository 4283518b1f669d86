"""The secret keys and their versions, in one JSON file that only its owner can read.

Invariant: the bytes of a key version never change. A rotation adds a version and makes it current.
"""

from __future__ import annotations

import base64
import json
import secrets
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from schemas.security.private_files import write_private_file


class Keyring(BaseModel):
    """`{"current": "k1", "token_keys": {"k1": base64}, "sealing_keys": {"k1": base64}}`, 32 bytes each."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    current: str = Field(pattern=r"^k[0-9]{1,4}$")
    token_keys: dict[str, str]
    sealing_keys: dict[str, str]

    @property
    def oldest(self) -> str:
        """The version whose token key names signals permanently. It stays in the file when others become current."""
        return min(self.token_keys, key=lambda version: int(version[1:]))

    def token_key(self, version: str) -> bytes:
        return base64.b64decode(self.token_keys[version])

    def sealing_key(self, version: str) -> bytes:
        return base64.b64decode(self.sealing_keys[version])

    @classmethod
    def generate(cls) -> Keyring:
        def key() -> str:
            return base64.b64encode(secrets.token_bytes(32)).decode()

        return cls(current="k1", token_keys={"k1": key()}, sealing_keys={"k1": key()})

    @classmethod
    def load(cls, path: Path) -> Keyring:
        """Reads the file; FileNotFoundError tells how to create one."""
        if not path.exists():
            raise FileNotFoundError(f"no key file at {path}; run `liandong up` to create one, or set LIANDONG_KEYS_FILE")
        return cls.model_validate(json.loads(path.read_text("utf-8")))

    @classmethod
    def load_or_create(cls, path: Path) -> Keyring:
        """For the local launcher: creates the file (mode 0600) if there is none. Two concurrent creators end with one file."""
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            write_private_file(path, cls.generate().model_dump_json(indent=1), keep_existing=True)
        return cls.load(path)
