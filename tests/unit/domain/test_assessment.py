"""The yearly appraisal and the supervision measures: who may do what when, and what a locked result is worth."""

from __future__ import annotations

from base64 import urlsafe_b64encode
from typing import Any

import pytest
from joserfc import jws
from joserfc.jwk import ECKey, OKPKey
from pydantic import ValidationError

from schemas.oversight.appraisals import AppraisalState, Ruling, SupervisionState
from schemas.security.signing import Ed25519Signer, Ed25519Verifier
from stream_processors.domain.oversight import supervision
from stream_processors.domain.oversight.appraisal import TABLE, canonical, decide, digest, verified
from tests.support.builders import T0, after
from tests.support.scores import BODY, KEY, SIGNER, UNIT, VERIFIER, locked, move, played, result, step, supervised

OPENED = (move("open"), T0)
PUBLISHED = (OPENED, (move("publish"), after(days=1)))
DISPUTED = (*PUBLISHED, (move("dispute", UNIT), after(days=2)))
DECIDED = (*DISPUTED, (move("decide"), after(days=3)))
OTHER_KEY = OKPKey.derive_key("somebody else's key", "Ed25519")


def refused(before: Any, one: Any, days: int = 2, signer: Any = SIGNER) -> str:
    change = decide(move=one, record=before, now=after(days=days), signer=signer)
    assert change.record is None and change.refusal is not None
    return change.refusal.problem


def test_a_ruling_changes_the_figure_and_what_was_published_is_kept() -> None:
    found = played(*DECIDED)
    assert found.state is AppraisalState.DECIDED
    assert found.results[0].figures == {"cases": 20, "acknowledge_late": 1}
    assert (found.disputes[0].published_value, found.disputes[0].ruling, found.disputes[0].ruled_value) == (3, Ruling.UPHELD, 1)


def test_a_rejected_dispute_leaves_the_figure() -> None:
    found = played(*DISPUTED, (move("decide", ruling="rejected", ruled_value=None), after(days=3)))
    assert found.results[0].figures["acknowledge_late"] == 3 and found.disputes[0].ruled_value is None


def test_all_disputes_are_ruled_before_the_result_is_locked() -> None:
    second = move("dispute", UNIT, number=2, figure="cases", claimed_value=19)
    found = played(*DISPUTED, (second, after(days=2)), (move("decide"), after(days=3)))
    assert found.state is AppraisalState.DISPUTED
    assert refused(found, move("lock"), days=40) == "transition-not-allowed"


REFUSED = [
    (OPENED[:0], move("publish"), "not-found"),
    ((OPENED,), move("publish", UNIT), "forbidden"),
    ((OPENED,), move("publish", disputes_until=T0), "invalid-command"),
    ((OPENED,), move("publish", results=(result(), result())), "invalid-command"),
    ((OPENED,), move("lock"), "transition-not-allowed"),
    (PUBLISHED, move("publish", number=2), "transition-not-allowed"),
    (PUBLISHED, move("dispute", "another-unit"), "not-yours"),
    (PUBLISHED, move("dispute", UNIT, figure="letters"), "not-yours"),
    (PUBLISHED, move("dispute", UNIT, ground=None), "invalid-command"),
    (PUBLISHED, move("dispute", UNIT, revision=1), "stale-revision"),
    (PUBLISHED, move("dispute", UNIT, year=2024), "not-found"),
    (PUBLISHED, move("lock"), "not-due"),
    (DISPUTED, move("dispute", UNIT, number=2), "transition-not-allowed"),
    (DISPUTED, move("dispute", UNIT, action_id="x"), "reference-reused"),
    (DISPUTED, move("decide", UNIT), "forbidden"),
    (DISPUTED, move("decide", number=9), "transition-not-allowed"),
    (DISPUTED, move("decide", ruled_value=None), "invalid-command"),
]


@pytest.mark.parametrize("before, one, problem", REFUSED)
def test_a_move_that_is_not_open_is_refused_and_says_why(before: Any, one: Any, problem: str) -> None:
    assert refused(played(*before) if before else None, one) == problem


def test_figures_are_disputed_in_time_or_not_at_all() -> None:
    assert refused(played(*PUBLISHED), move("dispute", UNIT), days=30) == "too-late"
    assert played(*PUBLISHED, (move("dispute", UNIT), after(days=29))).state is AppraisalState.DISPUTED


def test_a_move_that_comes_again_is_an_echo() -> None:
    assert decide(move=move("publish"), record=played(*PUBLISHED), now=after(days=2)).echo


def test_a_result_is_not_locked_without_a_key() -> None:
    assert refused(played(*DECIDED), move("lock"), days=40, signer=None) == "no-signer"


def test_no_move_leads_out_of_a_locked_result() -> None:
    assert not [state for state, _ in TABLE if state is AppraisalState.LOCKED]
    for one in (move("publish", number=7), move("dispute", UNIT, number=7), move("decide", number=7), move("lock", number=7)):
        assert refused(locked(), one, days=50) == "locked"


def test_a_locked_result_is_verified_also_after_it_was_stored() -> None:
    stored = type(locked()).model_validate_json(locked().model_dump_json())
    assert verified(stored, VERIFIER) and stored.lock is not None
    assert stored.lock.digest == digest(stored) and stored.lock.key_id == KEY.thumbprint()


def test_the_digest_never_changes() -> None:
    """Results of years ago are verified with it: a change here needs a new form."""
    assert digest(locked()) == "sha-256:dd3db632c3257b36fdcdf3f622335ff3735f9ddc27976aceba0f114f016eb6a6"
    assert canonical(locked()).startswith(b'{"body":"coordination-630200","disputes":[{"claimed_value":1,')


def test_a_result_that_was_changed_signed_by_another_or_not_locked_is_not_verified() -> None:
    found = locked()
    assert found.lock is not None
    assert not verified(found.model_copy(update={"results": (result(cases=21),)}), VERIFIER)
    assert not verified(found.model_copy(update={"state": AppraisalState.DECIDED}), VERIFIER)
    assert not verified(found.model_copy(update={"lock": found.lock.model_copy(update={"at": T0})}), VERIFIER)
    assert not verified(found, Ed25519Verifier([OTHER_KEY]))
    assert not verified(played(*DECIDED), VERIFIER)


def test_a_signature_is_of_one_algorithm_by_a_known_key() -> None:
    payload, kid = b"{}", SIGNER.key_id
    assert VERIFIER(SIGNER.sign(payload)) == payload
    assert SIGNER.sign(payload) == SIGNER.sign(payload)
    forged = jws.serialize_compact({"alg": "Ed25519", "kid": kid}, payload, OTHER_KEY, algorithms=["Ed25519"])
    unsigned = urlsafe_b64encode(b'{"alg":"none","kid":"%s"}' % kid.encode()).decode().rstrip("=") + ".e30."
    for other in (forged, unsigned, "", "a.b.c", "é", SIGNER.sign(payload)[:-4] + "AAAA"):
        assert VERIFIER(other) is None
    assert VERIFIER(Ed25519Signer(OTHER_KEY).sign(payload)) is None


def test_only_a_private_ed25519_key_signs() -> None:
    public = OKPKey.import_key(KEY.as_dict(private=False))
    for key in (public, ECKey.generate_key("P-256"), OKPKey.generate_key("X25519")):
        with pytest.raises(ValueError, match="Ed25519"):
            Ed25519Signer(key)
    assert Ed25519Verifier([public])(SIGNER.sign(b"x")) == b"x"


def test_statistics_of_institutions_have_no_place_in_an_appraisal() -> None:
    with pytest.raises(ValidationError, match="not a figure of units"):
        result(reports=5)


def test_a_measure_is_answered_accepted_and_lifted() -> None:
    found = supervised((step("issue"), T0), (step("answer", UNIT), after(days=9)), (step("accept"), after(days=12)))
    assert (found.state, found.late, found.missed_deadlines, found.ended_at) == (
        SupervisionState.LIFTED,
        False,
        0,
        after(days=12),
    )


def test_a_measure_falls_due_once_a_deadline_and_a_late_answer_is_kept() -> None:
    due = step("fall_due", "timekeeper")
    issued = supervised((step("issue"), T0))
    early = supervision.decide(move=due, record=issued, now=after(days=9))
    assert early.refusal is not None and early.refusal.problem == "not-due"
    overdue = supervised((step("issue"), T0), (due, after(days=10)))
    again = supervision.decide(move=step("fall_due", "timekeeper", action_id="x"), record=overdue, now=after(days=11))
    assert again.refusal is not None and again.refusal.problem == "transition-not-allowed"
    found = supervised((step("issue"), T0), (due, after(days=10)), (step("answer", UNIT), after(days=11)))
    assert (found.state, found.late, found.missed_deadlines) == (SupervisionState.ANSWERED, True, 1)


def test_an_answer_that_is_not_enough_comes_back_with_a_new_deadline() -> None:
    back = supervised((step("issue"), T0), (step("answer", UNIT), after(days=9)), (step("return"), after(days=12)))
    assert (back.state, back.answer_by, back.return_count) == (SupervisionState.ISSUED, after(days=40), 1)


@pytest.mark.parametrize(
    "one, problem",
    [
        (step("answer"), "forbidden"),
        (step("accept"), "transition-not-allowed"),
        (step("withdraw", UNIT), "forbidden"),
        (step("extend", answer_by=T0), "invalid-command"),
        (step("answer", UNIT, document_number=None), "invalid-command"),
        (step("answer", UNIT, revision=7), "stale-revision"),
    ],
)
def test_a_move_of_a_measure_that_is_not_open_is_refused(one: Any, problem: str) -> None:
    change = supervision.decide(move=one, record=supervised((step("issue"), T0)), now=after(days=1))
    assert change.refusal is not None and change.refusal.problem == problem


@pytest.mark.parametrize("gone", ["unit", "supervision_kind", "reason", "document_number", "answer_by"])
def test_a_measure_says_on_whom_which_why_until_when_and_its_paper(gone: str) -> None:
    change = supervision.decide(move=step("issue", **{gone: None}), record=None, now=T0)
    assert change.refusal is not None and change.refusal.problem == "invalid-command"


def test_the_body_is_who_opened_the_appraisal() -> None:
    assert played(OPENED).body == BODY
