"""A stack of the lab from nothing to ready, against `docker compose up -d --wait` of the same plain services.

Ours: pods (twice the containers), agents attached, and every system says that it lacks nothing. Theirs: the same
compose files, health checks at 300 ms. They take turns, three times each; the ratio is of the medians. Prints JSON.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from lab.catalogue import load
from lab.cluster import DockerCluster
from lab.protocols import Fields
from lab.scenario import Arm, Scenario
from lab.share import share
from lab.wait import wait_until

GOAL = 0.9
TURNS = 3


def ours(scenario: Scenario, arm: Arm) -> float:
    """Seconds until a stack of pods is ready; images are there and the engine is free before the clock starts."""

    def quiet(_: Fields) -> None:
        pass

    with DockerCluster(progress=quiet) as cluster:
        begun = time.monotonic()
        files = [*arm.compose_files, *scenario.load.compose_files]
        stack = cluster.up(arm.name, files, {**arm.environment, "LAB_SEED": "7"})
        wait_until(lambda: not any(system.lacking(stack) for system in arm.systems), timeout_s=60)
        return time.monotonic() - begun


def theirs(scenario: Scenario, arm: Arm) -> float:
    """Seconds of `docker compose up -d --wait` of the same services."""
    files = [*(share("compose") / name for name in (*arm.compose_files, *scenario.load.compose_files))]
    with tempfile.TemporaryDirectory() as folder:
        health = Path(folder) / "health.json"
        health.write_text(json.dumps(_health_of(arm, scenario)))
        named = [word for file in (*files, health) for word in ("-f", str(file))]
        command = ["docker", "compose", "-p", "boring-lab-bench", *named]
        environment = {**os.environ, **arm.environment, "LAB_SEED": "7"}
        begun = time.monotonic()
        try:
            subprocess.run(
                [*command, "up", "-d", "--wait"], env=environment, check=True, capture_output=True, timeout=180
            )
            return time.monotonic() - begun
        finally:
            subprocess.run([*command, "down", "-v", "-t", "0"], env=environment, check=False, capture_output=True)


def _health_of(arm: Arm, scenario: Scenario) -> Fields:
    """A health check for every service, at 300 ms: the port that says it serves, or its control socket."""
    checks = {
        "backend": "exec 3<>/dev/tcp/127.0.0.1/8080",
        "ns1": "exec 3<>/dev/tcp/127.0.0.1/53",
        "ns2": "exec 3<>/dev/tcp/127.0.0.1/53",
        "resolver": "exec 3<>/dev/tcp/127.0.0.1/53",
        "zookeeper": "exec 3<>/dev/tcp/127.0.0.1/2181; echo srvr >&3; grep -q Mode <&3",
    }
    roles = {role for _, role in (*arm.nodes, *scenario.load.nodes)} | {node for node, _ in arm.nodes}
    listening = "grep -q lab-control /proc/net/unix"
    names = {name for name in roles if name in checks} | (roles & {"registrar", "observer", "clients"})
    return {
        "services": {
            name: {
                "healthcheck": {
                    "test": ["CMD", "bash", "-c", checks.get(name, listening)],
                    "interval": "300ms",
                    "timeout": "2s",
                    "retries": 200,
                }
            }
            for name in names
        }
    }


def main() -> Fields:
    """Both arms of the demo, in turns."""
    scenario = load("backend_crash").scenario
    figures: Fields = {"goal": GOAL}
    ratios = []
    for arm in scenario.arms:
        mine: list[float] = []
        plain: list[float] = []
        for _ in range(TURNS):
            mine.append(ours(scenario, arm))
            plain.append(theirs(scenario, arm))
        ratios.append(median(mine) / median(plain))
        figures[arm.name] = {"ours_s": [round(s, 2) for s in mine], "compose_s": [round(s, 2) for s in plain]}
    figures["ratio"] = round(max(ratios), 3)
    return figures


if __name__ == "__main__":
    print(json.dumps(main()))
    sys.exit(0)
