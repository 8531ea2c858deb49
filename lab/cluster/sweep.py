"""Removes what runs left on the engine: containers, networks and volumes with their label, and nothing else."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import docker
import requests
from docker.errors import APIError, NotFound

from lab.cluster.connection import connect
from lab.cluster.lock import hold_run
from lab.errors import EngineLost
from lab.wait import TimedOut, wait_until

RUN = "lab.run"
ARM = "lab.arm"
THREADS = 12
STUBBORN_S = 20.0
"""A sweep that still finds the same things after this long gives up."""


def sweep_run(run: str, *, arm: str = "", kept: Collection[str] = (), quiet_s: float = 0.0) -> int:
    """Remove everything of a run (or one arm of it, or all but the `kept` arms); returns how many things that were.

    Goes on until nothing was found for `quiet_s`. Raises EngineMissing or EngineLost where the engine does not
    answer, TimedOut never: what cannot be removed is left for `lab clean`.
    """
    labels = [f"{RUN}={run}", *([f"{ARM}={arm}"] if arm else [])]
    client = connect(timeout_s=20)
    removed = 0
    quiet_since = time.monotonic()

    def quiet() -> bool:
        nonlocal removed, quiet_since
        found, gone = _pass(client.api, labels, kept)
        removed += gone
        if found:
            quiet_since = time.monotonic()
            return False
        return time.monotonic() - quiet_since >= quiet_s

    try:
        with suppress(TimedOut):
            wait_until(quiet, timeout_s=STUBBORN_S + quiet_s, every_s=0.1)
    except (requests.RequestException, OSError) as error:
        raise EngineLost(f"the engine stopped answering while run {run} was removed; mend: `lab clean`") from error
    finally:
        client.close()
    return removed


def clean() -> tuple[dict[str, int], list[str]]:
    """Remove what every run left whose lab is dead.

    Returns how many things of which run were removed, and the runs whose lab is alive, which are not touched.
    """
    removed: dict[str, int] = {}
    alive: list[str] = []
    for run in runs():
        lock = hold_run(run)
        if lock is None:
            alive.append(run)
            continue
        try:
            removed[run] = sweep_run(run)
        finally:
            lock.close(remove=True)
    return removed, alive


def runs() -> list[str]:
    """Every run of which there is anything on the engine, in alphabetical order."""
    client = connect(timeout_s=20)
    try:
        labels = [thing.get("Labels") or {} for listing in _listings(client.api, [RUN]) for thing in listing]
    finally:
        client.close()
    return sorted({label[RUN] for label in labels if label.get(RUN)})


def _listings(api: docker.APIClient, labels: Sequence[str]) -> tuple[list[dict[str, Any]], ...]:
    filters = {"label": list(labels)}
    return (
        api.containers(all=True, filters=filters),
        api.networks(filters=filters),
        api.volumes(filters=filters)["Volumes"] or [],
    )


def _pass(api: docker.APIClient, labels: Sequence[str], kept: Collection[str]) -> tuple[int, int]:
    """One round: how many things were found, and how many of them could be removed."""
    containers, networks, volumes = (
        [thing for thing in listing if (thing.get("Labels") or {}).get(ARM) not in kept]
        for listing in _listings(api, labels)
    )
    # Hosts first: a server ends with the namespaces of its host.
    containers.sort(key=lambda thing: thing["Labels"].get("lab.part") != "host")
    gone = 0
    with ThreadPoolExecutor(THREADS) as pool:
        gone += sum(pool.map(lambda c: _gone(lambda: api.remove_container(c["Id"], force=True, v=True)), containers))
        gone += sum(pool.map(lambda n: _gone(lambda: api.remove_network(n["Id"])), networks))
        gone += sum(pool.map(lambda v: _gone(lambda: api.remove_volume(v["Name"])), volumes))
    return len(containers) + len(networks) + len(volumes), gone


def _gone(remove: Callable[[], object]) -> bool:
    try:
        remove()
    except NotFound:
        return False
    except APIError:
        return False  # being removed by somebody else, or still in use: the next round sees
    return True
