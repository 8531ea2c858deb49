"""A small stack on the real engine, for the tests of the cluster room."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.cluster import DockerCluster
from lab.cluster.stack import PodStack

PAIR = str(Path(__file__).parent / "pair.yaml")
"""server1 and server2 (an HTTP server on port 8080), and `waiting`, whose server is left unstarted."""


@pytest.fixture(scope="module")
def cluster() -> Iterator[DockerCluster]:
    """A cluster that does not wait for others: nothing is measured here."""
    with DockerCluster(progress=lambda _: None, share=True) as door:
        yield door


@pytest.fixture(scope="module")
def pair(cluster: DockerCluster) -> PodStack:
    """The stack of pair.yaml, up."""
    return cluster.up("pair", [PAIR], {})
