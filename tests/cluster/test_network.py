"""A free subnet, and addresses by index."""

from __future__ import annotations

from ipaddress import IPv4Network
from itertools import islice
from typing import Any, cast

import docker
import pytest

from lab.cluster.network import POOL, addresses, free_subnets
from lab.errors import BadInput


class Engine:
    """As much of the engine's API as is asked: its networks."""

    def __init__(self, *subnets: str) -> None:
        self._subnets = subnets

    def networks(self) -> list[dict[str, Any]]:
        return [{"IPAM": {"Config": [{"Subnet": subnet}]}} for subnet in self._subnets] + [{"IPAM": {"Config": None}}]


def subnets(engine: Engine, key: str, nodes: int = 13, count: int = 3) -> list[IPv4Network]:
    return list(islice(free_subnets(cast(docker.APIClient, engine), key, nodes), count))


def test_used_subnets_are_not_offered() -> None:
    """Neither the one that is used nor one inside a larger one."""
    first = subnets(Engine(), "key")[0]
    assert first.subnet_of(POOL)
    assert first not in subnets(Engine(str(first)), "key", count=50)
    wide = first.supernet(new_prefix=16)
    assert not any(subnet.overlaps(wide) for subnet in subnets(Engine(str(wide)), "key", count=50))


def test_two_runs_ask_for_different_ones() -> None:
    """The order comes from the key, and the same key gives the same order."""
    assert subnets(Engine(), "run-1") == subnets(Engine(), "run-1")
    assert subnets(Engine(), "run-1") != subnets(Engine(), "run-2")


def test_large_stacks_get_large_subnets_and_too_large_ones_are_refused() -> None:
    """300 pods do not fit a /24; 5000 fit nothing."""
    assert subnets(Engine(), "key", 300)[0].prefixlen == 20
    with pytest.raises(BadInput, match="5000 pods"):
        subnets(Engine(), "key", 5000)


def test_addresses_go_by_index_and_leave_the_gateway_alone() -> None:
    """The first node gets .10."""
    at = addresses(IPv4Network("10.200.3.0/24"), ["ns1", "ns2"])
    assert at == {"ns1": "10.200.3.10", "ns2": "10.200.3.11"}
