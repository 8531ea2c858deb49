"""Patroni as the keeper of this node's Postgres: its files, how it is started, and what its log lines mean.

The seam with the supervisor, in the order of a node's life:

    prepare(node, settings, data)   after the baked directory was unpacked into `data`, before Patroni starts
    its_turn(node)                  False while another node must lead first; only for a fresh cluster
    command(), environment()        Patroni as a child; it starts and stops Postgres itself
    parse(line)                     a line of its output: (what, wall_ns), or None
    switchover(node, to)            a planned change, asked of the leader's own REST API

Patroni is never restarted here: one that dies alone leaves its Postgres unsupervised, and that is to be seen.
Its REST API has one call that must not be used before a fault: GET /cluster reads ZooKeeper, which prolongs the
session that is about to expire.
"""

from __future__ import annotations

import http.client
import os
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson

from lab.inside.database.places import BIN, DATA, ENVIRONMENT, PORT, SOCKETS

FIRST = "postgres1"
"""Who leads when a trial begins."""
REST_PORT = 8008
SCOPE = "lab"
CONFIG = DATA.parent / "patroni.yml"
"""YAML that is JSON: nothing in it needs quoting rules."""
REST_TIMEOUT_S = 0.2
SWITCHOVER_TIMEOUT_S = 10.0
"""Patroni answers a switchover when it is over, or when it gave up."""

_STAMP = re.compile(r"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d),(\d{3}) [A-Z]+: ")
_MEANINGS = (
    ("promoted", re.compile(r"promoted self to leader")),
    ("demoting", re.compile(r"[Dd]emoting self")),
    ("restarting", re.compile(r"starting primary after failure|starting as readonly because i had")),
    ("lock_lost", re.compile(r"failed to update leader lock|demoted self because failed to update leader lock")),
)
"""How a line begins: what it says is said again at the end of the line of every round that waits for it."""


def dynamic(settings: Mapping[str, str]) -> dict[str, Any]:
    """The cluster-wide configuration, from the lab's settings; the first leader publishes it."""
    method = settings.get("LAB_SYNC_METHOD") or "any"
    synchronous: bool | str = False
    if settings.get("LAB_REPLICATION") == "sync":
        # Patroni names one standby after another (FIRST) or a quorum of them (ANY).
        synchronous = True if method == "first" else "quorum"
    return {
        "ttl": int(settings.get("LAB_TTL_S_PATRONI") or 20),
        "loop_wait": int(settings.get("LAB_LOOP_WAIT_S") or 1),
        "retry_timeout": int(settings.get("LAB_RETRY_TIMEOUT_S") or 3),
        "maximum_lag_on_failover": 1 << 20,
        "synchronous_mode": synchronous,
        "synchronous_node_count": int(settings.get("LAB_SYNC_STANDBYS") or 1),
        "postgresql": {
            "use_pg_rewind": True,
            # With slots a standby streams only after the leader's next round has made its slot.
            "use_slots": False,
            "parameters": parameters(settings),
        },
    }


def parameters(settings: Mapping[str, str]) -> dict[str, Any]:
    """What Patroni hands to Postgres on its command line whatever a file says, and what depends on the stack."""
    return {
        "wal_level": "replica",
        "hot_standby": "on",
        "wal_log_hints": "on",
        "max_connections": int(settings.get("LAB_MAX_CONNECTIONS") or 100),
        "max_wal_senders": 10,
        "max_replication_slots": 10,
        "wal_keep_size": "256MB",
        "synchronous_commit": settings.get("LAB_COMMIT") or "on",
    }


def configuration(node: str, zookeepers: Sequence[str], data: Path = DATA) -> dict[str, Any]:
    """patroni.yml of one node; `zookeepers` are "host:port". Postgres' own files, as baked, are the base."""
    return {
        "scope": SCOPE,
        "namespace": "/service/",
        "name": node,
        "log": {"level": "INFO", "format": "%(asctime)s %(levelname)s: %(message)s"},
        "restapi": {"listen": f"0.0.0.0:{REST_PORT}", "connect_address": f"{node}:{REST_PORT}"},
        "zookeeper": {"hosts": list(zookeepers)},
        "postgresql": {
            "listen": f"0.0.0.0:{PORT}",
            "connect_address": f"{node}:{PORT}",
            "data_dir": str(data),
            "bin_dir": str(BIN),
            "pgpass": "/tmp/patroni.pgpass",
            "authentication": {
                "superuser": {"username": "postgres"},
                "replication": {"username": "repl"},
                "rewind": {"username": "rewind"},
            },
            "parameters": {"unix_socket_directories": str(SOCKETS)},
        },
        "watchdog": {"mode": "off"},
    }


def prepare(node: str, settings: Mapping[str, str], data: Path = DATA, config: Path = CONFIG) -> None:
    """Write Patroni's files for a freshly unpacked data directory; `settings` are the LAB_ variables.

    What lies in `data` is given to its owner: pg_rewind overwrites it, and fails half-way where it may not.
    """
    count = int(settings.get("LAB_ZOOKEEPERS") or 3)
    zookeepers = [f"zookeeper{number}:2181" for number in range(1, count + 1)]
    _write(config, configuration(node, zookeepers, data))
    # What a configuration file says of the whole cluster is not read where a data directory exists: this is.
    _write(data / "patroni.dynamic.json", dynamic(settings))
    (data / "lab.conf").touch()  # postgresql.conf includes it: the supervisor's, where there is no Patroni
    owner = data.stat()
    for name in ("patroni.dynamic.json", "lab.conf"):
        os.chown(data / name, owner.st_uid, owner.st_gid)


def command(config: Path = CONFIG) -> list[str]:
    """Patroni's command line; to be started as user postgres."""
    return ["/usr/bin/patroni", str(config)]


def environment() -> dict[str, str]:
    """Patroni's environment; Debian's Python runs it, so nothing of the lab's own is on its path."""
    return {**ENVIRONMENT, "TZ": "UTC", "PYTHONUNBUFFERED": "1"}


def its_turn(node: str, first: str = FIRST) -> bool:
    """Whether this node may join a fresh cluster: the first at once, all others when that one holds the lock."""
    return node == first or leads(first)


def leads(node: str) -> bool:
    """Whether the Patroni of a node says that it holds the lock. This reads nothing from ZooKeeper."""
    try:
        return _ask(node, "OPTIONS", "/primary", None, REST_TIMEOUT_S)[0] == 200
    except (OSError, http.client.HTTPException):
        return False


def switchover(node: str, to: str = "") -> tuple[bool, str]:
    """Ask the Patroni of `node`, the leader, to hand over to `to`, or to whom it likes: (done, what it said).

    It answers when the new leader has taken the lock. Raises OSError where nobody answers.
    """
    wanted = {"leader": node} | ({"candidate": to} if to else {})
    status, said = _ask("127.0.0.1", "POST", "/switchover", wanted, SWITCHOVER_TIMEOUT_S)
    return status == 200, said


def parse(line: str) -> tuple[str, int] | None:
    """What a line of Patroni's output says, and its own stamp in ns since 1970: promoted | demoting | restarting |
    lock_lost; None for all others, Postgres' own among them."""
    stamp = _STAMP.match(line)
    if stamp is None:
        return None
    for what, pattern in _MEANINGS:
        if pattern.match(line, stamp.end()):
            second = datetime.strptime(stamp[1], "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC)
            return what, int(second.timestamp()) * 1_000_000_000 + int(stamp[2]) * 1_000_000
    return None


def _ask(node: str, method: str, path: str, body: object, timeout_s: float) -> tuple[int, str]:
    connection = http.client.HTTPConnection(node, REST_PORT, timeout=timeout_s)
    try:
        connection.request(method, path, None if body is None else orjson.dumps(body))
        answer = connection.getresponse()
        return answer.status, answer.read().decode(errors="replace").strip()
    finally:
        connection.close()


def _write(path: Path, content: object) -> None:
    path.write_bytes(orjson.dumps(content, option=orjson.OPT_INDENT_2) + b"\n")
    path.chmod(0o644)
