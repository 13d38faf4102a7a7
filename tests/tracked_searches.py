"""Searches with an observer that logs: one that runs to its end, and one that is stopped and resumed."""

import nasmith
from nasmith.events import Evaluated
from toy_runs import toy_search

EVALUATIONS = 2 + 36
"""Of the search; the verification adds some."""


def stopped_search(storage, observer):
    """Search until candidate 12 is evaluated, and stop."""

    def enough(event):
        if isinstance(event, Evaluated) and event.candidate.id == 12:
            raise nasmith.StopSearch

    return toy_search(storage, observers=[observer, enough])
