"""The oracle of the loop finds nothing wrong with an honest story, and finds each lie."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest

from tests.oracle.case_oracle import differences
from tests.unit.verify.loop_story import (
    APPRAISAL_COMMANDS,
    BANK,
    CASE,
    CASE_CHANGES,
    CASE_COMMANDS,
    T0_MS,
    Story,
    at,
    envelope,
    false_alarm,
    told_of,
)

Lie = Callable[[Story], object]
Record = dict[str, Any]


def said(story: Story) -> str:
    return "\n".join(differences(story.book, story.happened(), until_ms=T0_MS + 7000))


def test_nothing_is_wrong_with_an_honest_story():
    assert said(false_alarm()) == ""


def again(story: Story, kind: str, *, source: bool = True, n: int = -1) -> Record:
    """The last change of a kind once more: because of another record, or of the same one (an echo, which does not count)."""
    found = [one for one in story.changes if one["value"]["data"]["kind"] == kind][n]
    copy = deepcopy(found)
    if source:
        at_offset = int(copy["value"]["origin"].split("/")[2])
        story.actions.append(deepcopy(story.actions[at_offset]))
        copy["value"]["origin"] = f"{CASE_COMMANDS}/0/{len(story.actions) - 1}/0"
        copy["value"]["data"]["case"]["revision"] = story.changes[-1]["value"]["data"]["case"]["revision"] + 1
    story.changes.append(copy)
    return copy


def drop(story: Story, kind: str) -> None:
    """What was applied is not in the log at all; the revisions after it follow on each other."""
    n = max(n for n, one in enumerate(story.changes) if one["value"]["data"]["kind"] == kind)
    story.changes[n]["value"]["data"]["outcome"] = "refused"
    for one in story.changes[n + 1 :]:
        one["value"]["data"]["case"]["revision"] -= 1


def test_an_echo_of_a_change_is_no_second_effect():
    story = false_alarm()
    again(story, "order", source=False)
    assert said(story) == ""


def last_case(story: Story) -> Record:
    return story.changes[-1]["value"]["data"]["case"]


def held(story: Story, minor: int, *, name: str = "o1") -> None:
    for change in story.changes:
        for one in change["value"]["data"]["case"]["orders"]:
            if one["order_id"] == name and (one["held_minor"] or name != "o1"):
                one["held_minor"] = minor


def unread(story: Story, says: str) -> None:
    for inboxes in (story.book.read, story.book.last):
        inboxes[BANK] = [one for one in inboxes[BANK] if one["template"] != says]


def twice_in_inbox(story: Story) -> None:
    story.book.last[BANK].append(story.book.last[BANK][0])


def issued_under_another_change(story: Story) -> None:
    copy = deepcopy(story.issued[0])
    copy["value"]["origin"] = f"{CASE_CHANGES}/0/999/0"
    story.issued.append(copy)


def fired_early(story: Story) -> None:
    for one in story.actions:
        if one["value"]["data"]["kind"] == "deadline_due":
            one["second"] = 4.9


def never_fired(story: Story) -> None:
    drop(story, "deadline_due")
    for change in story.changes:
        change["value"]["data"]["case"]["deadlines"] = [{"name": "warn", "run": 1, "step": "due", "next_at": at(5)}]


def still_executed(story: Story) -> None:
    """The release is not in the case, and nothing of it was told."""
    for change in story.changes:
        case = change["value"]["data"]["case"]
        case["orders"] = [one for one in case["orders"] if one["order_id"] != "r1"]
    for one in last_case(story)["orders"]:
        if one["order_id"] == "o1":
            one |= {"state": "executed", "held_minor": 900}


def paid_early(story: Story) -> None:
    still_executed(story)
    for one in last_case(story)["orders"]:
        one |= {"executed_at": at(5), "public_notice_until": at(6)}


def ask_of(story: Story, move: str, n: int = 0):
    return [one for one in story.book.asks if one.move == move][n]


def sent_to_another(story: Story) -> None:
    story.book.last["bank-002"].append(
        {**told_of("o1", "order_issued"), "notification_id": "x", "kind": "order", "related_order_id": None}
    )


def acknowledged_in_vain(story: Story) -> None:
    story.asked("officer-0", f"/v1/cases/{CASE}/orders", answer={"order_id": "o9"}, basis="b9")


def answered(move: str, status: int, n: int = 0) -> Lie:
    return lambda story: setattr(ask_of(story, move, n), "status", status)


def mismatch_carried_out(story: Story) -> None:
    for one in last_case(story)["orders"]:
        if one["order_id"] == "o2":
            one["state"] = "executed"


def not_asked_for(story: Story) -> None:
    story.book.last[BANK].append({**story.book.last[BANK][0], "notification_id": "x"})


def paper_twice(story: Story) -> None:
    story.overseen.append({"second": 9, "value": {**story.overseen[0]["value"], "origin": f"{APPRAISAL_COMMANDS}/0/7/0"}})


NONE_OF_ONE = "1 of 1 requests were answered with success, 0 took effect"
ONE_OF_NONE = "0 of 1 requests were answered with success, 1 took effect"
LIES: dict[str, tuple[Lie, str]] = {
    "an acknowledged order is not in the log": (acknowledged_in_vain, "o9 was acknowledged"),
    "an acknowledged disposal did not happen": (lambda s: drop(s, "dispose"), NONE_OF_ONE),
    "an acknowledged answer happened twice": (lambda s: again(s, "order"), "took effect 2 times"),
    "a refused answer took effect": (answered("answers", 409, 2), ONE_OF_NONE),
    "a request has no answer": (answered("dispose", 0), "was never answered"),
    "a request broke the gateway": (answered("dispose", 500), "was answered 500"),
    "a measure is not in its case": (lambda s: last_case(s).update(measures=[]), "msr-1 was acknowledged and is not in"),
    "a measure happened twice": (lambda s: again(s, "measure"), "requests were answered with success, 2 took effect"),
    "more is held than was answered": (lambda s: held(s, 901), "held [0, 901, 0]; 900 was answered"),
    "nothing is held though it was answered": (lambda s: held(s, 0), "held [0]; 900 was answered"),
    "a mismatch holds money": (lambda s: held(s, 900, name="o2"), "o2 is refused and held [0, 900]; 0 was answered"),
    "a mismatch is not refused": (mismatch_carried_out, "did not match, and is executed"),
    "an order is executed by nobody": (lambda s: s.book.asks.remove(ask_of(s, "answers", 3)), "nobody answered that it was"),
    "a return was paid before its notice ended": (paid_early, "the order o1 was executed at"),
    "a false alarm leaves an order standing": (still_executed, "stands without a release"),
    "the executor was not told of the release": (lambda s: unread(s, "order_released"), "was not told to lift o1"),
    "an order did not reach its recipient": (lambda s: unread(s, "order_issued"), "did not reach bank-001 just 1 times"),
    "an order reached somebody else": (sent_to_another, "bank-002 was told of the order o1, which is not for it"),
    "a notice was asked for and not issued": (lambda s: s.issued.pop(), "was issued 0 times"),
    "a notice was issued twice": (issued_under_another_change, "was issued 2 times"),
    "a notice is twice in the inbox": (twice_in_inbox, "is 2 times in the inbox of bank-001"),
    "a notice is there that nobody asked for": (not_asked_for, "which no change asked for"),
    "a reader saw a notice twice": (lambda s: s.book.read[BANK].insert(0, s.book.read[BANK][0]), "more than once"),
    "a reader was led past a notice": (lambda s: s.book.read[BANK].pop(0), "never, or in another order"),
    "a moment fired early": (fired_early, "fired 100 ms before its time"),
    "a moment fired twice": (lambda s: again(s, "deadline_due"), "was applied 2 times"),
    "a moment never fired": (never_fired, "and was never applied"),
    "a revision was left out": (lambda s: last_case(s).update(revision=99), "to 99"),
    "a paper was taken twice": (paper_twice, "which was taken 2 times"),
    "a paper was acknowledged and lost": (lambda s: s.overseen.clear(), "which was taken 0 times"),
}


@pytest.mark.parametrize("lie", LIES)
def test_it_finds_that(lie):
    story = false_alarm()
    tell, words = LIES[lie]
    tell(story)
    assert words in said(story)


def test_what_is_no_record_of_ours_changes_nothing():
    story = false_alarm()
    for topic, records in ((CASE_COMMANDS, story.actions), (CASE_CHANGES, story.changes)):
        for value in (
            "text",
            [],
            {"type": f"cn.liandong.{topic}"},
            envelope(topic, {}, "a/b/c/d", "x"),
            envelope("other", {}, None, "x"),
        ):
            records.append({"second": 9, "value": value})
    assert said(story) == ""


def test_a_stop_that_crossed_with_its_release_holds_nothing_and_is_told_to_be_lifted():
    story = false_alarm()
    held(story, 0)
    assert "held [0]; 900 was answered" in said(story)
    notice = {
        **told_of("o1", "order_lift_required"),
        "notification_id": "act-1/lift",
        "case_id": CASE,
        "kind": "release",
        "related_order_id": None,
    }
    story.book.last[BANK].append(notice)
    assert "900 was answered" not in said(story)
