"""Which standby is promoted, and whom it then waits for: pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping


def number_of(node: str) -> int:
    """The number at the end of a node's name; 0 where there is none."""
    found = re.search(r"\d+$", node)
    return int(found[0]) if found else 0


def best(candidates: Mapping[str, int], rule: str) -> str | None:
    """The node to promote, of {node: bytes of WAL it has}; None where there is nobody.

    most_advanced: who has the most, of equals the lowest number. first: the lowest number, whatever it has.
    """
    if rule == "first":
        return min(candidates, key=number_of, default=None)
    return min(candidates, key=lambda node: (-candidates[node], number_of(node)), default=None)


def standby_names(method: str, wanted: int, reachable: Iterable[str]) -> tuple[str, int]:
    """synchronous_standby_names for the standbys that are left, and how many of them a commit waits for: at most
    `wanted`, and nobody where nobody is left, for a primary that waits for the dead acknowledges nothing."""
    left = sorted(reachable, key=number_of)
    count = min(wanted, len(left))
    if not count:
        return "", 0
    return f"{method.upper()} {count} ({', '.join(left)})", count
