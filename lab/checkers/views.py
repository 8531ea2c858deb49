"""What each client believed when: the views of a history as spans, one set of nodes at every instant.

View k holds from its effective start (its stamp, or the expiry of view k-1 where that is earlier: a request due in
the gap waits and chooses from view k) until the next one. A view that expired with no successor is empty from then on;
where the client was ended before a request's deadline would have come, it is watched until that expiry.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from lab.history import History

Nodes = frozenset[str]
NOBODY: Nodes = frozenset()


class Span(NamedTuple):
    """[start, end) in which a client's view was `nodes`; `ref` names the event that began it."""

    start_ns: int
    end_ns: int
    nodes: Nodes
    ref: tuple[str, int]


@dataclass(slots=True)
class ClientViews:
    """One client's views, from its first one to its end."""

    client: int
    closed_ns: int | None = None
    """When it stopped to exist; None where it did not."""
    starts: list[int] = field(default_factory=list)
    sets: list[Nodes] = field(default_factory=list)
    refs: list[tuple[str, int]] = field(default_factory=list)
    expires_ns: int | None = None

    def at(self, t_ns: int) -> Nodes | None:
        """What a request due at an instant would choose from; None before its first view and after its end."""
        if self.closed_ns is not None and t_ns >= self.closed_ns:
            return None
        index = bisect_right(self.starts, t_ns) - 1
        return self.sets[index] if index >= 0 else None

    def spans(self, after_ns: int, until_ns: int) -> Iterator[Span]:
        """The spans that overlap [after, until), cut to it."""
        end_ns = until_ns if self.closed_ns is None else min(until_ns, self.closed_ns)
        index = max(bisect_right(self.starts, after_ns) - 1, 0)
        count = len(self.starts)
        while index < count and self.starts[index] < end_ns:
            stop_ns = min(self.starts[index + 1], end_ns) if index + 1 < count else end_ns
            start_ns = max(self.starts[index], after_ns)
            if stop_ns > start_ns:
                yield Span(start_ns, stop_ns, self.sets[index], self.refs[index])
            index += 1

    def begin(self, t_ns: int, nodes: Nodes, ref: tuple[str, int]) -> None:
        """A new view, in force from its effective start."""
        start_ns = t_ns if self.expires_ns is None else min(t_ns, self.expires_ns)
        if not self.starts or nodes != self.sets[-1]:
            self.starts.append(max(start_ns, self.starts[-1]) if self.starts else start_ns)
            self.sets.append(nodes)
            self.refs.append(ref)

    def end(self, last_ns: int, patience_ns: int) -> None:
        """Nothing follows: an expiry that was reached leaves it empty.

        Unless the client was ended so soon after it that a request would still have waited: nobody knows what for, so
        it is watched until its expiry only.
        """
        if self.expires_ns is None or not self.starts or self.expires_ns >= min(last_ns, self.closed_ns or last_ns):
            return
        expired_ns = max(self.expires_ns, self.starts[-1])
        if self.closed_ns is not None and self.closed_ns - expired_ns < patience_ns:
            self.closed_ns = expired_ns
            return
        self.starts.append(expired_ns)
        self.sets.append(NOBODY)
        self.refs.append(self.refs[-1])


@dataclass(slots=True)
class Views:
    """All clients' views of one service."""

    clients: dict[int, ClientViews]
    damaged: list[tuple[str, int]]
    """Events whose size or digest differs from what the changes add up to: a view was lost."""


def views_of(history: History, end_ns: int) -> Views:
    """Rebuild every client's views up to the load's end."""
    service = history.plan.get("service")
    clients: dict[int, ClientViews] = {}
    damaged: list[tuple[str, int]] = []
    digests: dict[Nodes, str] = {}
    for event in history.of("view.open", "view", "view.closed"):
        fields = event.fields
        client: int = fields["client"]
        if event.kind == "view.open":
            clients[client] = ClientViews(client)  # a number that is used again is a new client
            continue
        views = clients.get(client)
        if views is None:
            views = clients[client] = ClientViews(client)
        if event.kind == "view.closed":
            views.closed_ns = event.t_ns if views.closed_ns is None else views.closed_ns
            continue
        if service is not None and fields.get("service", service) != service:
            continue
        nodes = views.sets[-1] if views.sets else NOBODY
        if "full" in fields:
            nodes = frozenset(fields["full"])
        elif fields["added"] or fields["removed"]:
            nodes = (nodes - frozenset(fields["removed"])) | frozenset(fields["added"])
        digest = digests.get(nodes)
        if digest is None:
            digest = digests[nodes] = digest_of(nodes)
        if fields.get("digest", digest) != digest or fields.get("size", len(nodes)) != len(nodes):
            damaged.append(event.ref)
        views.begin(event.t_ns, nodes, event.ref)
        views.expires_ns = fields.get("expires_ns")
    patience_ns = int(float(history.plan.get("deadline_s", 0.0)) * 1_000_000_000)
    for views in clients.values():
        views.end(end_ns, patience_ns)
    return Views(dict(sorted(clients.items())), damaged)


def digest_of(nodes: Nodes) -> str:
    """The eight letters that a view event carries, so that a reader can check what the changes add up to."""
    return hashlib.sha1(",".join(sorted(nodes)).encode()).hexdigest()[:8]
