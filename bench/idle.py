"""Seconds of a trial in which no question is open: reset and ready before it, final, collect and judge after it.

Ten repeats of the demo's ZooKeeper arm, real servers, reports written after every trial. Prints JSON.
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

REPEATS = 10
GOAL_S = 2.0


def measure(repeats: int = REPEATS) -> list[float]:
    """Idle seconds of each trial."""
    script = load("backend_crash")
    plan = make_plan(script.scenario, "7", ["zookeeper"], repeats, name=script.name, source=script.source)
    marks: list[tuple[str, float]] = []

    def tell(report: Fields) -> None:
        what = report["name"] if report["what"] == "phase" else report["what"]
        if what in ("ready", "baseline", "final", "judged") and (not marks or marks[-1][0] != what):
            marks.append((what, time.monotonic()))

    with tempfile.TemporaryDirectory() as folder, DockerCluster(progress=tell) as cluster:
        out = RunFolder.create(plan.name, plan.seed, out=Path(folder) / "run")
        stop = threading.Event()
        conduct(plan, out, cluster=cluster, progress=tell, stop=stop, page=html.render, text=terminal.text)
    idle: list[float] = []
    names = [name for name, _ in marks]
    times = [at for _, at in marks]
    for index in range(0, len(marks) - 3, 4):
        assert names[index : index + 4] == ["ready", "baseline", "final", "judged"], names
        ready, baseline, final, judged = times[index : index + 4]
        idle.append((baseline - ready) + (judged - final))
    return idle


if __name__ == "__main__":
    each = measure()
    value = median(each)
    print(json.dumps({"seconds": round(value, 2), "goal": GOAL_S, "each": [round(one, 2) for one in each]}))
