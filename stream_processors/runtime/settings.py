"""Every setting of the workers. The gateway adds its own (`gateway/settings.py`).

Environment: `LIANDONG_<NAME>`, but `KAFKA_BOOTSTRAP` and `REDIS_URL` without the prefix. `raw_institutions` write with their own
Kafka client (`LIANDONG_RAW_INSTITUTIONS=bank-001,telecom-001`).
"""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Annotated, Any, TypeVar

import yaml
from pydantic import AliasChoices, BaseModel, Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from schemas.common import PartyId
from schemas.policy import Policy
from schemas.security import Keyring
from schemas.topics import OURS
from stream_processors.runtime.calendar_file import SHIPPED_HOLIDAYS

Model = TypeVar("Model", bound=BaseModel)
SHIPPED_POLICY = Path(__file__).parents[1] / "policies" / "haidong.yaml"


class PolicyError(ValueError):
    """The policy file cannot be used; the message names the file and every fault."""


class Settings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="LIANDONG_", extra="ignore", populate_by_name=True)

    kafka_bootstrap: str = Field("127.0.0.1:9092", validation_alias=AliasChoices("KAFKA_BOOTSTRAP", "kafka_bootstrap"))
    redis_url: str = Field("redis://127.0.0.1:6379/0", validation_alias=AliasChoices("REDIS_URL", "redis_url"))
    kafka_security_protocol: str = "PLAINTEXT"
    kafka_sasl_mechanism: str = "PLAIN"
    kafka_sasl_username: str | None = None
    kafka_sasl_password: str | None = None
    kafka_ssl_cafile: Path | None = None
    kafka_ssl_certfile: Path | None = None
    kafka_ssl_keyfile: Path | None = None
    home: Path = Path(".liandong")
    profile: str = "demo"
    keys_file: Path | None = None
    signing_file: Path | None = None
    policy_file: Path = SHIPPED_POLICY
    holidays_file: Path = SHIPPED_HOLIDAYS
    webhooks_file: Path | None = None
    webhooks_cafile: Path | None = None
    worker_id: str = "worker-0"
    metrics_port: int = 0
    raw_institutions: Annotated[tuple[PartyId, ...], NoDecode] = ()
    body_limit_bytes: int = Field(64 << 10, ge=1)
    json_depth_limit: int = Field(16, ge=2)
    poll_records: int = Field(2500, ge=1)
    fetch_wait_ms: int = Field(100, ge=1)
    session_timeout_s: float = Field(10.0, ge=1)
    heartbeat_s: float = Field(1.0, ge=0.1)

    @field_validator("raw_institutions", mode="before")
    @classmethod
    def _listed(cls, raw: object) -> object:
        """`bank-001,telecom-001`, each once."""
        names = [name.strip() for name in raw.split(",")] if isinstance(raw, str) else raw
        return tuple(dict.fromkeys(name for name in names if name)) if isinstance(names, (list, tuple)) else names

    @field_validator("raw_institutions")
    @classmethod
    def _not_ours(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        if ours := [name for name in names if name.startswith(OURS) or name == "intake"]:
            raise ValueError(f"{ours[0]}: intake and names that begin with {OURS} are reserved for the system")
        return names

    @property
    def keys_path(self) -> Path:
        return self.keys_file or self.home / self.profile / "keys.json"

    @property
    def signing_path(self) -> Path:
        """The key that locks a year's result (only `oversee` reads it); beside it, `.pub`, the keys that verify it."""
        return self.signing_file or self.home / self.profile / "signing.json"

    def keyring(self) -> Keyring:
        return Keyring.load_or_create(self.keys_path)

    def policy(self) -> Policy:
        return load_policy(self.policy_file)

    def kafka_auth(self) -> dict[str, Any]:
        """The options that every aiokafka client needs to reach a protected cluster."""
        auth: dict[str, Any] = {"security_protocol": self.kafka_security_protocol}
        if "SSL" in self.kafka_security_protocol:
            auth["ssl_context"] = ssl.create_default_context(cafile=self.kafka_ssl_cafile)
            if self.kafka_ssl_certfile is not None:  # who we are, where the brokers ask for a certificate
                auth["ssl_context"].load_cert_chain(self.kafka_ssl_certfile, self.kafka_ssl_keyfile)
        if self.kafka_security_protocol.startswith("SASL"):
            auth |= {
                "sasl_mechanism": self.kafka_sasl_mechanism,
                "sasl_plain_username": self.kafka_sasl_username,
                "sasl_plain_password": self.kafka_sasl_password,
            }
        return auth


def load_policy(path: Path) -> Policy:
    """The policy of a YAML file. PolicyError if it is unreadable or incomplete."""
    try:
        text = path.read_bytes()
    except OSError as error:
        raise PolicyError(f"cannot read the policy {path}: {error}") from error
    return parse_policy(text, path)


def parse_policy(text: bytes, path: Path) -> Policy:
    """The policy in the bytes of the file at `path`. PolicyError names the file and every fault."""
    return parse_file(Policy, text, path, "policy")


def parse_file(model: type[Model], text: bytes, path: Path, what: str) -> Model:
    """A model of a YAML file. PolicyError names the file and every fault."""
    try:
        return model.model_validate(yaml.safe_load(text.decode("utf-8")))
    except (UnicodeDecodeError, RecursionError, yaml.YAMLError) as error:
        raise PolicyError(f"cannot read the {what} {path}: {error}") from error
    except ValidationError as error:
        lines = [f"  {'.'.join(str(part) for part in fault['loc']) or what}: {fault['msg']}" for fault in error.errors()]
        raise PolicyError(f"the {what} {path} is not valid:\n" + "\n".join(lines)) from error
