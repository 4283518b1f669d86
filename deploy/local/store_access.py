"""Access to a profile's Redis: two users, their random passwords, and the commands that each needs.

`liandong` is the user of the gateway and the workers: it reads and writes data and runs scripts. `operator` is the user of the
tools (verify, chaos, bench, tests): it may also empty the store and read its figures. Nobody may use CONFIG, DEBUG, MODULE,
SHUTDOWN, REPLICAOF, FUNCTION, ACL and the like. Invariant: a password is in one file of mode 0600, never on a command line; the
server's configuration contains its hash only.
"""

from __future__ import annotations

import hashlib
import json
import re
import secrets
from dataclasses import dataclass

from deploy.local.errors import LauncherError
from deploy.local.paths import Places
from deploy.local.ports import LOCALHOST
from schemas.security.private_files import write_private_file

SERVICE, OPERATOR = "liandong", "operator"
# Data of every type that we keep, and the scripts. What is dangerous or administrative comes off whatever its type.
_DATA = (
    "+@string +@hash +@set +@sortedset +@list +@keyspace +@pubsub +@connection +@transaction -@admin -@dangerous "
    "+eval +evalsha +script|load +script|exists +time"
)
_TOOLS = "+info +flushall +flushdb +keys +client|list +client|kill"
COMMANDS = {SERVICE: _DATA, OPERATOR: f"{_DATA} {_TOOLS}"}


@dataclass(frozen=True)
class StoreAccess:
    """The passwords by user."""

    passwords: dict[str, str]

    def url(self, user: str, port: int) -> str:
        return f"redis://{user}:{self.passwords[user]}@{LOCALHOST}:{port}/0"

    def acl_lines(self) -> list[str]:
        """Lines for the server's configuration: its default user is off, ours get the commands they need."""
        lines = ["user default off resetpass resetkeys resetchannels -@all"]
        for user, password in self.passwords.items():
            digest = hashlib.sha256(password.encode()).hexdigest()
            lines.append(f"user {user} on #{digest} ~* &* -@all {COMMANDS[user]}")
        return lines


def load_or_create(places: Places) -> StoreAccess:
    """Returns the profile's passwords, created if missing. Concurrent callers get the same ones."""
    if not places.store_access.exists():
        made = {user: secrets.token_hex(24) for user in COMMANDS}
        write_private_file(places.store_access, json.dumps(made) + "\n", keep_existing=True)
    access = load(places)
    assert access is not None
    return access


def load(places: Places) -> StoreAccess | None:
    """None for a profile that never had a Redis."""
    try:
        passwords = json.loads(places.store_access.read_text())
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise _describe_unusable(places) from error
    if not isinstance(passwords, dict) or not all(isinstance(passwords.get(user), str) for user in COMMANDS):
        raise _describe_unusable(places)
    return StoreAccess({user: passwords[user] for user in COMMANDS})


def _describe_unusable(places: Places) -> LauncherError:
    return LauncherError(
        f"{places.store_access} does not contain the passwords of the Redis of this profile",
        "run liandong down, remove the file, and run liandong up to create new passwords",
    )


def mask_password(url: str) -> str:
    """The address for people and logs."""
    return re.sub(r"([?&]password=)[^&]*", r"\1***", re.sub(r"//.*@", "//***@", url))
