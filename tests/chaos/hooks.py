"""Institutions that change their endpoints while things break. Nothing listens there, so every notice for them is parked at its
first call, and some are asked for once more.

Invariant: each change is asked for until it has its last word, one after the other; what was answered last is what is listed
when the dust has settled.
"""

from __future__ import annotations

import json
import random
import threading
import time
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from deploy.demo.generate import INSTITUTIONS
from tests.chaos.client import LOST_FOR_S, NOT_YET, PAUSE_S, Client, Told, told_of

PLACE = "/v1/webhooks"
KINDS = ["order.stop_payment"]
CLOSED_PORT = 9
"""Where nobody listens: a call ends at once."""
BETWEEN_S = 0.3
READ_FOR_S = 60.0
SETTINGS: dict[str, Any] = {
    "calls": {"literals": True, "ports": [CLOSED_PORT], "allowed": ["127.0.0.0/8"]},
    "retries": {"attempts": 1},
}
ENV = {"LIANDONG_WEBHOOK_CHANGES_AN_HOUR": "1000000"}


def write_settings(to: Path) -> Path:
    """Writes the settings of webhooks of a run; the path."""
    to.write_text(yaml.safe_dump(SETTINGS), "utf-8")
    return to


class Hooks:
    """One thread for all institutions. `listed` holds each one's endpoint and whether it is on, by the answers."""

    def __init__(self, url: str, mint: Callable[..., str], stopping: threading.Event, *, seed: int) -> None:
        self._client, self._token, self._stopping = Client(url), cache(mint), stopping
        self._rng = random.Random(seed)
        self.listed: dict[str, tuple[str, str]] = {}
        self.changed = 0
        self.replayed = 0

    def work(self) -> None:
        """All of them first, so that somebody of every partition is called; then whatever one does with an endpoint."""
        for who in INSTITUTIONS:
            self._register(who)
        while not self._stopping.is_set():
            self._change(self._rng.choice(INSTITUTIONS))
            self._replay(self._rng.choice(INSTITUTIONS))
            self._stopping.wait(BETWEEN_S)

    def differences(self) -> list[str]:
        """What is listed and was not answered so, in words. TimeoutError when it cannot be read."""
        wrong, deadline = [], time.monotonic() + READ_FOR_S
        for who in INSTITUTIONS:
            while not (told := self._ask("GET", who, PLACE)).done:
                if time.monotonic() > deadline:
                    raise TimeoutError(f"the endpoints of {who} are answered {told.status}: {told.said}")
                time.sleep(PAUSE_S)
            there = [(one["endpoint_id"], one["state"]) for one in told.said["endpoints"]]
            answered = [self.listed[who]] if who in self.listed else []
            if there != answered:
                wrong.append(f"{who} has the endpoints {there}, and was answered {answered}")
        return wrong

    def _change(self, who: str) -> None:
        if who not in self.listed:
            self._register(who)
            return
        endpoint_id, state = self.listed[who]
        one = f"{PLACE}/{endpoint_id}"
        draw = self._rng.random()
        if draw < 0.15:
            self._until_told("DELETE", who, one, gone=True)
            del self.listed[who]
        elif draw < 0.5:
            self._until_told("POST", who, f"{one}/rotate", {"immediately": True})
        else:
            move, after = ("pause", "off") if state == "on" and draw < 0.7 else ("resume", "on")
            self._until_told("POST", who, f"{one}/{move}", {})
            self.listed[who] = endpoint_id, after
        self.changed += 1

    def _register(self, who: str) -> None:
        """A second try may find what the first one made: it is told as which."""
        body = {"url": f"https://127.0.0.1:{CLOSED_PORT}/{self._rng.getrandbits(60):x}", "kinds": KINDS}
        self.listed[who] = self._until_told("POST", who, PLACE, body).said["endpoint_id"], "on"
        self.changed += 1

    def _replay(self, who: str) -> None:
        """One parked notice, if there is any; not being answered costs nothing, the next turn asks for another."""
        if who not in self.listed:
            return
        one = f"{PLACE}/{self.listed[who][0]}"
        told = self._ask("GET", who, f"{one}/parked?limit=1")
        if told.done and (parked := told.said["parked"]):
            again = self._ask("POST", who, f"{one}/redeliver", {"notification_ids": [parked[0]["notification_id"]]})
            self.replayed += again.done

    def _until_told(self, method: str, who: str, path: str, body: Mapping[str, Any] | None = None, *, gone: bool = False) -> Told:
        """The last word. Views that are behind do not know an endpoint for a while; one that was to go may be gone by a try that
        was not answered."""
        lost_until = time.monotonic() + LOST_FOR_S
        while True:
            told = self._ask(method, who, path, body)
            lost = told.status == 404 and time.monotonic() < lost_until
            if not lost and told.status not in NOT_YET:
                break
            time.sleep(PAUSE_S)
        if told.status in (200, 201, 204) or told.problem == "endpoint-exists" or (gone and told.status == 404):
            return told
        raise AssertionError(f"{who} was answered {told.status} for {method} {path}: {told.said}")

    def _ask(self, method: str, who: str, path: str, body: Mapping[str, Any] | None = None) -> Told:
        raw = None if body is None else json.dumps(body).encode()
        more = {} if body is None else {"Content_Type": "application/json"}
        status, answer = self._client.ask(method, path, self._token(who), raw, **more)
        return told_of(status, answer)
