"""Reads request bytes into a model, or gives the reasons why not. One reader for the gateway and the intake stage.

Invariant: for any bytes the result is a model, or a Refused that repeats no value of them.
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
"""The byte order mark that some programs write before UTF-8. It has no meaning, so it is dropped."""
_OWN_ERROR = "Value error, "
_TEXT = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"?', re.DOTALL)
_NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_STEP = {ord("["): 1, ord("{"): 1, ord("]"): -1, ord("}"): -1}
_FAULTS_TOLD = 20
_FAULTS_READ = 1000
"""Pydantic reports all faults or none, and takes longer to report a fault than to find it."""
MOST_PARTS = 8192
"""Members, objects and lists of a body at most, unless its reader sets a lower limit. The elements of a list have a limit of
their own (`AtMost`). Together they bound the faults of any body."""
_TOLD = {
    "extra_forbidden": "unknown member",
}
"""Sentences that replace those of pydantic where these repeat the value or are unclear."""
_FORMS = {
    "region": "a region must be a GB/T 2260 code of six digits, as text, for example 630202",
    "reference": "a reference must be 1 to 128 printable ASCII characters without spaces",
    "derived_from": "send the id of a signal, or institution/reference",
    "currency": "a currency must be an ISO 4217 code, for example CNY",
}
"""Sentences for a text that does not match its pattern, by member."""
_TAGS: dict[tuple[int | str, ...], tuple[str, ...]] = {("event",): EVENT_TYPES, (): tuple(MeasureKind)}
"""Tags of body variants. Pydantic adds the tag of the chosen variant to the location, although the body has no such member."""
_PLAIN_NAME = re.compile(r"[A-Za-z_]{1,40}", re.ASCII)

Model = TypeVar("Model", bound=BaseModel)


class BodyFault(NamedTuple):
    """One place of a body (JSON pointer) and its fault, without the value."""

    pointer: str
    detail: str


class Refused(ValueError):
    """The request cannot be accepted. `slug` is the problem (docs/reference/errors.md). `faults` lists the places; None if the
    body as a whole is at fault as the slug describes."""

    def __init__(self, slug: str, detail: str, faults: tuple[BodyFault, ...] | None = None) -> None:
        super().__init__(f"{slug}: {detail}")
        self.slug, self.detail, self.faults = slug, detail, faults


def read(model: type[Model], raw: bytes, slug: str, depth_limit: int, most_parts: int = MOST_PARTS) -> Model:
    """Returns the model of a JSON body. Raises Refused with `slug`, and a pointer and a sentence for each fault."""
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
    """Returns the first faults of a validation."""
    if error.error_count() > _FAULTS_READ:
        return Refused(slug, f"the body has more than {_FAULTS_READ} faults", ())
    details = error.errors(include_url=False, include_input=False, include_context=False)[:_FAULTS_TOLD]
    faults = tuple(
        BodyFault(_pointer(detail["loc"], detail["type"]), _sentence(detail["loc"], detail["type"], detail["msg"]))
        for detail in details
    )
    return Refused(slug, f"{faults[0].pointer or 'body'}: {faults[0].detail}", faults)


def check_members(raw: bytes, slug: str) -> bool:
    """Refused if a member occurs twice in its object. False if the bytes are not JSON; the model then gives the reason."""
    if has_single_members(raw):
        return True
    try:
        places = [_withheld(place) for place in islice(repeated_members(raw), _FAULTS_TOLD)]
    except Unreadable:
        return False
    if places:
        faults = tuple(BodyFault(_pointer(place, ""), "this member occurs twice in its object; send it once") for place in places)
        raise Refused(slug, f"{faults[0].pointer}: {faults[0].detail}", faults)
    return True


def _withheld(place: tuple[int | str, ...]) -> tuple[int | str, ...]:
    """A place that the sender named, without anything that may be a number or a person's name."""
    return tuple(part if isinstance(part, int) or _PLAIN_NAME.fullmatch(part) else "*" for part in place)


def _sentence(loc: tuple[int | str, ...], kind: str, message: str) -> str:
    form = _FORMS.get(str(loc[-1])) if loc and kind == "string_pattern_mismatch" else None
    if kind == "union_tag_invalid" and (tags := _TAGS.get(loc)):
        what = "the type of an event" if loc else "the kind"
        return f"{what} must be one of {', '.join(tags)}"
    return (form or _TOLD.get(kind, message.removeprefix(_OWN_ERROR)))[:300]


def _pointer(loc: tuple[int | str, ...], kind: str) -> str:
    """The place in the body. The name of an unknown member is the sender's own text, so it is shown only if it cannot be a number
    or a person's name in Chinese."""
    if kind == "extra_forbidden" and not _PLAIN_NAME.fullmatch(str(loc[-1])):
        loc = (*loc[:-1], "*")
    for at, tags in _TAGS.items():
        if loc[: len(at)] == at and loc[len(at) : len(at) + 1] and loc[len(at)] in tags:
            loc = (*at, *loc[len(at) + 1 :])
            break
    return "".join(f"/{part}" for part in loc)[:256]


def check_parts(raw: bytes, slug: str, most: int) -> None:
    """Refused if a body has more than `most` members, objects and lists, because each costs time to validate and more to report.
    A count that ignores what is text decides nearly every body."""
    if _parts(raw) > most and _parts(_TEXT.sub(b"", raw)) > most:
        fault = BodyFault("", f"a body may have at most {most} members, objects and lists together")
        raise Refused(slug, f"body: {fault.detail}", (fault,))


def _parts(raw: bytes) -> int:
    return raw.count(b":") + raw.count(b"{") + raw.count(b"[")


def check_depth(raw: bytes, limit: int) -> None:
    """Refused if objects and lists are nested deeper than `limit`. A count of brackets decides nearly every body."""
    if raw.count(b"{") + raw.count(b"[") <= limit:
        return
    brackets = _TEXT.sub(b"", raw).translate(None, _NO_BRACKETS)
    if any(depth > limit for depth in accumulate(map(_STEP.__getitem__, brackets))):
        raise Refused("json-too-deep", f"the JSON may be nested at most {limit} levels deep")
