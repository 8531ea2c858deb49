"""Known truths that the lab must recover from real servers before anybody may believe its other numbers."""

from __future__ import annotations

import json
import subprocess
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from scipy import stats

from lab import Arm, HttpClients, Scenario, Strike, bound, some, total, worst
from lab.cluster import DockerCluster
from lab.faults import Crash, GracefulStop
from lab.measures import dead_but_listed_s, false_removals, leaving_but_listed_s
from lab.result import Result
from lab.store import RunFolder
from lab.systems import Dns, Scripted, Service, ZooKeeper
from lab.wait import wait_until

pytestmark = pytest.mark.docker

LabRun = Callable[..., tuple[Result, RunFolder]]


def samples(result: Result, measure: str, arm: str = "") -> list[dict[str, Any]]:
    """The samples of a measure over all valid trials."""
    found: list[dict[str, Any]] = []
    for trial in result.trials:
        if trial.valid == "yes" and arm in ("", trial.arm):
            found += [sample for sample in trial.samples if sample["measure"] == measure]
    return found


def reasons(result: Result) -> str:
    """Why trials are unknown, for a test's message."""
    return "; ".join(f"trial {trial.trial}: {reason}" for trial in result.trials for reason in trial.reasons)


def test_a_scripted_registry_is_measured_to_within_20_ms(lab_run: LabRun) -> None:
    """Views that change exactly 0.500, 1.000 and 3.000 s after a crash are measured so, for every client."""
    delays = (0.5, 1.0, 3.0)
    scenario = Scenario(
        arms=[Arm("scripted", Service(instances=4), Scripted(delays_s=delays))],
        load=HttpClients(count=12, rate_per_s=60),
        strikes=[Strike(Crash(), target=some("backend", 2), every_s=0.7)],
        objectives=[worst(dead_but_listed_s) <= bound()],
        repeats=1,
    )
    result, _ = lab_run(scenario, seed="7")
    found = samples(result, "dead_but_listed_s")
    assert len(found) == 24, reasons(result)
    errors = {(s["client"], s["change"]): s["value"] - delays[s["client"] % 3] for s in found}
    assert max(map(abs, errors.values())) <= 0.020, errors


@pytest.mark.full
def test_clients_of_both_arms_are_right_within_the_bounds_of_their_settings(lab_run: LabRun) -> None:
    """DNS: f x interval + timeout + propagation + T + 1 + allowance, and not all inside half of it;
    ZooKeeper: between S - S/3 - 0.1 and S + tick + tick/2 + 0.3."""
    service = Service(instances=8)
    dns = Arm("dns", service, Dns(ttl_s=5, check_interval_s=1, failures_to_remove=2))
    zookeeper = Arm("zookeeper", service, ZooKeeper(session_timeout_s=2, tick_s=0.5))
    scenario = Scenario(
        arms=[dns, zookeeper],
        load=HttpClients(count=30, rate_per_s=150),
        strikes=[Strike(Crash(), target=some("backend", 4), every_s=1.25)],
        objectives=[worst(dead_but_listed_s) <= bound()],
        repeats=2,
    )
    result, _ = lab_run(scenario, seed="11")
    by_dns = [s["value"] for s in samples(result, "dead_but_listed_s", "dns")]
    by_zookeeper = [s["value"] for s in samples(result, "dead_but_listed_s", "zookeeper")]
    assert len(by_dns) == 240 and len(by_zookeeper) == 240, reasons(result)
    high = 2 * 1 + 0.3 + 0.1 + 5 + 1 + 0.1
    assert max(by_dns) <= high
    assert max(by_dns) > high / 2
    assert min(by_zookeeper) >= 2 - 2 / 3 - 0.1
    assert max(by_zookeeper) <= 2 + 0.5 + 0.25 + 0.3
    assert result.answer == "yes"


def test_a_graceful_stop_with_zookeeper_is_seen_within_100_ms(lab_run: LabRun) -> None:
    """An instance that says goodbye is out of 99 % of views within 100 ms, and nobody's request is lost."""
    scenario = Scenario(
        arms=[Arm("zookeeper", Service(instances=8), ZooKeeper(session_timeout_s=4, tick_s=0.5))],
        load=HttpClients(count=30, rate_per_s=150),
        strikes=[Strike(GracefulStop(), target=some("backend", 6), every_s=0.8)],
        objectives=[worst(leaving_but_listed_s) <= bound()],
        repeats=1,
    )
    result, _ = lab_run(scenario, seed="3")
    values = sorted(s["value"] for s in samples(result, "leaving_but_listed_s"))
    assert len(values) == 180, reasons(result)
    assert values[int(0.99 * len(values))] < 0.100


def test_the_resolver_serves_old_answers_uniformly_over_the_ttl() -> None:
    """300 direct updates at TTL 2 s: U(0, T) is not rejected at 1 %; U(0, T + 1) and U(0, 0.9 T) are."""
    script = (Path(__file__).parent / "inside" / "resolver_truth.py").read_bytes()
    system = Dns(ttl_s=2)
    with DockerCluster(progress=lambda _: None) as door:
        stack = door.up(
            "dns", ["service.yaml", *system.compose_files], {**Service(instances=1).environment, **system.environment}
        )
        wait_until(lambda: not system.lacking(stack), timeout_s=60)
        registrar = stack.pods["registrar"].server_id
        command = ["docker", "exec", "-i", registrar, "/opt/venv/bin/python3", "-", "300", "2", "7"]
        done = subprocess.run(command, input=script, capture_output=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr.decode()[-2000:]
    waits = json.loads(done.stdout)
    assert len(waits) >= 300
    assert stats.kstest(waits, "uniform", args=(0, 2)).pvalue > 0.01
    assert stats.kstest(waits, "uniform", args=(0, 3)).pvalue < 0.01
    # A single sample above the support refutes a uniform; KS alone would need 600 samples for the same power.
    beyond = sum(wait > 0.9 * 2 + 0.02 for wait in waits)
    assert beyond > 0 or stats.kstest(waits, "uniform", args=(0, 1.8)).pvalue < 0.01


@pytest.mark.parametrize("count", [12, 300])
def test_the_load_keeps_its_intended_rate_or_says_it_did_not(lab_run: LabRun, count: int) -> None:
    """Twelve clients or three hundred: sent equals due, second by second, or the trial is unknown and says why."""
    scenario = Scenario(
        arms=[Arm("scripted", Service(instances=4), Scripted())],
        load=HttpClients(count=count, rate_per_s=300),
        objectives=[total(false_removals) <= 0],
        quiet_s=6,
        repeats=1,
    )
    result, folder = lab_run(scenario, seed="5")
    trial = result.trials[0]
    seconds: dict[str, int] = defaultdict(int)
    for event in folder.history(folder.trials()[0]).of("load.second"):
        for key in ("due", "sent", "done"):
            seconds[key] += event.fields[key]
    kept = seconds["sent"] >= 0.98 * seconds["due"] and seconds["due"] > 300 * 5
    assert kept or (trial.valid == "unknown" and any("rate" in reason for reason in trial.reasons))
    assert kept, f"the machine did not carry {count} clients: {trial.reasons}"
