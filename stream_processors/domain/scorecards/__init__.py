"""Scorecards as a projection: facts add to cells (`contributions`), cells make a card (`card`), a card is ranked and exported.

Two separate kinds: statistics of institutions for their regulator, figures of member units for the coordination body. Pure.
"""

from stream_processors.domain.scorecards.buckets import ERROR_PERCENT
from stream_processors.domain.scorecards.card import book, card, cells_a_period, nested, ranking
from stream_processors.domain.scorecards.changes import counted, difference, figures_of
from stream_processors.domain.scorecards.contributions import Leaf, change_leaves, contributions, fold, signal_leaves
from stream_processors.domain.scorecards.export import columns, from_csv, samples, series, to_csv

__all__ = [
    "ERROR_PERCENT",
    "Leaf",
    "book",
    "card",
    "cells_a_period",
    "change_leaves",
    "columns",
    "contributions",
    "counted",
    "difference",
    "figures_of",
    "fold",
    "from_csv",
    "nested",
    "ranking",
    "samples",
    "series",
    "signal_leaves",
    "to_csv",
]
