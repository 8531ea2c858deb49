"""ZooKeeper's client: an own session, a watch on the service's node, the instances' data as Curator writes it.

A view is recorded when the data of every child is there. While the connection is suspended the last view stays: that
is what clients do. Children of one node (an old incarnation's and a new one's) are one instance.
"""

from __future__ import annotations

import json
import logging
from random import Random
from typing import Any

import gevent
from gevent.event import Event
from kazoo.client import KazooClient
from kazoo.exceptions import KazooException, NoNodeError
from kazoo.handlers.gevent import SequentialGeventHandler
from kazoo.protocol.states import KazooState
from kazoo.recipe.watchers import ChildrenWatch

from lab.inside.pick import Instance
from lab.inside.routes import known
from lab.inside.views import ClientView

DEFAULTS: dict[str, Any] = {"hosts": "zookeeper1:2181", "path": "/services/shop", "session_timeout_s": 2.0}

RETRY_S = 0.2
"""After which an instance that could not be read is asked for again."""

logging.getLogger("kazoo").setLevel(logging.ERROR)


class ZooKeeper:
    """Settings: hosts ("zookeeper1:2181,..."), path of the service's node, session_timeout_s."""

    def __init__(self, view: ClientView, rng: Random, settings: dict[str, Any]) -> None:
        self._view = view
        self._settings = known(settings, DEFAULTS)
        hosts = str(self._settings["hosts"]).split(",")
        rng.shuffle(hosts)
        self._known: dict[str, Instance] = {}
        self._children: list[str] = []
        self._client = KazooClient(
            hosts=",".join(hosts),
            timeout=self._settings["session_timeout_s"],
            handler=SequentialGeventHandler(),
            randomize_hosts=False,
            connection_retry={"max_tries": -1, "delay": 0.05, "backoff": 2, "max_delay": 1.0},
            command_retry={"max_tries": -1, "delay": 0.02, "backoff": 2, "max_delay": 0.5},
        )

    def run(self) -> None:
        """Connect, watch, and let the watch work until the greenlet is killed."""
        self._client.add_listener(self._told_state)
        self._client.start_async().wait()
        path = self._settings["path"]
        if not self._client.retry(self._client.exists, path):
            self._client.retry(self._client.ensure_path, path)  # nobody has registered yet
        ChildrenWatch(self._client, path, self._changed)
        Event().wait()

    def close(self) -> None:
        """End the session; its ephemeral nodes (none) and watches go with it."""
        self._children = []
        self._client.remove_listener(self._told_state)
        self._client.stop()
        self._client.close()

    def _told_state(self, state: str) -> None:
        if state != KazooState.CONNECTED:
            gevent.spawn(self._view.fail, f"session {state.lower()}")

    def _changed(self, children: list[str]) -> None:
        self._children = children
        fresh = [child for child in children if child not in self._known]
        asked = [(child, self._client.get_async(f"{self._settings['path']}/{child}")) for child in fresh]
        for child, answer in asked:
            try:
                data, _ = answer.get(timeout=self._settings["session_timeout_s"])
                self._known[child] = _instance(child, data)
            except NoNodeError:
                continue  # it left while we asked; the watch tells
            except (ValueError, KeyError) as error:
                self._view.fail(f"{child}: {error!r}")
            except (KazooException, SequentialGeventHandler.timeout_exception) as error:
                self._view.fail(f"{child}: {error!r}")
                gevent.spawn_later(RETRY_S, self._again, children)
        self._known = {child: self._known[child] for child in children if child in self._known}
        self._view.replace(collapsed(self._known))

    def _again(self, children: list[str]) -> None:
        """Read what could not be read; the watch does not call again for the same children."""
        if children is self._children:
            self._changed(children)


def _instance(child: str, data: bytes) -> Instance:
    told = json.loads(data)
    return Instance(child.rpartition("-")[0] or child, told["address"], int(told["port"]))


def collapsed(children: dict[str, Instance]) -> list[Instance]:
    """One instance a node: the one of its highest incarnation ("backend3-2" after "backend3-1")."""
    latest: dict[str, tuple[int, Instance]] = {}
    for child, instance in children.items():
        incarnation = child.rpartition("-")[2]
        number = int(incarnation) if incarnation.isdigit() else 0
        if instance.node not in latest or latest[instance.node][0] < number:
            latest[instance.node] = (number, instance)
    return [instance for _, (_, instance) in sorted(latest.items())]


def make(view: ClientView, rng: Random, settings: dict[str, Any]) -> ZooKeeper:
    """The route of one client."""
    return ZooKeeper(view, rng, settings)
