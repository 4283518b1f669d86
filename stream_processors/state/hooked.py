"""Endpoints of institutions in the views: one value an institution, of its newest revision. What they did not take is inbox.py's.

Invariant: of two records with one revision the first counts, as for the sender (webhooks/lanes.py).
"""

from __future__ import annotations

from typing import Annotated

import msgspec
import orjson

from schemas.codec import RowEnvelope
from stream_processors.state.effects import Effect, put_newer
from stream_processors.state.keys import bucket_of
from stream_processors.state.rows import Named, Row

FOR_EVER_MS = (1 << 47) - 1


class EndpointsRow(Row):
    """A view of Endpoints: whose they are and which of them counts; they are kept as they came (`text`)."""

    institution: Named
    revision: Annotated[int, msgspec.Meta(ge=1, lt=1 << 52)]
    change_id: Named
    raw: msgspec.Raw = msgspec.field(default=msgspec.Raw(b"[]"), name="endpoints")

    def text(self) -> bytes:
        """An Endpoints again."""
        head = {"institution": self.institution, "revision": self.revision, "change_id": self.change_id}
        return orjson.dumps(head)[:-1] + b',"endpoints":' + bytes(self.raw) + b"}"


def project_endpoints(envelope: RowEnvelope[EndpointsRow]) -> list[Effect]:
    """An institution's endpoints, for ever, unless a newer revision says otherwise."""
    row = envelope.data
    return [put_newer(bucket_of(row.institution), f"h:{row.institution}", row.revision, row.text(), FOR_EVER_MS)]
