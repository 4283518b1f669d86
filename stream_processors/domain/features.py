"""What is known of a signal's subjects when it is assessed.

Features are sizes of sets whose members are content identities and institutions, so adding twice changes nothing.
"""

from __future__ import annotations

from typing import NamedTuple


class Features(NamedTuple):
    """Of the window before the signal, over its suspects: the most sightings of one, the most institutions of one."""

    sightings: int = 1
    institutions: int = 1


class Observed(NamedTuple):
    """What the state said about one source record.

    `claimed_by` is the source (`partition:offset`) that holds the signal's identity and `claimed_body` its body;
    `content_of` the signal whose content this repeats (None: new); `queues` where the subject has a case already.
    """

    claimed_by: str
    claimed_body: str
    content_of: str | None
    features: Features
    queues: frozenset[str]
