"""The only door to containers. Light on import: the janitor comes through here, and most of it is never needed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lab.cluster.cluster import DockerCluster

__all__ = ["DockerCluster"]


def __getattr__(name: str) -> Any:
    if name != "DockerCluster":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from lab.cluster.cluster import DockerCluster

    return DockerCluster
