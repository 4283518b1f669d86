"""From bytes that somebody sent to a model, or to the reason why not. One piece for the gateway and the intake stage.

Invariant: whatever the bytes are, the outcome is a model or a Refused that repeats no value of them.
"""

from __future__ import annotations

import re
from itertools import accumulate, islice
from typing import NamedTuple, TypeVar

from pydantic import BaseModel, ValidationError

from schemas.measures import MeasureKind
from schemas.members import Unreadable, has_single_members, repeated_members
from schemas.signals.taxonomy import EVENT_TYPES

BOM = b"\xef\xbb\xbf"
"""The mark that some programs write before UTF-8. It says nothing: with it a body is what it is without."""
_OWN_ERROR = "Value error, "
_TEXT = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"?', re.DOTALL)
_NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_STEP = {ord("["): 1, ord("{"): 1, ord("]"): -1, ord("}"): -1}
_FAULTS_TOLD = 20
_FAULTS_READ = 1000
"""Pydantic tells all faults or none, and takes longer to tell one than to find it."""
MOST_PARTS = 8192
"""Members, objects and lists of a body, unless its reader says less. The elements of a list have their own bound
(schemas/values.AtMost); with both the faults of a body are bounded, whatever it holds."""
_TOLD = {
    "extra_forbidden": "there is no such member here",
}
"""In place of pydantic's own sentence where that repeats what was sent or says little."""
_FORMS = {
    "region": "a region is a GB/T 2260 code of six digits, in quotes, for example 630202",
    "reference": "a reference is 1 to 128 printable ASCII characters without spaces",
    "derived_from": "name a signal's id, or institution/reference",
    "currency": "a currency is an ISO 4217 code, for example CNY",
}
"""The same for a text of the wrong form, by its member."""
_TAGS: dict[tuple[int | str, ...], tuple[str, ...]] = {("event",): EVENT_TYPES, (): tuple(MeasureKind)}
"""Where a body may be one of several: pydantic puts the chosen one's tag into the place, which the body does not."""
_PLAIN_NAME = re.compile(r"[A-Za-z_]{1,40}", re.ASCII)

Model = TypeVar("Model", bound=BaseModel)


class Fault(NamedTuple):
    """One place of a body (JSON pointer) and what is wrong there, without the value."""

    pointer: str
    detail: str


class Refused(ValueError):
    """What was sent cannot be taken. `slug` is the problem's name (docs/reference/errors.md); `faults` the places, None when the
    body as a whole is at fault in a way that its slug says."""

    def __init__(self, slug: str, detail: str, faults: tuple[Fault, ...] | None = None) -> None:
        super().__init__(f"{slug}: {detail}")
        self.slug, self.detail, self.faults = slug, detail, faults


def read(model: type[Model], raw: bytes, slug: str, depth_limit: int, most_parts: int = MOST_PARTS) -> Model:
    """The model of a JSON body. Refused as `slug`, with a pointer and a sentence for each fault."""
    raw = raw.removeprefix(BOM)
    check_depth(raw, depth_limit)
    check_parts(raw, slug, most_parts)
    readable = check_members(raw, slug)
    try:
        body = model.model_validate_json(raw)
    except ValidationError as error:
        raise refused(error, slug) from None
    except (ValueError, TypeError, RecursionError):
        # A validator may meet a value of a type that it did not expect: still the sender's fault, never ours.
        raise Refused(slug, "the body is not valid JSON in UTF-8, or a value has the wrong type", ()) from None
    if not readable:
        raise Refused(slug, "the body is not valid JSON in UTF-8", ())
    return body


def refused(error: ValidationError, slug: str) -> Refused:
    """The faults of a validation, the first ones of many."""
    if error.error_count() > _FAULTS_READ:
        return Refused(slug, f"there are more than {_FAULTS_READ} faults", ())
    details = error.errors(include_url=False, include_input=False, include_context=False)[:_FAULTS_TOLD]
    faults = tuple(
        Fault(_pointer(detail["loc"], detail["type"]), _sentence(detail["loc"], detail["type"], detail["msg"]))
        for detail in details
    )
    return Refused(slug, f"{faults[0].pointer or 'body'}: {faults[0].detail}", faults)


def check_members(raw: bytes, slug: str) -> bool:
    """Refused when a member stands twice in its object. False when the bytes are no JSON: then the model says why not."""
    if has_single_members(raw):
        return True
    try:
        places = [_withheld(place) for place in islice(repeated_members(raw), _FAULTS_TOLD)]
    except Unreadable:
        return False
    if places:
        faults = tuple(Fault(_pointer(place, ""), "this member stands twice in its object; send it once") for place in places)
        raise Refused(slug, f"{faults[0].pointer}: {faults[0].detail}", faults)
    return True


def _withheld(place: tuple[int | str, ...]) -> tuple[int | str, ...]:
    """A place that the sender named, without what may be a number or a person's name."""
    return tuple(part if isinstance(part, int) or _PLAIN_NAME.fullmatch(part) else "*" for part in place)


def _sentence(loc: tuple[int | str, ...], kind: str, message: str) -> str:
    form = _FORMS.get(str(loc[-1])) if loc and kind == "string_pattern_mismatch" else None
    if kind == "union_tag_invalid" and (tags := _TAGS.get(loc)):
        what = "an event's type" if loc else "the kind"
        return f"{what} is one of {', '.join(tags)}"
    return (form or _TOLD.get(kind, message.removeprefix(_OWN_ERROR)))[:300]


def _pointer(loc: tuple[int | str, ...], kind: str) -> str:
    """The place in the body. The name of an unknown member is the sender's own text: told only where it can be no number and no
    person's name in Chinese."""
    if kind == "extra_forbidden" and not _PLAIN_NAME.fullmatch(str(loc[-1])):
        loc = (*loc[:-1], "*")
    for at, tags in _TAGS.items():
        if loc[: len(at)] == at and loc[len(at) : len(at) + 1] and loc[len(at)] in tags:
            loc = (*at, *loc[len(at) + 1 :])
            break
    return "".join(f"/{part}" for part in loc)[:256]


def check_parts(raw: bytes, slug: str, most: int) -> None:
    """Refused when a body has more than `most` members, objects and lists: each takes time before it is known to be wrong, and
    more to tell it. Counting without a look at what is text decides nearly every body."""
    if _parts(raw) > most and _parts(_TEXT.sub(b"", raw)) > most:
        fault = Fault("", f"members, objects and lists are at most {most} together")
        raise Refused(slug, f"body: {fault.detail}", (fault,))


def _parts(raw: bytes) -> int:
    return raw.count(b":") + raw.count(b"{") + raw.count(b"[")


def check_depth(raw: bytes, limit: int) -> None:
    """Refused when objects and lists are nested deeper than `limit`. Counting brackets decides nearly every body."""
    if raw.count(b"{") + raw.count(b"[") <= limit:
        return
    brackets = _TEXT.sub(b"", raw).translate(None, _NO_BRACKETS)
    if any(depth > limit for depth in accumulate(map(_STEP.__getitem__, brackets))):
        raise Refused("too-deep", f"JSON may be nested {limit} deep here")
