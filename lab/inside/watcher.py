"""Watches Patroni's leader key in ZooKeeper, and can make ZooKeeper forget the cluster.

It has a session of its own, and looks at nothing that would prolong Patroni's. Events (writer watcher):
leader.key {leader, session} at the instant at which ZooKeeper's news had come: the node that holds the key, or null,
and the session that keeps it (hexadecimal, as ZooKeeper's own log writes it); lag and stall.
Control: {"do": "status"} -> {"ok", "connected", "leader"}
         {"do": "forget"} -> {"ok", "there"}: deletes the cluster's whole tree, the leader key with it; `there` false
                             when there was none. To be asked while no Patroni runs: one that does writes it again.
"""

from __future__ import annotations

import os
import threading
from typing import Any

from kazoo.client import KazooClient, KazooState
from kazoo.exceptions import KazooException, NoNodeError, NotEmptyError
from kazoo.recipe.watchers import DataWatch

from lab.clock import now_ns
from lab.history import SharedRecorder
from lab.inside import control
from lab.inside.naming import events_folder, numbered
from lab.inside.registration import client_of
from lab.inside.ticker import Ticker

CLUSTER = "/service/lab"
"""Patroni's namespace and scope: lab.inside.database.patroni writes them into its configuration."""
KEY = f"{CLUSTER}/leader"
SESSION_S = 4.0
TRIES = 20
CONNECT_S = 15.0
"""A stack that has just come up has no quorum yet; whoever wants to begin waits for it anyway."""


class Watcher:
    """The last that ZooKeeper said about the leader key."""

    def __init__(self, client: KazooClient, events: SharedRecorder) -> None:
        self.client = client
        self.events = events
        self.leader: str | None = None
        self.connected = threading.Event()
        client.add_listener(self._on_state)
        self._known: tuple[str | None, str | None] | None = None

    def watch(self) -> None:
        """Watch from now on; kazoo watches again after a lost session."""
        DataWatch(self.client, KEY, self.on_key)

    def on_key(self, value: bytes | None, stat: Any, event: Any = None) -> None:
        """Record who holds the key now, when that or the session behind it changed."""
        shown_ns = now_ns()
        leader = value.decode(errors="replace") if stat is not None and value else None
        session = f"0x{stat.ephemeralOwner & (1 << 64) - 1:x}" if stat is not None else None
        if (leader, session) == self._known:
            return
        self._known = (leader, session)
        self.leader = leader
        self.events.record("leader.key", shown_ns, leader=leader, session=session)

    def _on_state(self, state: str) -> None:
        (self.connected.set if state == KazooState.CONNECTED else self.connected.clear)()

    def answer(self, message: dict[str, Any]) -> dict[str, Any]:
        """The control socket's commands."""
        match message.get("do"):
            case "status":
                return {"ok": True, "connected": self.connected.is_set(), "leader": self.leader}
            case "forget":
                return self.forget()
        raise ValueError(f"do={message.get('do')!r}: status or forget")

    def forget(self) -> dict[str, Any]:
        """Delete the tree, as soon as ZooKeeper answers. Who is still alive may add to it meanwhile: then again."""
        if not self.connected.wait(CONNECT_S):
            return {"ok": False, "error": f"ZooKeeper did not answer within {CONNECT_S:g} s"}
        try:
            there = self.client.exists(CLUSTER) is not None
            for _ in range(TRIES):
                try:
                    self.client.delete(CLUSTER, recursive=True)
                except NotEmptyError:
                    continue
                except NoNodeError:
                    pass
                if self.client.exists(CLUSTER) is None:
                    return {"ok": True, "there": there}
        except KazooException as error:
            return {"ok": False, "error": repr(error)}
        return {"ok": False, "error": f"{CLUSTER} is written again and again: some Patroni runs"}


def main() -> None:
    """Watch until the process is ended."""
    events = SharedRecorder(events_folder(), "watcher")
    servers = numbered("zookeeper", int(os.environ.get("LAB_ZOOKEEPERS") or 3))
    client = client_of([f"{address}:2181" for address in servers.values()], SESSION_S)
    watcher = Watcher(client, events)
    control.serve(watcher.answer)
    client.start(timeout=600)
    watcher.watch()
    Ticker(events).run()
