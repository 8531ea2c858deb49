"""Ids as inclusive ranges."""

from __future__ import annotations

from collections.abc import Iterable


def ranges_of(ids: Iterable[int]) -> list[list[int]]:
    """[[first, last], ...] of a set of ids, in order."""
    found: list[list[int]] = []
    for number in sorted(set(ids)):
        if found and found[-1][1] == number - 1:
            found[-1][1] = number
        else:
            found.append([number, number])
    return found
