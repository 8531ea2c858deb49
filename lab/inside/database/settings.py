"""What a server is told by its environment, and the configuration that follows from it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field

from lab.inside.database.places import LINK, LINK_PORT, PORT
from lab.inside.naming import address_of, numbered, own_address

ROLE = "postgres"
FIRST = "postgres1"


@dataclass(frozen=True, slots=True)
class Settings:
    """The stack's settings as this server sees them. `addresses`: of every server, by node."""

    node: str
    addresses: Mapping[str, str]
    link: str = ""
    """The address of the replication link's proxy; empty where there is none."""
    replication: str = "async"
    sync_standbys: int = 1
    sync_method: str = "any"
    commit: str = "on"
    max_connections: int = 100
    manager: str = "none"
    nodes: Mapping[str, str] = field(default_factory=dict, init=False)
    """The node that is behind an upstream's host, the link's too."""

    def __post_init__(self) -> None:
        nodes = {address: node for node, address in self.addresses.items()} | {node: node for node in self.addresses}
        if self.link:
            nodes |= {self.link: "postgres1", LINK: FIRST}
        object.__setattr__(self, "nodes", nodes)

    @property
    def first(self) -> str:
        """The server that is the primary at the start of a trial."""
        return FIRST

    @property
    def others(self) -> tuple[str, ...]:
        """The other servers, in order of their number."""
        return tuple(node for node in self.addresses if node != self.node)

    @property
    def patroni(self) -> bool:
        """Whether Patroni runs the server."""
        return self.manager == "patroni"


def read_settings(environment: Mapping[str, str] = os.environ) -> Settings:
    """Settings from LAB_*; waits for the addresses of all servers. Raises OSError when they stay unknown."""
    addresses = numbered(ROLE, int(environment.get("LAB_POSTGRES") or 3))
    own = own_address()
    by_address = {address: node for node, address in addresses.items()}
    return Settings(
        node=environment.get("LAB_NODE") or by_address[own],
        addresses=addresses,
        link=address_of(LINK) if environment.get("LAB_LAG_MS") else "",
        replication=environment.get("LAB_REPLICATION") or "async",
        sync_standbys=int(environment.get("LAB_SYNC_STANDBYS") or 1),
        sync_method=environment.get("LAB_SYNC_METHOD") or "any",
        commit=environment.get("LAB_COMMIT") or "on",
        max_connections=int(environment.get("LAB_MAX_CONNECTIONS") or 100),
        manager=environment.get("LAB_MANAGER") or "none",
    )


def synchronous_standby_names(settings: Settings) -> str:
    """Every other server, so that the setting is right on whichever becomes the primary; empty: asynchronous."""
    if settings.replication != "sync":
        return ""
    return f"{settings.sync_method.upper()} {settings.sync_standbys} ({', '.join(settings.others)})"


def primary_conninfo(settings: Settings, upstream: str) -> str:
    """How this server's WAL receiver reaches a node: straight, or through the link where that is postgres1."""
    host, port = settings.addresses[upstream], PORT
    if settings.link and upstream == settings.first:
        host, port = settings.link, LINK_PORT
    return (
        f"host={host} port={port} user=repl application_name={settings.node} "
        # No negotiation of what is not there; 2 s is the least that libpq takes.
        "sslmode=disable gssencmode=disable connect_timeout=2"
    )


def lab_conf(settings: Settings, upstream: str | None) -> str:
    """lab.conf: what postgresql.conf of the image leaves open. `upstream` None: a primary."""
    lines = [
        "# Written by the lab at each start of this server.",
        f"cluster_name = '{settings.node}'",
        f"max_connections = {settings.max_connections}",
        f"synchronous_commit = {settings.commit}",
        f"synchronous_standby_names = '{synchronous_standby_names(settings)}'",
    ]
    if upstream is not None:
        lines.append(f"primary_conninfo = '{primary_conninfo(settings, upstream)}'")
    return "\n".join(lines) + "\n"
