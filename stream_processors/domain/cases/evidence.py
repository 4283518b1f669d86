"""Selects the signals that a case lists if not all of them fit, because a case must be one record of the log. Pure.

The sender with the largest share loses signals first, so nobody's flood displaces the reports of others. Of one sender the newest
signal is the last to go, before it the first, before that the worst. Invariant: the result follows from the list alone, so
reprocessing keeps the same signals; the order stays, newest first. Every sender keeps a signal while there are no more senders
than places.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from schemas.cases.case import JoinedSignal
from stream_processors.domain.signals.trust import LOW_KEPT, low

KEPT_CHARACTERS = 400_000
"""Bytes that all listed signals take together, about."""
_PUBLIC = ""
"""The sender of all tips, which stands for any member of the public."""

Weight = Callable[[JoinedSignal], int]


def keep_evidence(signals: tuple[JoinedSignal, ...], most: int) -> tuple[JoinedSignal, ...]:
    """The signals (newest first) that stay in the list: at most `most`, and as many as fit into the record."""
    while sum(map(low, signals)) > LOW_KEPT:
        signals = _drop_signal(signals, _least_needed([signal for signal in signals if low(signal)]))
    while len(signals) > most:
        signals = _drop_signal(signals, _least_needed(_list_largest(signals, lambda signal: 1)))
    while len(signals) > 1 and sum(map(_count_characters, signals)) > KEPT_CHARACTERS:
        signals = _drop_signal(signals, _least_needed(_list_largest(signals, _count_characters)))
    return signals


def _drop_signal(signals: tuple[JoinedSignal, ...], removed: JoinedSignal) -> tuple[JoinedSignal, ...]:
    return tuple(signal for signal in signals if signal is not removed)


def _list_largest(signals: Iterable[JoinedSignal], weight: Weight) -> list[JoinedSignal]:
    """The signals of the sender with the largest share; of equal ones tips, then of the sender that is silent longest."""
    by_sender: dict[str, list[JoinedSignal]] = {}
    for signal in signals:
        by_sender.setdefault(_PUBLIC if low(signal) else signal.institution, []).append(signal)

    silent = {sender: number for number, sender in enumerate(by_sender)}

    def rank(sender: str) -> tuple[int, bool, int]:
        return sum(map(weight, by_sender[sender])), sender == _PUBLIC, silent[sender]

    return by_sender[max(by_sender, key=rank)]


def _least_needed(sent: list[JoinedSignal]) -> JoinedSignal:
    """The oldest signal of a sender that is neither its first nor its newest nor its worst; else the worst, then the first."""
    newest, first, worst = sent[0], sent[-1], max(sent, key=lambda signal: signal.score)
    for spared in ((newest, first, worst), (newest, first), (newest,)):
        for signal in reversed(sent):
            if not any(signal is other for other in spared):
                return signal
    return newest


def _count_characters(signal: JoinedSignal) -> int:
    sealed = len(signal.narrative_sealed or "") + len(signal.contact_sealed or "")
    return 2000 + sealed + sum(150 + len(subject.sealed) for subject in signal.subjects)
