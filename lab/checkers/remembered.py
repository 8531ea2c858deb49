"""What several judges work out of the same history is worked out once. Nobody can tell but by the time it takes."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import TypeVar
from weakref import WeakKeyDictionary

from lab.history import History

Found = TypeVar("Found")


def remembered(work: Callable[[History], Found]) -> Callable[[History], Found]:
    """The same answer for the same history; it is shared, so nobody may change it. Forgotten with the history."""
    known: WeakKeyDictionary[History, Found] = WeakKeyDictionary()

    @wraps(work)
    def once(history: History) -> Found:
        if history not in known:
            known[history] = work(history)
        return known[history]

    return once
