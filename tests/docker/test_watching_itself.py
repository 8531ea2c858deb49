"""The lab watches itself: what it could not see is unknown, never somebody's staleness."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from lab import Arm, HttpClients, Scenario, Strike, bound, some, worst
from lab.cluster import DockerCluster
from lab.faults import Crash
from lab.measures import dead_but_listed_s
from lab.plan import make_plan
from lab.protocols import Fields
from lab.report import html, terminal
from lab.running import conduct
from lab.store import RunFolder
from lab.systems import Scripted, Service

pytestmark = pytest.mark.docker


def test_a_load_that_stood_still_for_2_s_makes_the_trial_unknown(tmp_path: Path) -> None:
    """SIGSTOP of the load's process for 2 s while clients should notice a crash: unknown, replaced, and listed."""
    scenario = Scenario(
        arms=[Arm("scripted", Service(instances=4), Scripted(delays_s=(0.5, 1.0)))],
        load=HttpClients(count=6, rate_per_s=60),
        strikes=[Strike(Crash(), target=some("backend", 1))],
        objectives=[worst(dead_but_listed_s) <= bound()],
        repeats=1,
    )
    plan = make_plan(scenario, "7", name="stalled")
    folder = RunFolder.create(plan.name, plan.seed, out=tmp_path / "run")
    stopped: list[threading.Timer] = []

    with DockerCluster(progress=lambda _: None) as door:

        def tell(report: Fields) -> None:
            if report["what"] == "phase" and report["name"] == "hold" and not stopped:
                load = door.stacks["scripted"].nodes["clients"]
                load.tell("signal", signal="STOP", wait_s=1.0)
                stopped.append(threading.Timer(2.0, lambda: load.tell("signal", signal="CONT", wait_s=1.0)))
                stopped[0].start()

        stop = threading.Event()
        result = conduct(plan, folder, cluster=door, progress=tell, stop=stop, page=html.render, text=terminal.text)
    first, second = result.trials
    assert first.valid == "unknown"
    assert any("clients stalled for" in reason for reason in first.reasons), first.reasons
    assert result.valid_trials == (second.valid == "yes"), "the stalled trial must not count"
    assert result.answer == ("yes" if second.valid == "yes" else "unknown"), second.reasons
