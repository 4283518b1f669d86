"""What a bench runs in: how often, how large, and its own stack on real services.

Invariant: a bench has its own profile (data, ports), which is wiped before and after; load comes from another process.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from deploy.local.paths import project_root
from deploy.local.process_specs import common_env
from deploy.local.stack import Stack

DURABILITY = (
    "one Kafka 4 broker (KRaft, acks=all, idempotent producers), Redis with AOF everysec, "
    "all on this machine's cores together with the load"
)
MIX = (
    "generated signals: 3 % repeats, 3 % re-sends, 0.3 % conflicts, 30 % corroborations, 30 % with a second suspect, "
    "30 % with a victim, half with a narrative"
)


@dataclass(frozen=True)
class Setting:
    """`runs`: how often each figure is taken. `scale`: 1 is the size that the figures are quoted for."""

    runs: int
    scale: float
    said: Callable[[str], None]

    def size(self, full: int, least: int = 1) -> int:
        return max(least, round(full * self.scale))

    @contextmanager
    def stack(self, name: str, **options: Any) -> Iterator[Stack]:
        """A fresh stack of the profile `bench-<name>`, up. Gone afterwards with its data."""
        stack = Stack(f"bench-{name}", bound=True, external=False, **options)
        stack.down(wipe=True)
        try:
            self.said(f"{name}: starting {', '.join(stack.services)}")
            yield stack.up()
        finally:
            stack.down(wipe=True)


def child(module: str, request: Mapping[str, Any], *, env: Mapping[str, str] | None = None, timeout_s: float = 900) -> Any:
    """Runs `python -m module` with the request as JSON on its standard input; its answer is the last line it writes."""
    done = subprocess.run(
        [sys.executable, "-m", module],
        input=json.dumps(request).encode(),
        capture_output=True,
        cwd=project_root(),
        env={**os.environ, **(env or {})},
        timeout=timeout_s,
    )
    if done.returncode:
        raise RuntimeError(f"{module} ended with {done.returncode}:\n{done.stderr.decode('utf-8', 'replace')[-3000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def in_turns(measure: Callable[[], float], measure_bare: Callable[[], float]) -> tuple[float, float]:
    """What is measured, and the mean of the baseline just before and just after: a phase of the machine that begins or ends
    between them moves both."""
    before = measure_bare()
    measured = measure()
    return measured, (before + measure_bare()) / 2


@contextmanager
def background(module: str, request: Mapping[str, Any], *, env: Mapping[str, str] | None = None) -> Iterator[dict[str, Any]]:
    """A child that runs until the block ends. Its answer is the first line that it writes, once it is ready."""
    environment = {**os.environ, **(env or {})}
    command = [sys.executable, "-m", module]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=project_root(), env=environment) as process:
        assert process.stdin is not None and process.stdout is not None
        try:
            process.stdin.write(json.dumps(request).encode())
            process.stdin.close()
            line = next((line for line in process.stdout if line.strip()), None)
            if line is None:
                raise RuntimeError(f"{module} ended before it was ready")
            yield json.loads(line)
        finally:
            process.kill()


def request() -> dict[str, Any]:
    """Read, in the child, what it was asked."""
    asked: dict[str, Any] = json.loads(sys.stdin.read())
    return asked


def answer(told: Mapping[str, Any]) -> None:
    """Write, in the child, the line that its parent waits for."""
    sys.stdout.write("\n" + json.dumps(told) + "\n")
    sys.stdout.flush()


def stack_env(stack: Stack) -> dict[str, str]:
    """How a child reaches the stack: as the stack's own processes do."""
    return common_env(stack.places, stack.kafka_bootstrap, stack.redis_url, {})
