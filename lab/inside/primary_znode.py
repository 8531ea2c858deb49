"""A database's primary in ZooKeeper: a plain node that outlives whoever wrote it, set anew at every change.

/databases/lab/primary    {"node": "postgres2", "address": "10.99.0.12", "port": 5432, "timeline": 2}
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import orjson
from kazoo.exceptions import KazooException, NoNodeError

from lab.inside.primary_choice import Primary
from lab.inside.registration import client_of

PATH = "/databases/lab/primary"
PORT = 5432
TRY_S = 1.0


class Failed(Exception):
    """ZooKeeper did not acknowledge it in time; it may have taken it all the same."""


class Znode:
    """The node, and a session of one's own to write it with."""

    server = "zookeeper"

    def __init__(self, servers: Sequence[str], session_timeout_s: float) -> None:
        self._client = client_of(servers, session_timeout_s)
        self._client.start_async()

    async def put(self, found: Primary) -> None:
        """Say it; returns when it is acknowledged. Raises Failed."""
        data = {"node": found.node, "address": found.address, "port": PORT, "timeline": found.timeline}
        await asyncio.to_thread(self._put, orjson.dumps(data))

    def _put(self, data: bytes) -> None:
        try:
            try:
                self._client.set_async(PATH, data).get(timeout=TRY_S)
            except NoNodeError:
                self._client.create_async(PATH, data, makepath=True).get(timeout=TRY_S)
        except (KazooException, self._client.handler.timeout_exception) as error:
            raise Failed(str(error) or type(error).__name__) from error
