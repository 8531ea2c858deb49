"""An instance registers itself in ZooKeeper, in the form of Curator's service discovery.

One ephemeral node /services/SERVICE/ID whose data is Curator's ServiceInstance as JSON. The ID is NODE-INCARNATION, so
that a restarted instance is told from the one before it, whose ephemeral node may still be there.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

import orjson
from kazoo.client import KazooClient, KazooState
from kazoo.exceptions import KazooException, NodeExistsError, NoNodeError
from kazoo.retry import KazooRetry

ROOT = "/services"
WITHDRAW_S = 5.0
"""How long a goodbye waits for ZooKeeper; without it the session expires, as after a crash."""


@dataclass(frozen=True, slots=True)
class Instance:
    """What is registered: an instance of a service at an address."""

    service: str
    node: str
    incarnation: int
    address: str
    port: int

    @property
    def id(self) -> str:
        """Unique over restarts; the node is what stands before the last hyphen."""
        return f"{self.node}-{self.incarnation}"

    def as_curator(self) -> bytes:
        """Curator's ServiceInstance (its JsonInstanceSerializer reads it); times in ms since 1970."""
        return orjson.dumps(
            {
                "name": self.service,
                "id": self.id,
                "address": self.address,
                "port": self.port,
                "sslPort": None,
                "payload": None,
                "registrationTimeUTC": time.time_ns() // 1_000_000,
                "serviceType": "DYNAMIC",
                "uriSpec": None,
            }
        )


def path_of(service: str) -> str:
    """Where the instances of a service are."""
    return f"{ROOT}/{service}"


def node_of(instance_id: str) -> str:
    """The node of an instance's ID."""
    return instance_id.rpartition("-")[0]


def client_of(servers: Sequence[str], session_timeout_s: float) -> KazooClient:
    """A client for "host:port" servers that never stops trying, and soon tries again: no lab waits for back-off."""
    forever = KazooRetry(max_tries=-1, delay=0.05, backoff=2, max_jitter=0.4, max_delay=0.5)
    return KazooClient(
        ",".join(servers), timeout=session_timeout_s, connection_retry=forever, command_retry=forever.copy()
    )


class Registration:
    """Keeps an instance registered, in kazoo's own threads, until it is withdrawn."""

    def __init__(self, servers: Sequence[str], session_timeout_s: float, instance: Instance) -> None:
        self._instance = instance
        self._path = f"{path_of(instance.service)}/{instance.id}"
        self._lock = threading.Lock()
        self._withdrawn = False
        self._client = client_of(servers, session_timeout_s)
        self._client.add_listener(self._on_state)
        self._client.start_async()

    def withdraw(self) -> None:
        """Delete the node and never register again; returns when that is acknowledged, or given up after a while."""
        self._withdrawn = True
        # Without ZooKeeper a registration waits for it, lock in hand.
        if not self._lock.acquire(timeout=WITHDRAW_S):
            print("registration: not withdrawn, for it never came about", file=sys.stderr)
            return
        try:
            self._client.delete_async(self._path).get(timeout=WITHDRAW_S)
        except NoNodeError:
            pass
        except (KazooException, self._client.handler.timeout_exception) as error:
            print(f"registration: not withdrawn, its session will expire: {error!r}", file=sys.stderr)
        finally:
            self._lock.release()

    def close(self) -> None:
        """End the session."""
        self._client.stop()

    def _on_state(self, state: str) -> None:
        # This runs in the thread that reads from ZooKeeper: whatever waits for an answer must run in another.
        # After a suspension with the same session the node is still there, and registering again changes nothing.
        if state == KazooState.CONNECTED:
            self._client.handler.spawn(self._register)

    def _register(self) -> None:
        with self._lock:
            if self._withdrawn:
                return
            try:
                self._client.create(self._path, self._instance.as_curator(), ephemeral=True, makepath=True)
            except NodeExistsError:
                self._take_over()
            except KazooException as error:
                # The connection went away again; the next CONNECTED comes back here.
                print(f"registration: {error!r}", file=sys.stderr)

    def _take_over(self) -> None:
        """The node is there: leave it if it is this session's, else (an earlier one's, not yet expired) replace it."""
        found = self._client.exists(self._path)
        mine = self._client.client_id[0] if self._client.client_id else None
        if found is not None and found.owner_session_id == mine:
            return
        with suppress(NoNodeError):
            self._client.delete(self._path)
        self._client.create(self._path, self._instance.as_curator(), ephemeral=True, makepath=True)
