"""Watches the service in ZooKeeper through every server at once, and records when each of them shows a change.

One session a server, each pinned to its own; they only watch, for a kazoo client that is busy never notices that its
server fell silent. Events (writer observer): registry.published {service, node, present, server, incarnation} at the
instant at which the new list of children had come from that server; lag and stall.
A node is gone when none of its incarnations is listed: after a quick restart the old one's may still be there.
Control: {"do": "status"} -> {"ok", "servers": {"zookeeper1": {"connected", "nodes"}}, "registered"}.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from typing import Any

from kazoo.client import KazooClient
from kazoo.recipe.watchers import ChildrenWatch

from lab.clock import now_ns
from lab.history import SharedRecorder
from lab.inside import control
from lab.inside.naming import events_folder, numbered
from lab.inside.registration import client_of, node_of, path_of
from lab.inside.ticker import Ticker


def changes(before: frozenset[str], after: frozenset[str]) -> list[tuple[str, int, bool]]:
    """(node, incarnation, present) from one list of instance IDs to the next, arrivals first."""
    there = {node_of(one) for one in after}
    arrived = [(node_of(one), int(one.rpartition("-")[2]), True) for one in sorted(after - before)]
    gone = [(node_of(one), int(one.rpartition("-")[2]), False) for one in sorted(before - after)]
    return arrived + [one for one in gone if one[0] not in there]


class Watch:
    """What one server shows."""

    def __init__(
        self, server: str, address: str, service: str, session_timeout_s: float, events: SharedRecorder
    ) -> None:
        self.server = server
        self.service = service
        self.events = events
        self.listed: frozenset[str] = frozenset()
        self.client: KazooClient = client_of([f"{address}:2181"], session_timeout_s)

    def start(self) -> None:
        """Connect, however long that takes, and watch from then on; kazoo watches again after a lost session."""
        self.client.start(timeout=600)
        self.client.ensure_path(path_of(self.service))
        ChildrenWatch(self.client, path_of(self.service), self.on_children)

    def on_children(self, children: Sequence[str]) -> None:
        """Record what came and went."""
        shown_ns = now_ns()
        listed = frozenset(children)
        for node, incarnation, present in changes(self.listed, listed):
            self.events.record(
                "registry.published",
                shown_ns,
                service=self.service,
                node=node,
                present=present,
                server=self.server,
                incarnation=incarnation,
            )
        self.listed = listed

    @property
    def nodes(self) -> list[str]:
        """The nodes that the server shows."""
        return sorted({node_of(one) for one in self.listed})


def status(watches: Sequence[Watch]) -> dict[str, Any]:
    """What every server shows, and what all of them do."""
    shown = {watch.server: {"connected": bool(watch.client.connected), "nodes": watch.nodes} for watch in watches}
    everywhere = set.intersection(*(set(watch.nodes) for watch in watches))
    return {"ok": True, "servers": shown, "registered": sorted(everywhere)}


def main() -> None:
    """Observe until the process is ended."""
    service = os.environ.get("LAB_SERVICE") or "shop"
    session_s = float(os.environ.get("LAB_SESSION_TIMEOUT_S") or 4)
    events = SharedRecorder(events_folder(), "observer")
    servers = numbered("zookeeper", int(os.environ.get("LAB_ZOOKEEPERS") or 3))
    watches = [Watch(server, address, service, session_s, events) for server, address in servers.items()]
    for watch in watches:
        threading.Thread(target=watch.start, name=watch.server, daemon=True).start()
    control.serve(lambda _: status(watches))
    Ticker(events).run()
