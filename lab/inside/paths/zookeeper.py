"""The primary's name in ZooKeeper: a watched znode with {"node", "address", "port", "timeline"} as JSON.

While the connection to ZooKeeper is suspended the last word stays: that is what clients do.
"""

from __future__ import annotations

import json
import logging
import os
from random import Random
from typing import Any

from gevent.event import Event
from kazoo.client import KazooClient
from kazoo.handlers.gevent import SequentialGeventHandler
from kazoo.recipe.watchers import DataWatch

from lab.inside.paths import Learned, Servers, Target, Unknown
from lab.inside.routes import known

DEFAULTS: dict[str, Any] = {"hosts": "", "path": "/databases/lab/primary", "session_timeout_s": 4.0}

logging.getLogger("kazoo").setLevel(logging.ERROR)


def ensemble() -> str:
    """Every server of the stack's ensemble, as kazoo takes them."""
    count = int(os.environ.get("LAB_ZOOKEEPERS") or 1)
    return ",".join(f"zookeeper{number}:2181" for number in range(1, count + 1))


def read(data: bytes | None) -> tuple[Target | None, str]:
    """Where the znode's content sends a client, or None and why."""
    if not data:
        return None, "zookeeper: nobody is the primary"
    try:
        told = json.loads(data)
        return Target(((told["node"], told["address"]),), int(told["port"])), ""
    except (ValueError, KeyError, TypeError) as error:
        return None, f"zookeeper: {error!r}"


class ZooKeeper:
    """Settings: hosts ("zookeeper1:2181,..."; empty: the stack's), path of the znode, session_timeout_s."""

    def __init__(self, rng: Random, learned: Learned, settings: dict[str, Any]) -> None:
        self._settings = known(settings, DEFAULTS)
        hosts = (self._settings["hosts"] or ensemble()).split(",")
        rng.shuffle(hosts)
        self._learned = learned
        self._found: Target | None = None
        self._why = "zookeeper: not connected yet"
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
        self._client.start_async().wait()
        DataWatch(self._client, self._settings["path"], self._told)
        Event().wait()

    def _told(self, data: bytes | None, *_: object) -> None:
        before = self._found
        self._found, self._why = read(data)
        if self._found != before:
            self._learned(self._found.hosts[0][0] if self._found is not None else None)

    def target(self) -> Target:
        """What the znode says."""
        if self._found is None:
            raise Unknown(self._why)
        return self._found

    def close(self) -> None:
        """End the session."""
        self._client.stop()
        self._client.close()


def make(_servers: Servers, rng: Random, learned: Learned, settings: dict[str, Any]) -> ZooKeeper:
    """The path of one route."""
    return ZooKeeper(rng, learned, settings)
