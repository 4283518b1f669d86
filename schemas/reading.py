"""From bytes that somebody sent to a model, or to the reason why not. One piece for the gateway and the intake stage.

Invariant: whatever the bytes are, the outcome is a model or a Refused that repeats no value of them.
"""

from __future__ import annotations

import re
from typing import NamedTuple, TypeVar

from pydantic import BaseModel, ValidationError

from schemas.taxonomy import EVENT_TYPES

_OPENING = re.compile(rb'"(?:[^"\\]|\\.)*"?|[\[{]|[\]}]', re.DOTALL)
_FAULTS_TOLD = 20
_TOLD = {"union_tag_invalid": f"an event's type is one of {', '.join(EVENT_TYPES)}"}
"""In place of pydantic's own sentence where that repeats what was sent."""

Model = TypeVar("Model", bound=BaseModel)


class Fault(NamedTuple):
    """One place of a body (JSON pointer) and what is wrong there, without the value."""

    pointer: str
    detail: str


class Refused(ValueError):
    """What was sent cannot be taken. `slug` is the problem's name (docs/errors.md); `faults` the places, None when the body as
    a whole is at fault in a way that its slug says."""

    def __init__(self, slug: str, detail: str, faults: tuple[Fault, ...] | None = None) -> None:
        super().__init__(f"{slug}: {detail}")
        self.slug, self.detail, self.faults = slug, detail, faults


def read(model: type[Model], raw: bytes, slug: str, depth_limit: int) -> Model:
    """The model of a JSON body. Refused as `slug`, with a pointer and a sentence for each fault."""
    check_depth(raw, depth_limit)
    try:
        return model.model_validate_json(raw)
    except ValidationError as error:
        raise refused(error, slug) from None
    except (ValueError, TypeError, RecursionError):
        # A validator may meet a value of a type that it did not expect: still the sender's fault, never ours.
        raise Refused(slug, "the body is not valid JSON in UTF-8, or a value has the wrong type", ()) from None


def refused(error: ValidationError, slug: str) -> Refused:
    """The faults of a validation, the first ones of many."""
    told = error.errors(include_url=False, include_input=False, include_context=False)[:_FAULTS_TOLD]
    faults = tuple(Fault(_pointer(one["loc"]), _TOLD.get(one["type"], one["msg"])[:300]) for one in told)
    return Refused(slug, f"{faults[0].pointer or 'body'}: {faults[0].detail}", faults)


def _pointer(loc: tuple[int | str, ...]) -> str:
    """The place in the body. pydantic puts an event's type between it and its members, which the body does not."""
    if loc[:1] == ("event",) and loc[1:2] and loc[1] in EVENT_TYPES:
        loc = ("event", *loc[2:])
    return "".join(f"/{part}" for part in loc)[:256]


def check_depth(raw: bytes, limit: int) -> None:
    """Refused when objects and lists are nested deeper than `limit`. Counting brackets decides nearly every body."""
    if raw.count(b"{") + raw.count(b"[") <= limit:
        return
    depth = 0
    for found in _OPENING.finditer(raw):
        first = raw[found.start()]
        if first in b"[{":
            depth += 1
            if depth > limit:
                raise Refused("too-deep", f"JSON may be nested {limit} deep here")
        elif first != 0x22:
            depth -= 1
