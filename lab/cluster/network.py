"""A free subnet for a stack, and the address of each node in it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from ipaddress import IPv4Network, ip_network
from pathlib import Path

import docker

from lab.errors import BadInput, LabError

POOL = IPv4Network("10.192.0.0/11")
"""Where the lab's subnets are taken from."""
FIRST = 10
"""The address of the first node within its subnet; .1 is the gateway."""


def free_subnets(api: docker.APIClient, key: str, nodes: int) -> Iterator[IPv4Network]:
    """Subnets for so many nodes that neither the engine nor this machine uses, in an order that `key` decides.

    Two labs with different keys rarely ask for the same one first; when they do, the engine refuses the second,
    which takes the next. Raises LabError when all are taken.
    """
    prefix = 24 if nodes <= 240 else 20
    if nodes > 4000:
        raise BadInput(f"{nodes} pods do not fit one network; 4000 do")
    used = [*_of_engine(api), *_of_host()]
    count = 1 << (prefix - POOL.prefixlen)
    start = int.from_bytes(hashlib.sha256(key.encode()).digest()[:4])
    size = 1 << (32 - prefix)
    for step in range(count):
        base = int(POOL.network_address) + (start + step) % count * size
        subnet = IPv4Network((base, prefix))
        if not any(subnet.overlaps(other) for other in used):
            yield subnet
    raise LabError(f"no free subnet in {POOL}: remove old networks (`lab clean`, `docker network ls`)")


def addresses(subnet: IPv4Network, nodes: Sequence[str]) -> dict[str, str]:
    """The address of each node, by its index; it is kept over vanish and restart."""
    return {node: str(subnet[FIRST + index]) for index, node in enumerate(nodes)}


def _of_engine(api: docker.APIClient) -> Iterator[IPv4Network]:
    for network in api.networks():
        for pool in (network.get("IPAM") or {}).get("Config") or ():
            yield from _parsed([pool.get("Subnet", "")])


def _of_host() -> Iterator[IPv4Network]:
    """The routes of this machine; harmless to know where the engine is on another one."""
    with suppress(OSError):
        for line in Path("/proc/net/route").read_text().splitlines()[1:]:
            _, target, _, _, _, _, _, mask, *_ = line.split()
            network, bits = (int.from_bytes(bytes.fromhex(word), "little") for word in (target, mask))
            if bits:  # not the default route, which is everywhere
                yield IPv4Network((network, bits.bit_count()), strict=False)


def _parsed(texts: Iterable[str]) -> Iterator[IPv4Network]:
    for text in texts:
        with suppress(ValueError):
            network = ip_network(text, strict=False)
            if isinstance(network, IPv4Network):
                yield network
