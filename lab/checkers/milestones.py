"""Where a client's wrong time went: detection -> publication -> propagation -> client cache.

A milestone is the first event of its kind after the change; each counts as max(previous, own), and none later than
the client's own end, so the phases of a sample add up to it exactly.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Sequence

from lab.checkers.truth import Change, S
from lab.history import History

_ENDS = {
    "detection": ("registry.detected", "registry.published"),
    "registration": ("registry.detected", "registry.published"),
    "publication": ("registry.published",),
    "propagation": ("registry.propagated",),
}
"""Which event ends a phase. Of two, the first where this registry has such events at all: ZooKeeper decides and
publishes in one step. The last phase, whatever it is called, ends when the client is right."""


class Milestones:
    """The registry's events of one trial, by node."""

    def __init__(self, history: History) -> None:
        self._kinds: set[str] = set()
        self._stamps: dict[tuple[str, str, bool], list[int]] = defaultdict(list)
        for event in history.of("registry.detected", "registry.published", "registry.propagated"):
            self._kinds.add(event.kind)
            self._stamps[event.kind, event.fields["node"], bool(event.fields["present"])].append(event.t_ns)

    def split(self, change: Change, names: Sequence[str], end_ns: int, *, censored: bool) -> dict[str, float]:
        """Seconds of each named phase from the change's instant to `end_ns`; {} where a milestone is missing.

        A sample that was still going on when its window closed is stuck in the phase whose milestone never came.
        """
        parts: dict[str, float] = {}
        at_ns = start_ns = change.instant_ns
        end_ns = max(end_ns, start_ns)
        for name in names[:-1]:
            own_ns = self._first(name, change)
            if own_ns is None:
                if not censored:
                    return {}
                own_ns = end_ns
            reached_ns = min(max(at_ns, own_ns), end_ns)
            parts[name] = (reached_ns - at_ns) / S
            at_ns = reached_ns
        for name in names[-1:]:
            parts[name] = (end_ns - at_ns) / S
        return parts

    def _first(self, name: str, change: Change) -> int | None:
        kinds = _ENDS.get(name, ())
        kind = next((kind for kind in kinds if kind in self._kinds), None)
        if kind is None:
            return None
        stamps = self._stamps.get((kind, change.node, change.what == "return"), [])
        index = bisect_left(stamps, change.since_ns)
        return stamps[index] if index < len(stamps) and stamps[index] < change.until_ns else None
