"""Finds changes since a release that break somebody, for the log and for HTTP, each with its path.

| | a record | a request | a response |
|---|---|---|---|
| must keep working | old readers beside new writers, new readers of old records | old senders | old receivers |
| may | gain optional members | gain optional members, accept more | gain members, send less |
| may not | lose or rename a member, require a new one, accept less, change a type | the same | lose or omit a member, send more |

A wider record (another value of an enumeration, a wider bound) breaks no reader of old records, but an old worker beside the new
one cannot read it. That is a `notice`: upgrade readers before writers (docs/contracts/README.md).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from deploy.contracts.compare import Change, Compare, What

_LESS = {What.FIELD_REQUIRED_NEW, What.BECAME_REQUIRED, What.TYPE_LESS, What.ENUM_LESS, What.BOUND_LESS, What.FORM_CHANGED}
_MORE = {What.TYPE_MORE, What.ENUM_MORE, What.BOUND_MORE, What.FORM_CHANGED}
RECORD = {*_LESS, What.FIELD_REMOVED}
RECORD_NOTICES = {*_MORE, What.BECAME_OPTIONAL} - RECORD
REQUEST = {*_LESS, What.FIELD_REMOVED}
ANSWER = {*_MORE, What.FIELD_REMOVED, What.BECAME_OPTIONAL}

Document = Mapping[str, Any]


class Breaches(NamedTuple):
    """`breaks` of the contract, and `notices` for a rolling upgrade."""

    breaks: list[str]
    notices: list[str]


def of_log(old: Document, new: Document) -> Breaches:
    """Compares two AsyncAPI documents."""
    breaks: list[str] = []
    notices: list[str] = []
    compare = Compare(old["components"]["schemas"], new["components"]["schemas"])
    for name, channel in old["channels"].items():
        if name not in new["channels"]:
            breaks.append(f"{name}: topic removed")
            continue
        breaks += [f"{name}: {difference}" for difference in _compare_topic(channel, new["channels"][name])]
        was, now = old["components"]["messages"][name], new["components"]["messages"][name]
        if was["name"] != now["name"]:
            breaks.append(f"{name}: record type {was['name']} changed to {now['name']}; use another topic or an upcaster")
        for change in compare.changes(was["payload"], now["payload"]):
            sentence = f"{name}: {change}"
            breaks += [sentence] if change.what in RECORD else []
            notices += [sentence] if change.what in RECORD_NOTICES else []
    return Breaches(breaks, notices)


def _compare_topic(was: Document, now: Document) -> Iterator[str]:
    before, after = was["bindings"]["kafka"], now["bindings"]["kafka"]
    if before["partitions"] != after["partitions"]:
        yield (f"partitions {before['partitions']} -> {after['partitions']}: keys would move, and workers would refuse to start")
    if was["x-key"] != now["x-key"]:
        yield f"the key {was['x-key']!r} -> {now['x-key']!r}"
    if was["x-timestamp"] != now["x-timestamp"]:
        yield f"the clock {was['x-timestamp']} -> {now['x-timestamp']}"
    before_ms, after_ms = (binding["topicConfiguration"]["retention.ms"] for binding in (before, after))
    if after_ms < before_ms:
        yield f"kept {before_ms} -> {after_ms} ms"


def of_http(old: Document, new: Document) -> Breaches:
    """Compares two OpenAPI documents without problems: their types may grow, and clients rely on the status."""
    breaks: list[str] = []
    compare = Compare(old["components"]["schemas"], new["components"]["schemas"])
    for path, methods in old["paths"].items():
        for method, was in methods.items():
            label = f"{method.upper()} {path}"
            now = new["paths"].get(path, {}).get(method)
            if now is None:
                breaks.append(f"{label}: route removed")
                continue
            breaks += [f"{label}: {difference}" for difference in _compare_route(was, now, compare)]
    return Breaches(breaks, [])


def _compare_route(was: Document, now: Document, compare: Compare) -> Iterator[str]:
    for role in was["x-roles"]:
        if role not in now["x-roles"] and now["x-roles"]:
            yield f"role {role} loses access"
    if now["x-roles"] and not was["x-roles"]:
        yield "was open to everybody"
    yield from _compare_parameters(was.get("parameters", []), now.get("parameters", []), compare)
    yield from _compare_request(was.get("requestBody"), now.get("requestBody"), compare)
    yield from _compare_answers(was["responses"], now["responses"], compare)


def _compare_parameters(was: list[Document], now: list[Document], compare: Compare) -> Iterator[str]:
    before, after = ({(declared["in"], declared["name"]): declared for declared in some} for some in (was, now))
    for place, parameter in before.items():
        at = f"{place[0]} parameter {place[1]}"
        if place not in after:
            yield f"{at}: removed"
            continue
        if after[place]["required"] and not parameter["required"]:
            yield f"{at}: {What.BECAME_REQUIRED.value}"
        yield from _describe_forbidden(compare.changes(parameter["schema"], after[place]["schema"], at), REQUEST)
    for place, parameter in after.items():
        if place not in before and parameter["required"]:
            yield f"{place[0]} parameter {place[1]}: {What.FIELD_REQUIRED_NEW.value}"


def _compare_request(was: Document | None, now: Document | None, compare: Compare) -> Iterator[str]:
    if now is None:
        if was is not None:
            yield "request: body removed"
        return
    if was is None or (now["required"] and not was["required"]):
        if now["required"]:
            yield "request: body became required"
        return
    for media, content in was["content"].items():
        if media not in now["content"]:
            yield f"request: {media} no longer accepted"
            continue
        yield from _describe_forbidden(compare.changes(content["schema"], now["content"][media]["schema"], "request"), REQUEST)


def _compare_answers(was: Document, now: Document, compare: Compare) -> Iterator[str]:
    for status, answer in was.items():
        if not status.startswith("2"):
            continue
        if status not in now:
            yield f"response {status}: removed"
            continue
        for name in answer.get("headers", {}):
            if name not in now[status].get("headers", {}):
                yield f"response {status}: header {name} removed"
        for media, body in answer.get("content", {}).items():
            after = now[status].get("content", {}).get(media)
            if after is None:
                yield f"response {status}: {media} no longer sent"
                continue
            yield from _describe_forbidden(compare.changes(body["schema"], after["schema"], f"answer {status}"), ANSWER)
    yield from (f"response {status}: new, unknown to old clients" for status in now if status[0] == "2" and status not in was)


def _describe_forbidden(changes: Iterator[Change], forbidden: set[What]) -> Iterator[str]:
    return (str(change) for change in changes if change.what in forbidden)
