"""Which server is the primary, from what each of them says of itself: pure.

Of two the one on the higher timeline: it was promoted later. What was found once stays until there is another one, for
somewhere a client has to go; and it never goes back to an older timeline, for who is on one has been overtaken.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple


class Primary(NamedTuple):
    """A server that takes writes."""

    node: str
    address: str
    timeline: int


@dataclass(slots=True)
class Health:
    """What the checks of one server have come to."""

    timeline: int = 0
    """Of the primary that it is; 0: it is none. A primary that does not answer stays one for a few checks."""
    said: int | None = None
    """What it said the last time: its timeline, 0 for "I take no writes", None for nothing."""
    failures: int = 0

    def take(self, said: int | None, failures_to_remove: int) -> bool:
        """Count one check; whether it said something else than the last time."""
        changed = said != self.said
        self.said = said
        if said is None:
            self.failures += 1
            if self.failures >= failures_to_remove:
                self.timeline = 0
        else:
            self.failures, self.timeline = 0, said
        return changed


def choose(health: Mapping[str, Health], addresses: Mapping[str, str], last: Primary | None) -> Primary | None:
    """The primary, given the one found last; None: none was ever seen."""
    found = [Primary(node, addresses[node], one.timeline) for node, one in health.items() if one.timeline]
    if last is not None:
        if last in found and all(one.timeline <= last.timeline for one in found):
            return last
        found = [one for one in found if one.timeline >= last.timeline]
    return min(found, key=lambda one: (-one.timeline, _number(one.node)), default=last)


def _number(node: str) -> int:
    digits = re.search(r"\d+$", node)
    return int(digits[0]) if digits else 0
