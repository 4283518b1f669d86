"""Registrations: what is refused and how it is said, secrets over their rotation, being switched off."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from schemas.parsing import BodyFault, Refused
from schemas.security.sealing import UnsealError
from stream_processors.webhooks import signing as sign
from stream_processors.webhooks.endpoints import (
    EndpointIn,
    WebhookEndpoint,
    disable,
    enable,
    faults_of,
    live_secrets,
    masked,
    register,
    rotate,
    url_of,
)
from stream_processors.webhooks.policy import Calls, Hooks
from tests.support.builders import SEALER, T0, after

KNOWN = ("order.stop_payment", "order.release", "early_warning")
HOOKS = Hooks(overlap_s=3600)


def body(url: str = "https://hooks.bank.example/in", kinds: tuple[str, ...] = ("order", "early_warning")) -> EndpointIn:
    return EndpointIn(url=url, kinds=kinds)


def registered(fill: int = 1, **over: object) -> tuple[WebhookEndpoint, str]:
    return register(
        body(**over),  # type: ignore[arg-type]
        institution="bank-001",
        endpoint_id="hook-1",
        random_bytes=bytes([fill]) * 32,
        sealer=SEALER,
        known=KNOWN,
        hooks=HOOKS,
        now=T0,
    )


def rotated(endpoint: WebhookEndpoint, fill: int, s: float = 0, at_once: bool = False) -> tuple[WebhookEndpoint, str]:
    made = bytes([fill]) * 32
    return rotate(endpoint, random_bytes=made, sealer=SEALER, hooks=HOOKS, now=after(seconds=s), at_once=at_once)


def test_a_registration_tells_its_secret_once_and_keeps_it_sealed() -> None:
    endpoint, secret = registered()
    assert sign.key_of(secret) == bytes([1]) * 32
    assert secret not in endpoint.model_dump_json() and secret not in repr(endpoint)
    assert live_secrets(endpoint, SEALER, T0) == [secret]


def test_a_secret_does_not_open_in_another_registration() -> None:
    endpoint, _ = registered()
    with pytest.raises(UnsealError):
        live_secrets(endpoint.model_copy(update={"endpoint_id": "hook-2"}), SEALER, T0)


def test_a_registration_is_refused_with_every_fault_at_its_place() -> None:
    with pytest.raises(Refused) as told:
        registered(url="http://hooks.bank.example/", kinds=("order", "gossip", "order"))
    assert told.value.slug == "invalid-endpoint"
    assert told.value.faults == (
        BodyFault("/url", "a URL must use https"),
        BodyFault("/kinds/1", "unknown kind; the kinds are early_warning, order.release, order.stop_payment"),
        BodyFault("/kinds/2", "the kind occurs twice"),
    )


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://hooks.bank.example/in?token=x", "https://hooks.bank.example/…"),
        ("https://hooks.bank.example?token=x", "https://hooks.bank.example/…"),
        ("https://hooks.bank.example:8443/T000/B000/secret", "https://hooks.bank.example:8443/…"),
        ("https://hooks.bank.example/", "https://hooks.bank.example"),
    ],
)
def test_of_an_address_only_host_and_port_are_readable(url: str, shown: str) -> None:
    endpoint, _ = registered(url=url)
    assert endpoint.url == masked(url) == shown and url_of(endpoint, SEALER) == url
    with pytest.raises(UnsealError):
        url_of(endpoint.model_copy(update={"endpoint_id": "hook-2"}), SEALER)


def test_a_good_registration_has_no_faults() -> None:
    assert faults_of(body(), calls=Calls(), kinds=KNOWN) == ()


@pytest.mark.parametrize(
    "sent",
    [
        {"url": "https://hooks.bank.example/"},
        {"url": "https://hooks.bank.example/", "kinds": []},
        {"url": "", "kinds": ["order"]},
        {"url": "https://hooks.bank.example/", "kinds": ["Order"]},
        {"url": "https://hooks.bank.example/", "kinds": ["order."]},
        {"url": "https://hooks.bank.example/", "kinds": ["order"] * 33},
        {"url": "https://hooks.bank.example/", "kinds": ["order"], "secret": "whsec_mine"},
    ],
)
def test_a_body_of_another_form_is_refused(sent: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        EndpointIn.model_validate(sent)


def test_an_endpoint_gets_the_kinds_that_it_wants_and_those_below_them() -> None:
    endpoint, _ = registered(kinds=("order",))
    assert endpoint.wants("order.stop_payment") and endpoint.wants("order")
    assert not endpoint.wants("early_warning") and not endpoint.wants("orderly")


def test_while_a_secret_is_replaced_both_sign_and_then_the_new_one_alone() -> None:
    endpoint, old = registered(1)
    endpoint, new = rotated(endpoint, 2, s=10)
    assert live_secrets(endpoint, SEALER, after(seconds=10)) == [new, old]
    assert live_secrets(endpoint, SEALER, after(seconds=3609)) == [new, old]
    assert live_secrets(endpoint, SEALER, after(seconds=3610)) == [new]


def test_a_secret_that_somebody_else_has_is_replaced_at_once() -> None:
    endpoint, _ = registered(1)
    endpoint, new = rotated(endpoint, 2, s=10, at_once=True)
    assert live_secrets(endpoint, SEALER, after(seconds=10)) == [new]


def test_replacing_again_does_not_make_an_old_secret_live_longer() -> None:
    endpoint, first = registered(1)
    endpoint, second = rotated(endpoint, 2, s=0)
    endpoint, third = rotated(endpoint, 3, s=1800)
    assert live_secrets(endpoint, SEALER, after(seconds=3599)) == [third, second, first]
    assert live_secrets(endpoint, SEALER, after(seconds=3600)) == [third, second]


def test_more_secrets_than_three_do_not_sign_and_what_has_ended_is_forgotten() -> None:
    endpoint = registered(1)[0]
    endpoint = rotated(rotated(endpoint, 2)[0], 3)[0]
    with pytest.raises(Refused, match="3 secrets are active"):
        rotated(endpoint, 4)
    assert len(rotated(endpoint, 4, at_once=True)[0].secrets) == 1
    assert len(rotated(endpoint, 4, s=3600)[0].secrets) == 2


def test_an_endpoint_that_is_switched_off_gets_nothing_and_says_why() -> None:
    off = disable(registered()[0], "the endpoint is gone (410)", after(seconds=1))
    assert not off.wants("order.stop_payment")
    assert (off.disabled_reason, off.disabled_at) == ("the endpoint is gone (410)", after(seconds=1))
    assert disable(off, "another reason", after(seconds=2)) is off
    assert enable(off, after(seconds=3)).wants("order.stop_payment")


def test_a_registration_is_the_same_after_it_was_written_and_read() -> None:
    endpoint = rotated(registered()[0], 2)[0]
    assert WebhookEndpoint.model_validate_json(endpoint.model_dump_json()) == endpoint
