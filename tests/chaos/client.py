"""One keep-alive connection, and people who ask on it until they are answered, every word in the book.

Invariant: a request that got no last word is sent again with the same key and the same body.
"""

from __future__ import annotations

import http.client
import json
import random
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple
from urllib.parse import quote, urlencode, urlsplit

from tests.oracle.request_journal import Bookkeeper

PAUSE_S = 0.2
AGAIN = 0.1
"""So many of what was answered are sent once more."""
LOST_FOR_S = 8.0
"""A thing that one knows to be there is asked for so long when it is said not to be: views that are behind come back."""
NOT_YET = frozenset({0, 202, 408, 425, 429, 502, 503, 504})
"""No last word. 202: in the log, not decided yet."""


class Client:
    """One keep-alive connection; every failure closes it and is told as status 0."""

    def __init__(self, url: str) -> None:
        self._where = urlsplit(url).netloc
        self._connection: http.client.HTTPConnection | None = None

    def ask(self, method: str, path: str, token: str, body: bytes | None = None, **headers: str) -> tuple[int, bytes]:
        try:
            if self._connection is None:
                self._connection = http.client.HTTPConnection(self._where, timeout=15)
            sent = {"Authorization": f"Bearer {token}", **{name.replace("_", "-"): value for name, value in headers.items()}}
            self._connection.request(method, path, body, sent)
            answer = self._connection.getresponse()
            return answer.status, answer.read()
        except (OSError, http.client.HTTPException):
            if self._connection is not None:
                self._connection.close()
            self._connection = None
            return 0, b""


class Told(NamedTuple):
    """The last word. `said` is empty when there is no body."""

    status: int
    said: dict[str, Any]

    @property
    def done(self) -> bool:
        return self.status == 200

    @property
    def problem(self) -> str:
        return str(self.said.get("type")).rpartition(":")[2].rpartition("/")[2]


def told_of(status: int, answer: bytes) -> Told:
    """An answer as it came: what is no JSON object says nothing."""
    try:
        said = json.loads(answer) if answer else {}
    except ValueError:
        said = {}
    return Told(status, said if isinstance(said, dict) else {})


class Person:
    """An officer or an institution. One a thread."""

    def __init__(self, url: str, mint: Callable[..., str], book: Bookkeeper, rng: random.Random) -> None:
        self._client, self._mint, self._book, self._rng = Client(url), mint, book, rng
        self._tokens: dict[str, str] = {}

    def post(self, who: str, path: str, **body: Any) -> Told:
        """Asks until there is a last word; now and then once more after it, as clients do. AssertionError when that differs; a
        measure may have gone on to the case that its own was merged into."""
        key = self._book.asked(who, path, body)
        told = self._until_told(who, path, key, body)
        self._book.told(key, told.status, told.said)
        if told.done and self._rng.random() < AGAIN:
            again = self._sent("POST", who, path, key, body)
            names = ("measure_id",) if "measure_id" in told.said else ("case_id", "order_id", "dissuasion_id")
            if again.done and any(again.said.get(name) != told.said.get(name) for name in names):
                raise AssertionError(f"{who} was answered {told.said} for {path}, and {again.said} for the same again")
        return told

    def get(self, who: str, path: str, **query: str | int | float) -> Told:
        return self._sent("GET", who, f"{path}?{urlencode(query)}" if query else path, None, None)

    def _until_told(self, who: str, path: str, key: str, body: Mapping[str, Any]) -> Told:
        lost_until = time.monotonic() + LOST_FOR_S
        while True:
            self._book.trying(key)
            told = self._sent("POST", who, path, key, body)
            lost = told.status == 404 and time.monotonic() < lost_until
            if not (lost or told.status in NOT_YET or told.problem == "request-in-progress"):
                return told
            time.sleep(PAUSE_S)

    def _sent(self, method: str, who: str, path: str, key: str | None, body: Mapping[str, Any] | None) -> Told:
        raw = None if body is None else json.dumps(body).encode()
        more = {"Content_Type": "application/json"} if body is not None else {}
        if key is not None:
            more["Idempotency_Key"] = f"{who}-{key}"
        status, answer = self._client.ask(method, path, self._token(who), raw, **more)
        return told_of(status, answer)

    def _token(self, who: str) -> str:
        if who not in self._tokens:
            self._tokens[who] = self._mint(who)
        return self._tokens[who]


def quoted(name: str) -> str:
    """A notice's name in an address."""
    return quote(name, safe="/")
