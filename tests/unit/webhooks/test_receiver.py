"""The receiver's side: the client verifies what the sender signs, and the local listener tells what came."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import httpx
import pytest

from connectors.client import BadWebhook, verify_webhook
from deploy.commands.webhook import serve
from stream_processors.webhooks import signing as sign
from stream_processors.webhooks.payload import message_of
from tests.support.builders import T0, after
from tests.support.deliveries import notice
from tests.support.hooks import notice_record

SECRET, OLD = (sign.secret_of(bytes([fill]) * 32) for fill in (1, 2))
MESSAGE = message_of(notice_record(notice(1), 1)[1], "bank-001")


def signed(*secrets: str, at: datetime = T0, body: bytes = MESSAGE.body) -> dict[str, str]:
    return sign.headers(secrets or (SECRET,), message_id=MESSAGE.name, sent_at=at, body=body)


def test_the_client_takes_what_the_sender_signs() -> None:
    told = verify_webhook(SECRET, signed(), MESSAGE.body, now=T0.timestamp())
    assert (told.id, told.type) == (MESSAGE.name, "feedback")
    assert told.data["notification_id"] == "act-1/case-1/0" and told.data["link"] == "/v1/inbox/act-1/case-1/0"


def test_names_of_headers_may_be_written_in_any_case_and_one_good_signature_is_enough() -> None:
    given = {name.title(): value for name, value in signed(OLD, SECRET).items()}
    assert verify_webhook([SECRET], given, MESSAGE.body, now=T0.timestamp()).id == MESSAGE.name


@pytest.mark.parametrize(
    ("headers", "body", "at"),
    [
        (signed(), MESSAGE.body + b" ", T0),
        (signed(OLD), MESSAGE.body, T0),
        (signed(), MESSAGE.body, after(seconds=301)),
        (signed(), MESSAGE.body, after(seconds=-301)),
        ({**signed(), "webhook-id": "msg_other"}, MESSAGE.body, T0),
        ({}, MESSAGE.body, T0),
        (signed(body=b"[]"), b"[]", T0),
        (signed(body=b"{"), b"{", T0),
    ],
)
def test_what_was_changed_is_another_s_or_old_is_refused(headers: dict[str, str], body: bytes, at: datetime) -> None:
    with pytest.raises(BadWebhook):
        verify_webhook(SECRET, headers, body, now=at.timestamp())


@pytest.mark.parametrize("tolerance_s", [float("nan"), float("inf"), -1.0])
def test_a_tolerance_that_lets_everything_pass_is_refused(tolerance_s: float) -> None:
    with pytest.raises(ValueError, match="tolerance_s"):
        verify_webhook(SECRET, signed(), MESSAGE.body, now=T0.timestamp() + 10**6, tolerance_s=tolerance_s)


def test_what_is_no_secret_is_said_without_repeating_it() -> None:
    with pytest.raises(ValueError, match="whsec_ and base64") as told:
        verify_webhook("whsec_not base64!", signed(), MESSAGE.body, now=T0.timestamp())
    assert "not base64!" not in str(told.value)


@contextmanager
def listening(status: int, said: list[str]) -> Iterator[str]:
    server = serve(0, [SECRET], status, said.append)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_the_listener_tells_what_came_what_came_again_and_what_it_refused() -> None:
    said: list[str] = []
    now = datetime.now(UTC)
    with listening(200, said) as url:
        for headers in (signed(at=now), signed(at=now), signed(OLD, at=now)):
            httpx.post(url, content=MESSAGE.body, headers=headers)
    assert [line.partition(" ")[0] for line in said] == [MESSAGE.name, "again", "refused:"]


@pytest.mark.parametrize("status", [503, 410])
def test_the_listener_answers_what_it_was_told_to(status: int) -> None:
    with listening(status, []) as url:
        assert httpx.post(url, content=MESSAGE.body, headers=signed(at=datetime.now(UTC))).status_code == status
        assert httpx.post(url, content=MESSAGE.body).status_code == 401
