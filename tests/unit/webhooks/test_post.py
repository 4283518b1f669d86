"""Posting to a real TLS server on this machine: who is connected to, under which name, what is believed of the answer."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import socket
import ssl
import threading
import warnings
from collections.abc import Sequence
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest

from stream_processors.webhooks import http_client as posting
from stream_processors.webhooks import signing as sign
from stream_processors.webhooks.http_client import Poster, SystemResolver, trust
from stream_processors.webhooks.policy import Calls, Hooks, Limits
from stream_processors.webhooks.responses import Answer, CallOutcome
from tests.support.builders import T0
from tests.unit.webhooks.server import HOST, OK, Authority, Heard, serving

SECRET = sign.secret_of(bytes(range(32)))
BODY = b'{"type":"order.stop_payment"}'
LOOPBACK = (ip_network("127.0.0.0/8"),)
QUICK = Limits(resolve_s=0.3, connect_s=1.0, total_s=0.6, answer_bytes=4096)


class Names:
    """A resolver that gives one answer after the other, the last one for ever."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self.answers, self.asked = list(answers), []

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        self.asked.append((host, port))
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def hooks(port: int, limits: Limits = QUICK, **calls: object) -> Hooks:
    return Hooks(calls=Calls.model_validate({"ports": (port,), "allowed": LOOPBACK, **calls}), limits=limits)


async def post(
    heard: Heard,
    context: ssl.SSLContext,
    names: Names | None = None,
    limits: Limits = QUICK,
    url: str = "https://{host}:{port}/in?from=liandong",
    **calls: object,
) -> Answer:
    poster = Poster(hooks(heard.port, limits, **calls), context=context, resolve=names or Names(["127.0.0.1"]))
    signed = sign.headers([SECRET], message_id="ord-1", sent_at=T0, body=BODY)
    return await poster.post(url.format(host=HOST, port=heard.port), headers=signed, body=BODY, now=T0)


async def answered(authority: Authority, answer: object, **more: object) -> tuple[Answer, Heard]:
    async with serving(answer, authority.server(HOST)) as heard:  # type: ignore[arg-type]
        return await post(heard, authority.client(), **more), heard  # type: ignore[arg-type]


async def test_a_signed_message_arrives_as_it_was_signed(authority: Authority) -> None:
    answer, heard = await answered(authority, OK)
    assert answer == Answer(CallOutcome.DELIVERED, None, 200, None, "127.0.0.1")
    assert heard.heads[0].startswith("POST /in?from=liandong HTTP/1.1\r\n")
    assert sign.verify([SECRET], heard.headers(), heard.bodies[0], now=T0) == "ord-1"
    assert heard.headers()["content-type"] == "application/json"


async def test_the_name_is_asked_for_in_tls_and_in_the_request(authority: Authority) -> None:
    _, heard = await answered(authority, OK)
    assert heard.names == [HOST]
    assert heard.headers()["host"] == f"{HOST}:{heard.port}"


async def test_the_address_that_was_guarded_is_connected_to_whatever_the_name_says_next(authority: Authority) -> None:
    async with serving(OK, authority.server(HOST)) as right, serving(OK, address="127.0.0.2") as wrong:
        names = Names(["127.0.0.1"], ["127.0.0.2"])
        answer = await post(right, authority.client(), names)
        assert (answer.outcome, answer.address) == (CallOutcome.DELIVERED, "127.0.0.1")
        assert names.asked == [(HOST, right.port)]
        assert (right.connections, wrong.connections) == (1, 0)


async def test_the_next_attempt_is_guarded_anew_and_no_connection_is_kept(authority: Authority) -> None:
    async with serving(OK, authority.server(HOST)) as heard:
        names = Names(["127.0.0.1"], ["10.0.0.1"])
        poster = Poster(hooks(heard.port), context=authority.client(), resolve=names)
        url = f"https://{HOST}:{heard.port}/"
        first = await poster.post(url, headers={}, body=BODY, now=T0)
        second = await poster.post(url, headers={}, body=BODY, now=T0)
        assert (first.outcome, second.outcome) == (CallOutcome.DELIVERED, CallOutcome.REFUSED)
        assert heard.connections == 1


async def test_one_bad_address_among_good_ones_refuses_the_name_and_nobody_is_called(authority: Authority) -> None:
    answer, heard = await answered(authority, OK, names=Names(["127.0.0.1", "169.254.169.254"]))
    assert answer.outcome is CallOutcome.REFUSED
    assert answer.why is not None and "metadata" in answer.why
    assert heard.connections == 0


async def test_as_it_is_shipped_this_machine_is_not_called(authority: Authority) -> None:
    answer, heard = await answered(authority, OK, allowed=())
    assert (answer.outcome, heard.connections) == (CallOutcome.REFUSED, 0)
    assert answer.why is not None and "loopback" in answer.why


async def test_a_redirect_is_not_followed(authority: Authority) -> None:
    async with serving(OK) as other:
        redirect = f"HTTP/1.1 307 Moved\r\nlocation: http://127.0.0.1:{other.port}/\r\ncontent-length: 0\r\n\r\n"
        answer, heard = await answered(authority, redirect.encode())
        assert (answer.outcome, answer.status) == (CallOutcome.REFUSED, 307)
        assert (heard.connections, other.connections) == (1, 0)


async def test_no_proxy_of_the_environment_is_used(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving(OK) as proxy:
        for name in ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        answer, _ = await answered(authority, OK)
        assert (answer.outcome, proxy.connections) == (CallOutcome.DELIVERED, 0)


async def test_a_certificate_of_another_name_is_refused_before_anything_is_said(authority: Authority) -> None:
    async with serving(OK, authority.server("other.bank.example")) as heard:
        answer = await post(heard, authority.client())
        assert answer == Answer(
            CallOutcome.RETRY_LATER, "the certificate of the endpoint is not valid for its name", address="127.0.0.1"
        )
        assert heard.heads == []


async def test_a_certificate_of_the_address_alone_is_refused(authority: Authority) -> None:
    async with serving(OK, authority.server("127.0.0.1")) as heard:
        answer = await post(heard, authority.client())
        assert "certificate" in str(answer.why) and heard.heads == []


async def test_an_expired_certificate_and_one_of_an_unknown_authority_are_refused(tmp_path: Path) -> None:
    known, strange = Authority(tmp_path), Authority(tmp_path, "another authority")
    for presented in (known.server(HOST, days=-1), strange.server(HOST)):
        async with serving(OK, presented) as heard:
            answer = await post(heard, trust(known.cafile))
            assert "certificate" in str(answer.why) and heard.heads == []


async def test_a_literal_address_is_called_under_its_own_certificate_if_the_policy_allows_it(authority: Authority) -> None:
    async with serving(OK, authority.server("127.0.0.1")) as heard:
        url = "https://127.0.0.1:{port}/"
        answer = await post(heard, authority.client(), url=url, literals=True)
        assert (answer.outcome, heard.headers()["host"]) == (CallOutcome.DELIVERED, f"127.0.0.1:{heard.port}")
        assert (await post(heard, authority.client(), url=url)).outcome is CallOutcome.REFUSED


async def test_plain_http_is_for_tests_only(authority: Authority) -> None:
    async with serving(OK) as heard:
        url = "http://{host}:{port}/"
        assert (await post(heard, authority.client(), url=url)).outcome is CallOutcome.REFUSED
        assert (await post(heard, authority.client(), url=url, plain_http=True)).outcome is CallOutcome.DELIVERED


HEAD = b"HTTP/1.1 200 OK\r\n"
LATER = [
    (b"HTTP/1.1 503 Away\r\nretry-after: 120\r\ncontent-length: 0\r\n\r\n", "the endpoint failed (503)", 120.0),
    (b"HTTP/1.1 429 Slow\r\nRetry-After: 7\r\ncontent-length: 0\r\n\r\n", "the endpoint limits the request rate (429)", 7.0),
    (b"", "the endpoint did not respond with HTTP", None),
    (b"SSH-2.0-OpenSSH\r\n\r\n", "the endpoint did not respond with HTTP", None),
    (HEAD + b"x: " + b"y" * 8000 + b"\r\n\r\n", "the connection broke", None),
    (b"HTTP/1.1 100 Continue\r\n\r\n" * 1000, "the connection broke", None),
]


@pytest.mark.parametrize(("raw", "why", "wish"), LATER, ids=[why for _, why, _ in LATER])
async def test_what_may_get_better_is_tried_again(authority: Authority, raw: bytes, why: str, wish: float | None) -> None:
    answer, _ = await answered(authority, raw)
    assert (answer.outcome, answer.why, answer.retry_after_s) == (CallOutcome.RETRY_LATER, why, wish)


@pytest.mark.parametrize(
    ("status", "outcome"), [(404, CallOutcome.REFUSED), (410, CallOutcome.GONE), (204, CallOutcome.DELIVERED)]
)
async def test_the_status_decides(authority: Authority, status: int, outcome: CallOutcome) -> None:
    answer, _ = await answered(authority, f"HTTP/1.1 {status} So\r\n\r\n".encode())
    assert (answer.outcome, answer.status) == (outcome, status)


async def test_an_endless_answer_is_cut_and_its_status_counts(authority: Authority) -> None:
    sent = 0

    async def endless(writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        writer.write(HEAD + b"transfer-encoding: chunked\r\n\r\n")
        while True:
            writer.write(b"400\r\n" + b"x" * 1024 + b"\r\n")
            await writer.drain()
            sent += 1024

    async with serving(endless, authority.server(HOST)) as heard:
        answer = await post(heard, authority.client(), limits=Limits(answer_bytes=4096, total_s=30))
        assert (answer.outcome, answer.status) == (CallOutcome.DELIVERED, 200)
        await asyncio.wait_for(heard.hung_up.wait(), 5)
        assert sent < 64 << 20


async def test_an_endpoint_that_says_nothing_is_left_in_time(authority: Authority) -> None:
    async def silent(writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(60)

    answer, _ = await asyncio.wait_for(answered(authority, silent), 5)
    assert answer == Answer(CallOutcome.RETRY_LATER, "the endpoint did not respond in time", address="127.0.0.1")


async def test_an_endpoint_that_drips_its_head_is_left_in_time(authority: Authority) -> None:
    async def drip(writer: asyncio.StreamWriter) -> None:
        for byte in HEAD * 100:
            writer.write(bytes([byte]))
            await writer.drain()
            await asyncio.sleep(0.05)

    answer, _ = await asyncio.wait_for(answered(authority, drip), 5)
    assert (answer.outcome, answer.status) == (CallOutcome.RETRY_LATER, None)


async def test_an_endpoint_that_drips_its_body_has_answered(authority: Authority) -> None:
    async def drip(writer: asyncio.StreamWriter) -> None:
        writer.write(HEAD + b"content-length: 1000\r\n\r\n")
        for _ in range(100):
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(0.05)

    answer, _ = await asyncio.wait_for(answered(authority, drip), 5)
    assert (answer.outcome, answer.status) == (CallOutcome.DELIVERED, 200)


async def test_a_server_that_never_ends_its_handshake_is_left_and_its_socket_closed(authority: Authority) -> None:
    # It speaks no TLS, so it waits for a request that never comes.
    async with serving(OK) as heard:
        answer = await asyncio.wait_for(post(heard, authority.client()), 5)
        assert answer.outcome is CallOutcome.RETRY_LATER
        await asyncio.wait_for(heard.hung_up.wait(), 5)


def _turn_away(listening: socket.socket, context: ssl.SSLContext) -> None:
    """One connection that is told by a TLS alert that our certificate is missing, and then heard to its end."""
    connection = context.wrap_socket(listening.accept()[0], server_side=True, do_handshake_on_connect=False)
    with contextlib.suppress(ssl.SSLError):
        connection.do_handshake()
    with socket.socket(fileno=connection.detach()) as plain:
        plain.shutdown(socket.SHUT_WR)
        while plain.recv(4096):
            pass


async def test_a_server_that_wants_our_certificate_is_tried_again(authority: Authority) -> None:
    # In TLS 1.3 the alert comes after the handshake, at the first read.
    context = authority.server(HOST)
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(authority.cafile)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        served = asyncio.create_task(asyncio.to_thread(_turn_away, listening, context))
        answer = await post(Heard(port=listening.getsockname()[1]), authority.client())
        await asyncio.wait_for(served, 5)
        assert answer == Answer(CallOutcome.RETRY_LATER, "the TLS handshake failed", address="127.0.0.1")


async def test_nobody_listening_is_tried_again(authority: Authority) -> None:
    async with serving(OK) as heard:
        pass
    answer = await post(heard, authority.client())
    assert answer == Answer(CallOutcome.RETRY_LATER, "no connection to the endpoint", address="127.0.0.1")


async def test_a_name_that_does_not_resolve_is_tried_again(authority: Authority) -> None:
    async def unknown(host: str, port: int) -> Sequence[str]:
        raise OSError("no such name")

    async def slow(host: str, port: int) -> Sequence[str]:
        await asyncio.sleep(60)
        return []

    said = []
    for resolve in (unknown, slow, Names([])):
        poster = Poster(hooks(443, QUICK), context=authority.client(), resolve=resolve)
        answer = await asyncio.wait_for(poster.post(f"https://{HOST}/", headers={}, body=BODY, now=T0), 5)
        assert answer.outcome is CallOutcome.RETRY_LATER
        said.append(answer.why)
    assert said == [
        "the host name could not be resolved",
        "the host name was not resolved in time",
        "the host name has no address",
    ]


async def test_who_is_told_to_stop_amid_an_attempt_leaves_no_socket_behind(authority: Authority) -> None:
    async with serving(OK) as heard:
        with warnings.catch_warnings(record=True) as left:
            warnings.simplefilter("always")
            patient = Limits(connect_s=30, total_s=60)
            attempt = asyncio.create_task(post(heard, authority.client(), limits=patient))
            await asyncio.wait_for(heard.called.wait(), 5)
            attempt.cancel()
            with pytest.raises(asyncio.CancelledError):
                await attempt
            await asyncio.wait_for(heard.hung_up.wait(), 5)
            gc.collect()
        assert [one for one in left if issubclass(one.category, ResourceWarning)] == []


async def test_names_whose_servers_never_answer_leave_room_for_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """A look-up cannot be ended: a name that hangs has one thread, however often it is asked for."""
    over, asked = threading.Event(), list[str]()

    def hang(host: str, port: int) -> list[Any]:
        asked.append(host)
        if host.startswith("hostile"):
            over.wait(20)
        return [(2, 1, 6, "", ("203.0.113.7", port))]

    monkeypatch.setattr(posting, "_look_up", hang)
    resolver = SystemResolver(threads=4)
    try:
        for n in range(20):
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(resolver(f"hostile-{n % 3}.example", 443), 0.02)
        assert await asyncio.wait_for(resolver("bank.example", 443), 5) == ["203.0.113.7"]
        assert sorted(asked) == ["bank.example", *(f"hostile-{n}.example" for n in range(3))]
    finally:
        over.set()
        resolver.close()


async def test_the_machines_resolver_gives_each_address_once() -> None:
    resolver = SystemResolver(threads=1)
    try:
        found = await resolver("127.0.0.1", 443)
        assert found == ["127.0.0.1"]
    finally:
        resolver.close()


def test_certificates_are_always_checked() -> None:
    context = trust()
    assert context.check_hostname and context.verify_mode is ssl.CERT_REQUIRED
    assert context.minimum_version >= ssl.TLSVersion.TLSv1_2
