"""docs/guide/webhooks.md: the example there verifies what is sent, and the numbers there are those that are shipped."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest

from deploy.local.paths import project_root
from stream_processors.webhooks import signing as sign
from stream_processors.webhooks.policy import Hooks
from tests.support.builders import T0
from tests.unit.webhooks import test_sign as known

PAGE = (project_root() / "docs" / "guide" / "webhooks.md").read_text("utf-8")
OLD, NEW, STRANGE = (sign.secret_of(bytes([fill]) * 32) for fill in (1, 2, 3))
BODY = '{"note":"止付"}'.encode()
SIGNED = sign.headers([NEW, OLD], message_id="ord-1", sent_at=T0, body=BODY)


@pytest.fixture(scope="module")
def verified() -> Any:
    found = re.search(r"```python\n(.*?)```", PAGE, re.DOTALL)
    assert found is not None
    names: dict[str, Any] = {}
    exec(found[1], names)
    return names["verified"]


@pytest.mark.parametrize("secret", [OLD, NEW])
def test_the_example_takes_what_is_sent(verified: Any, secret: str) -> None:
    assert verified([secret], SIGNED, BODY, now=T0.timestamp()) == "ord-1"


def test_the_example_takes_the_published_vector_that_the_page_names(verified: Any) -> None:
    for part in (known.KNOWN_SECRET, known.KNOWN_ID, str(known.KNOWN_AT_S), known.KNOWN_BODY.decode(), known.KNOWN):
        assert f"`{part}`" in PAGE
    given = {"webhook-id": known.KNOWN_ID, "webhook-timestamp": str(known.KNOWN_AT_S), "webhook-signature": known.KNOWN}
    assert verified([known.KNOWN_SECRET], given, known.KNOWN_BODY, now=known.KNOWN_AT_S) == known.KNOWN_ID


def test_the_example_refuses_what_is_changed_old_or_anothers(verified: Any) -> None:
    now = T0.timestamp()
    assert verified([NEW], SIGNED, BODY + b" ", now=now) is None
    assert verified([STRANGE], SIGNED, BODY, now=now) is None
    assert verified([NEW], SIGNED, BODY, now=(T0 + timedelta(seconds=301)).timestamp()) is None
    assert verified([NEW], SIGNED, BODY) is None
    for change in (
        {"webhook-id": "ord-2"},
        {"webhook-timestamp": "x"},
        {"webhook-signature": "v1,止"},
        {"webhook-signature": ""},
    ):
        assert verified([NEW], SIGNED | change, BODY, now=now) is None
    assert verified([NEW], {}, BODY, now=now) is None


def test_the_numbers_of_the_page_are_those_that_are_shipped() -> None:
    shipped = Hooks()
    retries, calls = shipped.retries, shipped.calls
    assert (retries.first_s, retries.longest_s, retries.attempts, retries.give_up_s) == (2, 3600, 40, 86_400)
    assert (retries.longest_wish_s, shipped.limits.total_s, calls.longest_url, calls.ports) == (3600, 15, 2048, (443, 8443))
    assert sign.TOLERANCE_S == 300
