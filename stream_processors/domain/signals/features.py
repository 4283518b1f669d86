"""Features of a signal's subjects when it is assessed.

Features are sizes of sets whose members are content identities and institutions, so a repeated addition changes nothing.
"""

from __future__ import annotations

from typing import NamedTuple


class Features(NamedTuple):
    """Over the signal's suspects and victims that are not hubs, the worst of each, itself included.

    `sightings`, `institutions`: of one suspect in the window; `confirmed`: confirmed cases of one suspect; `victim_events`:
    earlier events of one victim; `contact_gap_s`: from a call or message to a victim to the payment; `same_pair`, `fan_in`,
    `fan_out`: transfers between its two ends, payers of its payee, payees of its payer; `held_s`: how long nearly the same money
    stayed before it left; `age_s`: of the event when it was accepted. None: there is none.
    """

    sightings: int = 1
    institutions: int = 1
    confirmed: int = 0
    victim_events: int = 0
    contact_gap_s: int | None = None
    same_pair: int = 0
    fan_in: int = 0
    fan_out: int = 0
    held_s: int | None = None
    age_s: int = 0


class Observed(NamedTuple):
    """The state's answers about one source record.

    `claimed_by` is the source (`partition:offset`) that holds the signal's identity and `claimed_body` its body; `content_of` the
    signal whose content this repeats (None: new); `queues` those in which the leading suspect has a case already; versions below
    `floor` are retracted; `measured` are the suspects (tokens) that are hubs.
    """

    claimed_by: str
    claimed_body: str
    content_of: str | None
    features: Features
    queues: frozenset[str]
    floor: int = 0
    measured: frozenset[str] = frozenset()
