"""What a client believes: the instances it would call now, and the events that tell when it changed its mind.

A view holds from its effective start (its `t_ns`, or the `expires_ns` of the one before where that is earlier) until
the next one. Between the expiry and the answer of a refresh a view is unsettled: requests wait for the next one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import sha1
from typing import Any, Protocol

from lab import clock
from lab.history import Recorder
from lab.inside.pick import Instance


class Gate(Protocol):
    """An event to wait at; gevent's and threading's have this shape."""

    def set(self) -> None: ...
    def clear(self) -> None: ...
    def wait(self, timeout: float | None = None) -> Any: ...


def digest_of(nodes: Iterable[str]) -> str:
    """Eight hex digits that tell two views of different nodes apart."""
    return sha1(",".join(sorted(nodes)).encode()).hexdigest()[:8]  # a fingerprint, not a secret


class ClientView:
    """The view of one client. Its route replaces it, its requests choose from it."""

    def __init__(self, recorder: Recorder, client: int, service: str, gate: Gate) -> None:
        self.client = client
        self.service = service
        self.instances: Sequence[Instance] = ()
        self.nodes: tuple[str, ...] = ()
        self.since_ns = 0
        """Since when it lists exactly these nodes."""
        self.settled = False
        self.version = 0
        """Grows with every replacement, so that whoever keeps something made from a view knows when it is old."""
        self.opened = False
        self.closed = False
        self._recorder = recorder
        self._gate = gate

    def open(self) -> None:
        """The client begins to exist; it knows nothing yet."""
        self.opened = True
        self.since_ns = clock.now_ns()
        self._recorder.record("view.open", self.since_ns, client=self.client)

    def close(self) -> None:
        """The client ends; whatever its route still hears changes nothing."""
        if self.opened and not self.closed:
            self._recorder.record("view.closed", client=self.client)
        self.closed = True
        self._gate.set()

    def unsettle(self) -> None:
        """The view has expired and the next one is being asked for: requests wait."""
        self.settled = False
        self._gate.clear()

    def replace(self, instances: Sequence[Instance], expires_ns: int | None = None) -> None:
        """From now on these are the instances; the same ones again are an event too (a refresh)."""
        if self.closed:
            return
        now_ns = clock.now_ns()
        nodes = tuple(sorted({instance.node for instance in instances}))
        before, after = set(self.nodes), set(nodes)
        changed = self.version == 0 or before != after
        fields: dict[str, Any] = {"added": sorted(after - before), "removed": sorted(before - after)}
        fields |= {"size": len(nodes), "digest": digest_of(nodes)}
        if expires_ns is not None:
            fields["expires_ns"] = expires_ns
        if changed:
            fields["full"] = list(nodes)
            self.since_ns = now_ns
        self._recorder.record("view", now_ns, client=self.client, service=self.service, **fields)
        self.instances, self.nodes = tuple(instances), nodes
        self.version += 1
        self.settled = True
        self._gate.set()

    def fail(self, why: str) -> None:
        """The route could not learn anything. Where the view had expired it is empty now: nothing is left to trust."""
        if self.closed:
            return
        self._recorder.record("view.error", client=self.client, why=why)
        if not self.settled:
            self.replace(())

    def await_settled(self, deadline_ns: int) -> bool:
        """Wait until requests can choose again; False when the deadline comes first or the client ends."""
        while not self.settled and not self.closed:
            left_ns = deadline_ns - clock.now_ns()
            if left_ns <= 0:
                return False
            self._gate.wait(left_ns / clock.S)
        return self.settled and not self.closed


def in_groups(views: Iterable[ClientView]) -> list[dict[str, Any]]:
    """Who believes the same, largest group first: [{nodes, clients, since_ns}]; `since_ns` is the latest client's."""
    groups: dict[tuple[str, ...], dict[str, Any]] = {}
    for view in views:
        if not view.opened:
            continue
        group = groups.setdefault(view.nodes, {"nodes": list(view.nodes), "clients": 0, "since_ns": 0})
        group["clients"] += 1
        group["since_ns"] = max(group["since_ns"], view.since_ns)
    return sorted(groups.values(), key=lambda group: -group["clients"])
