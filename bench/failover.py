"""Seconds from a crashed primary to a judged trial, on a stack that runs: hold, heal, settle, read, rejoin, judge.

Six trials of `primary_crash`'s asynchronous arm, real servers, reports written after every trial. Prints JSON.
"""

from __future__ import annotations

import json
import tempfile
import threading
import time
from pathlib import Path
from statistics import median

from lab.catalogue import load
from lab.cluster import DockerCluster
from lab.plan import make_plan
from lab.protocols import Fields
from lab.report import html, terminal
from lab.running import conduct
from lab.store import RunFolder

REPEATS = 6
GOAL_S = 10.0


def measure(repeats: int = REPEATS) -> list[float]:
    """Of each trial, from the beginning of its strike phase (half a second before the crash) to its judgement."""
    script = load("primary_crash")
    plan = make_plan(script.scenario, "7", ["async"], repeats, name=script.name, source=script.source)
    struck: list[float] = []
    judged: list[float] = []

    def tell(report: Fields) -> None:
        if report["what"] == "phase" and report["name"] == "strike" and len(struck) == len(judged):
            struck.append(time.monotonic())
        elif report["what"] == "judged" and len(struck) > len(judged):
            judged.append(time.monotonic())

    with tempfile.TemporaryDirectory() as folder, DockerCluster(progress=tell) as cluster:
        out = RunFolder.create(plan.name, plan.seed, out=Path(folder) / "run")
        stop = threading.Event()
        conduct(plan, out, cluster=cluster, progress=tell, stop=stop, page=html.render, text=terminal.text)
    return [end - begin for begin, end in zip(struck, judged, strict=True)]


if __name__ == "__main__":
    each = measure()
    value = median(each)
    print(json.dumps({"seconds": round(value, 2), "goal": GOAL_S, "each": [round(one, 2) for one in each]}))
