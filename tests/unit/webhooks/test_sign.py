"""Signatures: the published vector, rotation, and everything that must not pass."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from stream_processors.webhooks.signing import BadSignature, headers, key_of, secret_of, signature, verify
from tests.support.builders import T0

# The vector that the reference implementations of the specification publish and test themselves with.
KNOWN_SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
KNOWN_ID = "msg_p5jXN8AQM9LWM0D4loKWxJek"
KNOWN_AT_S = 1_614_265_330
KNOWN_BODY = b'{"test": 2432232314}'
KNOWN = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="

OLD, NEW, STRANGE = (secret_of(bytes([fill]) * 32) for fill in (1, 2, 3))
BODY = '{"type":"order.stop_payment","note":"止付"}'.encode()


def signed(*secrets: str) -> dict[str, str]:
    return headers(secrets, message_id="ord-1", sent_at=T0, body=BODY)


def test_the_published_vector_is_signed_and_verified() -> None:
    assert signature(KNOWN_SECRET, KNOWN_ID, KNOWN_AT_S, KNOWN_BODY) == KNOWN
    at = datetime.fromtimestamp(KNOWN_AT_S, UTC)
    made = headers([KNOWN_SECRET], message_id=KNOWN_ID, sent_at=at, body=KNOWN_BODY)
    assert made == {"webhook-id": KNOWN_ID, "webhook-timestamp": "1614265330", "webhook-signature": KNOWN}
    assert verify([KNOWN_SECRET], made, KNOWN_BODY, now=at) == KNOWN_ID


def test_the_published_vector_is_found_among_signatures_of_others() -> None:
    other = "Ceo5qEr07ixe2NLpvHk3FH9bwy/WavXrAFQ/9tdO6mc="
    at = datetime.fromtimestamp(KNOWN_AT_S, UTC)
    listed = f"v1,{other} v2,{other} v1a,{other} {KNOWN} v1,{other}"
    given = {"webhook-id": KNOWN_ID, "webhook-timestamp": str(KNOWN_AT_S), "webhook-signature": listed}
    assert verify([KNOWN_SECRET], given, KNOWN_BODY, now=at) == KNOWN_ID


def test_while_a_secret_is_replaced_whoever_has_one_of_both_can_verify() -> None:
    both = signed(NEW, OLD)
    assert len(both["webhook-signature"].split(" ")) == 2
    for known in ([OLD], [NEW], [OLD, NEW], [STRANGE, OLD]):
        assert verify(known, both, BODY, now=T0) == "ord-1"
    with pytest.raises(BadSignature):
        verify([STRANGE], both, BODY, now=T0)


@pytest.mark.parametrize("off_s", [-301, 301])
def test_a_message_of_another_time_is_refused(off_s: int) -> None:
    with pytest.raises(BadSignature, match="too far"):
        verify([NEW], signed(NEW), BODY, now=T0 + timedelta(seconds=off_s))


@pytest.mark.parametrize("off_s", [-300, 0, 300])
def test_a_message_of_nearly_this_time_is_taken(off_s: int) -> None:
    assert verify([NEW], signed(NEW), BODY, now=T0 + timedelta(seconds=off_s)) == "ord-1"


@pytest.mark.parametrize(
    "change",
    [
        {"webhook-id": ""},
        {"webhook-id": "ord-2"},
        {"webhook-id": "ord-1.1"},
        {"webhook-timestamp": ""},
        {"webhook-timestamp": "soon"},
        {"webhook-timestamp": str(int(T0.timestamp()) + 1)},
        {"webhook-timestamp": f" {int(T0.timestamp())}"},
        {"webhook-timestamp": "١٧٧٢٤١٣٢٠٠"},
        {"webhook-timestamp": "9" * 5000},
        {"webhook-signature": ""},
        {"webhook-signature": "v1,"},
        {"webhook-signature": "v1,止付"},
        {"webhook-signature": signed(NEW)["webhook-signature"][:-4]},
        {"webhook-signature": signed(NEW)["webhook-signature"].replace("v1,", "v2,")},
        {"webhook-signature": "v1,AAAA " * 16 + signed(NEW)["webhook-signature"]},
    ],
    ids=str,
)
def test_changed_or_missing_headers_are_refused(change: dict[str, str]) -> None:
    with pytest.raises(BadSignature):
        verify([NEW], signed(NEW) | change, BODY, now=T0)


def test_a_changed_body_is_refused() -> None:
    with pytest.raises(BadSignature, match="known secret"):
        verify([NEW], signed(NEW), BODY + b" ", now=T0)


def test_an_id_with_a_full_stop_is_not_signed() -> None:
    with pytest.raises(ValueError, match="message id"):
        signature(NEW, "ord.1", 1, BODY)


@pytest.mark.parametrize("secret", ["", "whsec_", "whsec_!!!!", KNOWN_SECRET[6:], "whsec_AAAA", "whsec_" + "A" * 88 + "止"])
def test_what_is_no_secret_is_refused_without_being_repeated(secret: str) -> None:
    with pytest.raises(ValueError, match="a secret must be") as told:
        key_of(secret)
    body = secret.removeprefix("whsec_")
    assert not body or body not in str(told.value)


@pytest.mark.parametrize("size", [0, 23, 65])
def test_a_secret_is_long_enough_and_not_too_long(size: int) -> None:
    with pytest.raises(ValueError, match="24 to 64 bytes"):
        secret_of(bytes(size))


def test_a_secret_gives_its_bytes_again() -> None:
    assert key_of(secret_of(bytes(range(64)))) == bytes(range(64))


def test_nothing_is_sent_unsigned() -> None:
    with pytest.raises(ValueError, match="at least one secret"):
        headers([], message_id="ord-1", sent_at=T0, body=BODY)
